package wire

import (
	"net/http"
	"strings"
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

// req is a legacy request with these params, which are left out when empty.
func req(method, params string) string {
	if params != "" {
		params = `,"params":` + params
	}
	return `{"jsonrpc":"2.0","id":1,"method":"` + method + `"` + params + `}`
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

// refusal is a message that Decode must refuse.
type refusal struct {
	body string
	h    http.Header
	rpc  int
	want string
}

func (tt refusal) check(t *testing.T) {
	t.Helper()
	m, err := Decode([]byte(tt.body), tt.h, Limits{})
	if err == nil || err.RPC != tt.rpc || err.Message != tt.want {
		t.Errorf("Decode(%.200s, %v) = %+v, %+v; want %d %s", tt.body, tt.h, m, err, tt.rpc, tt.want)
		return
	}
	if want := map[int]Code{RPCParse: Malformed, RPCInvalidRequest: Malformed, RPCInvalidParams: InvalidParams, RPCHeaderMismatch: HeaderMismatch, RPCVersion: UnsupportedVersion}[tt.rpc]; err.Code != want {
		t.Errorf("Decode(%.200s): code %v; want %v", tt.body, err.Code, want)
	}
}

func TestDecodeRefusesWhatIsNotOneStrictMessage(t *testing.T) {
	const strict = "the body is not one strict JSON message: "
	deep := strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat("}", 70)
	for _, tt := range []refusal{
		{``, nil, -32700, strict + "no JSON value, at byte 0"},
		{" \n", nil, -32700, strict + "no JSON value, at byte 0"},
		{`{`, nil, -32700, strict + "the JSON value ends too early, at byte 1"},
		{`{"jsonrpc":"2.0","id":1,"method":"ping"`, nil, -32700, strict + "the JSON value ends too early, at byte 39"},
		{`{'jsonrpc':'2.0'}`, nil, -32700, strict + "invalid JSON syntax, at byte 1"},
		{`{"jsonrpc":"2.0",}`, nil, -32700, strict + "invalid JSON syntax, at byte 17"},
		{`{"jsonrpc":"2.0"/**/}`, nil, -32700, strict + "invalid JSON syntax, at byte 16"},
		{`{"jsonrpc":"2.0","id":01,"method":"ping"}`, nil, -32700, strict + "invalid JSON syntax, at byte 23"},
		{`{"jsonrpc":"2.0","id":NaN,"method":"ping"}`, nil, -32700, strict + "invalid JSON syntax, at byte 22"},
		{bom + req("ping", ""), nil, -32700, strict + "invalid JSON syntax, at byte 0"},
		{req("ping", "") + req("ping", ""), nil, -32700, strict + "data after the end of the JSON value, at byte 41"},
		{req("ping", "") + "\n" + req("ping", ""), nil, -32700, strict + "data after the end of the JSON value, at byte 42"},
		{req("ping", "") + "\x00", nil, -32700, strict + "data after the end of the JSON value, at byte 40"},
		{`{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}`, nil, -32700, strict + "the same member name twice in one object, at byte 24"},
		{`{"jsonrpc":"2.0","id":1,"method":"ping","metho\u0064":"x"}`, nil, -32700, strict + "the same member name twice in one object, at byte 40"},
		{req("tools/call", `{"name":"x","arguments":{"a":[{"b":1,"b":2}]}}`), nil, -32700, strict + "the same member name twice in one object, at byte 92"},
		{`{"jsonrpc":"2.0","id":1,"method":"ping","METHOD":"tools/call"}`, nil, -32700, strict + `member name "METHOD" would be read as "method" by a parser that ignores case, at byte 48`},
		{`{"jsonrpc":"2.0","id":1,"method":"ping","param\u017f":{}}`, nil, -32700, strict + `member name "param\u017f" would be read as "params" by a parser that ignores case, at byte 53`},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"par\u0061m\u017f\":{}}", nil, -32700, strict + `member name "param\u017f" would be read as "params" by a parser that ignores case, at byte 49`},
		{`{"jsonrpc":"2.0","id":1,"method":"ping","method\u0000":"x"}`, nil, -32700, strict + "a member name holds a NUL character, at byte 54"},
		{req("tools/call", `{"name":"x","arguments":{"\u0000":1}}`), nil, -32700, strict + "a member name holds a NUL character, at byte 88"},
		{req("tools/call", `{"name":"x","Arguments":{}}`), nil, -32700, strict + `member name "Arguments" would be read as "arguments" by a parser that ignores case, at byte 78`},
		{req("tools/call", `{"name":"x","x":[{"taskid":1}]}`), nil, -32700, strict + `member name "taskid" would be read as "taskId" by a parser that ignores case, at byte 81`},
		{req("ping", `{"_meta":{"io.modelcontextprotocol/ProtocolVersion":"x"}}`), nil, -32700, strict + `member name "io.modelcontextprotocol/ProtocolVersion" would be read as "io.modelcontextprotocol/protocolVersion" by a parser that ignores case, at byte 100`},
		{"{\"jsonrpc\":\"2.0\",\"id\":\"\xff\",\"method\":\"ping\"}", nil, -32700, strict + "invalid UTF-8, at byte 23"},
		{"{\"jsonrpc\":\"2.0\",\"id\":\"\xed\xa0\x80\",\"method\":\"ping\"}", nil, -32700, strict + "invalid UTF-8, at byte 23"},
		{`{"jsonrpc":"2.0","id":"\ud800","method":"ping"}`, nil, -32700, strict + "invalid JSON syntax, at byte 23"},
		{req("tools/call", `{"name":"x","arguments":{"a":1e999}}`), nil, -32700, strict + "a number outside the range of a 64-bit float, at byte 89"},
		{req("tools/call", `{"name":"x","arguments":{"a":`+strings.Repeat("9", 1001)+`}}`), nil, -32700, strict + "a number of 1001 characters; the limit is 1000, at byte 1085"},
		{`{"jsonrpc":"2.0","id":1,"method":"ping","params":` + deep + `}`, nil, -32700, strict + "nested deeper than 64 levels, at byte 364"},
	} {
		tt.check(t)
	}
}

func TestDecodeRefusesWhatIsNotOneJSONRPCMessage(t *testing.T) {
	const two = "a message is a request, a notification or a response: not two of them"
	const id = `"id" must be a string or an integer of at most 256 bytes`
	for _, tt := range []refusal{
		{`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, nil, -32600, "batches are not accepted: send one JSON-RPC message per request"},
		{"\r\n\t []", nil, -32600, "batches are not accepted: send one JSON-RPC message per request"},
		{`"x"`, nil, -32600, "a JSON-RPC message is an object"},
		{`null`, nil, -32600, "a JSON-RPC message is an object"},
		{`{"id":1,"method":"ping"}`, nil, -32600, `"jsonrpc" must be "2.0"`},
		{`{"jsonrpc":2.0,"id":1,"method":"ping"}`, nil, -32600, `"jsonrpc" must be "2.0"`},
		{`{"jsonrpc":"1.0","id":1,"method":"ping"}`, nil, -32600, `"jsonrpc" must be "2.0"`},
		{`{"jsonrpc":"2.\u0030","id":1,"method":"ping"}`, nil, -32600, `"jsonrpc" must be "2.0"`},
		{`{"jsonrpc":"2.0","id":null,"method":"ping"}`, nil, -32600, id},
		{`{"jsonrpc":"2.0","id":1.5,"method":"ping"}`, nil, -32600, id},
		{`{"jsonrpc":"2.0","id":1.0,"method":"ping"}`, nil, -32600, id},
		{`{"jsonrpc":"2.0","id":1e3,"method":"ping"}`, nil, -32600, id},
		{`{"jsonrpc":"2.0","id":-0,"method":"ping"}`, nil, -32600, id},
		{`{"jsonrpc":"2.0","id":true,"method":"ping"}`, nil, -32600, id},
		{`{"jsonrpc":"2.0","id":[1],"method":"ping"}`, nil, -32600, id},
		{`{"jsonrpc":"2.0","id":{},"method":"ping"}`, nil, -32600, id},
		{`{"jsonrpc":"2.0","id":1,"method":7}`, nil, -32600, `"method" must be a string that is not empty`},
		{`{"jsonrpc":"2.0","id":1,"method":""}`, nil, -32600, `"method" must be a string that is not empty`},
		{`{"jsonrpc":"2.0","id":1,"method":null}`, nil, -32600, `"method" must be a string that is not empty`},
		{req("ping", `[]`), nil, -32600, `"params" must be an object`},
		{req("ping", `null`), nil, -32600, `"params" must be an object`},
		{`{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}`, nil, -32600, two},
		{`{"jsonrpc":"2.0","id":1,"method":"ping","error":null}`, nil, -32600, two},
		{`{"jsonrpc":"2.0","id":1,"result":{},"error":{}}`, nil, -32600, two},
		{`{"jsonrpc":"2.0","id":1,"result":{},"params":{}}`, nil, -32600, two},
		{`{"jsonrpc":"2.0","id":1,"error":"x"}`, nil, -32600, `"error" must be an object`},
		{`{"jsonrpc":"2.0","result":{}}`, nil, -32600, `a response must have an "id"`},
		{`{"jsonrpc":"2.0","id":1}`, nil, -32600, `a message needs a "method", a "result" or an "error"`},
		{`{"jsonrpc":"2.0","id":1,"params":{}}`, nil, -32600, `a message needs a "method", a "result" or an "error"`},
	} {
		tt.check(t)
	}
}

func TestDecodeRefusesParamsOfTheWrongType(t *testing.T) {
	for _, tt := range []refusal{
		{req("tools/call", ""), nil, -32602, "tools/call needs a non-empty params.name"},
		{req("tools/call", `{}`), nil, -32602, "tools/call needs a non-empty params.name"},
		{req("tools/call", `{"name":""}`), nil, -32602, "tools/call needs a non-empty params.name"},
		{req("tools/call", `{"name":7}`), nil, -32602, `params: "name" must be a string`},
		{req("tools/call", `{"name":{"name":"x"}}`), nil, -32602, `params: "name" must be a string`},
		{req("prompts/get", `{}`), nil, -32602, "prompts/get needs a non-empty params.name"},
		{req("resources/read", `{"name":"x"}`), nil, -32602, "resources/read needs a non-empty params.uri"},
		{req("resources/subscribe", `{}`), nil, -32602, "resources/subscribe needs a non-empty params.uri"},
		{req("tasks/get", `{}`), nil, -32602, "tasks/get needs a non-empty params.taskId"},
		{req("tasks/cancel", `{"taskId":1}`), nil, -32602, `params: "taskId" must be a string`},
		{req("completion/complete", `{}`), nil, -32602, `params: "ref.type" must be "ref/prompt" or "ref/resource"`},
		{req("completion/complete", `{"ref":{"type":"ref/tool","name":"x"}}`), nil, -32602, `params: "ref.type" must be "ref/prompt" or "ref/resource"`},
		{req("completion/complete", `{"ref":{"type":"ref/prompt","uri":"x"}}`), nil, -32602, "completion/complete needs a non-empty params.ref.name"},
		{req("completion/complete", `{"ref":{"type":"ref/resource","name":"x"}}`), nil, -32602, "completion/complete needs a non-empty params.ref.uri"},
		{req("tools/call", `{"name":"x","arguments":[]}`), nil, -32602, `params: "arguments" must be an object`},
		{req("tools/call", `{"name":"x","arguments":null}`), nil, -32602, `params: "arguments" must be an object`},
		{req("tools/call", `{"name":"x","_meta":[]}`), nil, -32602, `params: "_meta" must be an object`},
		{req("tools/call", `{"name":"x","_meta":{"io.modelcontextprotocol/protocolVersion":1}}`), nil, -32602, `params: "io.modelcontextprotocol/protocolVersion" must be a string`},
		{req("tools/call", `{"name":"x","requestState":{}}`), nil, -32602, `params: "requestState" must be a string`},
		{req("tools/list", `{"cursor":1}`), nil, -32602, `params: "cursor" must be a string`},
		{req("initialize", `{"protocolVersion":1}`), nil, -32602, `params: "protocolVersion" must be a string`},
		{`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1.5}}`, nil, -32602, `params: "requestId" must be a string or an integer of at most 256 bytes`},
	} {
		tt.check(t)
	}
}

func TestDecodeHoldsTheSizeLimit(t *testing.T) {
	body := req("ping", "")
	if _, err := Decode([]byte(body), nil, Limits{Bytes: int64(len(body))}); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := Decode([]byte(body), nil, Limits{Bytes: int64(len(body)) - 1}); err == nil || err.Message != "a message of 40 bytes; the limit is 39" || err.RPC != RPCInvalidRequest {
		t.Errorf("over the limit: %+v", err)
	}
	if _, err := Decode([]byte(req("ping", `{"a":{}}`)), nil, Limits{Depth: 2}); err == nil || !strings.HasSuffix(err.Message, "nested deeper than 2 levels, at byte 54") {
		t.Errorf("over the depth: %+v", err)
	}
}

func TestDecodeReadsWhatTheMethodActsOn(t *testing.T) {
	for _, tt := range []struct{ method, params, name, ref string }{
		{"tools/call", `{"name":"a","uri":"b","taskId":"c"}`, "a", ""},
		{"prompts/get", `{"name":"a"}`, "a", ""},
		{"resources/read", `{"uri":"file:///a","name":"b"}`, "file:///a", ""},
		{"resources/subscribe", `{"uri":"u"}`, "u", ""},
		{"resources/unsubscribe", `{"uri":"u"}`, "u", ""},
		{"tasks/get", `{"taskId":"t"}`, "t", ""},
		{"tasks/result", `{"taskId":"t"}`, "t", ""},
		{"tasks/cancel", `{"taskId":"t"}`, "t", ""},
		{"tasks/update", `{"taskId":"t"}`, "t", ""},
		{"completion/complete", `{"ref":{"type":"ref/prompt","name":"p"}}`, "p", "ref/prompt"},
		{"completion/complete", `{"ref":{"type":"ref/resource","uri":"u"}}`, "u", "ref/resource"},
		{"tools/list", `{"name":"a"}`, "", ""},
		{"x/unknown", `{"name":"a"}`, "", ""},
		{"tools\\/call", `{"name":"\u0061"}`, "a", ""},
	} {
		m, err := Decode([]byte(req(tt.method, tt.params)), nil, Limits{})
		if err != nil || m.Name != tt.name || m.Ref != tt.ref || string(m.Params) != tt.params {
			t.Errorf("%s %s: name %q, ref %q, %v; want %q, %q", tt.method, tt.params, m.Name, m.Ref, err, tt.name, tt.ref)
		}
	}
}

func TestDecodeTellsAnEmptyCursorFromNone(t *testing.T) {
	for _, tt := range []struct {
		method, params, cursor string
		has                    bool
	}{
		{"tools/list", ``, "", false},
		{"tools/list", `{}`, "", false},
		{"tools/list", `{"cursor":""}`, "", true},
		{"resources/templates/list", `{"cursor":"\u00e9"}`, "é", true},
		{"tools/call", `{"name":"x","cursor":"a"}`, "", false},
	} {
		m, err := Decode([]byte(req(tt.method, tt.params)), nil, Limits{})
		if err != nil || m.Cursor != tt.cursor || m.HasCursor != tt.has {
			t.Errorf("%s %s: cursor %q, %v, %v", tt.method, tt.params, m.Cursor, m.HasCursor, err)
		}
	}
}

func TestDecodeNotesRetries(t *testing.T) {
	for params, want := range map[string]string{
		`{"name":"x"}`:                                      "",
		`{"name":"x","requestState":"s\u0022t"}`:            `"s\u0022t" retry`,
		`{"name":"x","requestState":""}`:                    `"" retry`,
		`{"name":"x","inputResponses":{}}`:                  " retry",
		`{"name":"x","arguments":{"requestState":"a"}}`:     "",
		`{"name":"x","_meta":{"requestState":"a"}}`:         "",
		`{"name":"x","inputResponses":{"requestState":{}}}`: " retry",
	} {
		m, err := Decode([]byte(req("tools/call", params)), nil, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if m.HasRequestState {
			got = string(m.RequestState.Of(m.Raw))
		}
		if m.IsRetry {
			got += " retry"
		}
		if got != want {
			t.Errorf("%s: %s; want %s", params, got, want)
		}
	}
}

// The sender's own names are free where the protocol gives them to the sender.
func TestDecodeLeavesTheSendersOwnNamesAlone(t *testing.T) {
	for _, body := range []string{
		req("tools/call", `{"name":"x","arguments":{"NAME":1,"Method":{"PARAMS":[{"ID":1}]}}}`),
		req("tools/call", `{"name":"x","_meta":{"vendor/key":{"NAME":1}}}`),
		req("completion/complete", `{"ref":{"type":"ref/prompt","name":"p"},"context":{"arguments":{"NAME":"x"}}}`),
		req("initialize", `{"capabilities":{"experimental":{"NAME":{}},"extensions":{"ID":{}}}}`),
		`{"jsonrpc":"2.0","id":1,"result":{"action":"accept","content":{"NAME":"x"}}}`,
		`{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x","data":{"NAME":1}}}`,
		req("tools/call", `{"name":"x","inputResponses":{"NAME":{"action":"accept","content":{"ID":1}}}}`),
	} {
		if _, err := Decode([]byte(body), nil, Limits{}); err != nil {
			t.Errorf("Decode(%s) = %v", body, err)
		}
	}
}

func TestRefusalsCarryTheIDIfThereWasOne(t *testing.T) {
	for body, want := range map[string]string{
		req("tools/call", "{}"):                               "1",
		`{"jsonrpc":"2.0","id":"\u0061","method":7}`:          `"\u0061"`,
		`{"id":123456789012345678901234567890,"method":"a"}`:  "123456789012345678901234567890",
		`{"jsonrpc":"2.0","id":null,"method":"ping"}`:         "",
		`{"jsonrpc":"2.0","id":1,"id":1,"method":"ping"}`:     "",
		`{"jsonrpc":"2.0","method":"tools/call","params":[]}`: "",
	} {
		_, err := Decode([]byte(body), nil, Limits{})
		if err == nil || string(err.ID) != want {
			t.Errorf("Decode(%s): error %+v; want id %q", body, err, want)
		}
	}
}

func benchmarkDecode(b *testing.B, args string) {
	body := []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":` + args + `,` + modernMeta + `}}`)
	h := modern("tools/call", "x")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(body, h, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode300B(b *testing.B) { benchmarkDecode(b, `{"path":"/srv/docs/a.md","limit":100}`) }

func BenchmarkDecode10KB(b *testing.B) {
	rows := strings.Repeat(`{"id":12345,"name":"a name","tags":["x","y"],"ok":true,"score":1.25},`, 145)
	benchmarkDecode(b, `{"rows":[`+strings.TrimSuffix(rows, ",")+`]}`)
}
