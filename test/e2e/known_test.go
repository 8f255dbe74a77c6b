package e2e

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Failures that others have published, each tried on the real binary. docs/known-failures.md lists
// them, with those that other packages hold.

// knownGate is a gateway before a server that counts bytes, and a reader's token.
func knownGate(t *testing.T) (*gate, *recorder, string) {
	t.Helper()
	up := newRecorder(t)
	g := startGate(t, setup{policies: map[string]string{"authz.rego": readersRead}, servers: map[string]string{"files": up.url}})
	token := g.token(t, "reader")
	if r := g.modernCall(t, token, "read_file", `{"path":"/srv/docs/a"}`); r.text() != "done" {
		t.Fatalf("the call that is allowed: %d %s", r.Status, r.Raw)
	}
	return g, up, token
}

// raw sends bytes and returns the status line and what follows.
func (g *gate) raw(t *testing.T, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, body)
}

// GHSA-wvj2-96wp-fq3f (CVE-2026-27896), GHSA-q382-vc8q-7jhj: go-sdk matched the protocol's keys without
// regard to case and to what folds alike, so that a checker before it read another message than it did.
func TestKnownCVE202627896KeysThatFoldAlike(t *testing.T) {
	g, up, token := knownGate(t)
	const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{` + modern + `,"name":"read_file","arguments":{"path":"/srv/docs/a"}%s}%s}`
	for _, c := range []struct{ inParams, outside string }{
		{`,"Name":"delete_file"`, ``}, {`,"name":"delete_file"`, ``}, {`,"NAME":"delete_file"`, ``}, {`,"nam\u0065":"delete_file"`, ``},
		{`,"Arguments":{"path":"/etc/passwd"}`, ``}, {`,"argument\u017f":{"path":"/etc/passwd"}`, ``}, {`,"name\u0000":"delete_file"`, ``},
		{``, `,"Method":"resources/read"`}, {``, `,"Params":{}`}, {``, `,"METHOD":"x"`}, {``, `,"ID":2`},
	} {
		up.untouched(t, c.inParams+c.outside, func() {
			r := g.post(t, token, fmt.Sprintf(call, c.inParams, c.outside), "Mcp-Method", "tools/call", "Mcp-Name", "read_file")
			if r.Status != http.StatusBadRequest {
				t.Errorf("with %s%s: %d %s; want 400", c.inParams, c.outside, r.Status, r.Raw)
			}
		})
	}
}

// CVE-2026-33252: go-sdk took requests that a page of another origin had made a browser send.
func TestKnownCVE202633252PostFromAnotherOrigin(t *testing.T) {
	g, up, token := knownGate(t)
	for _, origin := range []string{"https://evil.test", "null", "http://localhost.evil.test", "http://" + g.addr + ".evil.test", "file://"} {
		up.untouched(t, "Origin "+origin, func() {
			if r := g.modernCall(t, token, "read_file", `{"path":"/srv/docs/a"}`, "Origin", origin); r.Status != http.StatusForbidden {
				t.Errorf("Origin %s: %d %s; want 403", origin, r.Status, r.Raw)
			}
		})
	}
}

// GHSA-xw59-hvm2-8pj6 (CVE-2026-34742) and GHSA-46gc-mwh4-cc5r: the check against DNS rebinding was off
// unless somebody turned it on. Here no setting turns it off.
func TestKnownCVE202634742HostOfAnotherName(t *testing.T) {
	g, up, token := knownGate(t)
	_, port, err := net.SplitHostPort(g.addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"evil.test", "evil.test:" + port, "127.0.0.1.evil.test:" + port, "0.0.0.0:" + port} {
		up.untouched(t, "Host "+host, func() {
			got := g.raw(t, "POST "+g.endpoint+" HTTP/1.1\r\nHost: "+host+"\r\nAuthorization: Bearer "+token+"\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
			if !strings.HasPrefix(got, "421 ") {
				t.Errorf("Host %s: %s; want 421", host, got)
			}
		})
	}
}

// GHSA-g53w-w6mj-hrpp (Kuadrant mcp-gateway): a header with a constant key, and an authority of the
// caller's choice, stood for a token. Here no header but Authorization (and its proof) says who calls.
func TestKnownGHSAg53wHeadersThatStandForAToken(t *testing.T) {
	g, up, _ := knownGate(t)
	for _, h := range [][2]string{
		{"router-key", "secret-api-key"}, {"x-mcp-authorized", "eyJhbGciOiJub25lIn0.e30."}, {"X-Forwarded-User", "admin"}, {"X-Forwarded-Host", "internal"},
		{"X-Forwarded-Authorization", "Bearer x"}, {"Proxy-Authorization", "Basic YTpi"}, {"Cookie", "session=1"}, {"X-Api-Key", "k"}, {"Forwarded", "for=127.0.0.1;host=internal"},
		{"X-Original-Url", "/healthz"}, {"Mcp-Session-Id", "1"},
	} {
		up.untouched(t, h[0], func() {
			if r := g.modernCall(t, "", "read_file", `{"path":"/srv/docs/a"}`, h[0], h[1]); r.Status != http.StatusUnauthorized {
				t.Errorf("%s: %s without a token: %d %s; want 401", h[0], h[1], r.Status, r.Raw)
			}
		})
	}
}

// GHSA-pr64-jmmf-jp54 (ToolHive): what a token or a challenge named was fetched from the gateway's own
// network. Here nothing that a stranger's token names is asked for anything.
func TestKnownGHSApr64TokenThatNamesAURL(t *testing.T) {
	g, _, _ := knownGate(t)
	var asked atomic.Int64
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(trap.Close)
	for _, header := range []string{`{"alg":"EdDSA","jku":"%s/keys"}`, `{"alg":"ES256","x5u":"%s/cert"}`, `{"alg":"EdDSA","kid":"%s/kid"}`} {
		for _, claims := range []string{`{"iss":"%s"}`, `{"iss":"%s/.well-known","aud":"x","sub":"y"}`} {
			token := base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(header, trap.URL))) + "." + base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(claims, trap.URL))) + ".AAAA"
			if r := g.modernCall(t, token, "read_file", `{"path":"/srv/docs/a"}`); r.Status != http.StatusUnauthorized {
				t.Errorf("%s %s: %d; want 401", header, claims, r.Status)
			}
			resp, err := http.PostForm(g.url("/oauth/token"), map[string][]string{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"},
				"subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"}, "subject_token": {token}, "resource": {trap.URL}})
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode < 400 {
				t.Errorf("exchange of %s %s: %d; want a refusal", header, claims, resp.StatusCode)
			}
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("what the tokens name was asked %d times", n)
	}
}

// gh-aw-mcpg #3332: tools were filtered out of lists alone, and an agent with a shell called them with
// curl. Here a tool that is not shown does not exist.
func TestKnownGhAwMcpg3332HiddenToolCalledAllTheSame(t *testing.T) {
	g, up, token := knownGate(t)
	up.untouched(t, "a hidden tool", func() {
		hidden := g.modernCall(t, token, "delete_file", `{"path":"/srv/docs/a"}`)
		absent := g.modernCall(t, token, "no_such_file", `{"path":"/srv/docs/a"}`)
		if hidden.Error == nil || hidden.Error.Code != -32602 || strings.ReplaceAll(hidden.Raw, "delete_file", "no_such_file") != absent.Raw {
			t.Errorf("a hidden tool: %d %s\none that is not there: %d %s", hidden.Status, hidden.Raw, absent.Status, absent.Raw)
		}
	})
}

// CVE-2026-9739 and CVE-2026-11624 (mcp-toolbox): every origin and every host was welcome by default.
func TestKnownCVE20269739EveryOriginIsWelcome(t *testing.T) {
	g, _, token := knownGate(t)
	for _, path := range []string{g.endpoint, "/.well-known/oauth-protected-resource", "/oauth/token", "/.well-known/jwks.json"} {
		for _, method := range []string{http.MethodOptions, http.MethodGet, http.MethodPost} {
			req, err := http.NewRequestWithContext(t.Context(), method, g.url(path), strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Origin", "https://evil.test")
			req.Header.Set("Access-Control-Request-Method", "POST")
			req.Header.Set("Authorization", "Bearer "+token)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if allow := resp.Header.Get("Access-Control-Allow-Origin"); allow == "*" && path == g.endpoint || allow == "https://evil.test" || resp.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s %s lets any origin read it: %v", method, path, resp.Header)
			}
		}
	}
}

// envoyproxy/ai-gateway #1863: a name was compared in one case and forwarded in another.
func TestKnownAIGateway1863NamesInAnotherCase(t *testing.T) {
	g, up, token := knownGate(t)
	for _, name := range []string{"READ_FILE", "Read_File", "read_file ", "read\u005ffile\u200b"} {
		up.untouched(t, name, func() {
			if r := g.modernCall(t, token, name, `{"path":"/srv/docs/a"}`); r.text() == "done" || r.Status == http.StatusOK && r.Error == nil {
				t.Errorf("tool %q: %d %s; want a refusal", name, r.Status, r.Raw)
			}
		})
	}
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{%s,"name":"read_file","arguments":{"path":"/srv/docs/a"}}}`, modern)
	up.untouched(t, "Mcp-Name in another case", func() {
		if r := g.post(t, token, body, "Mcp-Method", "tools/call", "Mcp-Name", "Read_File"); r.Status != http.StatusBadRequest || r.Error == nil || r.Error.Code != -32020 {
			t.Errorf("a header in another case than the body: %d %s; want 400 and -32020", r.Status, r.Raw)
		}
	})
}

// toolhive #5745, docker/mcp-gateway #414 and #418: batches, second documents and keys given twice were
// read in one way by who decided and in another by who acted.
func TestKnownToolhive5745BatchesAndSecondDocuments(t *testing.T) {
	g, up, token := knownGate(t)
	call := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{%s,"name":"read_file","arguments":{"path":"/srv/docs/a"}}}`, modern)
	for _, body := range []string{"[" + call + "]", "[" + call + "," + call + "]", call + call, call + "\n" + call, call + " x", "\ufeff" + call, strings.Replace(call, `"path":"/srv/docs/a"`, `"path":"/srv/docs/a","path":"/etc/passwd"`, 1), "[]"} {
		up.untouched(t, body[:min(40, len(body))], func() {
			if r := g.post(t, token, body, "Mcp-Method", "tools/call", "Mcp-Name", "read_file"); r.Status != http.StatusBadRequest {
				t.Errorf("%.60q…: %d %s; want 400", body, r.Status, r.Raw)
			}
		})
	}
}

// mcpjungle #252 and the hyprmcp that peers were measured with: a client's Authorization went on to the
// servers.
func TestKnownMCPJungle252AuthorizationGoesOn(t *testing.T) {
	g, up, token := knownGate(t)
	g.modernCall(t, token, "read_file", `{"path":"/srv/docs/a"}`, "Cookie", "session=clients-own", "X-Api-Key", "clients-own")
	up.mu.Lock()
	defer up.mu.Unlock()
	for _, call := range up.calls {
		for name, values := range call.header {
			if strings.EqualFold(name, "Authorization") || strings.Contains(strings.Join(values, " "), token) || strings.Contains(strings.Join(values, " "), "clients-own") {
				t.Errorf("the server got %s: %v", name, values)
			}
		}
	}
}

// github/gh-aw #50772: logs held arguments and tokens.
func TestKnownGhAw50772LogsHoldArguments(t *testing.T) {
	g, _, token := knownGate(t)
	const secret = "hunter2-in-an-argument"
	g.modernCall(t, token, "read_file", `{"path":"/srv/docs/`+secret+`"}`)
	g.modernCall(t, token, "read_file", `{"path":"/etc/`+secret+`"}`)
	g.modernCall(t, token+"x", "read_file", `{"path":"/etc/`+secret+`"}`)
	if text := g.log.String(); strings.Contains(text, secret) || strings.Contains(text, token) {
		t.Errorf("the log holds an argument or a token:\n%s", text)
	}
}

// kuadrant #1150 and others: a list that is null, or a server that is healthy and offers nothing, broke
// clients. A list is always a list.
func TestKnownKuadrant1150ListsThatAreNull(t *testing.T) {
	up := newRecorder(t)
	g := startGate(t, setup{policies: map[string]string{"authz.rego": readersRead + "\nallow if { \"guest\" in input.subject.roles; input.tool.name == \"not_there\" }\n"}, servers: map[string]string{"files": up.url}})
	r := g.post(t, g.token(t, "guest"), fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{%s}}`, modern), "Mcp-Method", "tools/list")
	if !strings.Contains(r.Raw, `"tools":[]`) {
		t.Errorf("the list of who may use nothing: %d %s; want an empty list", r.Status, r.Raw)
	}
}
