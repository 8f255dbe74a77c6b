package reader

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The members are those of OPA's EventV1, and what OPA would have there.
func TestOPAEvent(t *testing.T) {
	for _, tt := range []struct{ name, line, want string }{
		{
			"with the input and what the mask took out",
			`{"seq":7,"time":"2026-01-15T09:00:00Z","id":"d","phase":"refusal","method":"tools/call","server":"files","tool":"read_file","subject":"ann","client":"cc",
			"decision":"deny","code":"limited","reasons":[],"obligations":[{"type":"max_calls","n":1}],"policy_revision":"sha256:1","rules":["r"],"trace_id":"t",
			"policy_allow":true,"input":{"action":"tools/call","arguments":{}},"input_erased":["/input/arguments/password"],"detail":"no call is left"}`,
			`{"labels":{"app":"sallyport"},"decision_id":"d","trace_id":"t","bundles":{"policies":{"revision":"sha256:1"}},"path":"mcp/authz",
			"input":{"action":"tools/call","arguments":{}},"result":{"allow":true,"deny":[],"obligations":[{"type":"max_calls","n":1}]},
			"erased":["/input/arguments/password"],"requested_by":"cc","timestamp":"2026-01-15T09:00:00Z",
			"custom":{"seq":7,"phase":"refusal","decision":"deny","code":"limited","rules":["r"],"detail":"no call is left"}}`,
		},
		{
			"without the input",
			`{"seq":8,"time":"2026-01-15T09:00:00Z","id":"e","phase":"decision","method":"tools/call","server":"files","tool":"read_file","tool_digest":"sha256:2",
			"arguments_digest":"hmac-sha256:3","subject":"ann","client":"cc","grant":"gr_1","task":"T","roles":["reader"],"decision":"allow","policy_revision":"sha256:1",
			"labels_before":["source:private"],"labels_after":["source:private","sink:external"]}`,
			`{"labels":{"app":"sallyport"},"decision_id":"e","bundles":{"policies":{"revision":"sha256:1"}},"path":"mcp/authz",
			"input":{"subject":{"id":"ann","client":"cc","roles":["reader"]},"grant":{"id":"gr_1","task":"T"},"action":"tools/call","server":{"name":"files"},
			"tool":{"name":"read_file","digest":"sha256:2"},"flow":{"labels":["source:private"]},"request":{"id":"e","time":"2026-01-15T09:00:00Z"}},
			"result":{"allow":true,"deny":[],"obligations":[]},"erased":["/input/arguments"],"requested_by":"cc","timestamp":"2026-01-15T09:00:00Z",
			"custom":{"seq":8,"phase":"decision","decision":"allow","code":"","rules":[],"arguments_digest":"hmac-sha256:3","labels_after":["source:private","sink:external"]}}`,
		},
		{"an outcome", `{"seq":9,"id":"e","phase":"outcome","decision":"allow","code":"ok","policy_revision":"sha256:1"}`, ``},
		{"an act", `{"seq":10,"id":"f","phase":"decision","method":"grant/create","decision":"allow","code":"ok"}`, ``},
	} {
		e := Entry{Raw: []byte(tt.line)}
		if err := e.decode(); err != nil {
			t.Fatal(err)
		}
		event, ok := e.OPA(map[string]string{"app": "sallyport"})
		if ok != (tt.want != "") {
			t.Errorf("%s: an event: %v", tt.name, ok)
		}
		if !ok {
			continue
		}
		raw, err := json.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(object(t, tt.want), object(t, string(raw))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func object(t *testing.T, text string) (out any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}
