package guard

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/gateway/guard/secrets"
)

func TestWhatWasFoundIsTakenOutOrRefused(t *testing.T) {
	doc := `{"a":"one SECRET two","b":"CANARY","SECRET":1}`
	at := func(what, rule string, n int, marker bool) secrets.Finding {
		i := strings.Index(doc, what)
		for range n {
			i += 1 + strings.Index(doc[i+1:], what)
		}
		return secrets.Finding{Rule: rule, Marker: marker, Start: i, End: i + len(what)}
	}
	secret, canary, name := at("SECRET", "some-token", 0, false), at("CANARY", "canary 1", 0, true), at("SECRET", "some-token", 1, false)
	for _, tt := range []struct {
		what   string
		found  []secrets.Finding
		why    string // not empty: not scanned to the end
		a      Ask
		doc    string // "" where it is unchanged
		report Report
		refuse string
	}{
		{what: "nothing found"},
		{what: "nothing asked", found: []secrets.Finding{secret}},
		{what: "a canary, whatever is asked", found: []secrets.Finding{secret, canary}, doc: `{"a":"one SECRET two","b":"[redacted: canary 1]","SECRET":1}`, report: Report{Secrets: 1, Rules: []string{"canary 1"}, Canary: true}},
		{what: "redact", found: []secrets.Finding{secret, canary}, a: Ask{Redact: Secrets}, doc: `{"a":"one [redacted: some-token] two","b":"[redacted: canary 1]","SECRET":1}`, report: Report{Secrets: 2, Rules: []string{"canary 1", "some-token"}, Canary: true}},
		{what: "a name", found: []secrets.Finding{name}, a: Ask{Redact: Secrets}, doc: `{"a":"one SECRET two","b":"CANARY","[redacted: some-token]":1}`, report: Report{Secrets: 1, Rules: []string{"some-token"}}},
		{what: "no string", found: []secrets.Finding{{Rule: "x", Start: len(doc) - 4, End: len(doc) - 1}}, a: Ask{Redact: Secrets}, refuse: "a secret stands where it cannot be taken out (x)"},
		{what: "refuse", found: []secrets.Finding{secret, canary}, a: Ask{Refuse: Secrets}, refuse: "the policy refuses secrets, and 2 were found (canary 1, some-token)"},
		{what: "not scanned, not asked", why: "over the budget", report: Report{Unscanned: true}},
		{what: "not scanned", why: "over the budget", a: Ask{Redact: Secrets}, refuse: `not scanned for secrets to its end: over the budget; an obligation with "unscanned": "pass" lets it through`},
		{what: "not scanned, and it may pass", why: "over the budget", a: Ask{Redact: Secrets, PassUnscanned: true}, report: Report{Unscanned: true}},
	} {
		w := &walk{a: &tt.a, doc: []byte(doc)}
		refused := w.redactFound(secrets.Result{Findings: tt.found, Complete: tt.why == "", Why: tt.why}, (tt.a.Redact|tt.a.Refuse)&Secrets != 0)
		if tt.refuse != "" {
			if refused == nil || refused.Detail != tt.refuse {
				t.Errorf("%s: %+v; want %s", tt.what, refused, tt.refuse)
			}
			continue
		}
		want := tt.doc
		if want == "" {
			want = doc
		}
		if diff := cmp.Diff(tt.report, w.r); refused != nil || string(w.doc) != want || diff != "" {
			t.Errorf("%s: %v\ngot  %s\nwant %s\n%s", tt.what, refused, w.doc, want, diff)
		}
	}
}
