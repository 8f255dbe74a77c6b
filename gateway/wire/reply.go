package wire

import (
	"bytes"
	"fmt"

	"sallyport/internal/strictjson"
)

// Reply is one JSON-RPC message from an upstream. It is immutable after [DecodeReply].
type Reply struct {
	Kind   Kind
	Raw    []byte
	ID     []byte // raw; nil for a notification
	Method string
	Params []byte
	Result strictjson.Span // of the result in Raw; empty when there is none
	Error  bool

	ResultType      string
	RequestState    strictjson.Span // of the JSON string in Raw
	HasRequestState bool
	InputRequests   strictjson.Span // of the object in Raw
	TaskID          string          // result.task.taskId or result.taskId of a created task
	CacheScope      strictjson.Span // of the JSON string in Raw
	HasCacheScope   bool
}

// Servers' results are their own data: only names in which the envelope could be imitated are
// guarded, and only where the protocol's own members stand.
var resultScope = strictjson.Only(protocolReplyKeys, map[string]*strictjson.Scope{
	"result": strictjson.Only(protocolResultKeys, nil),
})

var (
	protocolReplyKeys  = strictjson.NewKeySet("jsonrpc", "id", "method", "params", "result", "error")
	protocolResultKeys = strictjson.NewKeySet("content", "structuredContent", "isError", "resultType",
		"requestState", "inputRequests", "cacheScope", "ttlMs", "nextCursor", "tools", "resources",
		"resourceTemplates", "prompts", "task", "_meta")
)

// DecodeReply reads one message from an upstream. The error says what was wrong with it and
// never quotes it.
func DecodeReply(raw []byte, lim Limits) (*Reply, error) {
	if err := strictjson.CheckScope(raw, strictjson.Limits{Depth: lim.Depth}, resultScope); err != nil {
		return nil, fmt.Errorf("not one strict JSON message: %w", err)
	}
	r := &Reply{Raw: raw}
	var version bool
	err := strictjson.EachMember(raw, func(m strictjson.Member) {
		v := m.Value().Of(raw)
		switch m.Name {
		case "jsonrpc":
			version = string(v) == `"2.0"`
		case "id":
			if string(v) != "null" {
				r.ID = v
			}
		case "method":
			if s, err := strictjson.String(v); err == nil {
				r.Method = s
			}
		case "params":
			r.Params = v
		case "result":
			r.Result = m.Value()
		case "error":
			r.Error = true
		}
	})
	if err != nil || !version {
		return nil, fmt.Errorf("not a JSON-RPC 2.0 message")
	}
	return r, r.classify()
}

func (r *Reply) classify() error {
	answer := r.Error || !r.Result.Empty()
	switch {
	case answer && r.Method == "" && !(r.Error && !r.Result.Empty()):
		r.Kind = Response
	case !answer && r.Method != "" && r.ID != nil && validID(r.ID):
		r.Kind = Request
	case !answer && r.Method != "" && r.ID == nil:
		r.Kind = Notification
	default:
		return fmt.Errorf("neither a request, a notification nor a response")
	}
	if !r.Result.Empty() && r.Raw[r.Result.Start] == '{' {
		r.readResult()
	}
	return nil
}

// readResult notes the few members of a result that the gateway must see. Results without
// any of their names, which is nearly all, are not walked.
func (r *Reply) readResult() {
	res := r.Result.Of(r.Raw)
	if !containsAny(res, "requestState", "resultType", "inputRequests", "taskId", "cacheScope") {
		return
	}
	base := r.Result.Start
	at := func(m strictjson.Member) strictjson.Span {
		return strictjson.Span{Start: base + m.Start, End: base + m.End}
	}
	// The result has been checked and is an object, so the walk cannot fail.
	_ = strictjson.EachMember(res, func(m strictjson.Member) {
		v := m.Value().Of(res)
		switch m.Name {
		case "resultType":
			r.ResultType, _ = strictjson.String(v)
		case "requestState":
			r.RequestState, r.HasRequestState = at(m), v[0] == '"'
		case "inputRequests":
			if v[0] == '{' {
				r.InputRequests = at(m)
			}
		case "cacheScope":
			r.CacheScope, r.HasCacheScope = at(m), true
		case "taskId":
			r.TaskID, _ = strictjson.String(v)
		case "task":
			if span, ok := strictjson.Find(v, "taskId"); ok {
				r.TaskID, _ = strictjson.String(span.Of(v))
			}
		}
	})
}

func containsAny(data []byte, words ...string) bool {
	for _, w := range words {
		if bytes.Contains(data, []byte(w)) {
			return true
		}
	}
	// Escaped spellings of the names above are the same names.
	return bytes.Contains(data, []byte(`\u00`))
}

// Splice returns a copy of raw in which the bytes of s are repl.
func Splice(raw []byte, s strictjson.Span, repl []byte) []byte {
	out := make([]byte, 0, len(raw)-(s.End-s.Start)+len(repl))
	out = append(out, raw[:s.Start]...)
	out = append(out, repl...)
	return append(out, raw[s.End:]...)
}

// AppendResult appends a response that carries result. A nil id becomes null.
func AppendResult(dst, id, result []byte) []byte {
	dst = appendEnvelope(dst, id)
	dst = append(dst, `,"result":`...)
	dst = append(dst, result...)
	return append(dst, '}')
}

// AppendError appends an error response. A nil id becomes null; nil data is left out.
func AppendError(dst, id []byte, code int, message string, data []byte) []byte {
	dst = appendEnvelope(dst, id)
	dst = fmt.Appendf(dst, `,"error":{"code":%d,"message":`, code)
	dst = strictjson.AppendString(dst, message)
	if data != nil {
		dst = append(dst, `,"data":`...)
		dst = append(dst, data...)
	}
	return append(dst, "}}"...)
}

func appendEnvelope(dst, id []byte) []byte {
	if id == nil {
		id = []byte("null")
	}
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	return append(dst, id...)
}

// ToolError is the result of a tool call that was refused: the text reaches the model.
func ToolError(era Era, text string) []byte {
	dst := []byte(`{"content":[{"type":"text","text":`)
	dst = strictjson.AppendString(dst, text)
	dst = append(dst, `}],"isError":true`...)
	if era == Modern {
		dst = append(dst, `,"resultType":"complete"`...)
	}
	return append(dst, '}')
}
