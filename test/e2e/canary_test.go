package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"sallyport/gateway/credential"
	"sallyport/gateway/wire"
)

// canary is an MCP server of both eras that keeps every byte that reaches it: over HTTP all that
// comes on its connections, as a program all of its input, its arguments and its environment.
type canary struct {
	keep func(b []byte)

	mu   sync.Mutex // guards seen
	seen map[string]bool
}

// canaryKeeps is the variable that makes this test binary a canary, and names the file in which it
// keeps its bytes.
const canaryKeeps = "CANARY_KEEPS"

// answer is the answer to one message, or "" where there is none.
func (c *canary) answer(message []byte) string {
	var m struct {
		ID     json.RawMessage
		Method string
	}
	_ = json.Unmarshal(message, &m)
	if m.Method == "" {
		m.Method = "response"
	}
	c.mu.Lock()
	c.seen[m.Method] = true
	c.mu.Unlock()
	if m.ID == nil || m.Method == "response" {
		return ""
	}
	const everything = `"capabilities":{"tools":{},"prompts":{},"resources":{"subscribe":true},"completions":{},"logging":{}},"serverInfo":{"name":"canary","version":"1"}`
	result := map[string]string{
		"initialize":               `{"protocolVersion":"2025-11-25",` + everything + `}`,
		"server/discover":          `{"resultType":"complete","ttlMs":3600000,"cacheScope":"private","supportedVersions":["2026-07-28","2025-11-25"],` + everything + `}`,
		"tools/list":               `{"tools":[{"name":"work","inputSchema":{"type":"object"}}],"ttlMs":3600000,"cacheScope":"private","resultType":"complete"}`,
		"tools/call":               `{"resultType":"complete","content":[],"task":{"taskId":"t1","status":"working"},"taskId":"t1"}`,
		"prompts/list":             `{"resultType":"complete","prompts":[{"name":"hint"}],"ttlMs":3600000,"cacheScope":"private"}`,
		"resources/list":           `{"resultType":"complete","resources":[{"uri":"note://1","name":"note"}],"ttlMs":3600000,"cacheScope":"private"}`,
		"resources/templates/list": `{"resultType":"complete","resourceTemplates":[],"ttlMs":3600000,"cacheScope":"private"}`,
		"tasks/list":               `{"tasks":[]}`,
		"prompts/get":              `{"resultType":"complete","messages":[]}`,
		"resources/read":           `{"resultType":"complete","contents":[],"ttlMs":0,"cacheScope":"private"}`,
		"completion/complete":      `{"resultType":"complete","completion":{"values":[]}}`,
	}[m.Method]
	if result == "" {
		result = `{"resultType":"complete","taskId":"t1","status":"working"}`
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, result)
}

// question is what the canary asks of a client on its stream.
const question = `{"jsonrpc":"2.0","id":"q1","method":"roots/list"}`

func (c *canary) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if r.Method != http.MethodPost {
		c.mu.Lock()
		c.seen[r.Method] = true
		c.mu.Unlock()
	}
	answer := ""
	switch {
	case r.Method == http.MethodGet:
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: %s\n\n", question)
		return
	case r.Method == http.MethodDelete:
		return
	default:
		answer = c.answer(body)
	}
	if answer == "" {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	if bytes.Contains(body, []byte(`"initialize"`)) {
		w.Header().Set("Mcp-Session-Id", "session-of-the-canary")
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, answer)
}

// serveCanary is the canary as a program.
func serveCanary(file string) error {
	kept, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	c := &canary{seen: map[string]bool{}}
	fmt.Fprintf(kept, "%q\n%q\n", os.Args, os.Environ())
	in := bufio.NewReader(io.TeeReader(os.Stdin, kept))
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return nil // the gateway has closed the input
		}
		if answer := c.answer(line); answer != "" {
			fmt.Println(answer)
		}
	}
}

// keepingListener hands on all bytes that its connections read.
type keepingListener struct {
	net.Listener
	keep func([]byte)
}

func (l keepingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return &keepingConn{conn, l.keep}, err
}

type keepingConn struct {
	net.Conn
	keep func([]byte)
}

func (c *keepingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.keep(p[:n])
	return n, err
}

// inbound is what a client sends beside its message and what must end at the gateway, by name.
func inbound(token string) map[string]string {
	out := map[string]string{"Authorization": "Bearer " + token}
	for _, name := range []string{"Cookie", "Proxy-Authorization", "X-Api-Key", "X-Auth-Token", "X-Access-Token", "Dpop", "X-Forwarded-For",
		"X-Forwarded-Authorization", "X-Forwarded-Access-Token", "X-Amzn-Oidc-Data", "X-Goog-Iap-Jwt-Assertion", "Cf-Access-Jwt-Assertion",
		"Forwarded", "Baggage", "Referer", "From", "User-Agent", "Mcp-Token", "Txn-Token", "X-Csrf-Token", "If-Match", "Via", "Query"} {
		out[name] = "canary-of-" + strings.ToLower(name) + "-header"
	}
	return out
}

// params are what each method needs, so that it is taken.
func params(method string) (text, name string) {
	const task, uri = `"taskId":"t1"`, `"uri":"note://1"`
	switch method {
	case "initialize":
		return `"protocolVersion":"2025-11-25","capabilities":{"roots":{}},"clientInfo":{"name":"canary","version":"1"}`, ""
	case "tools/call":
		return `"name":"work","arguments":{"word":"seen-by-the-canary"}`, "work"
	case "prompts/get":
		return `"name":"hint"`, "hint"
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		return uri, "note://1"
	case "completion/complete":
		return `"ref":{"type":"ref/prompt","name":"hint"},"argument":{"name":"a","value":"b"}`, ""
	case "logging/setLevel":
		return `"level":"info"`, ""
	case "subscriptions/listen":
		return `"notifications":{"toolsListChanged":true}`, ""
	case "notifications/cancelled":
		return `"requestId":99`, ""
	case "notifications/progress":
		return `"progressToken":1,"progress":1`, ""
	case "tasks/update":
		return task + `,"inputResponses":{}`, "t1"
	case "tasks/get", "tasks/result", "tasks/cancel", "notifications/tasks/status":
		return task, "t1"
	}
	return "", ""
}

// sendEverything sends every message that a client of the era may send to a path, and with each
// all that must not pass.
func sendEverything(t *testing.T, g *gate, path, token string, era wire.Era) {
	t.Helper()
	session := ""
	send := func(httpMethod, method, body, name string) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, httpMethod, g.url(path)+"?key=canary-of-query-header", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range inbound(token) {
			if name != "Query" {
				req.Header.Set(name, value)
			}
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		if era == wire.Modern {
			req.Header.Set("Mcp-Protocol-Version", wire.V20260728)
			req.Header.Set("Mcp-Method", method)
			if name != "" && method != "resources/subscribe" {
				req.Header.Set("Mcp-Name", name)
			}
		} else if session != "" {
			req.Header.Set("Mcp-Session-Id", session)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("%s %s: %v", httpMethod, method, err)
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusUnauthorized {
			t.Errorf("%s %s %s: 401; the token must be good, or nothing is tried", era, httpMethod, method)
		}
		if method == "initialize" {
			session = resp.Header.Get("Mcp-Session-Id")
		}
		if method == "subscriptions/listen" {
			return // a stream without end
		}
		switch {
		case httpMethod != http.MethodGet:
			_, _ = io.Copy(io.Discard, resp.Body)
		case path == "/mcp/web": // where a question comes
			_, _ = bufio.NewReader(resp.Body).ReadString('\n')
		}
	}
	methods := slices.Clone(wire.Methods(era))
	if i := slices.Index(methods, "initialize"); i >= 0 {
		methods = slices.Insert(slices.Delete(methods, i, i+1), 0, "initialize", "notifications/initialized", "tools/call")
	} else {
		methods = slices.Insert(methods, 0, "tools/call")
	}
	for i, method := range methods {
		text, name := params(method)
		if era == wire.Modern {
			text = strings.TrimSuffix(modern+","+text, ",")
		}
		id := fmt.Sprintf(`"id":%d,`, i+1)
		if strings.HasPrefix(method, "notifications/") {
			id = ""
		}
		send(http.MethodPost, method, fmt.Sprintf(`{"jsonrpc":"2.0",%s"method":%q,"params":{%s}}`, id, method, text), name)
	}
	if era == wire.Legacy {
		send(http.MethodGet, "", "", "")
		send(http.MethodPost, "response", `{"jsonrpc":"2.0","id":"q1","result":{"roots":[]}}`, "")
		send(http.MethodDelete, "", "", "")
	}
}

// noneOf fails when any of what must end at the gateway is in what a server got, in any form that
// is looked for in answers.
func noneOf(t *testing.T, kept []byte, token string) {
	t.Helper()
	for name, value := range inbound(token) {
		parts := []string{strings.TrimPrefix(value, "Bearer ")}
		if name == "Authorization" {
			parts = append(parts, strings.Split(token, ".")[1:]...) // the claims and the signature by themselves
		}
		for _, part := range parts {
			var s credential.Scrubber
			s.Learn(part)
			if _, n := s.Scrub(kept); n > 0 || bytes.Contains(kept, []byte(part)) {
				t.Errorf("%s of the client reached the server (%d times)", name, n)
			}
		}
	}
	var s credential.Scrubber
	s.Learn("seen-by-the-canary")
	if _, n := s.Scrub(kept); n == 0 {
		t.Error("not even the arguments of a call were found; the test proves nothing")
	}
}

// TestNothingOfAClientsCredentialsReachesAServer sends every method of both eras with everything
// that could be taken for a credential, and looks at every byte that the servers got: one over
// HTTP and one that is a program, each at its own URL and at that of all.
func TestNothingOfAClientsCredentialsReachesAServer(t *testing.T) {
	var mu sync.Mutex // guards kept
	var kept []byte
	c := &canary{seen: map[string]bool{}}
	c.keep = func(b []byte) {
		mu.Lock()
		defer mu.Unlock()
		kept = append(kept, b...)
	}
	srv := httptest.NewUnstartedServer(c)
	srv.Listener = keepingListener{srv.Listener, c.keep}
	srv.Start()
	t.Cleanup(srv.Close)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/kept"
	g := startGate(t, setup{
		policies: map[string]string{"authz.rego": allowTesters},
		servers:  map[string]string{"web": srv.URL + "/mcp"},
		programs: map[string]string{"program": fmt.Sprintf("{command: %q, env: {%s: %q}, sandbox: none}", self, canaryKeeps, file)},
	})
	token := g.token(t, "tester")
	for _, path := range []string{"/mcp/web", "/mcp/program", "/mcp"} {
		for _, era := range []wire.Era{wire.Modern, wire.Legacy} {
			sendEverything(t, g, path, token, era)
		}
	}
	g.signal(syscall.SIGTERM)
	mu.Lock()
	defer mu.Unlock()
	noneOf(t, kept, token)
	program, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	noneOf(t, program, token)

	// What was not tried proves nothing. tools/list is answered from the catalogue, and a
	// cancelled call ends at the gateway where it has no session.
	for _, method := range slices.Concat(wire.Methods(wire.Modern), wire.Methods(wire.Legacy), []string{"GET", "DELETE", "response"}) {
		if !c.seen[method] {
			t.Errorf("%s did not reach the server; it was not tried", method)
		}
	}
}
