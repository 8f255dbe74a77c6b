package secrets

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/zricethezav/gitleaks/v8/config"
)

// allowlist is one of the library's, with what makes it cheap to say no.
type allowlist struct {
	*config.Allowlist
	sieve *sieve
}

// newAllowlists prepares those lists that can let something pass here: one that asks for a
// path or a commit beside other things has none to ask.
func newAllowlists(lists []*config.Allowlist) ([]allowlist, error) {
	var all []allowlist
	for _, a := range lists {
		if a.MatchCondition == config.AllowlistMatchAnd && (len(a.Commits) > 0 || len(a.Paths) > 0) {
			continue
		}
		s, err := newSieve(a.Regexes)
		if err != nil {
			return nil, err
		}
		all = append(all, allowlist{a, s})
	}
	return all, nil
}

// matches is RegexAllowed, which makes one expression of all: each for itself says no sooner.
func (a *allowlist) matches(text string) bool {
	return len(a.Regexes) > 0 && a.sieve.may(text) &&
		slices.ContainsFunc(a.Regexes, func(re *regexp.Regexp) bool { return re.MatchString(text) })
}

// sieve holds back texts that no expression of a list can match. Those of the library are long
// and slow, and most texts have no part of what they want.
type sieve struct {
	ix   *index
	any  []byte // of shapes without three bytes to look for: a byte that each match has
	open bool   // some shape has neither: everything passes
}

func newSieve(list []*regexp.Regexp) (*sieve, error) {
	s, b := &sieve{}, &indexBuilder{}
	for _, re := range list {
		parsed, err := syntax.Parse(re.String(), syntax.Perl)
		if err != nil {
			return nil, fmt.Errorf("read an exception: %w", err)
		}
		for _, shape := range alternatives(parsed) {
			if p, ok := newPattern(nil, shape); ok {
				b.add(p)
			} else if c, ok := shape.symbol(); ok {
				s.any = append(s.any, c)
			} else {
				s.open = true
			}
		}
	}
	s.ix = b.build()
	return s, nil
}

// alternatives are the shapes of an expression; of one that is a list of alternatives, however
// long it is.
func alternatives(re *syntax.Regexp) []shape {
	switch re.Op {
	case syntax.OpCapture:
		return alternatives(re.Sub[0])
	case syntax.OpAlternate:
		var all []shape
		for _, sub := range re.Sub {
			all = append(all, alternatives(sub)...)
		}
		return all
	}
	return shapesOf(re)
}

// symbol returns a byte that every text of the shape has and that few others have.
func (s shape) symbol() (byte, bool) {
	for i := range s {
		if s[i].kind != oneOf || s[i].set.size() != 1 {
			continue
		}
		for _, c := range []byte("\n<[]{}$()") {
			if s[i].set.has(c) {
				return c, true
			}
		}
	}
	return 0, false
}

// may reports whether an expression can match.
func (s *sieve) may(text string) bool {
	if s.open {
		return true
	}
	for _, c := range s.any {
		if strings.IndexByte(text, c) >= 0 {
			return true
		}
	}
	raw := []byte(text)
	for list, i, t := s.ix.next(raw, 0, 0); list != nil; list, i, t = s.ix.next(raw, i, t) {
		for _, p := range list {
			if p.fits(raw, i-3-p.at) {
				return true
			}
		}
	}
	return false
}
