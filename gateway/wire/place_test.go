package wire

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The gateway decides on what Decode reads; the server acts on what stands in the protocol's
// places. A member of the same name anywhere else must change nothing.
func TestDecodeReadsTheProtocolsPlacesOnly(t *testing.T) {
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe","arguments":{"a":1},"x":{"name":"evil"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"x":{"name":"evil"},"name":"safe","arguments":{"a":1}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe","arguments":{"a":1},"x":{"arguments":{"a":2}}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe","arguments":{"a":1},"x":{"y":{"name":"evil","arguments":{"a":2}}}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe","arguments":{"a":1}},"x":{"id":9,"method":"ping","params":{"name":"evil"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe","arguments":{"a":1,"name":"evil","params":{"name":"evil","arguments":{}}}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe","arguments":{"a":1},"x":[{"name":"evil"}],"params":{"name":"evil"},"uri":"evil"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe","arguments":{"a":1},"_meta":{"name":"evil","params":{"name":"evil"}}}}`,
	} {
		m, err := Decode([]byte(body), nil, Limits{})
		if err != nil {
			t.Errorf("Decode(%s) = %v", body, err)
			continue
		}
		if m.Method != "tools/call" || m.Name != "safe" || string(m.ID) != "1" || !strings.HasPrefix(string(m.Arguments), `{"a":1`) {
			t.Errorf("Decode(%s) = method %s, name %s, id %s, arguments %s", body, m.Method, m.Name, m.ID, m.Arguments)
		}
	}
}

// protocolNames are those that Decode and DecodeReply look for, and two that they do not.
var protocolNames = []string{"jsonrpc", "id", "method", "params", "result", "error", "_meta", "name",
	"uri", "taskId", "arguments", "requestId", "cursor", "requestState", "inputResponses", "ref", "type",
	"notifications", "toolsListChanged", "protocolVersion", "progressToken", "task", "resultType",
	"inputRequests", "cacheScope", "x", "y"}

// genTree draws an object in which protocol names stand anywhere, arrays included.
func genTree(depth int) *rapid.Generator[map[string]any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		obj := map[string]any{}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(protocolNames), 0, 6, rapid.ID[string]).Draw(t, "names") {
			obj[name] = genLeaf(t, depth)
		}
		return obj
	})
}

func genLeaf(t *rapid.T, depth int) any {
	switch n := rapid.IntRange(0, 5).Draw(t, "kind"); {
	case n <= 2 && depth > 0:
		return genTree(depth-1).Draw(t, "object")
	case n == 3 && depth > 0:
		return []any{genTree(depth-1).Draw(t, "element")}
	case n == 4:
		return rapid.IntRange(0, 9).Draw(t, "n")
	}
	return rapid.SampledFrom([]string{"a", "b", "c", "2.0", "ref/prompt"}).Draw(t, "s")
}

// at reads a path in a tree as encoding/json read it: the reference.
func at(tree any, path ...string) any {
	for _, name := range path {
		obj, _ := tree.(map[string]any)
		tree = obj[name]
	}
	return tree
}

func str(v any) string { s, _ := v.(string); return s }

// sameJSON compares a raw value with one that encoding/json read.
func sameJSON(t *rapid.T, raw []byte, want any) bool {
	if raw == nil || want == nil {
		return raw == nil && want == nil
	}
	var got any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("span holds %s: %v", raw, err)
	}
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	return string(a) == string(b)
}

func TestDecodeAgreesWithAPlainReader(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		msg := genTree(3).Draw(t, "message")
		msg["jsonrpc"], msg["id"] = "2.0", 1
		msg["method"] = rapid.SampledFrom([]string{"tools/call", "prompts/get", "resources/read", "tasks/get", "tools/list", "ping", "notifications/cancelled", "initialize", "completion/complete"}).Draw(t, "method")
		delete(msg, "result")
		delete(msg, "error")
		params := genTree(3).Draw(t, "params")
		for _, name := range []string{"name", "uri", "taskId", "cursor", "requestState", "protocolVersion"} {
			if rapid.Bool().Draw(t, name) {
				params[name] = "top"
			}
		}
		for _, name := range []string{"arguments", "_meta"} {
			delete(params, name)
			if rapid.Bool().Draw(t, name) {
				params[name] = genTree(2).Draw(t, "own")
			}
		}
		msg["params"] = params
		body, err := json.Marshal(msg)
		if err != nil {
			t.Fatal(err)
		}
		m, refusal := Decode(body, nil, Limits{})
		if refusal != nil {
			return
		}
		accepted++
		var tree any
		if err := json.Unmarshal(body, &tree); err != nil {
			t.Fatal(err)
		}
		want := ""
		switch m.Method {
		case "tools/call", "prompts/get":
			want = str(at(tree, "params", "name"))
		case "resources/read":
			want = str(at(tree, "params", "uri"))
		case "tasks/get":
			want = str(at(tree, "params", "taskId"))
		case "completion/complete":
			want = str(at(tree, "params", "ref", "name"))
		}
		if m.Method != msg["method"] || m.Name != want {
			t.Errorf("Decode(%s): method %s, name %q; want %q", body, m.Method, m.Name, want)
		}
		for what, pair := range map[string][2]any{
			"id":            {m.ID, at(tree, "id")},
			"params":        {m.Params, at(tree, "params")},
			"arguments":     {m.Arguments, at(tree, "params", "arguments")},
			"progressToken": {m.ProgressToken, at(tree, "params", "_meta", "progressToken")},
		} {
			if !sameJSON(t, pair[0].([]byte), pair[1]) {
				t.Errorf("Decode(%s): %s = %s; want %v", body, what, pair[0], pair[1])
			}
		}
		if m.HasCursor && m.Cursor != str(at(tree, "params", "cursor")) {
			t.Errorf("Decode(%s): cursor %q", body, m.Cursor)
		}
		_, retry := tree.(map[string]any)["params"].(map[string]any)["inputResponses"]
		if state := at(tree, "params", "requestState"); m.HasRequestState != (state != nil) || m.IsRetry != (retry || state != nil) {
			t.Errorf("Decode(%s): request state %v, retry %v", body, m.HasRequestState, m.IsRetry)
		}
	})
	if accepted == 0 {
		t.Error("no message was accepted: the property was never looked at")
	}
}

func TestDecodeReplyAgreesWithAPlainReader(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		msg := genTree(3).Draw(t, "message")
		msg["jsonrpc"], msg["id"] = "2.0", 1
		delete(msg, "method")
		delete(msg, "error")
		result := genTree(3).Draw(t, "result")
		for _, name := range []string{"resultType", "requestState", "taskId"} {
			delete(result, name)
			if rapid.Bool().Draw(t, name) {
				result[name] = "top"
			}
		}
		msg["result"] = result
		raw, err := json.Marshal(msg)
		if err != nil {
			t.Fatal(err)
		}
		r, refusal := DecodeReply(raw, Limits{})
		if refusal != nil {
			return
		}
		accepted++
		var tree any
		if err := json.Unmarshal(raw, &tree); err != nil {
			t.Fatal(err)
		}
		task := max(str(at(tree, "result", "taskId")), str(at(tree, "result", "task", "taskId")))
		if r.ResultType != str(at(tree, "result", "resultType")) || r.TaskID != task {
			t.Errorf("DecodeReply(%s): type %q, task %q; want task %q", raw, r.ResultType, r.TaskID, task)
		}
		if !sameJSON(t, r.Result, at(tree, "result")) || string(raw[r.ResultStart:r.ResultEnd]) != string(r.Result) {
			t.Errorf("DecodeReply(%s): result %s", raw, r.Result)
		}
		for what, pair := range map[string][2]any{
			"requestState":  {r.RequestState.Of(raw), at(tree, "result", "requestState")},
			"cacheScope":    {r.CacheScope.Of(raw), at(tree, "result", "cacheScope")},
			"inputRequests": {r.InputRequests.Of(raw), at(tree, "result", "inputRequests")},
		} {
			got := pair[0].([]byte)
			if len(got) == 0 {
				got = nil
			}
			if !sameJSON(t, got, pair[1]) {
				t.Errorf("DecodeReply(%s): %s = %s; want %v", raw, what, got, pair[1])
			}
		}
	})
	if accepted == 0 {
		t.Error("no reply was accepted: the property was never looked at")
	}
}

// Who replaces an id or a token replaces the bytes of it, wherever the same name or value stands
// beside it.
func TestSpansAreWhereTheValuesStand(t *testing.T) {
	m, err := Decode([]byte(`{"x":{"id":7},"jsonrpc":"2.0","params":{"name":"n","_meta":{"progressToken":"7"},"arguments":{"id":7,"progressToken":"7"}},"\u0069d": 7 ,"method":"tools/call"}`), nil, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(strings.Replace(string(m.Raw), `"\u0069d": 7`, `"\u0069d": ID`, 1), `"progressToken":"7"}`, `"progressToken":TOKEN}`, 1)
	got := Splice(Splice(m.Raw, m.IDAt, []byte("ID")), m.TokenAt, []byte("TOKEN"))
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	r, bad := DecodeReply([]byte(`{"result":{"id":7},"id":7,"jsonrpc":"2.0"}`), Limits{})
	if bad != nil {
		t.Fatal(bad)
	}
	if got := string(Splice(r.Raw, r.IDAt, []byte("ID"))); got != `{"result":{"id":7},"id":ID,"jsonrpc":"2.0"}` {
		t.Errorf("reply: %s", got)
	}
	if r, _ = DecodeReply([]byte(`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}`), Limits{}); !r.IDAt.Empty() {
		t.Errorf("an error that answers nothing in particular has an id at %v", r.IDAt)
	}
}
