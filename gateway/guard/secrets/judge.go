package secrets

import (
	"bytes"
	"math"
	"unicode/utf8"

	"github.com/zricethezav/gitleaks/v8/config"
)

// finding is a match as the allowlists of rules look at it.
type finding struct{ secret, match, line string }

// allowed reports whether one of the lists leaves the finding alone, by the rules of the
// library.
func (f finding) allowed(lists []allowlist) bool {
	for i := range lists {
		a := &lists[i]
		stop, _ := a.ContainsStopWord(f.secret)
		if a.MatchCondition != config.AllowlistMatchAnd {
			if stop || a.matches(f.target(a)) {
				return true
			}
			continue
		}
		if (stop || len(a.StopWords) == 0) && (len(a.Regexes) == 0 || a.matches(f.target(a))) {
			return true
		}
	}
	return false
}

// target is what the list's expressions look at.
func (f finding) target(a *allowlist) string {
	switch a.RegexTarget {
	case "match":
		return f.match
	case "line":
		return f.line
	}
	return f.secret
}

// maxLine bounds how much of a line around a match is looked at: in a JSON document a line can
// be all of it.
const maxLine = 256

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
	var ascii [utf8.RuneSelf]int
	var other map[rune]int
	for _, r := range s {
		if r < utf8.RuneSelf {
			ascii[r]++
			continue
		}
		if other == nil {
			other = map[rune]int{}
		}
		other[r]++
	}
	sum, each := 0.0, 1/float64(len(s))
	for _, n := range ascii {
		if n > 0 {
			f := float64(n) * each
			sum -= f * math.Log2(f)
		}
	}
	for _, n := range other {
		f := float64(n) * each
		sum -= f * math.Log2(f)
	}
	return sum
}
