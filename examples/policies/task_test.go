package policies

import (
	"slices"
	"testing"
	"time"

	"sallyport/policy"
)

// task is a call under a grant for a task.
func task(name, server, tool, arguments string) *policy.Input {
	in := call("developer", server, tool, arguments)
	in.Grant = &policy.Grant{ID: "gr_1", Task: name, Expires: time.Unix(2e9, 0)}
	in.Request.Method = in.Action
	return in
}

func TestTaskDecides(t *testing.T) {
	g := load(t, PerTask)
	const changed = "the agent's own files have changed since its grant; a person must look: sallyport measure diff"
	for _, tt := range []struct {
		name, tool, arguments string
		measured              *policy.Measured
		allow                 bool
		reason                string
	}{
		{"SHOP-1234", "get_ticket", `{"ticket":"SHOP-1"}`, nil, true, ""},
		{"SHOP-1234", "add_comment", `{"ticket":"SHOP-1234"}`, nil, true, ""},
		{"SHOP-1234", "add_comment", `{"ticket":"SHOP-1235"}`, nil, false, "the task of this grant is another ticket"},
		{"", "get_ticket", `{}`, nil, false, ""},
		{"SHOP-1234", "get_ticket", `{}`, &policy.Measured{Digest: "a"}, true, ""},
		{"SHOP-1234", "get_ticket", `{}`, &policy.Measured{Digest: "a", Changed: true}, false, changed},
		{"SHOP-1234", "get_ticket", `{}`, &policy.Measured{Digest: "a", Changed: true, Approved: true}, true, ""},
	} {
		in := task(tt.name, "tickets", tt.tool, tt.arguments)
		in.Subject.Measured = tt.measured
		d, err := g.Decide(t.Context(), in)
		var want []string
		if tt.reason != "" {
			want = []string{tt.reason}
		}
		if err != nil || d.Allow != tt.allow || !slices.Equal(d.Reasons, want) {
			t.Errorf("%s %s %s %+v: %+v, %v; want allow %v, %q", tt.name, tt.tool, tt.arguments, tt.measured, d, err, tt.allow, want)
		}
	}
}

// Every obligation of the example can be met as it is evaluated, and its constraint asked.
func TestTaskAsksForWhatCanBeMet(t *testing.T) {
	g := load(t, PerTask)
	d, err := g.Decide(t.Context(), task("SHOP-1234", "tickets", "close_ticket", `{"ticket":"SHOP-1234"}`))
	if err != nil || len(d.Obligations) != 2 {
		t.Fatalf("Decide = %+v, %v; want require_proof and max_calls", d, err)
	}
	for _, o := range d.Obligations {
		if err := o.Check(); err != nil {
			t.Errorf("%s: %v", o.Raw, err)
		}
		if o.Type != policy.MaxCalls {
			continue
		}
		if n, perTool, err := o.MaxCalls(); n != 1 || !perTool || err != nil {
			t.Errorf("max_calls = %d, per tool %v, %v; want 1 per tool", n, perTool, err)
		}
	}
	for path, want := range map[string]bool{"/srv/docs/a.md": true, "/etc/passwd": false} {
		holds, err := g.Holds(t.Context(), "data.mcp.constraints.only_docs", task("SHOP-1234", "files", "read_file", `{"path":"`+path+`"}`))
		if err != nil || holds != want {
			t.Errorf("only_docs of %s = %v, %v; want %v", path, holds, err, want)
		}
	}
}

// Without a ticket nothing is listed; with changed files the list stays, so that the caller can
// read why it is refused.
func TestTaskDecidesWhatIsSeen(t *testing.T) {
	g := load(t, PerTask)
	for _, tt := range []struct {
		name     string
		measured *policy.Measured
		want     bool
	}{{"SHOP-1234", nil, true}, {"", nil, false}, {"SHOP-1234", &policy.Measured{Changed: true}, true}} {
		in := task(tt.name, "tickets", "add_comment", "")
		in.Arguments, in.Request, in.Subject.Measured = nil, policy.Request{}, tt.measured
		if got, err := g.Visible(t.Context(), in); err != nil || got != tt.want {
			t.Errorf("task %q, measured %+v sees add_comment: %v, %v; want %v", tt.name, tt.measured, got, err, tt.want)
		}
	}
}
