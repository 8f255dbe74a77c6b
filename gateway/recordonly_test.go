package gateway

import (
	"strings"
	"testing"

	"sallyport/gateway/approval"
	"sallyport/gateway/audit"
)

// Where nothing is enforced, whatever a policy wants is recorded and nothing of it is done: no call is
// refused, nobody is asked, and nothing waits.
func TestRecordOnlyRefusesNothingThatAPolicyWants(t *testing.T) {
	for _, tt := range []struct {
		name, rules string
		calls       int    // until one would be refused
		want        string // begins a reason of that one
	}{
		{"deny", `deny contains "never" if true`, 1, "never"},
		{"no allow", ``, 1, "no rule allows it"},
		{"an error", `deny contains "x" if to_number("x") > 1`, 1, "Denied: the policy could not be evaluated"},
		{"approval", `obligations contains {"type": "require_approval", "by": "boss"}`, 1, "somebody with the role boss would have to agree"},
		{"calls", `obligations contains {"type": "max_calls", "n": 1, "per": "grant"}`, 2, ""},
		{"repeats", `obligations contains {"type": "max_repeats", "n": 1}`, 2, ""},
		{"bytes in all", `obligations contains {"type": "max_bytes", "n": 20, "of": "arguments", "per": "grant"}`, 2, ""},
		{"bytes", `obligations contains {"type": "max_bytes", "n": 3, "of": "arguments"}`, 1, "Denied: the policy allows 3 bytes of arguments"},
		{"proof", `obligations contains {"type": "require_proof"}`, 1, "Denied: the policy wants a token that is bound to a key"},
		{"unknown", `obligations contains {"type": "encrypt"}`, 1, `Denied: the obligation "encrypt" cannot be met`},
		{"no search", `obligations contains {"type": "redact", "what": "secrets"}`, 1, "Denied: the policy asks for a search for secrets"},
		{"hidden characters", `obligations contains {"type": "refuse", "what": "hidden", "in": "arguments"}`, 1, "Denied: the arguments hold hidden characters"},
		{"labels", `obligations contains {"type": "label", "add": [sprintf("l%d", [n]) | some n in numbers.range(1, 65)]}`, 1, "Denied: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			desk := approval.New(approval.Options{})
			g, err := New(Options{Recorder: f.rec, Grants: f.issuer.Grants, StateKey: make([]byte, 32), Approvals: desk})
			if err != nil {
				t.Fatal(err)
			}
			f.g, f.handler = g, g
			allow := "allow if true\n\n"
			if tt.rules == "" {
				allow = "allow if false\n"
			}
			f.snap.Policy, f.snap.RecordOnly = mustPolicy(t, "package mcp.authz\n\n"+allow+tt.rules+"\n"), true
			f.swap()
			for n := range 3 {
				if got := toolText(f.post(f.reader, legacyCall("ask", `{"path":"a\u200bb"}`)).Body.String()); got != "ok" {
					t.Errorf("call %d: %s; want ok", n+1, got)
				}
			}
			if n := len(f.up.requests()); n != 3 {
				t.Errorf("%d calls reached the server; want 3", n)
			}
			if list := desk.List(approval.Approver{Operator: true}); len(list) != 0 {
				t.Errorf("%d calls wait for a person; want none", len(list))
			}
			records := f.rec.of(audit.PhaseDecision)
			for n, r := range records {
				want := "allow"
				if n+1 >= tt.calls {
					want = wouldDeny
				}
				if r.Decision != want || want == wouldDeny && (len(r.Reasons) == 0 || !strings.HasPrefix(r.Reasons[0], tt.want)) {
					t.Errorf("call %d: %s, reasons %q; want %s, %q", n+1, r.Decision, r.Reasons, want, tt.want)
				}
			}
			if got := f.g.Counts().WouldDeny; got != int64(4-tt.calls) {
				t.Errorf("%d counted; want %d", got, 4-tt.calls)
			}
		})
	}
}

// An answer that the policy would withhold reaches the client, and the outcome says so.
func TestRecordOnlyWithholdsNoAnswer(t *testing.T) {
	f := newFixture(t)
	f.snap.Policy = mustPolicies(t, map[string]string{"authz.rego": testPolicy, "response.rego": "package mcp.response\n\nallow if false\n"})
	f.snap.RecordOnly = true
	f.swap()
	if got := toolText(f.post(f.reader, readCall).Body.String()); got != "ok" {
		t.Errorf("the call: %s; want ok", got)
	}
	decision, outcome := f.rec.of(audit.PhaseDecision)[0], f.rec.of(audit.PhaseOutcome)[0]
	if decision.Decision != "allow" || outcome.Decision != wouldDeny || !strings.Contains(outcome.Detail, "would be withheld: ") {
		t.Errorf("decision %s, outcome %s, detail %q; want allow, would_deny and why", decision.Decision, outcome.Decision, outcome.Detail)
	}
	if n := f.g.Counts().WouldDeny; n != 1 {
		t.Errorf("%d counted; want 1", n)
	}
}
