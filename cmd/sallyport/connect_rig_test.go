package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/gateway/admin"
	"sallyport/gateway/shim"
	"sallyport/identity"
	"sallyport/identity/federate"
	"sallyport/identity/grant"
	"sallyport/identity/jose"
	"sallyport/identity/mint"
	"sallyport/identity/pop"
	"sallyport/internal/strictjson"
)

// connectRig is a gateway that verifies tokens, proofs and grants, answers every request with who
// it took the client for, and has an admin socket for the user of this process.
type connectRig struct {
	t           *testing.T
	url, socket string
	issuer, key string // the gateway's public URL; the file with the key that its federation trusts
	grants      *grant.Registry
}

func newConnectRig(t *testing.T, rule admin.LocalRule) *connectRig {
	t.Helper()
	dir, err := os.MkdirTemp("", "cmd") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	keys, err := mint.OpenKeyring(filepath.Join(dir, "keys"), nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &connectRig{t: t, socket: filepath.Join(dir, "s")}
	if r.grants, err = grant.NewRegistry(t.Context(), grant.NewMemory(), grant.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.grants.Close() })
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	r.url = srv.URL + "/mcp"
	issuer := mint.NewIssuer(mint.IssuerConfig{URL: srv.URL, Audience: r.url, Keys: keys})
	proofs := pop.NewChecker(pop.CheckerOptions{})
	verifier, err := identity.NewVerifier(identity.VerifierConfig{Issuer: srv.URL, Audience: r.url, Keys: keys, PublicURL: srv.URL, Proofs: proofs})
	if err != nil {
		t.Fatal(err)
	}
	r.issuer = srv.URL
	mux.Handle("/.well-known/", mint.Handler(issuer, srv.URL))
	mux.HandleFunc("/mcp", func(w http.ResponseWriter, q *http.Request) { r.mcp(w, q, verifier, srv.URL) })
	authority, err := mint.NewAuthority(mint.AuthorityConfig{Issuer: issuer, Grants: r.grants,
		Record: func(context.Context, mint.Act) error { return nil },
		Role: func(name string) error {
			if name == "reader" || name == "writer" {
				return nil
			}
			return fmt.Errorf("no policy mentions the role %q; did you mean reader?", name)
		}})
	if err != nil {
		t.Fatal(err)
	}
	r.serveSocket(authority, rule, srv.URL)
	mux.Handle("/oauth/", mint.Endpoints(mint.EndpointsConfig{Authority: authority, Verifier: verifier, Federation: r.federation(dir), Proofs: proofs, PublicURL: srv.URL}))
	return r
}

// federation trusts the key in key.jwk as an issuer of tokens and as a client.
func (r *connectRig) federation(dir string) *federate.Federation {
	r.t.Helper()
	jwk := jose.NewEd25519(make([]byte, ed25519.SeedSize))
	r.key = filepath.Join(dir, "key.jwk")
	set := filepath.Join(dir, "set.json")
	for name, data := range map[string][]byte{r.key: jwk.Private(), set: []byte(`{"keys":[` + string(jwk.Public()) + `]}`)} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	f, err := federate.New([]federate.Rule{
		{Name: "ci", Issuer: "https://ci.example", Audience: r.issuer, JWKSFile: set, Subject: "ci:{sub}", Client: "ci", Roles: []string{"reader"}},
		{Name: "agent", Kind: "private_key_jwt", ClientID: "agent-7", Audience: r.issuer, JWKSFile: set, Subject: "agent:{sub}", Roles: []string{"writer"}},
	}, federate.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(f.Close)
	return f
}

// outside returns a token of the issuer that the federation trusts.
func (r *connectRig) outside(audience string) string {
	r.t.Helper()
	p, err := shim.KeyCredential(r.key, "https://ci.example", nil).Prove(r.t.Context(), audience)
	if err != nil {
		r.t.Fatal(err)
	}
	return p.ClientAssertion
}

func (r *connectRig) serveSocket(authority *mint.Authority, rule admin.LocalRule, url string) {
	r.t.Helper()
	ln, err := admin.Listen(r.socket, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	rule.UID = uint32(os.Getuid())
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- admin.Serve(ctx, ln, admin.Options{Authority: authority, PublicURL: url, Local: func() []admin.LocalRule { return []admin.LocalRule{rule} }, Log: slog.New(slog.DiscardHandler)})
	}()
	r.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			r.t.Errorf("admin.Serve = %v", err)
		}
	})
}

func (r *connectRig) mcp(w http.ResponseWriter, q *http.Request, v *identity.Verifier, url string) {
	req := &identity.Request{Method: q.Method, Header: q.Header, Path: q.URL.EscapedPath(), RawQuery: q.URL.RawQuery, TLS: q.TLS}
	who, err := v.Verify(q.Context(), req)
	if err == nil {
		_, err = r.grants.Find(who.Grant)
	}
	if err != nil {
		for name, values := range identity.Challenge(url, q.URL.Path, err, req.Nonce) {
			w.Header()[name] = values
		}
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return
	}
	id, _ := strictjson.Find(body, "id")
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"subject":%q,"roles":%q,"proof":%q}}`, id.Of(body), who.Subject, strings.Join(who.Roles, " "), who.Proof)
}

// connection is a `sallyport connect` that runs.
type connection struct {
	t    *testing.T
	in   *io.PipeWriter
	out  *bufio.Reader
	talk *lockedBuffer
	code chan int
}

func (r *connectRig) connect(env []string, args ...string) *connection {
	r.t.Helper()
	return connectTo(r.t, append([]string{"SALLYPORT_SOCKET=" + r.socket}, env...), append([]string{r.url}, args...)...)
}

func connectTo(t *testing.T, env []string, args ...string) *connection {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	c := &connection{t: t, in: inW, out: bufio.NewReader(outR), talk: &lockedBuffer{}, code: make(chan int, 1)}
	go func() {
		c.code <- run(append([]string{"connect"}, args...), inR, outW, c.talk, env)
		_ = outW.Close()
	}()
	t.Cleanup(func() { _ = inW.Close(); _ = outR.Close() })
	return c
}

// ask sends a request and returns the line that answers it.
func (c *connection) ask(id int) string {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.in, `{"jsonrpc":"2.0","id":%d,"method":"tools/list"}`+"\n", id); err != nil {
		c.t.Fatalf("ask: %v; talk:\n%s", err, c.talk)
	}
	line, err := c.out.ReadString('\n')
	if err != nil {
		c.t.Fatalf("answer: %v; talk:\n%s", err, c.talk)
	}
	return strings.TrimSuffix(line, "\n")
}

// end closes the input and returns the exit code.
func (c *connection) end() int {
	c.t.Helper()
	_ = c.in.Close()
	return c.exit()
}

func (c *connection) exit() int {
	c.t.Helper()
	select {
	case code := <-c.code:
		return code
	case <-time.After(patience):
		c.t.Fatalf("connect does not end; talk:\n%s", c.talk)
		return -1
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// one returns the only grant there is.
func (r *connectRig) one() grant.Status {
	r.t.Helper()
	all := r.grants.List(grant.Filter{All: true})
	if len(all) != 1 {
		r.t.Fatalf("%d grants; want 1: %+v", len(all), all)
	}
	return all[0]
}
