package bridge

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/audit"
	"sallyport/gateway/guard"
	"sallyport/gateway/rules"
	"sallyport/gateway/wire"
	"sallyport/identity/identitytest"
	"sallyport/policy"
)

// outside is what a test makes before its bubble: these keep nothing that waits.
type outside struct {
	issuer *identitytest.Issuer
	policy *policy.Generation
}

const allowAll = `package mcp.authz
allow if true`

func makeOutside(t testing.TB, rego string) outside {
	t.Helper()
	gen, err := policy.FromFiles(context.Background(), map[string][]byte{"authz.rego": []byte(rego)}, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return outside{identitytest.At(t, time.Now), gen}
}

// bubble runs f in a bubble, where a goroutine that is left behind fails the test.
func bubble(t *testing.T, up gateway.Upstream, o Options, f func(*testing.T, *room)) {
	t.Helper()
	bubbleUnder(t, allowAll, up, o, f)
}

func bubbleUnder(t *testing.T, rego string, up gateway.Upstream, o Options, f func(*testing.T, *room)) {
	t.Helper()
	made := makeOutside(t, rego)
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, made, up, o)
		defer r.link.Close() // also where f gives up
		f(t, r)
		r.link.Close()
		r.link.mu.Lock()
		defer r.link.mu.Unlock()
		if n := len(r.link.calls) + len(r.link.parked) + len(r.link.questions) + len(r.link.sessions); n != 0 {
			t.Errorf("after Close the tables hold %d entries; want none", n)
		}
	})
}

// room is a gateway whose federated endpoint has one server, "files", behind a link.
type room struct {
	t      testing.TB
	g      *gateway.Gateway
	link   *Link
	issuer *identitytest.Issuer
}

func newRoom(t testing.TB, made outside, up gateway.Upstream, o Options) *room {
	t.Helper()
	server := gateway.NewServer("files", up, nil)
	if err := server.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.Name, o.Speaks, o.Bindings = "files", server.Speaks, server.Bindings
	r := &room{t: t, link: New(up, o), issuer: made.issuer.WithGrants(t)}
	server.Link = r.link
	hosts, origins := gateway.Authorities(identitytest.URL)
	g, err := gateway.New(gateway.Options{Recorder: noRecord{}, Grants: r.issuer.Grants, StateKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	door, err := guard.New(guard.Config{Content: rules.Kinds, LinkHosts: []string{"x.example"}})
	if err != nil {
		t.Fatal(err)
	}
	err = g.Swap(t.Context(), &gateway.Snapshot{Verifier: made.issuer.Verifier, Policy: made.policy, Door: door, Servers: map[string]*gateway.Server{"files": server},
		PublicURL: identitytest.URL, Hosts: hosts, Origins: origins, Limits: gateway.Limits{RequestBytes: 1 << 16, ResultBytes: 1 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	r.g = g
	return r
}

type noRecord struct{}

func (noRecord) Decide(context.Context, *audit.Record) error { return nil }
func (noRecord) Note(*audit.Record) error                    { return nil }
func (noRecord) Refused(_, _ string)                         {}
func (noRecord) Digest([]byte) string                        { return "" }

// caller is a client of the federated endpoint.
type caller struct {
	r       *room
	subject string
	token   string // made for each request where it is ""; tokens live five minutes
	session string
	can     string // capabilities of a client of the newer protocol
}

// newer is a client of the newer protocol that can be asked what can says.
func (r *room) newer(subject, can string) *caller {
	return &caller{r: r, subject: subject, can: can}
}

// older is a client of the older protocol with a session.
func (r *room) older(subject, can string) *caller {
	r.t.Helper()
	c := &caller{r: r, subject: subject}
	a := c.post(context.Background(), `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":`+can+`,"clientInfo":{"name":"c","version":"1"}}}`)
	a.wait()
	if c.session = a.header.Get(wire.HeaderSession); c.session == "" {
		r.t.Fatalf("initialize: %s", a.text())
	}
	return c
}

// response is what came back so far.
type response struct {
	mu     sync.Mutex
	header http.Header
	status int
	body   bytes.Buffer
	done   chan struct{}
	wrote  chan struct{} // holds at most one
	cancel context.CancelFunc
}

func (a *response) Header() http.Header { return a.header }

func (a *response) WriteHeader(status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.status == 0 {
		a.status = status
	}
}

func (a *response) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case a.wrote <- struct{}{}:
	default:
	}
	return a.body.Write(p)
}

func (a *response) Flush() {}

func (a *response) wait() *response {
	<-a.done
	return a
}

// text is the status and the messages, without what makes them a stream.
func (a *response) text() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	body := strings.NewReplacer("event: message\n", "", "data: ", "", "\n\n", "\n").Replace(a.body.String())
	return fmt.Sprintf("%d %s", a.status, strings.TrimSpace(body))
}

func (a *response) over() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

func (c *caller) do(ctx context.Context, method, body string, headers ...string) *response {
	ctx, cancel := context.WithCancel(ctx)
	req := httptest.NewRequestWithContext(ctx, method, identitytest.URL+"/mcp", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	token := c.token
	if token == "" {
		token = c.r.issuer.Mint(c.subject)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if c.session != "" {
		req.Header.Set(wire.HeaderSession, c.session)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	a := &response{header: http.Header{}, done: make(chan struct{}), wrote: make(chan struct{}, 1), cancel: cancel}
	go func() {
		defer close(a.done)
		defer cancel()
		c.r.g.ServeHTTP(a, req)
	}()
	return a
}

func (c *caller) post(ctx context.Context, body string, headers ...string) *response {
	return c.do(ctx, http.MethodPost, body, headers...)
}

const revision = `"io.modelcontextprotocol/protocolVersion":"2026-07-28"`

// call calls the tool of the server. more is members of params, and meta of params._meta, each
// with a comma in front.
func (c *caller) call(id, tool, args, more, meta string) *response {
	if c.can == "" {
		if meta != "" {
			more += `,"_meta":{` + meta[1:] + `}`
		}
		return c.post(context.Background(), fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"files__%s","arguments":%s%s}}`, id, tool, args, more))
	}
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"files__%s","arguments":%s%s,"_meta":{%s,"io.modelcontextprotocol/clientCapabilities":%s%s}}}`,
		id, tool, args, more, revision, c.can, meta)
	return c.post(context.Background(), body, wire.HeaderVersion, wire.V20260728, wire.HeaderMethod, "tools/call", wire.HeaderName, "files__"+tool)
}

// wants fails the test unless the response is over and reads so.
func (a *response) wants(t testing.TB, want string) {
	t.Helper()
	synctest.Wait()
	if !a.over() {
		t.Errorf("the response is not over: %s", a.text())
	}
	if got := a.text(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// find returns the string value of a member in the newest message, wherever it is.
func (a *response) find(t testing.TB, name string) string {
	t.Helper()
	_, rest, ok := strings.Cut(a.text()[strings.LastIndex(a.text(), "\n")+1:], `"`+name+`":"`)
	if !ok {
		t.Fatalf("no %q in %s", name, a.text())
	}
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// form is a question that the second door lets pass as it stands.
const form = `{"message":"The MCP server \"files\" asks: ?","requestedSchema":{"type":"object","properties":{}}}`
