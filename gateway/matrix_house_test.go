package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/audit"
	"sallyport/gateway/credential"
	"sallyport/gateway/guard"
	"sallyport/gateway/rules"
	"sallyport/gateway/upstream"
	"sallyport/identity"
	"sallyport/identity/grant"
	"sallyport/identity/identitytest"
	"sallyport/policy"
)

const (
	matrixPolicy = "package mcp.authz\nallow if input.tool.name in data.may.call\n"
	matrixData   = `{"call":["read_file"]}`
	matrixTool   = `{"name":"read_file","inputSchema":{"type":"object","properties":{"path":{"type":"string"}}}}`
	matrixCall   = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read_file","arguments":{"path":"/srv/a"}}}`
)

// house is a gateway of real parts before a server that counts bytes. Each part can be made to
// fail by its name.
type house struct {
	t      *testing.T
	faults map[string]*fault
	g      *gateway.Gateway
	snap   gateway.Snapshot
	server *gateway.Server
	up     gateway.Upstream
	issuer *identitytest.Issuer
	log    *audit.Log
	rec    *codes
	keys   atomic.Pointer[identity.KeySet]
	clock  time.Duration // added to the real one
	zero   bool          // the clock has not been set
	token  string
	said   string // the newest answer

	bytes, calls atomic.Int64
	tools        atomic.Pointer[string] // of the server
	reply        atomic.Pointer[func(w http.ResponseWriter, result string)]
}

func newHouse(t *testing.T) *house {
	h := &house{t: t, faults: map[string]*fault{}, issuer: identitytest.New(t).WithGrants(t)}
	for _, r := range []string{"keys", "grants", "policy", "audit", "clock", "credential", "sandbox"} {
		h.faults[r] = &fault{}
	}
	h.keys.Store(h.issuer.Keys())
	h.speak("[" + matrixTool + "]")
	h.reply.Store(new(replyWell))
	log, err := audit.Open(filepath.Join(t.TempDir(), "audit"), audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h.log, h.rec = log, &codes{}
	t.Cleanup(func() { _ = h.log.Close() })
	h.up = h.overHTTP()
	h.begin()
	h.token = h.issuer.Mint("ann")
	return h
}

// begin builds the gateway anew, as a restart does.
func (h *house) begin() {
	verifier, err := identity.NewVerifier(identity.VerifierConfig{Issuer: identitytest.URL, Audience: identitytest.Audience, Keys: h, Now: h.now})
	h.must(err)
	door, err := guard.New(guard.Config{Content: rules.Kinds})
	h.must(err)
	hosts, origins := gateway.Authorities(identitytest.URL)
	gen, err := h.generation(matrixData)
	h.must(err)
	h.snap = gateway.Snapshot{Verifier: verifier, Policy: &decider{gen, h.faults["policy"], nil}, Door: door, Sole: "files",
		PublicURL: identitytest.URL, Hosts: hosts, Origins: origins}
	h.bare(h)
	h.serve(nil)
}

// bare is a gateway that has no snapshot yet.
func (h *house) bare(grants gateway.Grants) {
	var err error
	h.g, err = gateway.New(gateway.Options{Recorder: &recorder{h.rec, h.log, h.faults["audit"]}, Grants: grants, StateKey: make([]byte, 32), Now: h.now})
	h.must(err)
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// serve puts a server with an empty catalogue into the house and asks it for its tools.
func (h *house) serve(prepare func(s *gateway.Server)) {
	h.server = gateway.NewServer("files", h.up, nil)
	if prepare != nil {
		prepare(h.server)
	}
	_ = h.server.Refresh(h.t.Context()) // a server that fails is among the cells
	h.snap.Servers = map[string]*gateway.Server{"files": h.server}
	h.swap()
}

func (h *house) swap() {
	h.t.Helper()
	snap := h.snap
	h.must(h.g.Swap(context.Background(), &snap))
}

func (h *house) speak(tools string) { h.tools.Store(&tools) }

func (h *house) generation(data string) (*policy.Generation, error) {
	return policy.FromFiles(context.Background(), map[string][]byte{"authz.rego": []byte(matrixPolicy), "may/data.json": []byte(data)}, policy.Options{})
}

// call makes the call and says what came of it.
func (h *house) call() string {
	ctx, cancel := context.WithCancel(h.t.Context())
	defer cancel()
	for _, f := range h.faults {
		f.leave, f.sent = cancel, h.bytes.Load
	}
	h.rec.clear()
	r := httptest.NewRequest(http.MethodPost, identitytest.URL+"/mcp", strings.NewReader(matrixCall)).WithContext(ctx)
	r.Header = identitytest.Header(h.token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	w := httptest.NewRecorder()
	h.g.ServeHTTP(w, r)
	h.said = w.Body.String()
	var msg struct {
		Result *struct{ IsError bool }
		Error  *struct{ Code int }
	}
	_ = json.Unmarshal(w.Body.Bytes(), &msg) // what is no message has neither
	kind := ""
	switch {
	case w.Code == 200 && msg.Result != nil && !msg.Result.IsError:
		return "allowed"
	case msg.Result != nil:
		kind = " result"
	case msg.Error != nil:
		kind = fmt.Sprint(" ", msg.Error.Code)
	}
	return strings.TrimSpace(fmt.Sprintf("%d%s %s", w.Code, kind, h.rec.last()))
}

// slow names the part that is slow.
func (h *house) slow() string {
	for name, f := range h.faults {
		if f.way == "slow" {
			return name
		}
	}
	return "audit"
}

// overHTTP is the server behind a socket that counts every byte.
func (h *house) overHTTP() gateway.Upstream {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(h.answer))
	srv.Listener = &counting{srv.Listener, &h.bytes}
	srv.Start()
	h.t.Cleanup(srv.Close)
	up, err := upstream.NewHTTP(upstream.HTTPConfig{URL: srv.URL, Credential: &secret{h.faults["credential"]}, CredentialHeader: "Authorization", CredentialPrefix: "Bearer ", IdleTimeout: 2 * time.Second})
	h.must(err)
	return up
}

func (h *house) answer(w http.ResponseWriter, r *http.Request) {
	var msg struct {
		ID     json.RawMessage
		Method string
	}
	body, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(body, &msg)
	w.Header().Set("Content-Type", "application/json")
	answer := func(result string) { fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, msg.ID, result) }
	switch msg.Method {
	case "tools/call":
		h.calls.Add(1)
		(*h.reply.Load())(w, fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"content":[]}}`, msg.ID))
	case "initialize":
		answer(`{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"}}`)
	case "server/discover":
		answer(`{"resultType":"complete","capabilities":{"tools":{}}}`)
	case "tools/list":
		answer(`{"tools":` + *h.tools.Load() + `,"ttlMs":1000,"cacheScope":"public","resultType":"complete"}`)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

var replyWell = func(w http.ResponseWriter, result string) { _, _ = io.WriteString(w, result) }

type counting struct {
	net.Listener
	n *atomic.Int64
}

func (c *counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	return &countingConn{conn, c.n}, err
}

type countingConn struct {
	net.Conn
	n *atomic.Int64
}

func (c *countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// The parts, each of which does its work unless its fault says otherwise.

// Keys gives the keys that verify tokens.
func (h *house) Keys() *identity.KeySet {
	if h.faults["keys"].do() != nil {
		return nil
	}
	return h.keys.Load()
}

func (h *house) now() time.Time {
	if h.faults["clock"].do() != nil || h.zero {
		return time.Time{}
	}
	return time.Now().Add(h.clock)
}

// Find finds grants.
func (h *house) Find(id string) (*grant.Live, error) {
	switch f := h.faults["grants"]; f.way {
	case "empty":
		return nil, nil
	case "stale":
		return nil, grant.ErrStale
	case "partial":
		return &grant.Live{}, nil
	case "wrong type":
		return h.issuer.Grants.Find(h.issuer.Grant(grant.Grant{Subject: "bob", Roles: []string{"reader"}}))
	default:
		if err := f.do(); err != nil {
			return nil, err
		}
	}
	return h.issuer.Grants.Find(id)
}

type decider struct {
	gateway.Decider
	f      *fault
	answer *policy.Decision // in place of the right one
}

func (d *decider) Decide(ctx context.Context, in *policy.Input) (policy.Decision, error) {
	if err := d.f.do(); err != nil {
		return policy.Decision{}, err
	}
	if d.answer != nil {
		return *d.answer, nil
	}
	return d.Decider.Decide(context.WithoutCancel(ctx), in)
}

type secret struct{ f *fault }

func (s *secret) Get(context.Context, credential.Who) (credential.Secret, error) {
	switch s.f.way {
	case "empty":
		return credential.Secret{}, nil
	case "stale":
		return credential.Secret{Value: "s3cret-value-of-it", Expires: time.Now().Add(-time.Hour)}, nil
	case "partial":
		return credential.Secret{Value: "s3cret-\n"}, nil
	case "wrong type":
		return credential.Secret{Value: "\x00\x01\x02"}, nil
	}
	return credential.Secret{Value: "s3cret-value-of-it"}, s.f.do()
}

// codes remembers what was recorded since clear.
type codes struct {
	mu      sync.Mutex
	code    string
	outcome bool
}

func (c *codes) note(code string, outcome bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if code != "" {
		c.code = code
	}
	c.outcome = c.outcome || outcome
}

func (c *codes) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.code, c.outcome = "", false
}

func (c *codes) last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.code
}

func (h *house) outcome() bool {
	h.rec.mu.Lock()
	defer h.rec.mu.Unlock()
	return h.rec.outcome
}

type recorder struct {
	*codes
	*audit.Log
	f *fault
}

func (r *recorder) Decide(ctx context.Context, rec *audit.Record) error {
	switch r.f.way {
	case "partial":
		return io.ErrShortWrite
	default:
		if err := r.f.do(); err != nil {
			return err
		}
	}
	return r.Log.Decide(context.WithoutCancel(ctx), rec)
}

func (r *recorder) Note(rec *audit.Record) error {
	r.note(rec.Code, rec.Phase == audit.PhaseOutcome)
	return r.Log.Note(rec)
}

func (r *recorder) Refused(source, code string) {
	r.note(code, false)
	r.Log.Refused(source, code)
}

// Visible answers also when the client has gone, so that the cell shows what Decide did.
func (d *decider) Visible(ctx context.Context, in *policy.Input) (bool, error) {
	return d.Decider.Visible(context.WithoutCancel(ctx), in)
}
