package workbench

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/policy"
)

const bounded = `package mcp.authz

allow if {
	"clerk" in input.subject.roles
	input.tool.name == "pay"
	input.arguments.amount <= data.most
}

allow if {
	"clerk" in input.subject.roles
	input.tool.name == "balance"
}

deny contains "closed" if {
	input.action == "tools/call"
	time.clock(time.now_ns())[0] < 6
}

obligations contains {"type": "record_arguments"} if input.tool.name == "pay"
`

func generation(t testing.TB, src string, most int) *policy.Generation {
	t.Helper()
	g, err := policy.FromFiles(t.Context(), map[string][]byte{"authz.rego": []byte(src), "data.json": fmt.Appendf(nil, `{"most": %d}`, most)}, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// asked is one call, as the gateway would ask about it.
func asked(seq int, tool, arguments string) *policy.Input {
	at := time.Date(2026, 1, 15, 9, 0, seq, 0, time.UTC)
	return &policy.Input{Action: "tools/call", Server: "bank", Tool: &policy.Tool{Name: tool, Digest: "sha256:" + tool},
		Subject: &policy.Subject{ID: "ann", Client: "c", Roles: []string{"clerk"}, Proof: "none"}, Grant: &policy.Grant{ID: "g", Expires: at},
		Arguments: []byte(arguments), Request: policy.Request{ID: fmt.Sprintf("D%d", seq), Time: at, Era: "modern", Method: "tools/call"}}
}

// recordedOf is the record of a decision by g, with its input.
func recordedOf(t testing.TB, g *policy.Generation, seq int, in *policy.Input) Recorded {
	t.Helper()
	doc, err := in.Document()
	if err != nil {
		t.Fatal(err)
	}
	v := ask(t.Context(), g, in)
	r := Recorded{Seq: uint64(seq), Time: in.Request.Time, ID: in.Request.ID, Phase: "decision", Method: in.Action, Server: in.Server,
		Subject: in.Subject.ID, Client: in.Subject.Client, Roles: in.Subject.Roles, Grant: "g", Decision: "allow", Code: "ok", PolicyAllow: &v.Allow,
		Reasons: v.Reasons, Rules: v.Rules, Obligations: v.Obligations, Revision: g.Revision(), Input: doc, Proved: true}
	if in.Tool != nil {
		r.Tool, r.ToolDigest = in.Tool.Name, in.Tool.Digest
	}
	if !v.Allow {
		r.Phase, r.Decision, r.Code = "refusal", "deny", "denied"
	}
	return r
}

func logOf(records ...Recorded) Log {
	return func(yield func(Entry, error) bool) {
		for _, r := range records {
			if !yield(func() (Recorded, error) { return r, nil }, nil) {
				return
			}
		}
	}
}

func run(t testing.TB, g *policy.Generation, records ...Recorded) *ReplayReport {
	t.Helper()
	report, err := Replay{Policy: g}.Run(t.Context(), logOf(records...))
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func day(t testing.TB, g *policy.Generation) []Recorded {
	return []Recorded{
		recordedOf(t, g, 1, asked(1, "pay", `{"amount": 5}`)),
		recordedOf(t, g, 2, asked(2, "pay", `{"amount": 500}`)),
		recordedOf(t, g, 3, asked(3, "balance", `{}`)),
		recordedOf(t, g, 4, asked(4, "close", `{}`)),
		{Seq: 5, Phase: "outcome", ID: "D1", Code: "ok"},
	}
}

func TestReplayUnderTheSamePolicyAgrees(t *testing.T) {
	g := generation(t, bounded, 100)
	got := run(t, g, day(t, g)...)
	if got.Decisions != 4 || got.Full != 4 || got.Same != 4 || got.Differ() != 0 || len(got.Undecided) != 0 {
		t.Errorf("report %+v; want 4 decisions, all as recorded", got)
	}
}

func TestReplayUsesTheRecordedTime(t *testing.T) {
	g := generation(t, bounded, 100)
	night := asked(1, "balance", `{}`)
	night.Request.Time = time.Date(2026, 1, 15, 3, 0, 0, 0, time.UTC)
	r := recordedOf(t, g, 1, night)
	if *r.PolicyAllow || !slices.Equal(r.Reasons, []string{"closed"}) {
		t.Fatalf("recorded %+v; want a refusal at night", r)
	}
	if got := run(t, g, r); got.Same != 1 {
		t.Errorf("report %+v; want the same answer", got)
	}
}

func TestReplayUnderAnotherPolicyShowsChanges(t *testing.T) {
	g := generation(t, bounded, 100)
	got := run(t, generation(t, bounded, 1000), day(t, g)...)
	if got.Kinds[NewlyAllowed] != 1 || got.Causes[CauseChange] != 1 || got.Same != 3 {
		t.Errorf("report %+v; want one change", got)
	}
	if d := got.Differences[0]; d.ID != "D2" || d.Recorded.Allow || !d.Now.Allow || d.Tool != "pay" {
		t.Errorf("difference %+v; want the payment of 500, now allowed", d)
	}
}

// A difference under the same policy is a defect, and the report says whose.
func TestReplayTellsDefectsApart(t *testing.T) {
	g := generation(t, bounded, 100)
	for _, tt := range []struct {
		name, kind, cause string
		spoil             func(*Recorded)
	}{
		{"another answer", NewlyRefused, CauseEngine, func(r *Recorded) {
			*r = recordedOf(t, g, 1, asked(1, "pay", `{"amount": 500}`))
			r.PolicyAllow = new(true)
		}},
		{"the arguments are not those of the digest", NewlyRefused, CauseRecord, func(r *Recorded) {
			*r = recordedOf(t, g, 1, asked(1, "pay", `{"amount": 500}`))
			r.PolicyAllow, r.Proved, r.Contradicted = new(true), false, true
		}},
		{"no digest to tell by", NewlyAllowed, CauseUnsure, func(r *Recorded) { r.PolicyAllow, r.Proved = new(false), false }},
		{"the input is of another call", Contradicts, CauseRecord, func(r *Recorded) { r.Tool, r.Server = "balance", "other" }},
		{"the roles were changed", Contradicts, CauseRecord, func(r *Recorded) { r.Roles = []string{"clerk", "boss"} }},
		{"the time was changed", Contradicts, CauseRecord, func(r *Recorded) { r.Time = r.Time.Add(time.Hour) }},
		{"an obligation was taken out", Obligations, CauseEngine, func(r *Recorded) { r.Obligations = nil }},
		{"a rule was taken out", Rules, CauseEngine, func(r *Recorded) { r.Rules = nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := recordedOf(t, g, 1, asked(1, "pay", `{"amount": 5}`))
			tt.spoil(&r)
			got := run(t, g, r)
			if len(got.Differences) != 1 || got.Differences[0].Kind != tt.kind || got.Differences[0].Cause != tt.cause {
				t.Errorf("differences %+v; want %s by %s", got.Differences, tt.kind, tt.cause)
			}
		})
	}
}

func TestReplayCountsWhatItCannotDecide(t *testing.T) {
	g := generation(t, bounded, 100)
	without := func(missing string) Recorded {
		r := recordedOf(t, g, 1, asked(1, "pay", `{"amount": 5}`))
		r.Input, r.Missing, r.Proved = nil, missing, false
		return r
	}
	unread := recordedOf(t, g, 1, asked(1, "pay", `{}`))
	unread.Input = []byte(`{"action":`)
	newer := recordedOf(t, g, 1, asked(1, "pay", `{}`))
	newer.Input = []byte(`{"action":"tools/call","mood":"good"}`)
	silent := recordedOf(t, g, 1, asked(1, "other", `{}`))
	silent.PolicyAllow, silent.Reasons = nil, []string{"somebody else said no"}
	got := run(t, g, without(""), without(MissingMasked), without(MissingIdentity), without(MissingLarge), without(MissingNewer), unread, newer, silent,
		Recorded{Phase: "refusal", Code: "unknown_tool", ID: "D9"})
	depends := ", and " + missingParts
	want := map[string]int{MissingInput + depends: 1, MissingMasked + depends: 1, MissingIdentity + depends: 1, MissingLarge + depends: 1, MissingNewer: 2,
		"its input cannot be read": 1, missingVerdict: 1}
	if diff := cmp.Diff(want, got.Undecided); diff != "" {
		t.Errorf("undecided (-want +got):\n%s", diff)
	}
	if got.Differ() != 0 || got.Same != 0 || got.Others != 1 || got.Decisions != 8 {
		t.Errorf("report %+v; want 8 decisions without answers and 1 other record", got)
	}
}

// Without inputs, what does not depend on them is decided all the same.
func TestReplayDecidesFromDigestsWhatReadsNoArguments(t *testing.T) {
	plain := "package mcp.authz\n\nallow if {\n\t\"clerk\" in input.subject.roles\n\tinput.tool.name in {\"balance\", \"pay\"}\n\tnot refused\n}\n\nrefused if {\n\tinput.tool.name == \"pay\"\n\tinput.arguments.amount > data.most\n}\n"
	g := generation(t, plain, 100)
	var records []Recorded
	for i, tool := range []string{"balance", "close", "pay", "balance"} {
		r := recordedOf(t, g, i+1, asked(i+1, tool, `{"amount": 5}`))
		r.Input, r.Proved = nil, false
		if i == 3 { // the record says otherwise
			r.PolicyAllow, r.Reasons = new(false), []string{noRule}
		}
		records = append(records, r)
	}
	got := run(t, g, records...)
	if got.Full != 0 || got.Partial != 3 || got.Same != 2 || got.Kinds[NewlyAllowed] != 1 || got.Causes[CauseUnsure] != 1 {
		t.Errorf("report %+v; want the balances and the unknown tool decided", got)
	}
	if n := got.Undecided[MissingInput+", and "+missingParts]; n != 1 {
		t.Errorf("undecided %v; want the payment", got.Undecided)
	}
	// Recorded arguments whose digest proves them are as good as an input.
	paid := records[2]
	paid.Arguments, paid.Proved = json.RawMessage(`{"amount": 5}`), true
	if got := run(t, g, paid); got.Partial != 1 || got.Same != 1 {
		t.Errorf("report %+v; want the payment decided from its recorded arguments", got)
	}
}

// The report does not depend on how many work on it.
func TestReplayReportIsTheSameForAnyWorkers(t *testing.T) {
	g, other := generation(t, bounded, 100), generation(t, bounded, 1000)
	var records []Recorded
	for i := range 2000 {
		records = append(records, recordedOf(t, g, i, asked(i, "pay", fmt.Sprintf(`{"amount": %d}`, i%700))))
	}
	var reports []*ReplayReport
	for _, workers := range []int{1, 3, 8} {
		report, err := Replay{Policy: other, Workers: workers, Examples: 7}.Run(t.Context(), logOf(records...))
		if err != nil {
			t.Fatal(err)
		}
		reports = append(reports, report)
	}
	if reports[0].Kinds[NewlyAllowed] == 0 || len(reports[0].Differences) != 7 {
		t.Fatalf("report %+v; want changes and 7 examples", reports[0])
	}
	for _, r := range reports[1:] {
		if diff := cmp.Diff(reports[0], r); diff != "" {
			t.Errorf("reports differ:\n%s", diff)
		}
	}
}

func BenchmarkReplay(b *testing.B) {
	g := generation(b, bounded, 100)
	records := make([]Recorded, 1000)
	for i := range records {
		records[i] = recordedOf(b, g, i, asked(i, "pay", fmt.Sprintf(`{"amount": %d}`, i)))
	}
	b.ResetTimer()
	for b.Loop() {
		if got := run(b, g, records...); got.Same != len(records) {
			b.Fatalf("%+v", got)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(records)), "ns/decision")
}
