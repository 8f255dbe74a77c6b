package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/gateway/guard/secrets"
	"sallyport/gateway/rules"
	"sallyport/identity/grant"
	"sallyport/policy/builtin"
)

// What one token can do to others, and what it can carry out beside the arguments.

// What a sink is told in headers is told to it as well. What no search has seen stays behind: parameters
// that the schema does not bind, the trace state, the last event.
func TestASecretIsNotToldToASinkInAHeader(t *testing.T) {
	f := labelled(t)
	f.scan(secrets.Options{})
	const key = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
	for _, more := range [][]string{
		{"Mcp-Param-Note", key},
		{"Mcp-Param-" + key, "1"},
		{"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Tracestate", "a=" + key},
	} {
		f.post(f.reader, modernCall("ask", `{}`), modernHeaders("tools/call", "ask", more...)...)
	}
	f.post(f.reader, legacyCall("ask", `{}`), "Last-Event-Id", key)
	if n := len(f.up.requests()); n != 4 {
		t.Errorf("%d calls reached the server; want 4", n)
	}
	for _, sent := range f.up.requests() {
		if strings.Contains(strings.ToLower(fmt.Sprint(sent.Header)), strings.ToLower(key)) {
			t.Errorf("the sink was told the secret: %v", sent.Header)
		}
	}
	// To a tool that is no sink they go, as the protocol wants of who stands between.
	f.post(f.reader, modernCall("read_file", `{"path":"/srv/a"}`), modernHeaders("tools/call", "read_file", "Mcp-Param-Note", "x")...)
	if sent := f.up.requests()[4:]; len(sent) != 1 || len(sent[0].Header["Mcp-Param-Note"]) != 1 {
		t.Errorf("a parameter for a tool that is no sink: %v", sent)
	}
}

// One grant has a bounded number of requests on the way that are not yet decided, however many it sends: the
// others wait, and take no memory.
func TestBodiesOfOneGrantWaitForOneAnother(t *testing.T) {
	f := newFixture(t)
	var reading atomic.Int64
	hold := make(chan struct{})
	const requests = 3 * grant.MostTurns
	ended := make(chan int, requests)
	body := legacyCall("read_file", `{"path":"/srv/a"}`)
	for range requests {
		r := f.request(http.MethodPost, f.reader, "")
		r.Body, r.ContentLength = &held{Reader: strings.NewReader(body), reading: &reading, hold: hold}, int64(len(body))
		go func() { ended <- f.serve(r).Code }()
	}
	eventually(t, "as many are read as may be", func() bool { return reading.Load() == grant.MostTurns })
	if got := toolText(f.post(f.other, body).Body.String()); got != "ok" {
		t.Errorf("a call of another grant meanwhile: %s", got)
	}
	time.Sleep(20 * time.Millisecond)
	if n := reading.Load(); n != grant.MostTurns {
		t.Errorf("%d bodies are read at once; want %d", n, grant.MostTurns)
	}
	close(hold)
	for range requests {
		if code := <-ended; code != 200 {
			t.Errorf("a request that waited: %d", code)
		}
	}
}

// held is a body that does not come until hold is closed.
type held struct {
	io.Reader
	reading *atomic.Int64
	hold    chan struct{}
	begun   bool
}

func (h *held) Read(p []byte) (int, error) {
	if !h.begun {
		h.begun = true
		h.reading.Add(1)
	}
	<-h.hold
	return h.Reader.Read(p)
}

func (h *held) Close() error { return nil }

// Who waits for too long is told so.
func TestWhoWaitsForATurnForTooLongIsRefused(t *testing.T) {
	f := newFixture(t)
	f.snap.Limits.BodyTimeout = 20 * time.Millisecond
	f.swap()
	hold := make(chan struct{})
	defer close(hold)
	var reading atomic.Int64
	for range grant.MostTurns {
		r := f.request(http.MethodPost, f.reader, "")
		r.Body, r.ContentLength = &held{Reader: strings.NewReader("x"), reading: &reading, hold: hold}, 1
		go f.serve(r)
	}
	eventually(t, "all places are taken", func() bool { return reading.Load() == grant.MostTurns })
	w := f.post(f.reader, legacyCall("read_file", `{"path":"/srv/a"}`))
	const want = "16 requests of this grant are being read and decided, and none has ended within 20ms; wait until one has"
	if !strings.Contains(w.Body.String(), want) || len(f.up.requests()) != 0 {
		t.Errorf("%d %s, %d requests upstream; want %q", w.Code, w.Body, len(f.up.requests()), want)
	}
}

// A decision is bounded in time: rules that compare arguments with one another are as slow as the caller
// likes.
func TestADecisionIsBoundedInTime(t *testing.T) {
	f := withTool(t, `{"name":"open","inputSchema":{"type":"object"}}`, `package mcp.authz

allow if input.tool.name == "open"

deny contains "twice" if {
	some i, a in input.arguments.rows
	some j, b in input.arguments.rows
	i < j
	a == b
}`)
	f.snap.Limits.RequestBytes = 4 << 20
	f.swap()
	var rows strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&rows, ",%d", i)
	}
	if got := toolText(f.post(f.reader, legacyCall("open", `{"rows":[`+rows.String()[1:]+`]}`)).Body.String()); !strings.HasPrefix(got, "Denied: the policy could not be evaluated") {
		t.Errorf("a call that takes for ever to decide: %.200s", got)
	}
	if n := len(f.up.requests()); n != 0 {
		t.Errorf("%d requests reached the server", n)
	}
}

// A policy that is in force when a call is decided decides it, however long its body was on the way.
func TestACallWhoseBodyCameLateIsDecidedByTheNewPolicy(t *testing.T) {
	f := newFixture(t)
	r, w := io.Pipe()
	req := f.request(http.MethodPost, f.reader, "")
	req.Body, req.ContentLength = r, -1
	done := make(chan *httptest.ResponseRecorder)
	go func() { done <- f.serve(req) }()
	body := legacyCall("read_file", `{"path":"/srv/a"}`)
	_, _ = io.WriteString(w, body[:10]) // returns when it was read: the exchange has begun
	f.snap.Policy = mustPolicy(t, testPolicy+"\ndeny contains \"closed\" if input.arguments.path == \"/srv/a\"\n")
	f.swap()
	if now := f.post(f.reader, body); !strings.Contains(now.Body.String(), "closed") {
		t.Fatalf("the new policy is not in force: %s", now.Body)
	}
	_, _ = io.WriteString(w, body[10:])
	_ = w.Close()
	answer := <-done
	if sent := f.up.requests(); len(sent) != 0 {
		t.Errorf("the server was sent %s after the policy had closed; answer %s", sent[0].Body, answer.Body)
	}
}

// What the schema says of a row holds for a row that is written to be read out of step; see
// catalog.TestARowWithMoreSpaceIsReadInStep.
func TestARowOutOfStepReachesNoServer(t *testing.T) {
	f := withTool(t, `{"name":"rows","inputSchema":{"type":"object","properties":{"rows":{"type":"array","items":{"type":"object",`+
		`"properties":{"n":{"type":"integer"},"path":{"type":"string","pattern":"^/srv/"}},"required":["n","path"]}}},"required":["rows"]}}`,
		`package mcp.authz
allow if input.tool.name == "rows"`)
	plain := f.post(f.reader, legacyCall("rows", `{"rows":[{"n":1,"path":"/srv/a"},{"n":2,"path":"/etc/shadow"}]}`))
	if n := len(f.up.requests()); n != 0 {
		t.Fatalf("%d requests reached the server: %s", n, plain.Body)
	}
	f.post(f.reader, legacyCall("rows", `{"rows":[{"n":1,"path":"/srv/a"},{"n": "x","path":"/etc/shadow","k":":0,Xpath","/srv/a":":tru"}]}`))
	if sent := f.up.requests(); len(sent) != 0 {
		t.Errorf("the server was sent %s", sent[0].Body)
	}
}

func withTool(t *testing.T, tool, policy string) *fixture {
	t.Helper()
	f := newFixture(t)
	f.up.tools = tool
	f.server = NewServer("files", f.up, nil)
	if err := f.server.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	f.snap.Servers = map[string]*Server{"files": f.server}
	f.snap.Policy = mustPolicy(t, policy)
	f.swap()
	return f
}

// What a schema, a grant or a check of the configuration names may not be imitated where they name it: the
// value would go past all three, to a server that ignores case.
func TestAnImitationOfASchemasNameIsRefused(t *testing.T) {
	f := withTool(t, `{"name":"open","inputSchema":{"type":"object","properties":{"opts":{"type":"object","properties":{"path":{"type":"string","pattern":"^/srv/"}}}}}}`,
		"package mcp.authz\n\nallow if input.tool.name == \"open\"\n")
	said, err := rules.New(rules.Config{Tools: []rules.Entry{{Pattern: "open", Arguments: map[string]builtin.Check{"to": {Kind: "path", Within: []string{"/srv"}, Optional: true}}}}})
	if err != nil {
		t.Fatal(err)
	}
	f.snap.Rules = map[string]*rules.Set{"files": said}
	f.swap()
	_, granted := f.under(grant.Grant{Args: []grant.Constraint{{Tools: "files.open", Schema: json.RawMessage(`{"properties":{"a":{"items":{"properties":{"mode":{"const":"read"}}}}}}`)}}})
	for _, tt := range []struct{ token, args, want string }{
		{f.reader, `{"opts":{"Path":"/etc/shadow"}}`, `arguments: argument name "Path" would be read as "path" by a parser that ignores case, at byte 9`},
		{f.reader, `{"To":"/etc/shadow"}`, `"To" would be read as "to" by a parser that ignores case; write "to"`},
		{granted, `{"a":[{"Mode":"write"}]}`, `the grant does not allow these arguments: argument name "Mode" would be read as "mode" by a parser that ignores case, at byte 7`},
	} {
		if got := toolText(f.post(tt.token, legacyCall("open", tt.args)).Body.String()); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s; want %s", tt.args, got, tt.want)
		}
	}
	if sent := f.up.requests(); len(sent) > 0 {
		t.Errorf("the server was sent %s", sent[0].Body)
	}
	for _, args := range []string{`{"opts":{"path":"/srv/a"},"env":{"PATH":"/bin","Mode":1},"to":"/srv/b"}`, `{"a":[{"mode":"read","x":{"Mode":"write"}}]}`} {
		if got := toolText(f.post(granted, legacyCall("open", args)).Body.String()); got != "ok" {
			t.Errorf("%s: %s; want ok", args, got)
		}
	}
}

// What imitates a name that the policy reads is refused at every depth: a server that ignores case reads
// opts.Path as opts.path, and no rule does.
func TestAnImitationBelowTheTopIsRefused(t *testing.T) {
	f := withTool(t, `{"name":"open","inputSchema":{"type":"object"}}`, `package mcp.authz

allow if input.tool.name == "open"

deny contains "no" if startswith(input.arguments.opts.path, "/etc/")

deny contains "no" if {
	some row in input.arguments.rows
	startswith(object.get(row, "from", ""), "/etc/")
}

deny contains "no" if {
	u := data.users[_]
	u.Mail == input.arguments.to
}
`)
	for _, args := range []string{`{"opts":{"path":"/etc/shadow"}}`, `{"opts":{"Path":"/etc/shadow"}}`, `{"opts":{"PATH":"/etc/shadow"}}`, `{"rows":[{"From":"/etc/shadow"}]}`, `{"Opts":{}}`} {
		f.post(f.reader, legacyCall("open", args))
	}
	for _, sent := range f.up.requests() {
		t.Errorf("the server was sent %s", sent.Body)
	}
	if got := toolText(f.post(f.reader, legacyCall("open", `{"opts":{"Path":"/x"}}`)).Body.String()); !strings.Contains(got, `argument name "Path" would be read as "path" by a parser that ignores case`) {
		t.Errorf("the refusal says %s", got)
	}
	// What only data has is nobody's to imitate.
	if got := toolText(f.post(f.reader, legacyCall("open", `{"opts":{"path":"/x","mail":"a"}}`)).Body.String()); got != "ok" {
		t.Errorf("a name that the policy reads of its data: %s", got)
	}
}
