package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/identity/grant"
	"sallyport/identity/mint"
)

// The users of the tests.
const (
	operator uint32 = 1000
	dev      uint32 = 1001
	other    uint32 = 1002
	stranger uint32 = 4_000_000_001 // nobody has this number
)

var rules = []LocalRule{
	{UID: operator, User: "boss", Operator: true},
	{UID: dev, User: "dev", Roles: []string{"reader", "writer"}},
	{UID: other, User: "other", Roles: []string{"reader"}},
}

const gatewayURL = "http://127.0.0.1:8080"

// rig is a server with a real authority. Who connects is what the test says.
type rig struct {
	*Client
	path    string
	uid     atomic.Uint32 // of whoever connects next
	stop    context.CancelFunc
	stopped chan error

	mu    sync.Mutex // guards below
	acts  []mint.Act
	fails error // what recording an act answers
}

func start(t *testing.T, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{path: filepath.Join(directory(t), SocketName), stopped: make(chan error, 1)}
	r.uid.Store(operator)
	o := Options{Authority: r.authority(t), Local: func() []LocalRule { return rules }, PublicURL: gatewayURL, Log: slog.New(slog.DiscardHandler),
		peer: func(*net.UnixConn) (peer, error) { return peer{UID: r.uid.Load(), PID: 7}, nil }}
	for _, f := range change {
		f(&o)
	}
	ln, err := Listen(r.path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	go func() { r.stopped <- Serve(ctx, ln, o) }()
	r.Client = Dial(r.path)
	t.Cleanup(func() {
		_ = r.Client.Close() // in use by nobody
		stop()
		if err := <-r.stopped; err != nil {
			t.Errorf("Serve = %v; want nil after its context ended", err)
		}
		r.stopped <- nil // a test may have looked already
	})
	return r
}

// directory is like t.TempDir, with a path short enough for a socket.
func directory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "adm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // the system's, in the end
	return dir
}

func (r *rig) authority(t *testing.T) *mint.Authority {
	t.Helper()
	keys, err := mint.OpenKeyring(filepath.Join(t.TempDir(), "keys"), nil)
	if err != nil {
		t.Fatal(err)
	}
	store := grant.NewMemory()
	t.Cleanup(func() { _ = store.Close() })
	grants, err := grant.NewRegistry(t.Context(), store, grant.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = grants.Close() }) // in memory
	a, err := mint.NewAuthority(mint.AuthorityConfig{Issuer: mint.NewIssuer(mint.IssuerConfig{URL: gatewayURL, Audience: gatewayURL + "/mcp", Keys: keys}),
		Grants: grants, Record: r.record, Role: role})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (r *rig) record(_ context.Context, act mint.Act) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fails != nil {
		return r.fails
	}
	r.acts = append(r.acts, act)
	return nil
}

func (r *rig) recorded() []mint.Act {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]mint.Act(nil), r.acts...)
}

func (r *rig) breakRecord(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fails = err
}

func role(name string) error {
	if name == "reader" || name == "writer" || name == "root" {
		return nil
	}
	return errors.New("no policy knows the role " + name + "; the nearest is reader")
}

// as returns a client whose connections come from a user.
func (r *rig) as(t *testing.T, uid uint32) *Client {
	t.Helper()
	r.uid.Store(uid)
	c := Dial(r.path)
	t.Cleanup(func() { _ = c.Close() }) // in use by nobody
	if _, err := c.List(t.Context(), grant.Filter{}); err != nil && uid != stranger {
		t.Fatal(err) // the connection is made and kept now
	}
	return c
}

// raw sends a request as it is.
func (r *rig) raw(t *testing.T, method, path, body string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://sallyport"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := r.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // read to its end
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// eventually waits for what another process or goroutine does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

// wantRefusal checks what a person is told.
func wantRefusal(t *testing.T, what string, err error, code, message string) {
	t.Helper()
	ref, ok := errors.AsType[*mint.Refusal](err)
	if !ok {
		t.Errorf("%s: error %v; want a refusal", what, err)
		return
	}
	if ref.Code != code || !strings.Contains(ref.Message, message) {
		t.Errorf("%s: refused with %s, %q; want %s, %q", what, ref.Code, ref.Message, code, message)
	}
}
