package shim

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/identity"
	"sallyport/identity/identitytest"
	"sallyport/identity/pop"
)

// fakeGateway is a gateway as clients see one: it takes only tokens of its issuer that it has not
// forgotten, with a proof of its own for each request, and then hands the message to serve.
type fakeGateway struct {
	*httptest.Server
	t      *testing.T
	key    *pop.Key // the shim's
	issuer *identitytest.Issuer
	serve  func(w http.ResponseWriter, r *http.Request, body []byte)

	mu     sync.Mutex // guards what follows
	ahead  time.Duration
	live   map[string]bool
	minted int
	ended  string // why the grant has ended
	seen   []seen
}

// seen is a request that was let in.
type seen struct {
	method string
	header http.Header
	body   string
}

func newFakeGateway(t *testing.T, serve func(w http.ResponseWriter, r *http.Request, body []byte)) *fakeGateway {
	t.Helper()
	key, err := pop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	g := &fakeGateway{t: t, key: key, serve: serve, live: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/oauth-protected-resource/mcp", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", g.now().UTC().Format(http.TimeFormat))
		writeJSON(w, map[string]any{"resource": g.URL + "/mcp", "authorization_servers": []string{g.URL}})
	})
	mux.HandleFunc("/mcp", g.mcp)
	g.Server = httptest.NewServer(mux)
	g.issuer = identitytest.For(t, g.URL, g.now)
	t.Cleanup(func() { g.CloseClientConnections(); g.Close() })
	return g
}

// now is by the gateway's clock.
func (g *fakeGateway) now() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Now().Add(g.ahead)
}

// advance lets time pass at the gateway.
func (g *fakeGateway) advance(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ahead += d
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client may have gone
}

// Token makes the gateway a Source. It says when the token ends by this machine's clock.
func (g *fakeGateway) Token(_ context.Context, ask SourceAsk) (Token, error) {
	value := g.issuer.With(g.issuer.Claims("dev"), map[string]any{"cnf": map[string]any{"jkt": ask.JKT}, "grant": "gr_test"})
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended != "" {
		return Token{}, &EndedError{Grant: "gr_test", Why: g.ended}
	}
	g.minted++
	g.live[value] = true
	return Token{Value: value, Expires: time.Now().Add(5 * time.Minute), Grant: "gr_test"}, nil
}

// tokens returns how many there were.
func (g *fakeGateway) tokens() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.minted
}

// end revokes the grant.
func (g *fakeGateway) end(why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = why
	clear(g.live)
}

// forget makes all tokens worthless.
func (g *fakeGateway) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.live)
}

func (g *fakeGateway) mcp(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", g.now().UTC().Format(http.TimeFormat))
	req := &identity.Request{Method: r.Method, Header: r.Header, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, TLS: r.TLS}
	_, err := g.issuer.Verifier.Verify(r.Context(), req)
	if req.Nonce != "" {
		w.Header().Set("DPoP-Nonce", req.Nonce)
	}
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	g.mu.Lock()
	live := g.live[token]
	g.mu.Unlock()
	if err != nil || !live {
		for name, values := range identity.Challenge(g.URL, r.URL.Path, err, req.Nonce) {
			w.Header()[name] = values
		}
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // cut off by the client
	}
	g.mu.Lock()
	g.seen = append(g.seen, seen{r.Method, r.Header.Clone(), string(body)})
	g.mu.Unlock()
	g.serve(w, r, body)
}

// requests returns what was let in so far.
func (g *fakeGateway) requests() []seen {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]seen(nil), g.seen...)
}

// conversation is a client's end: it writes lines and reads lines.
type conversation struct {
	t    *testing.T
	in   *io.PipeWriter
	out  chan string
	done chan error
	log  *syncBuffer
}

// talk serves a client with a shim for the gateway at g.
func (g *fakeGateway) talk(ctx context.Context, change ...func(*Config)) *conversation {
	g.t.Helper()
	log := &syncBuffer{}
	cfg := Config{URL: g.URL + "/mcp", Source: g, Key: g.key, Log: logTo(log)}
	for _, f := range change {
		f(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		g.t.Fatal(err)
	}
	return converse(ctx, g.t, s, log)
}

func converse(ctx context.Context, t *testing.T, s *Shim, log *syncBuffer) *conversation {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	c := &conversation{t: t, in: inW, out: make(chan string, 1000), done: make(chan error, 1), log: log}
	go func() {
		c.done <- s.Serve(ctx, inR, outW)
		_ = outW.Close()
	}()
	go func() {
		defer close(c.out)
		lines := bufio.NewScanner(outR)
		lines.Buffer(nil, 64<<20)
		for lines.Scan() {
			c.out <- lines.Text()
		}
	}()
	t.Cleanup(func() { _ = inW.Close() })
	return c
}

// say sends a line.
func (c *conversation) say(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		c.t.Fatalf("write %s: %v", line, err)
	}
}

const patience = time.Minute

// hear returns the next line.
func (c *conversation) hear() string {
	c.t.Helper()
	select {
	case l, ok := <-c.out:
		if !ok {
			c.t.Fatal("the output ended; want a line")
		}
		return l
	case <-time.After(patience):
		c.t.Fatalf("no line came; log:\n%s", c.log)
		return ""
	}
}

// expect fails unless the next line is this one.
func (c *conversation) expect(want string) {
	c.t.Helper()
	if got := c.hear(); got != want {
		c.t.Errorf("line = %s\nwant   %s", got, want)
	}
}

// end closes the input and returns what Serve says.
func (c *conversation) end() error {
	c.t.Helper()
	_ = c.in.Close()
	return c.result()
}

func (c *conversation) result() error {
	c.t.Helper()
	select {
	case err := <-c.done:
		return err
	case <-time.After(patience):
		c.t.Fatal("Serve does not return")
		return nil
	}
}

func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
