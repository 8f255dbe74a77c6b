package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/identity/grant"
)

// obliged is a fixture whose policy allows read_file under obligations.
func obliged(t *testing.T, obligations ...string) *fixture {
	t.Helper()
	f := newFixture(t)
	src := "package mcp.authz\n\nallow if input.tool.name == \"read_file\"\n"
	for _, o := range obligations {
		src += "\nobligations contains " + o + "\n"
	}
	f.snap.Policy = mustPolicy(t, src)
	f.swap()
	return f
}

func TestObligationsAreMetOrRefuse(t *testing.T) {
	for _, tt := range []struct{ obligation, want string }{
		{`{"type": "max_calls", "n": 2, "per": "tool"}`, "ok ok the policy allows 2 calls of files.read_file and all are used; ask for a new grant"},
		{`{"type": "max_calls", "n": 1, "per": "grant"}`, "ok the policy allows 1 call and all are used; ask for a new grant"},
		{`{"type": "max_calls", "n": 0, "per": "grant"}`, "Denied: "},
		{`{"type": "require_proof"}`, "Denied: the policy wants a token that is bound to a key, as `sallyport connect` has"},
		{`{"type": "label", "add": ["source:private"]}`, "ok ok ok"},
		{`{"type": "label", "add": []}`, "Denied: "},
		{`{"type": "encrypt", "what": "secrets"}`, "Denied: the obligation \"encrypt\" cannot be met by this version"},
	} {
		f := obliged(t, tt.obligation)
		var got []string
		for range 3 {
			got = append(got, toolText(f.post(f.reader, readCall).Body.String()))
		}
		if all := strings.Join(got, " "); !strings.HasPrefix(all, tt.want) {
			t.Errorf("%s: %s; want %s", tt.obligation, all, tt.want)
		}
	}
}

// What nobody counts cannot be bounded, so it is refused.
func TestABoundOnWhatIsNotCountedRefuses(t *testing.T) {
	f := newFixture(t)
	f.snap.Policy = mustPolicy(t, "package mcp.authz\n\nallow if input.action == \"completion/complete\"\n\nobligations contains {\"type\": \"max_calls\", \"n\": 5, \"per\": \"grant\"}\n")
	f.swap()
	got := toolText(f.post(f.reader, `{"jsonrpc":"2.0","id":7,"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"file:///srv/a"},"argument":{"name":"a","value":"b"}}}`).Body.String())
	if want := "403 Denied: the policy asks for max_calls, which counts calls, reads of resources and prompts and nothing else"; !strings.HasPrefix(got, want) {
		t.Errorf("%s; want %s", got, want)
	}
	if n := len(f.up.requests()); n != 0 {
		t.Errorf("%d requests reached the server", n)
	}
}

// Labels are the task's: they are in the record with the call that brought them, and the policy sees
// them at the next.
func TestLabelsStayWithTheTask(t *testing.T) {
	f := obliged(t, `{"type": "label", "add": ["source:private"]}`)
	f.snap.Policy = mustPolicy(t, `package mcp.authz

allow if input.tool.name == "read_file"
allow if input.tool.name == "ask"
deny contains "private data may not leave" if {
	input.tool.name == "ask"
	"source:private" in input.flow.labels
}
obligations contains {"type": "label", "add": ["source:private"]} if input.tool.name == "read_file"
`)
	f.swap()
	ask := legacyCall("ask", `{}`)
	if got := toolText(f.post(f.reader, ask).Body.String()); got != "ok" {
		t.Fatalf("before anything was read: %s", got)
	}
	f.post(f.reader, readCall)
	for _, r := range f.rec.all() {
		if r.Tool == "read_file" && r.Phase == "decision" {
			if diff := cmp.Diff([][]string{nil, {"source:private"}}, [][]string{r.LabelsBefore, r.LabelsAfter}); diff != "" {
				t.Errorf("labels in the record (-want +got):\n%s", diff)
			}
		}
	}
	if got := toolText(f.post(f.reader, ask).Body.String()); !strings.HasPrefix(got, "Denied by policy: private data may not leave") {
		t.Errorf("after it: %s", got)
	}
	if got := toolText(f.post(f.other, ask).Body.String()); got != "ok" {
		t.Errorf("another's task: %s", got)
	}
}

func TestLabelsOfATaskAreBounded(t *testing.T) {
	f := obliged(t, `{"type": "label", "add": [input.arguments.path]}`)
	_, token := f.under(grant.Grant{})
	got := ""
	for i := range grant.MaxLabels + 1 {
		got = toolText(f.post(token, legacyCall("read_file", fmt.Sprintf(`{"path":"/srv/%d"}`, i))).Body.String())
	}
	if want := "Denied: the task has 64 labels already, and this adds more; a task can have 64"; !strings.HasPrefix(got, want) {
		t.Errorf("label %d: %s; want %s", grant.MaxLabels+1, got, want)
	}
	if got := toolText(f.post(token, legacyCall("read_file", `{"path":"/srv/0"}`)).Body.String()); got != "ok" {
		t.Errorf("a label that the task has already: %s; want ok", got)
	}
}
