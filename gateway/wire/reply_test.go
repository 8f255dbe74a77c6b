package wire

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sallyport/internal/strictjson"
)

func TestDecodeReplyReadsWhatTheGatewayActsOn(t *testing.T) {
	raw := []byte(` {"jsonrpc":"2.0","id":"x","result":{"resultType":"input_required","requestState":"abc","inputRequests":{"q":{"method":"elicitation/create"}},"cacheScope":"public","task":{"taskId":"t"},"Custom":{"NAME":1,"name":2}}} `)
	r, err := DecodeReply(raw, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Kind != Response || string(r.ID) != `"x"` || r.ResultType != "input_required" || r.TaskID != "t" || &r.Raw[0] != &raw[0] {
		t.Errorf("DecodeReply = %+v", r)
	}
	if !r.HasRequestState || string(r.RequestState.Of(raw)) != `"abc"` || !r.HasCacheScope || string(r.CacheScope.Of(raw)) != `"public"` ||
		string(r.InputRequests.Of(raw)) != `{"q":{"method":"elicitation/create"}}` || string(raw[r.ResultStart:r.ResultEnd]) != string(r.Result) {
		t.Errorf("DecodeReply: state %s, scope %s, requests %s, result %s", r.RequestState.Of(raw), r.CacheScope.Of(raw), r.InputRequests.Of(raw), r.Result)
	}
	for body, kind := range map[string]Kind{
		`{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"Any":1}}`: Request,
		`{"jsonrpc":"2.0","method":"notifications/x/unknown"}`:                          Notification,
		`{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"x","Code":2}}`:           Response,
		`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}`:             Response,
		`{"jsonrpc":"2.0","error":{"code":-32700,"message":"x"}}`:                       Response,
		`{"jsonrpc":"2.0","id":1,"result":[1]}`:                                         Response,
		`{"jsonrpc":"2.0","id":1,"result":null}`:                                        Response,
		`{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"NAME":1,"name":2}}}`:   Response,
	} {
		r, err := DecodeReply([]byte(body), Limits{})
		if err != nil || r.Kind != kind || string(r.ID) == "null" {
			t.Errorf("DecodeReply(%s) = %+v, %v; want %v", body, r, err, kind)
		}
	}
}

func TestHostileRepliesAreRefused(t *testing.T) {
	const strict = "not one strict JSON message: "
	for _, tt := range []struct{ in, want string }{
		{``, strict + "no JSON value, at byte 0"},
		{`<html>`, strict + "invalid JSON syntax, at byte 0"},
		{`{"jsonrpc":"2.0","id":1,"result":`, strict + "the JSON value ends too early, at byte 33"},
		{`[]`, "not a JSON-RPC 2.0 message"},
		{`[{"jsonrpc":"2.0","id":1,"result":{}}]`, "not a JSON-RPC 2.0 message"},
		{`"x"`, "not a JSON-RPC 2.0 message"},
		{`{"id":1,"result":{}}`, "not a JSON-RPC 2.0 message"},
		{`{"jsonrpc":"2.0","id":1}`, "neither a request, a notification nor a response"},
		{`{"jsonrpc":"2.0","id":1,"result":1,"error":{}}`, "neither a request, a notification nor a response"},
		{`{"jsonrpc":"2.0","id":1,"method":"x","result":1}`, "neither a request, a notification nor a response"},
		{`{"jsonrpc":"2.0","result":{}}`, `a result without an "id"`},
		{`{"jsonrpc":"2.0","id":null,"result":{}}`, `"id" is neither a string nor an integer`},
		{`{"jsonrpc":"2.0","id":1.0,"result":{}}`, `"id" is neither a string nor an integer`},
		{`{"jsonrpc":"2.0","id":[1],"result":{}}`, `"id" is neither a string nor an integer`},
		{`{"jsonrpc":"2.0","id":1,"method":""}`, `"method" is not a string`},
		{`{"jsonrpc":"2.0","id":1,"error":"x"}`, `"error" is not an object`},
		{`{"jsonrpc":"2.0","id":1,"id":2,"result":{}}`, strict + "the same member name twice in one object, at byte 24"},
		{`{"jsonrpc":"2.0","id":1,"result":{"tools":[],"tools":[]}}`, strict + "the same member name twice in one object, at byte 45"},
		{`{"jsonrpc":"2.0","id":1,"result":{"Tools":[]}}`, strict + `member name "Tools" would be read as "tools" by a parser that ignores case, at byte 41`},
		{`{"jsonrpc":"2.0","id":1,"re\u017fult":{},"result":{}}`, strict + `member name "re\u017fult" would be read as "result" by a parser that ignores case, at byte 37`},
		{`{"jsonrpc":"2.0","id":1,"result":{"CacheScope":"public"}}`, strict + `member name "CacheScope" would be read as "cacheScope" by a parser that ignores case, at byte 46`},
		{`{"jsonrpc":"2.0","id":1,"result":{"inputRequests":{"a":{"Method":"x"}}}}`, strict + `member name "Method" would be read as "method" by a parser that ignores case, at byte 64`},
		{`{"jsonrpc":"2.0","id":1,"result":{"task":{"TaskId":"x"}}}`, strict + `member name "TaskId" would be read as "taskId" by a parser that ignores case, at byte 50`},
		{`{"jsonrpc":"2.0","id":1,"result":{"requestState":{}}}`, `"requestState" is not a string`},
		{`{"jsonrpc":"2.0","id":1,"result":{"requestState":null}}`, `"requestState" is not a string`},
		{`{"jsonrpc":"2.0","id":1,"result":{"resultType":["complete"]}}`, `"resultType" is not a string`},
		{`{"jsonrpc":"2.0","id":1,"result":{"taskId":7}}`, `"taskId" is not a string`},
		{`{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":null}}}`, `"taskId" is not a string`},
		{`{"jsonrpc":"2.0","id":1,"result":{"taskId":"a","task":{"taskId":"b"}}}`, "the result names two tasks"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":\"\xff\"}}", strict + "invalid UTF-8, at byte 39"},
		{`{"jsonrpc":"2.0","id":1,"result":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, strict + "nested deeper than 64 levels, at byte 96"},
		{`{"jsonrpc":"2.0","id":1,"result":{"a":"` + strings.Repeat("x", 1000) + `"}}`, "a message of 1042 bytes; the limit is 1000"},
	} {
		if r, err := DecodeReply([]byte(tt.in), Limits{Bytes: 1000}); err == nil || err.Error() != tt.want {
			t.Errorf("DecodeReply(%.100s) = %+v, %v; want %s", tt.in, r, err, tt.want)
		}
	}
}

func TestErrorsAboutRepliesHoldNoValues(t *testing.T) {
	for _, in := range []string{
		`{"jsonrpc":"2.0","id":["SECRET"],"result":{}}`, `{"jsonrpc":"SECRET"}`, `{"jsonrpc":"2.0","id":1,"result":{"requestState":["SECRET"]}}`,
		`SECRET`, `{"a":"SECRET}`, `{"a":"SECRET"]`, `{"jsonrpc":"2.0","id":1,"error":"SECRET"}`,
	} {
		if _, err := DecodeReply([]byte(in), Limits{}); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("DecodeReply(%s) = %v", in, err)
		}
		if strings.Contains(in, "requestState") {
			continue // a client's result may hold anything
		}
		if _, err := Decode([]byte(in), nil, Limits{}); err == nil || strings.Contains(err.Message, "SECRET") {
			t.Errorf("Decode(%s) = %v", in, err)
		}
	}
}

func TestSpliceChangesTheSpanAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := []byte(rapid.String().Draw(t, "raw"))
		start := rapid.IntRange(0, len(raw)).Draw(t, "start")
		end := rapid.IntRange(start, len(raw)).Draw(t, "end")
		repl := rapid.String().Draw(t, "repl")
		before := string(raw)
		got := string(Splice(raw, strictjson.Span{Start: start, End: end}, []byte(repl)))
		if want := before[:start] + repl + before[end:]; got != want || string(raw) != before {
			t.Errorf("Splice(%q, %d, %d, %q) = %q; want %q", before, start, end, repl, got, want)
		}
	})
}

func TestAnswersOfOurOwnAreStrictMessages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		if rapid.Bool().Draw(t, "broken") {
			text += "\xff\x00\u2028"
		}
		id := rapid.SampledFrom([]string{`1`, `"a"`, `"\u0061"`, `123456789012345678901234567890`, ``}).Draw(t, "id")
		var rawID []byte
		if id != "" {
			rawID = []byte(id)
		}
		era := rapid.SampledFrom([]Era{Legacy, Modern}).Draw(t, "era")
		prefix := []byte("kept")
		failed := AppendError(prefix, rawID, -32602, text, []byte(`{"a":1}`))[len(prefix):]
		if r, err := DecodeReply(failed, Limits{}); err != nil || string(r.ID) != id {
			t.Errorf("AppendError = %s: %v", failed, err)
		}
		result := AppendResult(nil, []byte(`7`), ToolError(era, text))
		r, err := DecodeReply(result, Limits{})
		if err != nil {
			t.Fatalf("AppendResult = %s: %v", result, err)
		}
		var decoded struct {
			Content []struct{ Type, Text string }
			IsError bool
		}
		if err := json.Unmarshal(r.Result, &decoded); err != nil || !decoded.IsError || len(decoded.Content) != 1 || decoded.Content[0].Text != strings.ToValidUTF8(text, "\ufffd") {
			t.Errorf("ToolError(%q) = %s", text, r.Result)
		}
		if (r.ResultType == "complete") != (era == Modern) {
			t.Errorf("%v: resultType %q", era, r.ResultType)
		}
	})
	if got := string(AppendError(nil, nil, -32700, "x", nil)); got != `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}` {
		t.Errorf("AppendError = %s", got)
	}
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":1,"result":{"tools":[],"cacheScope":"public"}}`,
		`{"jsonrpc":"2.0","id":null,"error":{}}`, `{"jsonrpc":"2.0","method":"x","params":{"_meta":{}}}`,
		`{"jsonrpc":"2.0","id":1,"result":{"requestState":"\ud83d\ude00","inputRequests":{"a":{}},"task":{"taskId":"x"}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		sent := bytes.Clone(raw)
		r, err := DecodeReply(raw, Limits{})
		if !bytes.Equal(sent, raw) {
			t.Fatal("DecodeReply wrote to its input")
		}
		if err != nil {
			return
		}
		if r.Result != nil && !bytes.Equal(raw[r.ResultStart:r.ResultEnd], r.Result) {
			t.Errorf("%q: the span of the result is off", raw)
		}
		if r.HasRequestState {
			again, err := DecodeReply(Splice(raw, r.RequestState, []byte(`"sealed"`)), Limits{})
			if err != nil || string(again.RequestState.Of(again.Raw)) != `"sealed"` {
				t.Errorf("%q: the state cannot be replaced: %v", raw, err)
			}
		}
	})
}
