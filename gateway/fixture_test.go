package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/gateway/audit"
	"sallyport/gateway/guard"
	"sallyport/gateway/guard/secrets"
	"sallyport/gateway/rules"
	"sallyport/gateway/wire"
	"sallyport/identity/identitytest"
	"sallyport/internal/strictjson"
	"sallyport/policy"
)

// fakeUpstream is an MCP server in memory: it answers what the catalogue asks, and hands the
// rest to answer. It counts what it was sent.
type fakeUpstream struct {
	tools  string // members of the tools array
	answer func(ctx context.Context, out Outbound) (*Reply, error)

	initialize func() (*Reply, error) // answers the gateway's own initialize; nil: well

	mu   sync.Mutex
	sent []Outbound // redeemed from permits
	told []Outbound // errands
}

func (f *fakeUpstream) Send(ctx context.Context, p *Permit) (*Reply, error) {
	out, err := p.Redeem()
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.sent = append(f.sent, out)
	f.mu.Unlock()
	return f.answer(ctx, out)
}

func (f *fakeUpstream) Ask(_ context.Context, e Errand) (*Reply, error) {
	out := e.Outbound()
	f.mu.Lock()
	f.told = append(f.told, out)
	f.mu.Unlock()
	method := textOf(out.Body, "method")
	switch method {
	case wire.MethodDiscover:
		return jsonReply(200, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete"}}`), nil
	case wire.MethodInitialize:
		if f.initialize != nil {
			return f.initialize()
		}
		r := jsonReply(200, `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{}}}`)
		r.Header.SessionID = "own"
		return r, nil
	case wire.MethodToolsList:
		return jsonReply(200, `{"jsonrpc":"2.0","id":1,"result":{"tools":[`+f.tools+`],"ttlMs":1000,"cacheScope":"public","resultType":"complete"}}`), nil
	case wire.MethodListen:
		return jsonReply(404, `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}`), nil
	}
	return &Reply{Status: 202, Body: io.NopCloser(strings.NewReader(""))}, nil
}

func (f *fakeUpstream) requests() []Outbound {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Outbound(nil), f.sent...)
}

func (f *fakeUpstream) errands() []Outbound {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Outbound(nil), f.told...)
}

func textOf(doc []byte, member string) string {
	span, ok := strictjson.Find(doc, member)
	if !ok {
		return ""
	}
	s, _ := strictjson.String(span.Of(doc))
	return s
}

func jsonReply(status int, body string) *Reply {
	return &Reply{Status: status, Header: ReplyHeader{ContentType: "application/json"}, Body: io.NopCloser(strings.NewReader(body))}
}

func sseReply(body string) *Reply {
	return &Reply{Status: 200, Header: ReplyHeader{ContentType: "text/event-stream"}, Body: io.NopCloser(strings.NewReader(body))}
}

// fakeRecorder keeps records in memory.
type fakeRecorder struct {
	mu      sync.Mutex
	records []audit.Record
	refused []string
	err     error
}

func (f *fakeRecorder) Decide(_ context.Context, r *audit.Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	f.records = append(f.records, *r)
	return nil
}

func (f *fakeRecorder) Note(r *audit.Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records = append(f.records, *r)
	return f.err
}

func (f *fakeRecorder) Refused(_, code string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused = append(f.refused, code)
}

func (f *fakeRecorder) Digest(b []byte) string {
	return fmt.Sprintf("hmac-sha256:%x", sha256.Sum256(b))
}

func (f *fakeRecorder) all() []audit.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]audit.Record(nil), f.records...)
}

func (f *fakeRecorder) last() audit.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.records) == 0 {
		return audit.Record{}
	}
	return f.records[len(f.records)-1]
}

// testPolicy lets readers read below /srv and hides everything else from them.
const testPolicy = `package mcp.authz

allow if {
	"reader" in input.subject.roles
	input.action in {"tools/call", "tasks/get", "tasks/cancel", "tasks/result"}
	input.tool.name in {"read_file", "ask"}
	not startswith(object.get(input.arguments, "path", ""), "/etc")
}

allow if {
	"writer" in input.subject.roles
	input.action == "tools/call"
	input.tool.name == "write_file"
}

allow if {
	input.action in {"resources/read", "completion/complete"}
	startswith(input.resource.uri, "file:///srv/")
}

allow if input.action == "roots/list"

deny contains "no secrets" if contains(object.get(input.arguments, "path", ""), ".aws")

deny contains "banned" if input.subject.id == "banned"
`

const testTools = `{"name":"read_file","title":"Read","inputSchema":{"type":"object","properties":{"path":{"type":"string","maxLength":64}},"required":["path"],"additionalProperties":false}},` +
	`{"name":"ask","inputSchema":{"type":"object"}},` +
	`{"name":"write_file","inputSchema":{"type":"object","properties":{"path":{"type":"string"}}}},` +
	`{"name":"broken","inputSchema":{"type":"object","$ref":"file:///etc/passwd"}}`

// fixture is a gateway before one fake server named "files", which is also the sole one.
type fixture struct {
	t       testing.TB
	g       *Gateway
	up      *fakeUpstream
	rec     *fakeRecorder
	issuer  *identitytest.Issuer
	snap    *Snapshot
	server  *Server
	reader  string // a token
	other   string // another reader's
	writer  string
	handler http.Handler
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{t: t, up: &fakeUpstream{tools: testTools}, rec: &fakeRecorder{}, issuer: identitytest.New(t).WithGrants(t)}
	f.up.answer = func(_ context.Context, out Outbound) (*Reply, error) {
		span, _ := strictjson.Find(out.Body, "id")
		return jsonReply(200, `{"jsonrpc":"2.0","id":`+string(span.Of(out.Body))+`,"result":{"content":[],"resultType":"complete"}}`), nil
	}
	gen := mustPolicy(t, testPolicy)
	f.server = NewServer("files", f.up, nil)
	if err := f.server.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	hosts, origins := Authorities(identitytest.URL)
	door, err := guard.New(guard.Config{Content: rules.Kinds})
	if err != nil {
		t.Fatal(err)
	}
	f.snap = &Snapshot{Verifier: f.issuer.Verifier, Policy: gen, Door: door, Servers: map[string]*Server{"files": f.server}, Sole: "files",
		PublicURL: identitytest.URL, Hosts: hosts, Origins: origins, Limits: Limits{RequestBytes: 4096, ResultBytes: 1 << 16}}
	g, err := New(Options{Recorder: f.rec, Grants: f.issuer.Grants, StateKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	f.g, f.handler = g, g
	f.swap()
	f.reader, f.other, f.writer = f.issuer.Mint("ann"), f.issuer.Mint("bob"), f.issuer.Mint("wim", "writer")
	return f
}

func (f *fixture) swap() {
	f.t.Helper()
	if err := f.g.Swap(context.Background(), f.snap); err != nil {
		f.t.Fatal(err)
	}
}

// scan lets the gateway look for secrets on their way to sinks and into the record.
func (f *fixture) scan(o secrets.Options) {
	f.t.Helper()
	scanner, err := secrets.New(o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.snap.Secrets = scanner
	f.swap()
}

func mustPolicy(t testing.TB, src string) *policy.Generation {
	t.Helper()
	return mustPolicies(t, map[string]string{"authz.rego": src})
}

func mustPolicies(t testing.TB, sources map[string]string) *policy.Generation {
	t.Helper()
	files := map[string][]byte{}
	for name, src := range sources {
		files[name] = []byte(src)
	}
	gen, err := policy.FromFiles(context.Background(), files, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return gen
}

// post sends body with the token and headers (name, value pairs; an empty value removes).
func (f *fixture) post(token, body string, headers ...string) *httptest.ResponseRecorder {
	return f.do(http.MethodPost, token, body, headers...)
}

func (f *fixture) do(method, token, body string, headers ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, f.request(method, token, body, headers...))
	return w
}

func (f *fixture) request(method, token, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, identitytest.URL+"/mcp", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		switch {
		case headers[i] == "path":
			r.URL.Path = headers[i+1]
		case headers[i] == "Host":
			r.Host = headers[i+1]
		case headers[i+1] == "":
			r.Header.Del(headers[i])
		default:
			r.Header.Add(headers[i], headers[i+1])
		}
	}
	return r
}

const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`

// modernHeaders are those of a modern request.
func modernHeaders(method, name string, more ...string) []string {
	h := []string{wire.HeaderVersion, wire.V20260728, wire.HeaderMethod, method}
	if name != "" {
		h = append(h, wire.HeaderName, name)
	}
	return append(h, more...)
}

// legacyCall is a tools/call of the older era.
func legacyCall(tool, args string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, tool, args)
}

func modernCall(tool, args string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":%q,"arguments":%s,%s}}`, tool, args, meta)
}

// toolText is the text of a tool result, or what else the body says.
func toolText(body string) string {
	var msg struct {
		Result struct {
			Content []struct{ Text string }
			IsError bool
		}
		Error *struct {
			Code    int
			Message string
		}
	}
	if err := json.Unmarshal([]byte(body), &msg); err != nil {
		return strings.TrimSpace(body)
	}
	if msg.Error != nil {
		return fmt.Sprintf("%d %s", msg.Error.Code, msg.Error.Message)
	}
	if msg.Result.IsError && len(msg.Result.Content) == 1 {
		return msg.Result.Content[0].Text
	}
	return "ok"
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

func (f *fixture) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	return w
}
