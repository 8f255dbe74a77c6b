package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/gateway/wire"
)

// fedFixture is a gateway before two servers, files and notes, at /mcp.
func fedFixture(t *testing.T) (f *fixture, notes *fakeUpstream) {
	t.Helper()
	f = newFixture(t)
	notes = &fakeUpstream{tools: `{"name":"read_file","inputSchema":{"type":"object"}},{"name":"secret","inputSchema":{"type":"object"}}`, answer: f.up.answer}
	server := NewServer("notes", notes, nil)
	if err := server.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.snap.Servers["notes"] = server
	f.snap.Sole = ""
	f.swap()
	return f, notes
}

func TestFederatedListHasEachRolesPart(t *testing.T) {
	f, _ := fedFixture(t)
	list := `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	for token, want := range map[string][]string{
		f.reader: {"files__read_file", "files__ask", "notes__read_file"},
		f.writer: {"files__write_file"},
	} {
		if diff := cmp.Diff(want, toolNames(t, f.post(token, list).Body.String())); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	body := f.post(f.reader, `{"jsonrpc":"2.0","id":"x","method":"tools/list","params":{`+meta+`}}`, modernHeaders("tools/list", "")...).Body.String()
	if !strings.Contains(body, `"cacheScope":"private"`) || !strings.Contains(body, `"resultType":"complete"`) || !strings.HasPrefix(body, `{"jsonrpc":"2.0","id":"x"`) {
		t.Errorf("modern list = %s", body)
	}
}

// Only the name changes on the way, in the body and in the header that mirrors it.
func TestFederatedCallGoesToTheServerUnderItsOwnName(t *testing.T) {
	f, notes := fedFixture(t)
	call := `{"jsonrpc":"2.0", "id":7,"method":"tools/call","params":{"name":"files__read_file" ,"arguments":{"path":"/srv/a"},` + meta + `}}`
	if got := toolText(f.post(f.reader, call, modernHeaders("tools/call", "files__read_file")...).Body.String()); got != "ok" {
		t.Fatalf("call: %s", got)
	}
	sent := f.up.requests()
	if len(sent) != 1 || len(notes.requests()) != 0 {
		t.Fatalf("files got %d requests, notes %d; want 1 and 0", len(sent), len(notes.requests()))
	}
	if want := strings.Replace(call, "files__read_file", "read_file", 1); string(sent[0].Body) != want {
		t.Errorf("sent %s\nwant %s", sent[0].Body, want)
	}
	if got := sent[0].Header[wire.HeaderName]; len(got) != 1 || got[0] != "read_file" {
		t.Errorf("%s = %q; want read_file", wire.HeaderName, got)
	}
	if r := f.rec.last(); r.Server != "files" || r.Tool != "read_file" {
		t.Errorf("record says %s/%s; want files/read_file", r.Server, r.Tool)
	}
}

func TestFederatedCallIsDecidedByTheServersOwnNames(t *testing.T) {
	f, notes := fedFixture(t)
	f.snap.Policy = mustPolicy(t, `package mcp.authz
allow if { input.server.name == "notes"; input.tool.name == "read_file" }`)
	f.swap()
	if got := toolText(f.post(f.reader, legacyCall("notes__read_file", `{}`)).Body.String()); got != "ok" {
		t.Errorf("notes: %s", got)
	}
	if got := toolText(f.post(f.reader, legacyCall("files__read_file", `{"path":"/srv/a"}`)).Body.String()); got != "-32602 Unknown tool: files__read_file" {
		t.Errorf("files: %s", got)
	}
	if len(f.up.requests()) != 0 || len(notes.requests()) != 1 {
		t.Errorf("files got %d requests, notes %d; want 0 and 1", len(f.up.requests()), len(notes.requests()))
	}
}

// A tool that is hidden, one that does not exist, and one of a server that does not exist look
// the same, also when the arguments are wrong.
func TestFederatedRefusalsTellNothing(t *testing.T) {
	f, notes := fedFixture(t)
	for _, name := range []string{"notes__secret", "notes__nothing", "nowhere__x", "read_file", "files__write_file"} {
		for _, args := range []string{`{}`, `{"path":7}`} {
			w := f.post(f.reader, legacyCall(name, args))
			want := fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"Unknown tool: %s"}}`, name)
			if w.Code != 200 || w.Body.String() != want {
				t.Errorf("%s %s: %d %s; want %s", name, args, w.Code, w.Body, want)
			}
		}
	}
	if n := len(f.up.requests()) + len(notes.requests()); n != 0 {
		t.Errorf("%d requests went upstream; want none", n)
	}
	for method, want := range map[string]string{
		`"prompts/get","params":{"name":"files__x"`:               "-32602 Unknown prompt: files__x",
		`"resources/read","params":{"uri":"file:///srv/a"`:        "-32602 Resource not found: file:///srv/a; resources here begin with sallyport:// and the name of a server",
		`"resources/read","params":{"uri":"sallyport://gone/x:y"`: "-32602 Resource not found: sallyport://gone/x:y; resources here begin with sallyport:// and the name of a server",
		`"tasks/get","params":{"taskId":"1"`:                      "-32601 Method not found: tasks/get",
		`"tools/list","params":{"cursor":"c"`:                     "-32602 Invalid cursor",
	} {
		got := toolText(f.post(f.reader, `{"jsonrpc":"2.0","id":7,"method":`+method+`}}`).Body.String())
		if got != want {
			t.Errorf("%s: %s; want %s", method, got, want)
		}
	}
}

func TestFederatedResourcesKeepTheirServer(t *testing.T) {
	f, _ := fedFixture(t)
	f.up.answer = func(context.Context, Outbound) (*Reply, error) {
		return jsonReply(200, `{"jsonrpc":"2.0","id":7,"result":{"contents":[{"uri":"file:///srv/a","text":"t"}]}}`), nil
	}
	w := f.post(f.reader, `{"jsonrpc":"2.0","id":7,"method":"resources/read","params":{"uri":"sallyport://files/file:///srv/a"}}`)
	if want := `{"jsonrpc":"2.0","id":7,"result":{"contents":[{"uri":"sallyport://files/file:///srv/a","text":"t"}]}}`; w.Body.String() != want {
		t.Errorf("got %s\nwant %s", w.Body, want)
	}
	if got := string(f.up.requests()[0].Body); !strings.Contains(got, `"uri":"file:///srv/a"`) {
		t.Errorf("sent %s", got)
	}
}

// A session of the endpoint is its own, belongs to whoever began it, and is no server's.
func TestFederatedSessionIsBoundToItsPrincipal(t *testing.T) {
	f, _ := fedFixture(t)
	w := f.post(f.reader, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{"elicitation":{}},"clientInfo":{"name":"c","version":"1"}}}`)
	id := w.Header().Get(wire.HeaderSession)
	if w.Code != 200 || id == "" || !strings.Contains(w.Body.String(), `"protocolVersion":"2025-06-18"`) || !strings.Contains(w.Body.String(), `"tools":{"listChanged":true}`) {
		t.Fatalf("initialize: %d %s (session %q)", w.Code, w.Body, id)
	}
	if n := len(f.up.requests()); n != 0 {
		t.Errorf("initialize sent %d requests upstream; want none", n)
	}
	if w := f.post(f.reader, legacyCall("files__read_file", `{"path":"/srv/a"}`), wire.HeaderSession, id); w.Code != 200 {
		t.Fatalf("own session: %d %s", w.Code, w.Body)
	}
	out := f.up.requests()[0]
	if out.Session != id || !out.Can.Elicitation || out.Can.Sampling || out.Header[wire.HeaderSession] != nil {
		t.Errorf("sent for session %q, can %+v, header %q; want the endpoint's session, elicitation alone, no header", out.Session, out.Can, out.Header[wire.HeaderSession])
	}
	foreign, unknown := f.post(f.other, legacyCall("files__read_file", `{"path":"/srv/a"}`), wire.HeaderSession, id),
		f.post(f.other, legacyCall("files__read_file", `{"path":"/srv/a"}`), wire.HeaderSession, "made-up")
	if foreign.Code != http.StatusNotFound || foreign.Body.String() != unknown.Body.String() {
		t.Errorf("another's session: %d %s; unknown: %s; want 404 and the same", foreign.Code, foreign.Body, unknown.Body)
	}
	if w := f.do(http.MethodDelete, f.reader, "", wire.HeaderSession, id); w.Code != http.StatusNoContent {
		t.Errorf("DELETE: %d %s", w.Code, w.Body)
	}
	if w := f.post(f.reader, legacyCall("files__read_file", `{"path":"/srv/a"}`), wire.HeaderSession, id); w.Code != http.StatusNotFound {
		t.Errorf("after DELETE: %d %s; want 404", w.Code, w.Body)
	}
}

func TestFederatedDiscoverIsTheEndpointsOwn(t *testing.T) {
	f, _ := fedFixture(t)
	w := f.post(f.reader, `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{`+meta+`}}`, modernHeaders("server/discover", "")...)
	for _, want := range []string{`"supportedVersions":["2026-07-28","2025-11-25"`, `"resultType":"complete"`, `"cacheScope":"private"`, `"name":"sallyport"`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("discover lacks %s: %s", want, w.Body)
		}
	}
	if w := f.post(f.reader, `{"jsonrpc":"2.0","id":1,"method":"ping"}`); w.Body.String() != `{"jsonrpc":"2.0","id":1,"result":{}}` {
		t.Errorf("ping: %s", w.Body)
	}
	if n := len(f.up.requests()); n != 0 {
		t.Errorf("%d requests went upstream; want none", n)
	}
}

// Two servers ask under the same id; each answer reaches the one that asked, once, and only from
// whom it was put to.
func TestFederatedQuestionsAreNotMixedUp(t *testing.T) {
	f, notes := fedFixture(t)
	ask := func(context.Context, Outbound) (*Reply, error) {
		return sseReply(string(wire.AppendEvent(nil, []byte(`{"jsonrpc":"2.0","id":1,"method":"roots/list"}`))) +
			string(wire.AppendEvent(nil, []byte(`{"jsonrpc":"2.0","id":7,"result":{"content":[]}}`)))), nil
	}
	f.up.answer, notes.answer = ask, ask
	questionID := func(tool string) string {
		body := f.post(f.reader, legacyCall(tool, `{"path":"/srv/a"}`)).Body.String()
		_, rest, ok := strings.Cut(body, `{"jsonrpc":"2.0","id":"sallyport-`)
		id, _, _ := strings.Cut(rest, `"`)
		if !ok {
			t.Fatalf("%s: no question in %s", tool, body)
		}
		return `"sallyport-` + id + `"`
	}
	first, second := questionID("files__read_file"), questionID("notes__read_file")
	if first == second {
		t.Fatalf("both questions have the id %s", first)
	}
	accepted := func(context.Context, Outbound) (*Reply, error) { return &Reply{Status: 202, Body: http.NoBody}, nil }
	f.up.answer, notes.answer = accepted, accepted
	answer := func(token, id string) int {
		return f.post(token, `{"jsonrpc":"2.0","id":`+id+`,"result":{"roots":[]}}`).Code
	}
	if got := answer(f.other, second); got != http.StatusBadRequest {
		t.Errorf("another's answer: %d; want 400", got)
	}
	if got := answer(f.reader, second); got != http.StatusAccepted {
		t.Errorf("answer: %d; want 202", got)
	}
	if got := answer(f.reader, second); got != http.StatusBadRequest {
		t.Errorf("second answer: %d; want 400", got)
	}
	sent := notes.requests()
	if len(f.up.requests()) != 1 || len(sent) != 2 || string(sent[1].Body) != `{"jsonrpc":"2.0","id":1,"result":{"roots":[]}}` {
		t.Errorf("files got %d, notes %d, the last %s; want the answer at notes under its own id", len(f.up.requests()), len(sent), sent[len(sent)-1].Body)
	}
}

// A dead server's tools stay listed, marked; the others work as before; and all is well again
// when it comes back.
func TestFederatedDeadServerIsMarkedAndRecovers(t *testing.T) {
	f, notes := fedFixture(t)
	list := func() string {
		return f.post(f.reader, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`).Body.String()
	}
	if strings.Contains(list(), "unavailable") {
		t.Fatalf("marked while it answers: %s", list())
	}
	dead := NewServer("notes", notes, nil)
	if err := dead.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.snap.Servers["notes"] = dead
	f.swap()
	dead.Upstream = unreachable{}
	if err := dead.Refresh(t.Context()); err == nil {
		t.Fatal("refresh of a dead server succeeded")
	}
	if got := list(); strings.Count(got, `"sallyport/unavailable":"the server does not answer"`) != 1 || !strings.Contains(got, `"name":"notes__read_file"`) {
		t.Errorf("list with a dead server: %s", got)
	}
	if got := toolText(f.post(f.reader, legacyCall("notes__read_file", `{}`)).Body.String()); got != `502 the server "notes" cannot be reached` {
		t.Errorf("call of a dead server: %s", got)
	}
	if got := toolText(f.post(f.reader, legacyCall("files__read_file", `{"path":"/srv/a"}`)).Body.String()); got != "ok" {
		t.Errorf("call of the other: %s", got)
	}
	dead.Upstream = notes
	if err := dead.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(list(), "unavailable") {
		t.Errorf("still marked: %s", list())
	}
}

// Of a server that has never answered nothing is known; that is said of each of its names.
func TestFederatedServerThatNeverAnswered(t *testing.T) {
	f, _ := fedFixture(t)
	f.snap.Servers["new"] = NewServer("new", unreachable{}, nil)
	f.swap()
	for _, name := range []string{"new__a", "new__b"} {
		if got := toolText(f.post(f.reader, legacyCall(name, `{}`)).Body.String()); got != `502 the server "new" cannot be reached` {
			t.Errorf("%s: %s", name, got)
		}
	}
}

type unreachable struct{}

func (unreachable) Send(context.Context, *Permit) (*Reply, error) { return nil, ErrUnreachable }
func (unreachable) Ask(context.Context, Errand) (*Reply, error) {
	return nil, errors.Join(ErrUnreachable, errors.New("connection refused"))
}

func TestFederatedStreamTellsOfChangedLists(t *testing.T) {
	f, notes := fedFixture(t)
	for name, c := range map[string]struct {
		method, body string
		headers      []string
		first, want  string
	}{
		"legacy": {http.MethodGet, "", nil, "", `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`},
		"modern": {http.MethodPost, `{"jsonrpc":"2.0","id":"s1","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["x:1"]},` + meta + `}}`,
			modernHeaders("subscriptions/listen", ""),
			`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"s1"},"notifications":{"toolsListChanged":true}}}`,
			`{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"s1"}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := f.connect(t, c.method, f.reader, c.body, c.headers...)
			if c.first != "" {
				if got := s.event(); got != c.first {
					t.Fatalf("first event %s\nwant %s", got, c.first)
				}
			}
			notes.tools += `,{"name":"new_` + name + `","inputSchema":{"type":"object"}}`
			if err := f.snap.Servers["notes"].Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := s.event(); got != c.want {
				t.Errorf("event %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestTasksAreNotServedAtTheFederatedEndpoint(t *testing.T) {
	f, _ := fedFixture(t)
	f.up.answer = func(context.Context, Outbound) (*Reply, error) {
		return jsonReply(200, `{"jsonrpc":"2.0","id":7,"result":{"resultType":"task","taskId":"t1"}}`), nil
	}
	got := toolText(f.post(f.reader, modernCall("files__ask", `{}`), modernHeaders("tools/call", "files__ask")...).Body.String())
	if got != "502 the server began a task; tasks are not served at /mcp: use /mcp/files" {
		t.Errorf("task at /mcp: %s", got)
	}
}

// fakeLink passes on to an upstream and remembers what it is told beside.
type fakeLink struct {
	Upstream

	mu   sync.Mutex // guards told
	told []string
}

func (l *fakeLink) note(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, what)
}

func (l *fakeLink) said() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.told)
}

func (l *fakeLink) Refuse(_ context.Context, session string, _ Party, id []byte) error {
	l.note("refuse " + session + " " + string(id))
	return nil
}
func (l *fakeLink) SetLevel(session, level string) { l.note("level " + session + " " + level) }
func (l *fakeLink) EndClient(session string)       { l.note("end " + session) }

// The level of log messages is kept for the session, told to the servers, and goes with each call
// to one whose session begins later.
func TestFederatedLogLevelReachesTheServers(t *testing.T) {
	f, _ := fedFixture(t)
	link := &fakeLink{Upstream: f.up}
	f.server.Link = link
	w := f.post(f.reader, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`)
	id := w.Header().Get(wire.HeaderSession)
	set := func(level string) string {
		return toolText(f.post(f.reader, `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":`+level+`}}`, wire.HeaderSession, id).Body.String())
	}
	const want = "-32602 params.level must be one of debug, info, notice, warning, error, critical, alert, emergency"
	for _, level := range []string{`"loud"`, `7`, `""`} {
		if got := set(level); got != want {
			t.Errorf("level %s: %s; want %s", level, got, want)
		}
	}
	if got := set(`"warning"`); got != "ok" {
		t.Errorf("level warning: %s", got)
	}
	f.post(f.reader, legacyCall("files__read_file", `{"path":"/srv/a"}`), wire.HeaderSession, id)
	if out := f.up.requests()[0]; out.Level != "warning" {
		t.Errorf("the call carries level %q; want warning", out.Level)
	}
	f.do(http.MethodDelete, f.reader, "", wire.HeaderSession, id)
	if diff := cmp.Diff([]string{"level " + id + " warning", "end " + id}, link.said()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if out := AskLevel("s", `x","evil":"`).Outbound(); out.Method != "" {
		t.Errorf("a level that is none asks %s", out.Body)
	}
}

// A question that the policy refuses does not reach the client; the server is told by way of the
// link, which knows its session.
func TestFederatedQuestionThatIsRefused(t *testing.T) {
	f, _ := fedFixture(t)
	link := &fakeLink{Upstream: f.up}
	f.server.Link = link
	f.up.answer = func(context.Context, Outbound) (*Reply, error) {
		return sseReply(string(wire.AppendEvent(nil, []byte(`{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage","params":{}}`))) +
			string(wire.AppendEvent(nil, []byte(`{"jsonrpc":"2.0","id":7,"result":{"content":[]}}`)))), nil
	}
	body := f.post(f.reader, legacyCall("files__read_file", `{"path":"/srv/a"}`)).Body.String()
	if strings.Contains(body, "sampling") || !strings.Contains(body, `"result"`) {
		t.Errorf("the client got %s", body)
	}
	eventually(t, "the server is told", func() bool { return slices.Equal(link.said(), []string{"refuse  5"}) })
}
