package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"sallyport/gateway/config"
	"sallyport/identity/mint"
)

// rig is the demo's installation: servers, gateway, keys, policy and record.
type rig struct {
	dir      string // of the whole state
	public   string // URL of the gateway
	world    *world
	direct   map[string]string // URL of each server itself
	through  map[string]string // URL of each server behind the gateway
	names    []string          // of the servers, sorted
	service  *config.Service
	expired  *mint.Issuer // its clock is an hour slow
	journal  *journal
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
	if err := r.serveGateway(ctx, o.Log, ln); err != nil {
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

// serveGateway starts what `serve` starts, from a configuration file like any other.
func (r *rig) serveGateway(ctx context.Context, log *slog.Logger, ln net.Listener) error {
	if err := r.writeConfig(); err != nil {
		return err
	}
	cfg, err := config.Load(r.configFile(), nil) // whatever the user's own environment says
	if err != nil {
		return fmt.Errorf("configure the gateway: %w", err)
	}
	if r.service, err = config.Open(ctx, cfg, log); err != nil {
		return fmt.Errorf("open the gateway: %w", err)
	}
	r.closers = append(r.closers, r.service.Close)
	if err := r.service.Sockets(); err != nil {
		return fmt.Errorf("open the socket of commands: %w", err)
	}
	r.service.Start(ctx)
	if ready, why := r.service.Ready(); !ready {
		return fmt.Errorf("the gateway is not ready: %s", strings.Join(why, "; "))
	}
	keys, err := cfg.OpenKeys()
	if err != nil {
		return fmt.Errorf("open keys: %w", err)
	}
	r.expired = mint.NewIssuer(mint.IssuerConfig{URL: cfg.PublicURL, Audience: cfg.Audience(), Keys: keys,
		Now: func() time.Time { return time.Now().Add(-time.Hour) }})
	r.journal = &journal{dir: r.auditDir()}
	r.serve("gateway", ln, r.service.Handler())
	return nil
}

// token makes a grant for a role, and a token of it.
func (r *rig) token(ctx context.Context, role string) (string, error) {
	token, err := r.service.Token(ctx, "dana", "demo-agent", role)
	if err != nil {
		return "", fmt.Errorf("make a token for %s: %w", role, err)
	}
	return token, nil
}

// oldToken is a token of an hour ago.
func (r *rig) oldToken(role string) (string, error) {
	token, _, err := r.expired.Mint(mint.Request{Subject: "dana", ClientID: "demo-agent", Roles: []string{role}})
	return token, err
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
