package wire

import (
	"bytes"
	"net/http"
	"testing"
)

const modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`

func headers(kv ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(kv); i += 2 {
		h.Add(kv[i], kv[i+1])
	}
	return h
}

func modern(method, name string) http.Header {
	h := headers("Mcp-Protocol-Version", V20260728, "Mcp-Method", method)
	if name != "" {
		h.Set("Mcp-Name", name)
	}
	return h
}

func TestDecodeReadsBothEras(t *testing.T) {
	body := `{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{"name":"r\u00e9ad","arguments":{"NAME":1},` + modernMeta + `}}`
	m, err := Decode([]byte(body), modern("tools/call", "=?base64?csOpYWQ=?="), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Era != Modern || m.Kind != Request || string(m.ID) != "9007199254740993" || m.Name != "réad" || string(m.Arguments) != `{"NAME":1}` || string(m.Raw) != body {
		t.Errorf("Decode = %+v", m)
	}
	m, err = Decode([]byte(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}`), headers("Mcp-Protocol-Version", V20250618), Limits{})
	if err != nil || m.Era != Legacy || m.Kind != Notification || string(m.RequestID) != `"a"` || m.Version != V20250618 {
		t.Errorf("Decode = %+v, %v", m, err)
	}
	m, err = Decode([]byte(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2024-11-05"}}`), nil, Limits{})
	if err != nil || m.InitVersion != "2024-11-05" || m.Version != "" {
		t.Errorf("Decode = %+v, %v", m, err)
	}
	m, err = Decode([]byte(`{"jsonrpc":"2.0","id":1,"result":{"action":"accept","content":{"Name":"x"}}}`), nil, Limits{})
	if err != nil || m.Kind != Response || m.Version != V20250326 {
		t.Errorf("Decode = %+v, %v", m, err)
	}
}

func TestDecodeRefusesWithAMessage(t *testing.T) {
	call := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x",` + modernMeta + `}}`
	for _, tt := range []struct {
		body string
		h    http.Header
		rpc  int
		want string
	}{
		{`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, nil, -32600, "batches are not accepted: send one JSON-RPC message per request"},
		{`{`, nil, -32700, "the body is not one strict JSON message: the JSON value ends too early, at byte 1"},
		{`{"jsonrpc":"2.0","id":1,"method":"ping","METHOD":"tools/call"}`, nil, -32700, `the body is not one strict JSON message: member name "METHOD" would be read as "method" by a parser that ignores case, at byte 48`},
		{`{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}`, nil, -32700, "the body is not one strict JSON message: the same member name twice in one object, at byte 24"},
		{`"x"`, nil, -32600, "a JSON-RPC message is an object"},
		{`{"id":1,"method":"ping"}`, nil, -32600, `"jsonrpc" must be "2.0"`},
		{`{"jsonrpc":"2.0","id":null,"method":"ping"}`, nil, -32600, `"id" must be a string or an integer`},
		{`{"jsonrpc":"2.0","id":1.5,"method":"ping"}`, nil, -32600, `"id" must be a string or an integer`},
		{`{"jsonrpc":"2.0","id":1e3,"method":"ping"}`, nil, -32600, `"id" must be a string or an integer`},
		{`{"jsonrpc":"2.0","id":1,"method":7}`, nil, -32600, `"method" must be a string that is not empty`},
		{`{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}`, nil, -32600, `"params" must be an object`},
		{`{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}`, nil, -32600, "a message is a request, a notification or a response: not two of them"},
		{`{"jsonrpc":"2.0","result":{}}`, nil, -32600, `a response must have an "id"`},
		{`{"jsonrpc":"2.0","id":1}`, nil, -32600, `a message needs a "method", a "result" or an "error"`},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}`, nil, -32602, "tools/call needs a non-empty params.name"},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":[]}}`, nil, -32602, `params: "arguments" must be an object`},
		{call, nil, -32020, "header mismatch: Mcp-Protocol-Version is missing and _meta names a revision"},
		{call, headers("Mcp-Protocol-Version", V20251125), -32020, "header mismatch: Mcp-Protocol-Version and _meta name different revisions"},
		{call, headers("Mcp-Protocol-Version", V20260728), -32020, "header mismatch: the header Mcp-Method is missing"},
		{call, modern("tools/list", "x"), -32020, "header mismatch: the header Mcp-Method disagrees with the body"},
		{call, modern("tools/call", ""), -32020, "header mismatch: the header Mcp-Name is missing"},
		{call, modern("tools/call", "y"), -32020, "header mismatch: the header Mcp-Name disagrees with the body"},
		{call, modern("tools/call", "=?base64?%%?="), -32020, "header mismatch: the header Mcp-Name is not valid base64"},
		{call, headers("Mcp-Protocol-Version", V20260728, "Mcp-Method", "tools/call", "Mcp-Method", "tools/call"), -32020, "header mismatch: the header Mcp-Method is there 2 times"},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}`, headers("Mcp-Name", "y"), -32020, "header mismatch: the header Mcp-Name disagrees with the body"},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, headers("Mcp-Protocol-Version", "1999-01-01"), -32022, "unsupported protocol version"},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, modern("tools/list", ""), -32602, `params._meta needs "io.modelcontextprotocol/protocolVersion"`},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`, modern("tools/list", ""), -32602, `params._meta needs "io.modelcontextprotocol/clientCapabilities"`},
		{`{"jsonrpc":"2.0","id":1,"result":{}}`, headers("Mcp-Protocol-Version", V20260728), -32600, "protocol 2026-07-28 has no responses from clients: answer in inputResponses of a retry"},
	} {
		m, err := Decode([]byte(tt.body), tt.h, Limits{})
		if err == nil || err.RPC != tt.rpc || err.Message != tt.want {
			t.Errorf("Decode(%s, %v) = %+v, %+v; want %d %s", tt.body, tt.h, m, err, tt.rpc, tt.want)
		}
	}
}

func TestParamHeadersMirrorTheArguments(t *testing.T) {
	schema := []byte(`{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"o":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}}}}`)
	bindings, err := HeaderBindings(schema)
	if err != nil || len(bindings) != 2 {
		t.Fatalf("HeaderBindings = %v, %v", bindings, err)
	}
	args := []byte(`{"region":"eu","o":{"n":42}}`)
	for _, tt := range []struct {
		h    http.Header
		want string
	}{
		{headers("Mcp-Param-Region", "eu", "Mcp-Param-N", "42"), ""},
		{headers("Mcp-Param-Region", "eu", "Mcp-Param-N", "42.0"), ""},
		{headers("Mcp-Param-Region", "us", "Mcp-Param-N", "42"), "header mismatch: the header Mcp-Param-Region disagrees with the body"},
		{headers("Mcp-Param-N", "42"), "header mismatch: the header Mcp-Param-Region is missing"},
	} {
		got := ""
		if err := CheckParamHeaders(tt.h, bindings, args); err != nil {
			got = err.Message
		}
		if got != tt.want {
			t.Errorf("CheckParamHeaders(%v) = %q; want %q", tt.h, got, tt.want)
		}
	}
	if _, err := HeaderBindings([]byte(`{"properties":{"a":{"type":"object","x-mcp-header":"A"}}}`)); err == nil {
		t.Error("x-mcp-header on an object was accepted")
	}
}

func TestForwardHeadersStartFromNothing(t *testing.T) {
	in := headers("Authorization", "Bearer secret", "Cookie", "a=b", "X-Forwarded-For", "1.2.3.4", "Mcp-Method", "ping",
		"Mcp-Session-Id", "s1", "Mcp-Param-X", "1", "Proxy-Authorization", "x", "Dpop", "y", "Baggage", "k=v")
	got := ForwardHeaders(&Message{Era: Legacy}, in)
	if len(got) != 4 || got.Get("Mcp-Session-Id") != "s1" || got.Get("Mcp-Method") != "ping" {
		t.Errorf("ForwardHeaders = %v", got)
	}
}

func TestDecodeReply(t *testing.T) {
	raw := []byte(`{"jsonrpc":"2.0","id":"x","result":{"resultType":"input_required","requestState":"abc","inputRequests":{"q":{"method":"elicitation/create"}},"Custom":{"NAME":1,"name":2}}}`)
	r, err := DecodeReply(raw, Limits{})
	if err != nil || r.Kind != Response || string(r.RequestState.Of(raw)) != `"abc"` || r.ResultType != "input_required" || r.InputRequests.Empty() {
		t.Errorf("DecodeReply = %+v, %v", r, err)
	}
	for _, bad := range []string{`{"jsonrpc":"2.0","id":1}`, `{"jsonrpc":"2.0","id":1,"result":1,"error":{}}`, `{"jsonrpc":"2.0","id":1,"result":{"Tools":[]}}`, `[]`, `{"jsonrpc":"2.0","id":1,"result":{"tools":[],"tools":[]}}`} {
		if r, err := DecodeReply([]byte(bad), Limits{}); err == nil {
			t.Errorf("DecodeReply(%s) = %+v; want an error", bad, r)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{}}}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":"\u0031","method":"ping","params":{"requestState":"\u0000"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := Decode(body, nil, Limits{})
		if err == nil && !bytes.Equal(m.Raw, body) {
			t.Errorf("Raw differs from the body")
		}
		if err == nil && m.HasRequestState && (m.Raw[m.RequestState.Start] != '"' || m.Raw[m.RequestState.End-1] != '"') {
			t.Errorf("requestState span is off in %q", body)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	body := []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"path":"/srv/docs/a.md"},` + modernMeta + `}}`)
	h := modern("tools/call", "x")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(body, h, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
