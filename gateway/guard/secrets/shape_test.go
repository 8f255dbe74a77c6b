package secrets

import (
	"regexp"
	"strings"
	"testing"

	"github.com/zricethezav/gitleaks/v8/config"
	"pgregory.net/rapid"
)

// TestNothingThatARuleMatchesIsPassedOver draws texts from the expressions of rules themselves:
// looking for three bytes and comparing what is fixed may let through too much, never too little.
func TestNothingThatARuleMatchesIsPassedOver(t *testing.T) {
	rs, err := compileRules(config.DefaultConfig)
	if err != nil {
		t.Fatal(err)
	}
	rs.global = nil
	byName := map[string]*rule{}
	var names []string
	for _, r := range rs.rules { // what rules leave alone is not the question here
		r.entropy, r.allow, r.distinct, r.needsSymbol, r.generic = 0, nil, 0, false, false
		byName[r.id], names = r, append(names, r.id)
	}
	s := newScanner(t, Options{NoRules: true})
	rapid.Check(t, func(t *rapid.T) {
		r := byName[rapid.SampledFrom(names).Draw(t, "rule")]
		text := rapid.StringMatching(r.re.String()).Filter(func(s string) bool { return plainText(s) && hasKeyword(r, s) }).Draw(t, "text")
		l, err := s.layers(len(text))
		if err != nil {
			t.Fatal(err)
		}
		l.rules = rs
		l.scanRules(&view{text: []byte(text)})
		for _, f := range l.found {
			if f.rule == r.id {
				return
			}
		}
		t.Fatalf("%s matches %q and does not find it; found %v", r.id, text, l.found)
	})
}

// plainText: characters beyond ASCII are replaced before a text is scanned.
func plainText(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 0x7e }) < 0
}

func hasKeyword(r *rule, s string) bool {
	for _, k := range r.keywords {
		if strings.Contains(strings.ToLower(s), k) {
			return true
		}
	}
	return len(r.keywords) == 0
}

// TestASieveLetsThroughWhatItsExpressionsMatch does the same for the exceptions.
func TestASieveLetsThroughWhatItsExpressionsMatch(t *testing.T) {
	rs, err := rules()
	if err != nil {
		t.Fatal(err)
	}
	lists := append([]allowlist{}, rs.global...)
	for _, r := range rs.rules {
		lists = append(lists, r.allow...)
	}
	var expressions []*regexp.Regexp
	sieves := map[*regexp.Regexp]*sieve{}
	for _, a := range lists {
		for _, re := range a.Regexes {
			expressions, sieves[re] = append(expressions, re), a.sieve
		}
	}
	if len(expressions) < 20 {
		t.Fatalf("the rules have %d exceptions; want at least 20", len(expressions))
	}
	rapid.Check(t, func(t *rapid.T) {
		re := rapid.SampledFrom(expressions).Draw(t, "expression")
		text := rapid.StringMatching(re.String()).Filter(plainText).Draw(t, "text")
		if !sieves[re].may(text) {
			t.Fatalf("%s matches %q, which is held back", re, text)
		}
	})
}

func TestASieveHoldsBackWhatHasNothingOfItsExpressions(t *testing.T) {
	s, err := newSieve([]*regexp.Regexp{regexp.MustCompile(`(?i)public[_.-]?key|monkey`), regexp.MustCompile(`[A-Z]+=\n`)})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"service_key = 1": false, "PUBLIC_KEY": true, "a Monkey": true, "A=\n": true} {
		if got := s.may(text); got != want {
			t.Errorf("may(%q) = %v; want %v", text, got, want)
		}
	}
}
