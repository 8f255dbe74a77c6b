package e2e

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// slow is an MCP server of one era whose only tool takes thirty seconds, unless it is told that
// nobody waits any more. It remembers what it was told, and when.
type slow struct {
	url     string
	gone    chan struct{} // closed at the end of the test
	version string        // what it speaks

	mu    sync.Mutex // guards both below
	told  map[string]time.Time
	calls map[string]chan struct{} // under way, by id; closed when cancelled
}

// What a slow server is told, as keys of told.
const (
	toldCall      = "call"             // a call is under way
	toldStream    = "stream"           // a stream is open
	toldCancelled = "call cancelled"   // by a notification
	toldCallGone  = "call hung up"     // by the end of the connection
	toldStreamEnd = "stream ended"     // likewise
	toldDeleted   = "session deleted"  // by DELETE
	toldFinished  = "call ran its way" // nobody told it anything
)

const takes = 30 * time.Second

func newSlow(t *testing.T, version string) *slow {
	t.Helper()
	s := &slow{version: version, gone: make(chan struct{}), told: map[string]time.Time{}, calls: map[string]chan struct{}{}}
	srv := httptest.NewServer(s)
	t.Cleanup(func() {
		close(s.gone)
		srv.CloseClientConnections()
		srv.Close()
	})
	s.url = srv.URL + "/mcp"
	return s
}

func (s *slow) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told[what] = time.Now()
}

// at is when it was told something, or the zero time.
func (s *slow) at(what string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told[what]
}

func (s *slow) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.told)
}

// begin notes a call and returns the channel that a notification about it closes.
func (s *slow) begin(id string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told[toldCall] = time.Now()
	s.calls[id] = make(chan struct{})
	return s.calls[id]
}

func (s *slow) cancel(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancelled := s.calls[id]; cancelled != nil {
		close(cancelled)
		delete(s.calls, id)
	}
}

func (s *slow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var m struct {
		ID     json.RawMessage
		Method string
		Params struct{ RequestID json.RawMessage }
	}
	_ = json.Unmarshal(body, &m)
	switch {
	case r.Method == http.MethodDelete:
		s.note(toldDeleted)
	case r.Method == http.MethodGet:
		s.hold(r.Context(), w, ": open")
	case m.Method == "subscriptions/listen":
		s.hold(r.Context(), w, fmt.Sprintf(`data: {"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":%s},"notifications":{"toolsListChanged":true}}}`, m.ID))
	case m.Method == "notifications/cancelled":
		s.cancel(string(m.Params.RequestID))
		w.WriteHeader(http.StatusAccepted)
	case m.ID == nil:
		w.WriteHeader(http.StatusAccepted)
	case m.Method == "tools/call":
		s.call(r.Context(), w, string(m.ID))
	default:
		if m.Method == "initialize" {
			w.Header().Set("Mcp-Session-Id", "slow-"+rand.Text())
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, slowAnswer(m.Method, m.ID, s.version))
	}
}

// hold keeps a stream open until the other side ends it.
func (s *slow) hold(ctx context.Context, w http.ResponseWriter, first string) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, first+"\n\n")
	_ = http.NewResponseController(w).Flush()
	s.note(toldStream)
	select {
	case <-ctx.Done():
		s.note(toldStreamEnd)
	case <-s.gone:
	}
}

func (s *slow) call(ctx context.Context, w http.ResponseWriter, id string) {
	cancelled := s.begin(id)
	select {
	case <-cancelled:
		s.note(toldCancelled)
	case <-ctx.Done():
		s.note(toldCallGone)
		if s.version != "2026-07-28" { // there the end of a connection says nothing
			select {
			case <-cancelled:
				s.note(toldCancelled)
			case <-s.gone:
			}
		}
	case <-s.gone:
	case <-time.After(takes):
		s.note(toldFinished)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, slowAnswer("tools/call", json.RawMessage(id), s.version))
	}
}

// slowAnswer is what a slow server says to a request.
func slowAnswer(method string, id json.RawMessage, version string) string {
	const about = `"capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"slow","version":"1"}`
	if method == "server/discover" && version != "2026-07-28" {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"Method not found"}}`, id)
	}
	result := map[string]string{
		"initialize":      `{"protocolVersion":"2025-11-25",` + about + `}`,
		"server/discover": `{"resultType":"complete","ttlMs":3600000,"cacheScope":"private","supportedVersions":["2026-07-28"],` + about + `}`,
		"tools/list":      `{"tools":[{"name":"wait","inputSchema":{"type":"object"}}],"ttlMs":3600000,"cacheScope":"private","resultType":"complete"}`,
		"tools/call":      `{"resultType":"complete","content":[{"type":"text","text":"waited"}]}`,
	}[method]
	if result == "" {
		result = "{}"
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, id, result)
}

// slowProgram is the variable that makes this test binary a slow server on its pipes. It names a
// directory where the program makes a file, "call", when a call is under way, and keeps it locked
// for as long as it runs.
const slowProgram = "SLOW_PROGRAM"

// serveSlow is the program. As many are, it is busy with one call at a time and reads nothing
// meanwhile, not even that its input has ended.
func serveSlow(dir string) error {
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return nil
		}
		var m struct {
			ID     json.RawMessage
			Method string
		}
		_ = json.Unmarshal(line, &m)
		if m.Method == "tools/call" {
			lock, err := os.OpenFile(dir+"/call", os.O_CREATE|os.O_RDWR, 0o600)
			if err == nil {
				err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
			}
			if err != nil {
				return err
			}
			time.Sleep(takes)
		}
		if m.ID != nil {
			fmt.Println(slowAnswer(m.Method, m.ID, "2025-11-25"))
		}
	}
}

// slowRuns reports whether a program that has had a call runs.
func slowRuns(t *testing.T, dir string) bool {
	t.Helper()
	f, err := os.Open(dir + "/call")
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if err != nil && err != syscall.EWOULDBLOCK {
		t.Fatal(err)
	}
	return err != nil
}

// slowYAML is the program as a server of the configuration, each grant with its own process.
func slowYAML(t *testing.T, dir string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	folder := self[:strings.LastIndexByte(self, '/')]
	return fmt.Sprintf("{command: %q, env: {%s: %q}, sandbox: {read: [%q], write: [%q]}}", self, slowProgram, dir, folder, dir)
}
