package policies

import (
	"slices"
	"testing"
	"time"

	"sallyport/policy"
)

// An obligation that the gateway cannot meet refuses the call that it is on, so every one that an
// example asks for is well-formed, with the values of its data.
func TestExamplesAskForWhatCanBeMet(t *testing.T) {
	delegated := func(in *policy.Input) { in.Subject.Actors, in.Grant.Task = []string{"coder"}, "SHOP-1" }
	incident := func(in *policy.Input) { in.Grant.Task = "INC-1" }
	for _, tt := range []struct {
		policy, role, server, tool, arguments string
		with                                  func(*policy.Input)
		types                                 []string
	}{
		{TicketWriter, "triage-agent", "jira", "jira_add_comment", `{"issue_key":"SUP-1"}`, nil,
			[]string{policy.MaxBytes, policy.MaxCalls, policy.MaxRepeats, policy.Refuse}},
		{DatabaseReader, "support", "postgres", "execute_sql", `{"sql":"SELECT 1 LIMIT 1"}`, nil,
			[]string{policy.Label, policy.MaxBytes, policy.RecordArguments}},
		{ReleaseEngineer, "release-engineer", "github", "merge_pull_request", `{"owner":"example-corp","repo":"shop"}`, nil,
			[]string{policy.MaxCalls, policy.RecordArguments, policy.RequireApproval}},
		{SubAgent, "developer", "github", "push_files", `{}`, delegated,
			[]string{policy.MaxCalls, policy.RecordArguments, policy.RequireProof}},
		{CostBudget, "researcher", "firecrawl", "firecrawl_crawl", `{"limit":1}`, nil,
			[]string{policy.MaxBytes, policy.MaxBytes, policy.MaxCalls, policy.MaxCalls, policy.MaxRepeats}},
		{DataResidency, "eu-analyst", "orders-eu", "execute_sql", `{}`, nil, []string{policy.Label}},
		{BreakGlass, "on-call", "kubernetes", "pods_exec", `{}`, incident,
			[]string{policy.Label, policy.MaxCalls, policy.RecordArguments, policy.RequireApproval, policy.RequireProof}},
		{PerTask, "developer", "tickets", "close_ticket", `{"ticket":"SHOP-1"}`, delegated, []string{policy.MaxCalls, policy.RequireProof}},
	} {
		in := call(tt.role, tt.server, tt.tool, tt.arguments)
		in.Request = policy.Request{Time: time.Date(2026, 1, 14, 10, 0, 0, 0, time.UTC), Method: in.Action}
		in.Grant = &policy.Grant{ID: "gr_1", Expires: in.Request.Time.Add(time.Minute)}
		if tt.with != nil {
			tt.with(in)
		}
		d, err := load(t, tt.policy).Decide(t.Context(), in)
		if err != nil || !d.Allow {
			t.Errorf("%s: %s %s = %+v, %v; want allowed", tt.policy, tt.role, tt.tool, d, err)
			continue
		}
		var types []string
		for _, o := range d.Obligations {
			types = append(types, o.Type)
			if err := o.Check(); err != nil {
				t.Errorf("%s: %s: %v", tt.policy, o.Raw, err)
			}
		}
		slices.Sort(types)
		if !slices.Equal(types, tt.types) {
			t.Errorf("%s: %s is asked for %q; want %q", tt.policy, tt.tool, types, tt.types)
		}
	}
}
