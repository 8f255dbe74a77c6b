package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// recorder is an MCP server that counts every byte that reaches it and remembers the calls.
type recorder struct {
	url    string
	bytes  atomic.Int64
	onCall func(n int) // when it is there, told how many calls there have been
	text   string      // what its tools answer; "": done

	mu     sync.Mutex // guards what follows
	calls  []recorded
	errand []string // methods of what the gateway asked for itself
	listen int      // listening streams so far
}

type recorded struct {
	header http.Header
	body   string
}

const recorderTools = `{"tools":[` +
	`{"name":"read_file","description":"Reads a file","inputSchema":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"],"additionalProperties":false}},` +
	`{"name":"note","description":"Keeps a note","inputSchema":{"type":"object","properties":{"text":{"type":"string"},"options":{"type":"object"}}}},` +
	`{"name":"delete_file","description":"Deletes a file","inputSchema":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}}` +
	`],"ttlMs":3600000,"cacheScope":"private","resultType":"complete"}`

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	rec := &recorder{}
	srv := httptest.NewUnstartedServer(rec)
	srv.Listener = countingListener{srv.Listener, &rec.bytes}
	srv.Start()
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	rec.url = srv.URL + "/mcp"
	return rec
}

func (rec *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var m struct {
		ID     json.RawMessage
		Method string
	}
	_ = json.Unmarshal(body, &m)
	rec.note(m.Method, recorded{r.Header.Clone(), string(body)})
	w.Header().Set("Content-Type", "application/json")
	result := ""
	switch {
	case r.Method == http.MethodGet:
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	case m.Method == "subscriptions/listen":
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":%s},\"notifications\":{\"toolsListChanged\":true}}}\n\n", m.ID)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	case m.ID == nil:
		w.WriteHeader(http.StatusAccepted)
		return
	case m.Method == "server/discover":
		result = `{"resultType":"complete","ttlMs":3600000,"cacheScope":"private","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"recorder","version":"1"}}`
	case m.Method == "initialize":
		result = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"recorder","version":"1"}}`
	case m.Method == "tools/list":
		result = recorderTools
	default:
		text, _ := json.Marshal(cmp.Or(rec.text, "done"))
		result = fmt.Sprintf(`{"resultType":"complete","content":[{"type":"text","text":%s}]}`, text)
	}
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, result)
}

func (rec *recorder) note(method string, r recorded) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	switch method {
	case "server/discover", "initialize", "notifications/initialized", "tools/list", "":
		rec.errand = append(rec.errand, method)
	case "subscriptions/listen":
		rec.errand = append(rec.errand, method)
		rec.listen++
	default:
		rec.calls = append(rec.calls, r)
		if rec.onCall != nil {
			rec.onCall(len(rec.calls))
		}
	}
}

// seen returns the calls so far.
func (rec *recorder) seen() []recorded {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return append([]recorded(nil), rec.calls...)
}

// errands is how often the gateway has asked for itself.
func (rec *recorder) errands() int {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return len(rec.errand)
}

// listening reports whether the gateway has opened its listening stream: the last thing that
// it does for itself after a start.
func (rec *recorder) listening() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.listen > 0
}

// untouched makes an attempt, of which not a byte may reach the server. The gateway asks for itself now and
// then, and then the attempt is made again: what it brings about itself is there every time.
func (rec *recorder) untouched(t *testing.T, what string, attempt func()) {
	t.Helper()
	var n int64
	for range 5 {
		before := rec.bytes.Load()
		attempt()
		if n = rec.bytes.Load() - before; n == 0 {
			return
		}
		rec.rest()
	}
	t.Errorf("%s: %d bytes reached the server, want none; it has had the calls %.3000q", what, n, rec.seen())
}

// rest waits until the gateway asks for nothing.
func (rec *recorder) rest() {
	for n, last := rec.bytes.Load(), int64(-1); n != last; n, last = rec.bytes.Load(), n {
		time.Sleep(100 * time.Millisecond)
	}
}

// countingListener counts what its connections read.
type countingListener struct {
	net.Listener
	n *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countingConn{c, l.n}, nil
}

type countingConn struct {
	net.Conn
	n *atomic.Int64
}

func (c countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.Add(int64(n))
	return n, err
}
