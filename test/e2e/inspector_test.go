package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestInspectorWorksThroughTheGateway drives the MCP Inspector in both eras: it lists what the
// role may see, calls, reads the refusal of a call and is told when its token is no good.
func TestInspectorWorksThroughTheGateway(t *testing.T) {
	const policy = `package mcp.authz

import rego.v1

allow if {
	"tester" in input.subject.roles
	input.tool.name in {"test_simple_text", "test_error_handling"}
}

deny contains "errors are not asked for here" if {
	input.tool.name == "test_error_handling"
	input.arguments
}
`
	for _, e := range eras {
		t.Run(e.name, func(t *testing.T) {
			g := startGate(t, setup{policies: map[string]string{"authz.rego": policy}, servers: map[string]string{"everything": startEverything(t, e)}})
			token := g.token(t, "tester")
			inspect := func(token string, args ...string) (string, int) {
				args = append([]string{"--cli", "--server-url", g.url(g.endpoint), "--transport", "http", "--protocol-era", e.name,
					"--stored-auth-only", "--format", "json", "--header", "Authorization: Bearer " + token}, args...)
				return nodeProgram(t, t.TempDir(), "mcp-inspector", args...)
			}

			out, code := inspect(token, "--method", "tools/list")
			var list struct {
				Result struct{ Tools []struct{ Name string } }
			}
			if err := json.Unmarshal([]byte(out), &list); code != 0 || err != nil || len(list.Result.Tools) == 0 {
				t.Fatalf("tools/list: exit %d, %v\n%s", code, err, out)
			}
			for _, tool := range list.Result.Tools {
				if tool.Name != "test_simple_text" && tool.Name != "test_error_handling" {
					t.Errorf("tools/list shows %s, which the role may not use", tool.Name)
				}
			}
			out, code = inspect(token, "--method", "tools/call", "--tool-name", "test_simple_text")
			if code != 0 || !strings.Contains(out, "simple text response") {
				t.Errorf("tools/call: exit %d\n%s", code, out)
			}
			out, _ = inspect(token, "--method", "tools/call", "--tool-name", "test_error_handling")
			if !strings.Contains(out, "errors are not asked for here") {
				t.Errorf("a denied call does not show the policy's reason:\n%s", out)
			}
			out, code = inspect("not-a-token", "--method", "tools/list")
			if code != 3 || !strings.Contains(out, "auth_required") {
				t.Errorf("without a good token: exit %d, want 3 and auth_required\n%s", code, out)
			}
		})
	}
}

// TestInspectorWorksWithAllServers drives the MCP Inspector at /mcp in both eras, before servers of
// the older one that are programs.
func TestInspectorWorksWithAllServers(t *testing.T) {
	g, docs := allServers(t, allowTesters, eras[0])
	token := g.token(t, "tester")
	for _, e := range eras {
		t.Run(e.name, func(t *testing.T) {
			inspect := func(args ...string) string {
				args = append([]string{"--cli", "--server-url", g.url("/mcp"), "--transport", "http", "--protocol-era", e.name,
					"--stored-auth-only", "--format", "json", "--header", "Authorization: Bearer " + token}, args...)
				out, code := nodeProgram(t, t.TempDir(), "mcp-inspector", args...)
				if code != 0 {
					t.Errorf("%v: exit %d\n%s", args[len(args)-2:], code, out)
				}
				return out
			}
			if out := inspect("--method", "tools/list"); !strings.Contains(out, `"thinking__sequentialthinking"`) || !strings.Contains(out, `"reference__test_simple_text"`) {
				t.Errorf("tools/list: %s", out)
			}
			if out := inspect("--method", "tools/call", "--tool-name", "files__read_text_file", "--tool-arg", "path="+docs+"/a.txt"); !strings.Contains(out, "the text of a") {
				t.Errorf("tools/call: %s", out)
			}
			if out := inspect("--method", "prompts/list"); !strings.Contains(out, `"things__`) {
				t.Errorf("prompts/list: %s", out)
			}
			if out := inspect("--method", "resources/list"); !strings.Contains(out, `"sallyport://`) {
				t.Errorf("resources/list: %s", out)
			}
		})
	}
}
