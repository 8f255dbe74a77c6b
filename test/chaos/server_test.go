package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// server is an MCP server whose tools do nothing but tell it what they were asked.
type server struct {
	url     string
	calls   atomic.Int64
	onCall  func(arguments []byte)                                        // told of each, before its answer
	instead func(w http.ResponseWriter, arguments []byte, id string) bool // answers a call itself, where it returns true
}

const tools = `{"tools":[` +
	`{"name":"read_file","inputSchema":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"],"additionalProperties":false}},` +
	`{"name":"read_private","inputSchema":{"type":"object","properties":{"path":{"type":"string"}}}},` +
	`{"name":"send","inputSchema":{"type":"object","properties":{"path":{"type":"string"}}}}` +
	`],"ttlMs":3600000,"cacheScope":"private","resultType":"complete"}`

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{}
	srv := httptest.NewServer(s)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	s.url = srv.URL + "/mcp"
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var m struct {
		ID     json.RawMessage
		Method string
		Params struct{ Arguments json.RawMessage }
	}
	_ = json.Unmarshal(body, &m)
	result := "{}"
	switch m.Method {
	case "":
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	case "server/discover":
		result = `{"resultType":"complete","ttlMs":3600000,"cacheScope":"private","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"serverInfo":{"name":"chaos","version":"1"}}`
	case "initialize":
		result = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"chaos","version":"1"}}`
	case "tools/list":
		result = tools
	case "tools/call":
		s.calls.Add(1)
		if s.onCall != nil {
			s.onCall(m.Params.Arguments)
		}
		if s.instead != nil && s.instead(w, m.Params.Arguments, string(m.ID)) {
			return
		}
		result = done
	}
	if m.ID == nil {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, result)
}

const done = `{"resultType":"complete","content":[{"type":"text","text":"done"}]}`
