package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"sallyport/gateway/wire"
)

func toolNames(t *testing.T, body string) []string {
	t.Helper()
	var msg struct {
		Result struct{ Tools []struct{ Name string } }
	}
	if err := json.Unmarshal([]byte(body), &msg); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	var names []string
	for _, tool := range msg.Result.Tools {
		names = append(names, tool.Name)
	}
	return names
}

const listTools = `{"jsonrpc":"2.0","id":"l1","method":"tools/list"}`

// Each role sees the tools it may use, as the upstream wrote them, and nobody may cache them
// for another.
func TestToolsListShowsEachRoleItsOwn(t *testing.T) {
	f := newFixture(t)
	for token, want := range map[string][]string{f.reader: {"read_file", "ask"}, f.writer: {"write_file"}, f.issuer.Mint("x", "nobody"): nil} {
		w := f.post(token, listTools)
		if got := toolNames(t, w.Body.String()); !slices.Equal(got, want) {
			t.Errorf("tools/list shows %v; want %v", got, want)
		}
	}
	modern := f.post(f.reader, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{`+meta+`}}`, modernHeaders("tools/list", "")...)
	parts := strings.Split(testTools, `,{"name"`)
	want := `{"jsonrpc":"2.0","id":1,"result":{"tools":[` + parts[0] + `,{"name"` + parts[1] + `],"ttlMs":1000,"cacheScope":"private","resultType":"complete"}}`
	if got := modern.Body.String(); got != want {
		t.Errorf("tools/list\n%s; want\n%s", got, want)
	}
	if n := len(f.up.requests()); n != 0 {
		t.Errorf("%d requests went upstream; the list comes from the catalogue", n)
	}
}

func TestToolsListFollowsAPolicySwap(t *testing.T) {
	f := newFixture(t)
	f.post(f.reader, listTools) // into the cache
	f.snap.Policy = mustPolicy(t, strings.Replace(testPolicy, `{"read_file", "ask"}`, `{"read_file", "write_file"}`, 1))
	f.swap()
	if got := toolNames(t, f.post(f.reader, listTools).Body.String()); !slices.Equal(got, []string{"read_file", "write_file"}) {
		t.Errorf("tools/list shows %v after the swap", got)
	}
	if got := toolText(f.post(f.reader, legacyCall("ask", `{}`)).Body.String()); got != "-32602 Unknown tool: ask" {
		t.Errorf("call of a tool that is hidden now: %s", got)
	}
}

func TestToolsListFollowsTheCatalogue(t *testing.T) {
	f := newFixture(t)
	f.post(f.reader, listTools)
	f.up.tools = `{"name":"ask","inputSchema":{"type":"object"}}`
	if err := f.server.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := toolNames(t, f.post(f.reader, listTools).Body.String()); !slices.Equal(got, []string{"ask"}) {
		t.Errorf("tools/list shows %v", got)
	}
}

func TestListIsRefusedWithABadCursorAndByDeny(t *testing.T) {
	f := newFixture(t)
	if got := toolText(f.post(f.reader, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"x"}}`).Body.String()); got != "-32602 Invalid cursor" {
		t.Errorf("unknown cursor: %s", got)
	}
	w := f.post(f.issuer.Mint("banned"), listTools)
	if got := decisionID.ReplaceAllString(toolText(w.Body.String()), ""); got != "403 Denied by policy: banned " {
		t.Errorf("deny on a list: %q", got)
	}
}

// The other lists are the upstream's, filtered by the question that using an item would ask.
func TestOtherListsAreFilteredByTheSameRule(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct{ method, result, want string }{
		{"resources/list", `{"resources":[ {"uri":"file:///srv/a"} , {"uri":"file:///etc/x"},{"uri":"file:///srv/b","x":1.0}],"nextCursor":"c","x":1}`,
			`{"resources":[ {"uri":"file:///srv/a"} ,{"uri":"file:///srv/b","x":1.0}],"nextCursor":"c","x":1}`},
		{"resources/templates/list", `{"resourceTemplates":[{"uriTemplate":"file:///{path}"}]}`, `{"resourceTemplates":[{"uriTemplate":"file:///{path}"}]}`},
		{"prompts/list", `{"prompts":[{"name":"p"}]}`, `{"prompts":[]}`},
	} {
		f.up.answer = func(context.Context, Outbound) (*Reply, error) {
			return jsonReply(200, `{"jsonrpc":"2.0","id":1,"result":`+tt.result+`}`), nil
		}
		w := f.post(f.reader, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q}`, tt.method))
		var msg struct{ Result json.RawMessage }
		_ = json.Unmarshal(w.Body.Bytes(), &msg)
		if got := string(msg.Result); strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(tt.want, " ", "") {
			t.Errorf("%s: %s; want %s", tt.method, w.Body, tt.want)
		}
	}
}

// What is read with one principal's rights is nobody else's to cache.
func TestResourceIsPrivate(t *testing.T) {
	f := newFixture(t)
	f.up.answer = func(context.Context, Outbound) (*Reply, error) {
		return jsonReply(200, `{"jsonrpc":"2.0","id":1,"result":{"contents":[],"ttlMs":9,"cacheScope":"public","resultType":"complete"}}`), nil
	}
	w := f.post(f.reader, `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///srv/a",`+meta+`}}`, modernHeaders("resources/read", "file:///srv/a")...)
	if got, want := w.Body.String(), `{"jsonrpc":"2.0","id":1,"result":{"contents":[],"ttlMs":9,"cacheScope":"private","resultType":"complete"}}`; got != want {
		t.Errorf("resources/read %s; want %s", got, want)
	}
}

// The catalogue survives an upstream that goes away, and says why it is stale.
func TestCatalogueKeepsTheLastGoodList(t *testing.T) {
	f := newFixture(t)
	f.up.tools = `{"name":"ask"` // no JSON any more
	if err := f.server.Refresh(t.Context()); err == nil || f.server.Err() == nil || !strings.Contains(err.Error(), `list the tools of "files"`) {
		t.Errorf("Refresh = %v, Err = %v; want the reason", err, f.server.Err())
	}
	if got := toolNames(t, f.post(f.reader, listTools).Body.String()); !slices.Equal(got, []string{"read_file", "ask"}) {
		t.Errorf("tools/list shows %v", got)
	}
}

// A server that has never answered is unavailable, whatever the tool, and not without tools.
func TestServerThatNeverAnsweredIsUnavailable(t *testing.T) {
	f := newFixture(t)
	down := NewServer("files", f.up, nil)
	f.snap.Servers = map[string]*Server{"files": down}
	f.swap()
	for _, tool := range []string{"ask", "write_file", "nope"} {
		if got := toolText(f.post(f.reader, legacyCall(tool, `{}`)).Body.String()); got != `502 the server "files" cannot be reached` {
			t.Errorf("call of %s: %s", tool, got)
		}
	}
	if n := len(f.up.requests()); n != 0 {
		t.Errorf("%d requests reached the upstream; want 0", n)
	}
}

// A client that hears of a change asks for the list at once, and gets the new one.
func TestChangeIsToldWhenTheNewListIsThere(t *testing.T) {
	f := newFixture(t)
	f.up.answer = func(context.Context, Outbound) (*Reply, error) {
		f.up.tools = `{"name":"ask","inputSchema":{"type":"object"}}`
		return sseReply(`data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}` + "\n\n" + `data: {"jsonrpc":"2.0","id":7,"result":{}}` + "\n\n"), nil
	}
	told := 0
	f.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.g.ServeHTTP(&watcher{ResponseWriter: w, seen: func(p []byte) {
			if strings.Contains(string(p), "list_changed") {
				told = len(f.server.listing(wire.Legacy).Tools)
			}
		}}, r)
	})
	f.post(f.reader, legacyCall("ask", `{}`))
	if told != 1 {
		t.Errorf("when the client was told, the catalogue had %d tools; want the new one", told)
	}
}

type watcher struct {
	http.ResponseWriter
	seen func([]byte)
}

func (w *watcher) Write(p []byte) (int, error) { w.seen(p); return w.ResponseWriter.Write(p) }

// Turning enforcement on or off changes lists as well, though the policy is the same.
func TestListsFollowEnforcement(t *testing.T) {
	f := newFixture(t)
	f.snap.RecordOnly = true
	f.swap()
	if got := toolNames(t, f.post(f.reader, listTools).Body.String()); !slices.Equal(got, []string{"read_file", "ask", "write_file"}) {
		t.Errorf("record-only list %v; want all sound tools", got)
	}
	f.snap.RecordOnly = false
	f.swap()
	if got := toolNames(t, f.post(f.reader, listTools).Body.String()); !slices.Equal(got, []string{"read_file", "ask"}) {
		t.Errorf("enforced list %v", got)
	}
}

// An era whose list cannot be fetched now keeps the last good one, and the operator hears of
// it; an era that the server says it does not have goes.
func TestRefreshThatHalfFailsKeepsTheOtherHalf(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fail  error
		reply *Reply
		keeps bool
	}{
		{"timeout", ErrTimeout, nil, true},
		{"server error", nil, jsonReply(500, ""), true},
		{"era gone", nil, jsonReply(200, `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}`), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.up.initialize = func() (*Reply, error) { return tt.reply, tt.fail }
			err := f.server.Refresh(t.Context())
			if (err != nil) != tt.keeps || (f.server.Err() != nil) != tt.keeps {
				t.Errorf("Refresh = %v, Err = %v; want an error: %v", err, f.server.Err(), tt.keeps)
			}
			want := map[bool]string{true: "ok", false: `502 the server "files" does not speak this era of the protocol (legacy)`}[tt.keeps]
			if got := toolText(f.post(f.reader, legacyCall("ask", `{}`)).Body.String()); got != want {
				t.Errorf("call in the older era: %s; want %s", got, want)
			}
			if got := toolText(f.post(f.reader, modernCall("ask", `{}`), modernHeaders("tools/call", "ask")...).Body.String()); got != "ok" {
				t.Errorf("call in the newer era: %s; want ok", got)
			}
		})
	}
}

// The catalogue is everybody's: a client that hangs up while it is fetched takes nothing away.
func TestHangingUpDuringARefreshChangesNothing(t *testing.T) {
	f := newFixture(t)
	ctx, hangUp := context.WithCancel(t.Context())
	f.up.initialize = func() (*Reply, error) {
		hangUp()
		return jsonReply(200, `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{}}}`), nil
	}
	f.up.answer = func(context.Context, Outbound) (*Reply, error) {
		return sseReply(`data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}` + "\n\n"), nil
	}
	f.serve(f.request("POST", f.reader, modernCall("ask", `{}`), modernHeaders("tools/call", "ask")...).WithContext(ctx))
	if f.server.listing(wire.Legacy) == nil || f.server.Err() != nil {
		t.Errorf("listing of the older era: %v, Err = %v", f.server.listing(wire.Legacy), f.server.Err())
	}
}

// Why there is no catalogue is said so that an operator knows what to change.
func TestRefreshSaysWhatToChange(t *testing.T) {
	for status, want := range map[int]string{
		401: "the server wants a credential (status 401): set headers or credential of this server",
		404: "the server answered 404 to POST: is its url that of its MCP endpoint (often …/mcp)?",
	} {
		s := NewServer("files", &refusingUpstream{status: status}, nil)
		if err := s.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("status %d: %v; want %s", status, err, want)
		}
	}
}

type refusingUpstream struct {
	fakeUpstream
	status int
}

func (r *refusingUpstream) Ask(context.Context, Errand) (*Reply, error) {
	return jsonReply(r.status, "nothing here"), nil
}
