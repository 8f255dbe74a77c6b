package config

import (
	"bytes"
	"encoding/json"
	"errors"
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
)

// fakeServer is an MCP server with the tools `read` and `write` that remembers what came.
type fakeServer struct {
	*httptest.Server
	mu      sync.Mutex // guards all below
	headers []http.Header
	calls   int
	says    map[string]string // results by method, instead of its own
}

func newFakeServer(t *testing.T) *fakeServer {
	f := &fakeServer{}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var msg struct {
		ID     json.RawMessage
		Method string
	}
	_ = json.NewDecoder(r.Body).Decode(&msg)
	f.mu.Lock()
	f.headers = append(f.headers, r.Header.Clone())
	if msg.Method == "tools/call" {
		f.calls++
	}
	result := f.says[msg.Method]
	f.mu.Unlock()
	if result != "" {
		msg.Method = "said"
	}
	switch msg.Method {
	case "said":
	case "initialize":
		result = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"fake","version":"1"}}`
	case "tools/list":
		result = `{"tools":[{"name":"read","inputSchema":{"type":"object"}},{"name":"write","inputSchema":{"type":"object"}}]}`
	case "tools/call":
		result = `{"content":[{"type":"text","text":"done"}]}`
	case "":
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	default:
		if msg.ID == nil {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no"}}`, msg.ID)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, msg.ID, result)
}

// say has the server answer a method otherwise from now on.
func (f *fakeServer) say(method, result string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.says = map[string]string{method: result}
}

func (f *fakeServer) seen() (headers []http.Header, calls int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]http.Header(nil), f.headers...), f.calls
}

// logs is a log that can be read while it is written.
type logs struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// installation is a directory with a configuration, and the service made from it.
type installation struct {
	hurry time.Duration // replaces firstPatience
	*Service
	t     *testing.T
	dir   string
	logs  *logs
	token string

	environ map[string]string
	shut    bool // closed by the test itself
}

const readers = `package mcp.authz

allow if {
	"reader" in input.subject.roles
	input.tool.name == "read"
}
`

// install writes an installation. Its configuration stands before url.
func install(t *testing.T, url string) *installation {
	t.Helper()
	i := &installation{t: t, dir: t.TempDir(), logs: &logs{}}
	i.write("sallyport.yaml", "mcpServers:\n  a:\n    url: "+url+"\n")
	i.write("policies/authz.rego", readers)
	return i
}

func (i *installation) write(name, text string) {
	i.t.Helper()
	path := filepath.Join(i.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		i.t.Fatal(err)
	}
	// Whole, by renaming: who follows the file must not read an empty one.
	if err := errors.Join(os.WriteFile(path+".new", []byte(text), 0o600), os.Rename(path+".new", path)); err != nil {
		i.t.Fatal(err)
	}
}

// open starts the service without a watcher.
func (i *installation) open() {
	i.t.Helper()
	cfg, err := Load(filepath.Join(i.dir, "sallyport.yaml"), i.environ)
	if err != nil {
		i.t.Fatal(err)
	}
	i.Service, err = Open(i.t.Context(), cfg, slog.New(slog.NewTextHandler(i.logs, nil)))
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() {
		if i.shut {
			return
		}
		if err := i.Close(); err != nil {
			i.t.Error(err)
		}
	})
	if i.hurry > 0 {
		i.patience = i.hurry
	}
	i.Start(i.t.Context())
	if i.token, err = i.Token(i.t.Context(), "dev", "test", "reader"); err != nil {
		i.t.Fatal(err)
	}
}

// close ends the service before the test does.
func (i *installation) close() {
	i.t.Helper()
	i.shut = true
	if err := i.Close(); err != nil {
		i.t.Error(err)
	}
}

// follow runs the watcher until the test ends.
func (i *installation) follow(o watchOptions) {
	i.watch = o
	done := make(chan struct{})
	ctx := i.t.Context() // ends before cleanups run
	go func() { i.Run(ctx); close(done) }()
	i.t.Cleanup(func() { <-done })
}

// call calls a tool and returns its text, or what else the answer says.
func (i *installation) call(path, tool string) string {
	i.t.Helper()
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":{}}}`, tool)
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8080"+path, strings.NewReader(body))
	r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
		"Authorization": {"Bearer " + i.token}, "Mcp-Protocol-Version": {"2025-11-25"}}
	w := httptest.NewRecorder()
	i.Handler().ServeHTTP(w, r)
	var msg struct {
		Result struct {
			Content []struct{ Text string }
		}
		Error struct{ Message string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &msg); err != nil {
		return fmt.Sprintf("%d %s", w.Code, strings.TrimSpace(w.Body.String()))
	}
	if len(msg.Result.Content) == 1 {
		return msg.Result.Content[0].Text
	}
	return msg.Error.Message
}

func (i *installation) readyz() (code int, text string) {
	w := httptest.NewRecorder()
	i.AdminHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8081/readyz", nil))
	b, _ := io.ReadAll(w.Body)
	return w.Code, string(b)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

func TestAServiceStandsBeforeItsServer(t *testing.T) {
	server := newFakeServer(t)
	i := install(t, server.URL)
	i.open()
	for path, tool := range map[string]string{"/mcp": "a__read", "/mcp/a": "read"} {
		if got := i.call(path, tool); got != "done" {
			t.Errorf("%s: %s → %s; want done", path, tool, got)
		}
	}
	if got := i.call("/mcp/a", "write"); got != "Unknown tool: write" {
		t.Errorf("write → %s; want it hidden", got)
	}
	headers, calls := server.seen()
	if calls != 2 {
		t.Errorf("%d calls reached the server; want 2", calls)
	}
	for _, h := range headers {
		if h.Get("Authorization") != "" {
			t.Error("the client's token went upstream")
		}
	}
	if code, text := i.readyz(); code != http.StatusOK || text != "ready\n" {
		t.Errorf("readyz: %d %q", code, text)
	}
	for path, mode := range map[string]os.FileMode{"": os.ModeDir | 0o700, "keys": os.ModeDir | 0o700, "keys/request-state.key": 0o600, "audit": os.ModeDir | 0o700} {
		info, err := os.Stat(filepath.Join(i.dir, "state", path))
		if err != nil || info.Mode() != mode {
			t.Errorf("state/%s: %v, %v; want mode %v", path, info.Mode(), err, mode)
		}
	}
}

func TestAServerThatIsDownAtTheStartKeepsNothingElseDown(t *testing.T) {
	up := newFakeServer(t)
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	i := install(t, up.URL)
	i.write("sallyport.yaml", "mcpServers:\n  a: {url: \""+up.URL+"\"}\n  b: {url: \""+down.URL+"\"}\n")
	i.open()
	if got := i.call("/mcp/a", "read"); got != "done" {
		t.Errorf("a: %s; want done", got)
	}
	code, text := i.readyz()
	if code != http.StatusOK || !strings.Contains(text, "server b is unavailable: ") || !strings.Contains(text, "connection refused") {
		t.Errorf("readyz: %d %q; want it to name b", code, text)
	}
	if got := i.call("/mcp/b", "read"); !strings.Contains(got, "cannot be reached") {
		t.Errorf("b: %s; want that it cannot be reached", got)
	}
	if got := i.call("/mcp", "a__read"); got != "done" {
		t.Errorf("a__read at /mcp: %s; want done", got)
	}
	if got := i.call("/mcp", "b__read"); !strings.Contains(got, "cannot be reached") {
		t.Errorf("b__read at /mcp: %s; want that it cannot be reached", got)
	}
}

// A server that does not answer keeps the others waiting for a moment at the start, and not longer.
func TestAServerThatHangsAtTheStartDelaysNobody(t *testing.T) {
	up := newFakeServer(t)
	answer := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-answer:
		case <-r.Context().Done():
		}
	}))
	defer hangs.Close()
	defer close(answer)
	i := install(t, up.URL)
	i.write("sallyport.yaml", "mcpServers:\n  a: {url: \""+up.URL+"\"}\n  b: {url: \""+hangs.URL+"\"}\n")
	i.hurry = 50 * time.Millisecond
	i.open()
	eventually(t, "a is served", func() bool { return i.call("/mcp", "a__read") == "done" })
	if got := i.call("/mcp", "b__read"); !strings.Contains(got, "cannot be reached") {
		t.Errorf("b: %s; want that it cannot be reached", got)
	}
	if code, text := i.readyz(); code != http.StatusOK || !strings.Contains(text, "server b is unavailable: it has not answered yet") {
		t.Errorf("readyz: %d %q; want it to name b", code, text)
	}
}

func TestOnlyOurOwnNamesAreAnswered(t *testing.T) {
	i := install(t, newFakeServer(t).URL)
	i.open()
	for host, want := range map[string]int{"127.0.0.1:8080": 401, "localhost:8080": 401, "[::1]:8080": 401,
		"evil.example:8080": 421, "127.0.0.1:80": 421, "127.0.0.1": 421} {
		r := httptest.NewRequest(http.MethodPost, "http://"+host+"/mcp", strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		i.Handler().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("Host %s → %d; want %d", host, w.Code, want)
		}
	}
}

func TestTheOperatorsListenerServesHealthAndNothingElse(t *testing.T) {
	i := install(t, newFakeServer(t).URL)
	i.open()
	get := func(method, path string) (int, string) {
		w := httptest.NewRecorder()
		i.AdminHandler().ServeHTTP(w, httptest.NewRequest(method, "http://127.0.0.1:8081"+path, nil))
		return w.Code, w.Body.String()
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/": 404, "/mcp": 404, "/metrics": 200, "/debug/pprof/": 404, "/.well-known/jwks.json": 404} {
		if code, _ := get(http.MethodGet, path); code != want {
			t.Errorf("%s → %d; want %d", path, code, want)
		}
	}
	if code, _ := get(http.MethodPost, "/readyz"); code != http.StatusMethodNotAllowed {
		t.Errorf("POST → %d; want 405", code)
	}
	i.Drain()
	if code, text := get(http.MethodGet, "/readyz"); code != 503 || text != "not ready\ndraining\n" {
		t.Errorf("draining: %d %q", code, text)
	}
	if code, _ := get(http.MethodGet, "/healthz"); code != 200 {
		t.Errorf("draining: healthz %d; want 200", code)
	}
}
