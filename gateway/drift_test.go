package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Published defects of peers in which what a list shows and what a call may do drifted apart. Each
// test is named after one; all of them hold by the one rule that decides both.

// entry is one way to the same tools: an era, and the endpoint of all servers or of one.
type entry struct {
	name   string
	list   func(f *fixture, token string) string
	call   func(f *fixture, token, tool string) string
	prefix string
}

func entries() []entry {
	var out []entry
	for _, at := range []struct{ path, prefix string }{{"/mcp", "files__"}, {"/mcp/files", ""}} {
		out = append(out, entry{"older era at " + at.path,
			func(f *fixture, token string) string { return f.post(token, listTools, "path", at.path).Body.String() },
			func(f *fixture, token, tool string) string {
				return toolText(f.post(token, legacyCall(tool, `{"path":"/srv/a"}`), "path", at.path).Body.String())
			}, at.prefix})
		out = append(out, entry{"newer era at " + at.path,
			func(f *fixture, token string) string {
				return f.post(token, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{`+meta+`}}`, modernHeaders("tools/list", "", "path", at.path)...).Body.String()
			},
			func(f *fixture, token, tool string) string {
				return toolText(f.post(token, modernCall(tool, `{"path":"/srv/a"}`), modernHeaders("tools/call", tool, "path", at.path)...).Body.String())
			}, at.prefix})
	}
	return out
}

// toolhive #6217: the filter stood in the way of the older era's requests and not in that of the
// newer one's. mcphub #1159: each way in had a decision of its own. Here every way shows the same
// and allows what it shows, and nothing else.
func TestToolhive6217AndMcphub1159EveryWayInDecidesAlike(t *testing.T) {
	f, notes := fedFixture(t)
	all := []string{"read_file", "ask", "write_file", "broken", "nothing"}
	for _, e := range entries() {
		for token, visible := range map[string][]string{f.reader: {"read_file", "ask"}, f.writer: {"write_file"}, f.issuer.Mint("x", "nobody"): nil} {
			var shown []string
			for _, name := range toolNames(t, e.list(f, token)) {
				if own, ok := strings.CutPrefix(name, e.prefix); ok && !strings.HasPrefix(name, "notes__") {
					shown = append(shown, own)
				}
			}
			if !slices.Equal(shown, visible) {
				t.Errorf("%s shows %q; want %q", e.name, shown, visible)
			}
			for _, tool := range all {
				got, want := e.call(f, token, e.prefix+tool), "-32602 Unknown tool: "+e.prefix+tool
				if slices.Contains(visible, tool) {
					want = "ok"
				}
				if got != want {
					t.Errorf("%s, %s: %s; want %s", e.name, tool, got, want)
				}
			}
		}
	}
	if n := len(notes.requests()); n != 0 {
		t.Errorf("the other server got %d requests; want none", n)
	}
}

// gh-aw-mcpg #3332: a filter of the list alone, which an agent with a shell goes around with curl.
// A call that no list has shown is refused as a tool that does not exist, and reaches nobody.
func TestGhAwMcpg3332CallWithoutAListIsDecided(t *testing.T) {
	f := newFixture(t)
	for _, token := range []string{f.reader, f.other} {
		hidden := f.post(token, legacyCall("write_file", `{"path":"/srv/a"}`)).Body.String()
		none := f.post(token, legacyCall("wrote_file", `{"path":"/srv/a"}`)).Body.String()
		if hidden != strings.ReplaceAll(none, "wrote_file", "write_file") {
			t.Errorf("a hidden tool answers %s; one that is not there %s", hidden, none)
		}
	}
	if n := len(f.up.requests()); n != 0 {
		t.Errorf("%d requests went upstream; want none", n)
	}
}

// A permission for a name, where two servers have a tool of that name, must not serve for the other:
// what a policy decides on is the server and the tool, whatever name the client used.
func TestPermitForANameDoesNotServeForAnotherServer(t *testing.T) {
	f, notes := fedFixture(t)
	for _, server := range []string{"files", "notes"} {
		f.snap.Policy = mustPolicy(t, fmt.Sprintf("package mcp.authz\nallow if { input.server.name == %q; input.tool.name == \"read_file\" }", server))
		f.swap()
		before := [2]int{len(f.up.requests()), len(notes.requests())}
		for _, other := range []string{"files", "notes"} {
			got := toolText(f.post(f.reader, legacyCall(other+"__read_file", `{"path":"/srv/a"}`)).Body.String())
			if want := other == server; (got == "ok") != want {
				t.Errorf("a permission for %s: the call at %s says %s", server, other, got)
			}
			direct := toolText(f.post(f.reader, legacyCall("read_file", `{"path":"/srv/a"}`), "path", "/mcp/"+other).Body.String())
			if want := other == server; (direct == "ok") != want {
				t.Errorf("a permission for %s: the call at /mcp/%s says %s", server, other, direct)
			}
		}
		got := [2]int{len(f.up.requests()) - before[0], len(notes.requests()) - before[1]}
		want := [2]int{2, 0}
		if server == "notes" {
			want = [2]int{0, 2}
		}
		if got != want {
			t.Errorf("a permission for %s: files got %d requests and notes %d; want %v", server, got[0], got[1], want)
		}
	}
	// The name as the other server's client would write it leads nowhere.
	if got := toolText(f.post(f.reader, legacyCall("notes__read_file", `{}`), "path", "/mcp/files").Body.String()); got == "ok" {
		t.Error("a federated name is taken at one server's own endpoint")
	}
}
