package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"sallyport/gateway"
	"sallyport/gateway/audit"
	"sallyport/gateway/upstream"
	"sallyport/identity"
	"sallyport/identity/mint"
	"sallyport/policy"
)

// rig is the demo's installation: servers, gateway, keys, policy and record.
type rig struct {
	dir      string // of the whole state
	public   string // URL of the gateway
	world    *world
	direct   map[string]string // URL of each server itself
	through  map[string]string // URL of each server behind the gateway
	names    []string          // of the servers, sorted
	policy   *policy.Generation
	issuer   *mint.Issuer
	expired  *mint.Issuer // its clock is an hour slow
	tape     *tape
	behind   []*gateway.Server
	problems chan error // of HTTP servers that ended by themselves

	closers []func() error // run from last to first
}

// newRig builds everything below dir and waits until the gateway is ready to decide. On an
// error what was begun is ended.
func newRig(ctx context.Context, o Options, dir string) (_ *rig, err error) {
	r := &rig{dir: dir, world: newWorld(), direct: map[string]string{}, through: map[string]string{}, problems: make(chan error, 8)}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	ln, err := listen(ctx, o.Listen)
	if err != nil {
		return nil, err
	}
	r.closers = append(r.closers, func() error { return ignoreClosed(ln.Close()) })
	r.public = "http://" + ln.Addr().String()
	for name, s := range r.world.servers() {
		if err := r.serveDirect(ctx, name, s); err != nil {
			return nil, err
		}
	}
	slices.Sort(r.names)
	if err := os.CopyFS(filepath.Join(dir, "policies"), o.Policies); err != nil {
		return nil, fmt.Errorf("write policies: %w", err)
	}
	if err := r.writeConfig(); err != nil {
		return nil, err
	}
	if r.policy, err = policy.Load(ctx, filepath.Join(dir, "policies"), policy.Options{}); err != nil {
		return nil, fmt.Errorf("load policies: %w", err)
	}
	if err := r.serveGateway(ctx, ln); err != nil {
		return nil, err
	}
	return r, nil
}

// listen takes an address of this machine alone: there is no TLS.
func listen(ctx context.Context, address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen for the gateway: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("listen for the gateway on %s: the demo listens on loopback only, such as 127.0.0.1:8080", address)
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for the gateway: %w; another address: --listen 127.0.0.1:0", err)
	}
	return ln, nil
}

// serveDirect starts one of the demo's own MCP servers.
func (r *rig) serveDirect(ctx context.Context, name string, s *server.MCPServer) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the server %s: %w", name, err)
	}
	mux := http.NewServeMux()
	mux.Handle("/mcp", server.NewStreamableHTTPServer(s))
	r.serve(name, ln, mux)
	r.names = append(r.names, name)
	r.direct[name] = "http://" + ln.Addr().String() + "/mcp"
	r.through[name] = r.public + "/mcp/" + name
	return nil
}

func (r *rig) serve(name string, ln net.Listener, h http.Handler) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	r.closers = append(r.closers, srv.Close)
	go func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			r.problems <- fmt.Errorf("serve %s: %w", name, err)
		}
	}()
}

// serveGateway wires the parts as `serve` does.
func (r *rig) serveGateway(ctx context.Context, ln net.Listener) error {
	keys, err := mint.OpenKeyring(filepath.Join(r.dir, "state", "keys"), nil)
	if err != nil {
		return fmt.Errorf("open keys: %w", err)
	}
	audience := r.public + "/mcp"
	r.issuer = mint.NewIssuer(mint.IssuerConfig{URL: r.public, Audience: audience, Keys: keys})
	r.expired = mint.NewIssuer(mint.IssuerConfig{URL: r.public, Audience: audience, Keys: keys,
		Now: func() time.Time { return time.Now().Add(-time.Hour) }})
	verifier, err := identity.NewVerifier(identity.VerifierConfig{Issuer: r.public, Audience: audience, Keys: keys})
	if err != nil {
		return fmt.Errorf("make verifier: %w", err)
	}
	log, err := audit.Open(filepath.Join(r.dir, "state", "audit"), audit.Options{})
	if err != nil {
		return fmt.Errorf("open audit log: %w", err)
	}
	r.closers = append(r.closers, log.Close)
	r.tape = &tape{Recorder: log}
	servers, err := r.upstreams(ctx)
	if err != nil {
		return err
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	g, err := gateway.New(gateway.Options{Recorder: r.tape, StateKey: key})
	if err != nil {
		return fmt.Errorf("make gateway: %w", err)
	}
	hosts, origins := gateway.Authorities(r.public)
	if err := g.Swap(ctx, &gateway.Snapshot{Verifier: verifier, Policy: r.policy, Servers: servers,
		PublicURL: r.public, Hosts: hosts, Origins: origins}); err != nil {
		return fmt.Errorf("install configuration: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/mcp", g)
	mux.Handle("/mcp/", g)
	mux.Handle("/", mint.Handler(r.issuer, r.public))
	r.serve("gateway", ln, mux)
	return nil
}

// upstreams makes the servers behind the gateway and fetches their catalogues.
func (r *rig) upstreams(ctx context.Context) (map[string]*gateway.Server, error) {
	servers := map[string]*gateway.Server{}
	for _, name := range r.names {
		up, err := upstream.NewHTTP(upstream.HTTPConfig{URL: r.direct[name]})
		if err != nil {
			return nil, fmt.Errorf("server %s: %w", name, err)
		}
		r.closers = append(r.closers, func() error { up.Close(); return nil })
		s := gateway.NewServer(name, up, nil)
		if err := s.Refresh(ctx); err != nil {
			return nil, fmt.Errorf("server %s: %w", name, err)
		}
		servers[name] = s
		r.behind = append(r.behind, s)
	}
	return servers, nil
}

// token mints a token for a role.
func (r *rig) token(from *mint.Issuer, role string) (string, error) {
	token, _, err := from.Mint(mint.Request{Subject: "dana", ClientID: "demo-agent", Roles: []string{role}})
	if err != nil {
		return "", fmt.Errorf("mint a token for %s: %w", role, err)
	}
	return token, nil
}

func (r *rig) close() error {
	var errs []error
	for _, c := range slices.Backward(r.closers) {
		errs = append(errs, c())
	}
	r.closers = nil
	return errors.Join(errs...)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// tape passes records on to the log and remembers them, so that the story can tell what was
// decided and why. It drops nothing and changes nothing.
type tape struct {
	gateway.Recorder

	mu      sync.Mutex
	records []audit.Record
}

// Decide implements gateway.Recorder.
func (t *tape) Decide(ctx context.Context, r *audit.Record) error {
	t.add(r)
	return t.Recorder.Decide(ctx, r)
}

// Note implements gateway.Recorder.
func (t *tape) Note(r *audit.Record) error {
	t.add(r)
	return t.Recorder.Note(r)
}

func (t *tape) add(r *audit.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records = append(t.records, *r)
}

// all returns the records so far.
func (t *tape) all() []audit.Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.records)
}

// decision returns the newest record of a tool call that was decided: on disk before the
// call, or the refusal. ok is false where there is none after the first n records.
func (t *tape) decision(n int) (audit.Record, bool) {
	for _, r := range slices.Backward(t.all()[n:]) {
		if r.Method == "tools/call" && r.Phase != audit.PhaseOutcome {
			return r, true
		}
	}
	return audit.Record{}, false
}
