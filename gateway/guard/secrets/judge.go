package secrets

import (
	"bytes"
	"math"

	"github.com/zricethezav/gitleaks/v8/config"
)

// finding is a match as the allowlists of rules look at it.
type finding struct{ secret, match, line string }

// allowed reports whether one of the lists leaves the finding alone, by the rules of the
// library. Commits and paths, which it also knows, are never those of a message.
func (f finding) allowed(lists []*config.Allowlist) bool {
	for _, a := range lists {
		target := f.secret
		switch a.RegexTarget {
		case "match":
			target = f.match
		case "line":
			target = f.line
		}
		matched := a.RegexAllowed(target)
		stop, _ := a.ContainsStopWord(f.secret)
		if a.MatchCondition != config.AllowlistMatchAnd {
			if matched || stop {
				return true
			}
			continue
		}
		if len(a.Commits) > 0 || len(a.Paths) > 0 || len(a.Regexes) > 0 && !matched || len(a.StopWords) > 0 && !stop {
			continue
		}
		return true
	}
	return false
}

// maxLine bounds how much of a line around a match is looked at: in a JSON document a line can
// be all of it.
const maxLine = 1024

// line returns the lines that text[start:end] lies in.
func line(text []byte, start, end int) string {
	from, to := max(0, start-maxLine), min(len(text), end+maxLine)
	if i := bytes.LastIndexByte(text[from:start], '\n'); i >= 0 {
		from += i + 1
	}
	if i := bytes.IndexByte(text[end:to], '\n'); i >= 0 {
		to = end + i
	}
	return string(text[from:to])
}

// entropy is Shannon's, in bits for each character; over bytes it is reckoned as the library
// does, whose thresholds the rules have.
func entropy(s string) float64 {
	if s == "" {
		return 0
	}
	counts := map[rune]int{}
	for _, r := range s {
		counts[r]++
	}
	sum, each := 0.0, 1/float64(len(s))
	for _, n := range counts {
		f := float64(n) * each
		sum -= f * math.Log2(f)
	}
	return sum
}
