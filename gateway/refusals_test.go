package gateway

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"sallyport/gateway/wire"
)

var decisionID = regexp.MustCompile(`\(decision [0-9A-Za-z]*\)`)

// Every refusal before the upstream: what the person or the model reads, the HTTP status, and
// that the upstream saw nothing.
func TestRefusalsSayWhatWasWrongAndReachNoUpstream(t *testing.T) {
	f := newFixture(t)
	good := modernCall("read_file", `{"path":"/srv/a"}`)
	callHeaders := modernHeaders("tools/call", "read_file")
	list := `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	for _, tt := range []struct {
		name   string
		do     func() (status int, body string)
		status int
		want   string
	}{
		{"no token", f.try("POST", "", good, callHeaders...), 401, "unauthenticated: a valid access token is needed"},
		{"bad token", f.try("POST", "x", good, callHeaders...), 401, "unauthenticated: a valid access token is needed"},
		{"expired", f.try("POST", f.issuer.Expired(), good, callHeaders...), 401, "unauthenticated: a valid access token is needed"},
		{"alg none", f.try("POST", f.issuer.Unsigned(), good, callHeaders...), 401, "unauthenticated: a valid access token is needed"},
		{"confused", f.try("POST", f.issuer.Confused(), good, callHeaders...), 401, "unauthenticated: a valid access token is needed"},
		{"wrong audience", f.try("POST", f.issuer.WrongAudience(), good, callHeaders...), 401, "unauthenticated: a valid access token is needed"},
		{"wrong issuer", f.try("POST", f.issuer.WrongIssuer(), good, callHeaders...), 401, "unauthenticated: a valid access token is needed"},
		{"wrong typ", f.try("POST", f.issuer.WrongType(), good, callHeaders...), 401, "unauthenticated: a valid access token is needed"},
		{"lives too long", f.try("POST", f.issuer.LongLived(), good, callHeaders...), 401, "unauthenticated: a valid access token is needed"},
		{"duplicate claim", f.try("POST", f.issuer.DuplicateClaim(), good, callHeaders...), 401, "unauthenticated: a valid access token is needed"},
		{"PUT", f.try("PUT", f.reader, good), 405, "wrong_method: use POST (or GET and DELETE for sessions of the older protocol)"},
		{"foreign host", f.try("POST", f.reader, good, "Host", "evil.example"), 421, "wrong_host: this gateway does not answer for that host name"},
		{"foreign origin", f.try("POST", f.reader, good, "Origin", "https://evil.example"), 403, "forbidden_origin: requests from that origin are not accepted"},
		{"null origin", f.try("POST", f.reader, good, "Origin", "null"), 403, "forbidden_origin: requests from that origin are not accepted"},
		{"text", f.try("POST", f.reader, good, "Content-Type", "", "Content-Type", "text/plain"), 415, "wrong_type: send one Content-Type: application/json"},
		{"utf-16", f.try("POST", f.reader, good, "Content-Type", "", "Content-Type", "application/json; charset=utf-16"), 415, "wrong_type: send one Content-Type: application/json"},
		{"gzip", f.try("POST", f.reader, good, "Content-Encoding", "gzip"), 415, "wrong_type: compressed requests are not accepted"},
		{"over the limit", f.try("POST", f.reader, strings.Repeat(" ", 5000)+good, callHeaders...), 413, "413 the request is larger than 4096 bytes"},
		{"unknown server", f.try("POST", f.reader, good, append([]string{"path", "/mcp/none"}, callHeaders...)...), 404, "404 no MCP server is at this path; try /mcp"},
		{"empty", f.try("POST", f.reader, ""), 400, "-32700 the body is not one strict JSON message: no JSON value, at byte 0"},
		{"batch", f.try("POST", f.reader, "["+list+"]"), 400, "-32600 batches are not accepted: send one JSON-RPC message per request"},
		{"two messages", f.try("POST", f.reader, list+list), 400, "-32700 the body is not one strict JSON message: data after the end of the JSON value, at byte 47"},
		{"duplicate member", f.try("POST", f.reader, `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}`), 400, "-32700 the body is not one strict JSON message: the same member name twice in one object, at byte 40"},
		{"too deep", f.try("POST", f.reader, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_file","arguments":{"path":`+strings.Repeat("[", 70)+strings.Repeat("]", 70)+`}}}`), 400, "-32700 the body is not one strict JSON message: nested deeper than 64 levels, at byte 156"},
		{"endless id", f.try("POST", f.reader, `{"jsonrpc":"2.0","id":"`+strings.Repeat("x", 300)+`","method":"ping"}`), 400, `-32600 "id" must be a string or an integer of at most 256 bytes`},
		{"header against body", f.try("POST", f.reader, good, modernHeaders("tools/call", "write_file")...), 400, "-32020 header mismatch: the header Mcp-Name disagrees with the body"},
		{"unknown version", f.try("POST", f.reader, list, wire.HeaderVersion, "2030-01-01"), 400, "-32022 unsupported protocol version"},
		{"unknown method, older", f.try("POST", f.reader, `{"jsonrpc":"2.0","id":1,"method":"tools/steal"}`), 200, "-32601 Method not found: tools/steal"},
		{"unknown method, newer", f.try("POST", f.reader, `{"jsonrpc":"2.0","id":1,"method":"tools/steal","params":{`+meta+`}}`, modernHeaders("tools/steal", "")...), 404, "-32601 Method not found: tools/steal"},
		{"unknown tool", f.try("POST", f.reader, legacyCall("nope", `{}`)), 200, "-32602 Unknown tool: nope"},
		{"tool with a bad schema", f.try("POST", f.reader, legacyCall("broken", `{}`)), 200, "-32602 Unknown tool: broken"},
		{"hidden tool", f.try("POST", f.reader, legacyCall("write_file", `{"path":"/srv/a"}`)), 200, "-32602 Unknown tool: write_file"},
		{"hidden tool, wrong arguments", f.try("POST", f.reader, legacyCall("write_file", `{"path":7}`)), 200, "-32602 Unknown tool: write_file"},
		{"wrong type", f.try("POST", f.reader, legacyCall("read_file", `{"path":["/etc"]}`)), 200, "invalid arguments for read_file: /path: must be string, got array"},
		{"folded argument", f.try("POST", f.reader, legacyCall("read_file", `{"path":"/srv/a","PATH":"/etc/passwd"}`)), 400, `-32600 arguments: argument name "PATH" would be read as "path" by a parser that ignores case, at byte 17`},
		{"denied", f.try("POST", f.reader, legacyCall("read_file", `{"path":"/etc/passwd"}`)), 200, "Denied by policy: no rule allows it (decision ID)"},
		{"denied with a reason", f.try("POST", f.reader, legacyCall("read_file", `{"path":"/srv/.aws/credentials"}`)), 200, "Denied by policy: no secrets (decision ID)"},
		{"denied resource", f.try("POST", f.reader, `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///etc/passwd"}}`), 200, "403 Denied by policy: no rule allows it (decision ID)"},
		{"another's session", f.try("POST", f.reader, list, wire.HeaderSession, "own"), 404, "404 Session not found"},
		{"GET in the newer era", f.try("GET", f.reader, "", wire.HeaderVersion, wire.V20260728), 405, "wrong_method: protocol 2026-07-28 has POST only"},
		{"unasked answer", f.try("POST", f.reader, `{"jsonrpc":"2.0","id":1,"result":{}}`), 400, "-32600 the response answers no open question"},
		{"unknown task", f.try("POST", f.reader, `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t"}}`), 200, "-32602 Unknown task"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, body := tt.do()
			got := decisionID.ReplaceAllString(body, "(decision ID)")
			if status != tt.status || got != tt.want {
				t.Errorf("answer %d %q; want %d %q", status, got, tt.status, tt.want)
			}
		})
	}
	if sent := f.up.requests(); len(sent) != 0 {
		t.Errorf("the upstream was sent %d requests; want none: %s", len(sent), sent[0].Body)
	}
}

func (f *fixture) try(method, token, body string, headers ...string) func() (int, string) {
	return func() (int, string) {
		w := f.do(method, token, body, headers...)
		return w.Code, toolText(w.Body.String())
	}
}

func TestRefusalWithoutTokenPointsAtTheMetadata(t *testing.T) {
	f := newFixture(t)
	for path, want := range map[string]string{
		"/mcp":       `Bearer resource_metadata="http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp"`,
		"/mcp/files": `Bearer resource_metadata="http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp/files"`,
		"/mcp/none":  `Bearer resource_metadata="http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp/none"`, // which servers exist is not told
		"/x":         `Bearer resource_metadata="http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp"`,
	} {
		w := f.post("", `{}`, "path", path)
		if got := w.Header().Get("WWW-Authenticate"); w.Code != 401 || got != want {
			t.Errorf("%s: %d, WWW-Authenticate %s; want 401 %s", path, w.Code, got, want)
		}
	}
	r := f.request(http.MethodPost, "", `{}`)
	r.URL.RawQuery = "access_token=" + f.reader
	w := f.serve(r)
	if w.Code != 401 {
		t.Errorf("token in the query: status %d; want 401", w.Code)
	}
}

// What is hidden and what does not exist give the same bytes, headers included.
func TestHiddenToolLooksLikeOneThatDoesNotExist(t *testing.T) {
	f := newFixture(t)
	for _, args := range []string{`{}`, `{"path":"/srv/a"}`, `{"path":7}`, `{"path":"a","path2":{}}`} {
		hidden := f.post(f.reader, legacyCall("write_file", args))
		unknown := f.post(f.reader, legacyCall("xrite_file", args))
		want := strings.Replace(unknown.Body.String(), "xrite_file", "write_file", 1)
		if hidden.Body.String() != want || hidden.Code != unknown.Code {
			t.Errorf("arguments %s: %d %s; want %d %s", args, hidden.Code, hidden.Body, unknown.Code, want)
		}
		for name := range hidden.Header() {
			if a, b := hidden.Header().Get(name), unknown.Header().Get(name); a != b {
				t.Errorf("header %s: %q; want %q", name, a, b)
			}
		}
	}
	if n := len(f.up.requests()); n != 0 {
		t.Errorf("%d requests reached the upstream; want 0", n)
	}
}

// The record has the refusal of somebody known, and only a count of nobody's.
func TestRefusalsAreRecorded(t *testing.T) {
	f := newFixture(t)
	f.post(f.reader, legacyCall("read_file", `{"path":"/etc/passwd"}`))
	rec := f.rec.last()
	if rec.Code != "denied" || rec.Decision != "deny" || rec.Subject != "ann" || rec.Tool != "read_file" || rec.PolicyRevision == "" || rec.Arguments != nil || rec.ArgumentsDigest == "" {
		t.Errorf("record = %+v", rec)
	}
	f.post(f.reader, legacyCall("write_file", `{}`))
	if rec = f.rec.last(); rec.Code != "unknown_tool" || !strings.Contains(rec.Detail, "denied") {
		t.Errorf("record of a hidden tool = %+v; want unknown_tool with the reason for the operator", rec)
	}
	before := len(f.rec.records)
	f.post("", `{}`)
	if len(f.rec.records) != before || len(f.rec.refused) != 1 || f.rec.refused[0] != "unauthenticated" {
		t.Errorf("refusal of nobody: %d records more, counted %v; want none and one", len(f.rec.records)-before, f.rec.refused)
	}
}

// A call can be found by the trace that its client gives it; what is no trace is left out.
func TestRecordHasTheTrace(t *testing.T) {
	f := newFixture(t)
	for header, want := range map[string]string{
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01": "4bf92f3577b34da6a3ce929d0e0e4736",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": "",
		"secret": "",
	} {
		f.post(f.reader, legacyCall("read_file", `{"path":"/srv/a"}`), "Traceparent", header)
		if got := f.rec.last().TraceID; got != want {
			t.Errorf("Traceparent %s: trace_id %q; want %q", header, got, want)
		}
	}
}

// What a caller names goes into the record cut short: it could be as large as a request.
func TestRecordHoldsNoEndlessNames(t *testing.T) {
	f := newFixture(t)
	long := strings.Repeat("x", 3000)
	f.post(f.reader, legacyCall(long, `{}`))
	if got := f.rec.last().Tool; len(got) > 200 || !strings.HasPrefix(got, "xxx") {
		t.Errorf("recorded tool has %d bytes", len(got))
	}
	f.post(f.reader, `{"jsonrpc":"2.0","id":1,"method":"`+long+`"}`)
	if got := f.rec.last().Method; len(got) > 200 || !strings.HasPrefix(got, "xxx") {
		t.Errorf("recorded method has %d bytes", len(got))
	}
}
