package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`

// reply is an answer as far as these tests read it.
type reply struct {
	Status int
	Raw    string
	Result struct {
		Content []struct{ Text string }
		IsError bool
	}
	Error *struct {
		Code    int
		Message string
	}
}

func (r reply) text() string {
	var out strings.Builder
	for _, c := range r.Result.Content {
		out.WriteString(c.Text)
	}
	return out.String()
}

// code is the JSON-RPC error's, or 0.
func (r reply) code() int {
	if r.Error == nil {
		return 0
	}
	return r.Error.Code
}

func (r reply) done() bool {
	return r.Status == http.StatusOK && r.text() == "done" && !r.Result.IsError
}

// stale says that the gateway's store of grants has been silent for a second, as it may be on a busy machine:
// then it refuses, and that is right.
func (r reply) stale() bool {
	return r.Status == http.StatusServiceUnavailable && strings.Contains(r.Raw, "which grants live is not known")
}

// clients has a connection for each caller that these tests have at once.
var clients = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

func body(tool, path string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{%s,"name":%q,"arguments":{"path":%q}}}`, meta, tool, path)
}

// call uses a tool of the server named files.
func (g *gate) call(ctx context.Context, token, tool, path string) (reply, error) {
	return g.callAt(ctx, "/mcp/files", token, tool, path)
}

func (g *gate) callAt(ctx context.Context, endpoint, token, tool, path string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+g.addr+endpoint, strings.NewReader(body(tool, path)))
	if err != nil {
		return reply{}, err
	}
	for name, value := range map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": tool} {
		req.Header.Set(name, value)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := clients.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	r := reply{Status: resp.StatusCode, Raw: string(text)}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		text = lastData(text)
	}
	_ = json.Unmarshal(text, &r) // a refusal need not be JSON
	return r, nil
}

// mustCall is a call that gets an answer, whatever that is, in bounded time.
func (g *gate) mustCall(t *testing.T, token, tool, path string) reply {
	t.Helper()
	return g.mustCallAt(t, "/mcp/files", token, tool, path)
}

func (g *gate) mustCallAt(t *testing.T, endpoint, token, tool, path string) reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := g.callAt(ctx, endpoint, token, tool, path)
	if err != nil {
		t.Fatalf("%s %s: no answer: %v", tool, path, err)
	}
	return r
}

// served is a call that a busy machine may delay: it is made again while the store of grants is silent.
func (g *gate) served(t *testing.T, token, tool, path string) (r reply) {
	t.Helper()
	return g.servedAt(t, "/mcp/files", token, tool, path)
}

func (g *gate) servedAt(t *testing.T, endpoint, token, tool, path string) reply {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if r := g.mustCallAt(t, endpoint, token, tool, path); !r.stale() || time.Now().After(end) {
			return r
		}
	}
}

// lastData is the data of a stream's last event, which is the answer.
func lastData(stream []byte) []byte {
	var last []byte
	for line := range bytes.Lines(stream) {
		if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			last = data
		}
	}
	return last
}

// goesOn is the claim behind each fault: who has nothing to do with it is served meanwhile and
// afterwards.
func (g *gate) goesOn(t *testing.T, token, after string) {
	t.Helper()
	began := time.Now()
	if r := g.served(t, token, "read_file", "/goes/on"); !r.done() {
		t.Errorf("the next call, %v after %s: %d %s; want done", time.Since(began), after, r.Status, r.Raw)
	}
}
