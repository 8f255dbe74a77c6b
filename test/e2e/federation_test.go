package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// npmServer is a server of the clients' package as a program in a sandbox.
// more is what else its sandbox says.
func npmServer(t *testing.T, name string, more string, args ...string) string {
	t.Helper()
	modules := cached(t, "clients", "node_modules")
	real, err := filepath.EvalSymlinks(modules)
	if err != nil {
		t.Fatal(err)
	}
	node := filepath.Join(real, ".bin", "node")
	if _, err := os.Stat(node); err != nil {
		node = "node"
	}
	list := append([]string{filepath.Join(real, "@modelcontextprotocol", name, "dist", "index.js")}, args...)
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("{command: %q, args: %s, instance: principal, sandbox: {read: [%q%s]}, env: {MEMORY_FILE_PATH: /tmp/memory.jsonl}}", node, text, real, more)
}

// allServers is a gateway before four programs from npm and the reference server over HTTP.
func allServers(t *testing.T, policy string, e era) (g *gate, docs string) {
	t.Helper()
	docs = t.TempDir()
	if err := os.WriteFile(filepath.Join(docs, "a.txt"), []byte("the text of a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return startGate(t, setup{policies: map[string]string{"authz.rego": policy},
		programs: map[string]string{
			"files":    npmServer(t, "server-filesystem", fmt.Sprintf(", %q", docs), docs),
			"memory":   npmServer(t, "server-memory", ""),
			"things":   npmServer(t, "server-everything", "", "stdio"),
			"thinking": npmServer(t, "server-sequential-thinking", ""),
		},
		servers: map[string]string{"reference": startEverything(t, e)}}), docs
}

// TestAllServersBehindOneURL calls a tool of every server at /mcp, in both eras of the client and
// of the one server over HTTP.
func TestAllServersBehindOneURL(t *testing.T) {
	for _, server := range eras {
		t.Run("reference server "+server.name, func(t *testing.T) {
			g, docs := allServers(t, allowTesters, server)
			token := g.token(t, "tester")
			for _, client := range eras {
				t.Run("client "+client.name, func(t *testing.T) { callEach(t, g, token, client, docs) })
			}
		})
	}
}

func callEach(t *testing.T, g *gate, token string, client era, docs string) {
	call := func(tool, arguments string) rpc {
		if client.name == "modern" {
			return g.modernCall(t, token, tool, arguments)
		}
		return g.post(t, token, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, tool, arguments),
			"MCP-Protocol-Version", "2025-11-25")
	}
	for _, c := range []struct{ tool, arguments, want string }{
		{"files__read_text_file", fmt.Sprintf(`{"path":%q}`, filepath.Join(docs, "a.txt")), "the text of a"},
		{"memory__create_entities", fmt.Sprintf(`{"entities":[{"name":%q,"entityType":"door","observations":["has two"]}]}`, client.name), client.name},
		{"things__get-sum", `{"a":2,"b":40}`, "42"},
		{"thinking__sequentialthinking", `{"thought":"t","thoughtNumber":1,"totalThoughts":1,"nextThoughtNeeded":false}`, "thoughtNumber"},
		{"reference__test_simple_text", `{}`, "simple text response"},
	} {
		if got := call(c.tool, c.arguments); !strings.Contains(got.text(), c.want) || got.isError() {
			t.Errorf("%s: %s; want %q in it", c.tool, got.Raw, c.want)
		}
	}
	if got := call("files__read_text_file", `{"path":"/etc/hostname"}`); !got.isError() {
		t.Errorf("a file outside: %s", got.Raw)
	}
}

// TestEachRoleSeesItsPartOfAllServers: the names carry the servers', and what a role may not use is
// not there.
func TestEachRoleSeesItsPartOfAllServers(t *testing.T) {
	const policy = `package mcp.authz

import rego.v1

allow if {
	"reader" in input.subject.roles
	input.server.name == "files"
	startswith(input.tool.name, "read_")
}

allow if {
	"thinker" in input.subject.roles
	input.server.name in {"thinking", "memory"}
}
`
	g, _ := allServers(t, policy, eras[1])
	readers, thinkers := g.modernList(t, g.token(t, "reader")), g.modernList(t, g.token(t, "thinker"))
	slices.Sort(readers)
	if want := []string{"files__read_file", "files__read_media_file", "files__read_multiple_files", "files__read_text_file"}; !slices.Equal(readers, want) {
		t.Errorf("a reader sees %v; want %v", readers, want)
	}
	if !slices.Contains(thinkers, "thinking__sequentialthinking") || slices.ContainsFunc(thinkers, func(n string) bool { return strings.HasPrefix(n, "files__") }) {
		t.Errorf("a thinker sees %v", thinkers)
	}
}

// TestOneCallIsOneRequest counts what two servers behind /mcp are sent: what the gateway asks for
// itself does not grow with the calls.
func TestOneCallIsOneRequest(t *testing.T) {
	files, notes := newRecorder(t), newRecorder(t)
	g := startGate(t, setup{policies: map[string]string{"authz.rego": allowTesters}, servers: map[string]string{"files": files.url, "notes": notes.url}})
	token := g.token(t, "tester")
	for _, up := range []*recorder{files, notes} {
		eventually(t, "the gateway listens", func() error {
			if !up.listening() {
				return fmt.Errorf("not yet")
			}
			return nil
		})
	}
	before := files.errands() + notes.errands()
	const calls = 20
	for range calls {
		for _, tool := range []string{"files__note", "notes__note"} {
			if r := g.modernCall(t, token, tool, `{"text":"x"}`); r.text() != "done" {
				t.Fatalf("%s: %s", tool, r.Raw)
			}
		}
		g.modernList(t, token)
	}
	if a, b := len(files.seen()), len(notes.seen()); a != calls || b != calls {
		t.Errorf("%d calls reached one server and %d the other; want %d each", a, b, calls)
	}
	// A refresh that the opening of a stream has caused may still be under way; no call causes one.
	if n := files.errands() + notes.errands() - before; n >= calls {
		t.Errorf("%d requests of the gateway's own came on top", n)
	}
}
