package wire

import (
	"errors"
	"fmt"

	"sallyport/internal/strictjson"
)

// Reply is one JSON-RPC message from an upstream. It is immutable after [DecodeReply], and its
// byte slices are parts of Raw.
type Reply struct {
	Kind   Kind
	Raw    []byte
	ID     []byte          // raw; nil for a notification, and for an error that answers no request in particular
	IDAt   strictjson.Span // where ID stands in Raw; empty where it is nil
	Method string          // of a request or notification; any name, known or not
	Params []byte          // raw; nil when absent

	Result                 []byte // raw; nil when absent
	ResultStart, ResultEnd int    // of Result in Raw
	Error                  []byte // raw object; nil when absent

	ResultType      string          // "" when absent, which means "complete"
	RequestState    strictjson.Span // of the JSON string in Raw
	HasRequestState bool
	InputRequests   strictjson.Span // of the value in Raw; empty when absent
	TaskID          string          // result.task.taskId, or result.taskId
	CacheScope      strictjson.Span // of the value in Raw, a string if the upstream is right
	HasCacheScope   bool
}

// replyKeys are the members of messages and results that the gateway reads. Names in a reply
// are guarded where those stand and nowhere else: what lies below is the server's own data.
var replyKeys = strictjson.NewKeySet("jsonrpc", "id", "method", "params", "result", "error",
	"content", "structuredContent", "isError", "resultType", "requestState", "inputRequests",
	"cacheScope", "ttlMs", "nextCursor", "tools", "resources", "resourceTemplates", "prompts",
	"contents", "messages", "tasks", "task", "taskId", "status", "_meta", "requestId", "progressToken", "uri",
	"io.modelcontextprotocol/subscriptionId", "io.modelcontextprotocol/related-task")

const (
	ofJSONRPC = iota
	ofID
	ofMethod
	ofParams
	ofResult
	ofError
	ofResultType
	ofRequestState
	ofInputRequests
	ofCacheScope
	ofTaskID
	ofTaskTaskID
	replySlots
)

var replyScope = func() *strictjson.Scope {
	free := (*strictjson.Scope)(nil)
	meta := strictjson.Only(replyKeys, nil)
	return strictjson.Only(replyKeys, scopes{
		"jsonrpc": free.Capture(ofJSONRPC),
		"id":      free.Capture(ofID),
		"method":  free.Capture(ofMethod),
		"params":  strictjson.Only(replyKeys, scopes{"_meta": meta}).Capture(ofParams),
		"error":   free.Capture(ofError),
		"result": strictjson.Only(replyKeys, scopes{
			"_meta":         meta,
			"resultType":    free.Capture(ofResultType),
			"requestState":  free.Capture(ofRequestState),
			"inputRequests": strictjson.Each(strictjson.Only(replyKeys, nil)).Capture(ofInputRequests),
			"cacheScope":    free.Capture(ofCacheScope),
			"taskId":        free.Capture(ofTaskID),
			"task":          strictjson.Only(replyKeys, scopes{"taskId": free.Capture(ofTaskTaskID)}),
		}).Capture(ofResult),
	})
}()

// DecodeReply reads one message from an upstream, as strict about bytes as [Decode] and
// lenient about members it does not know. The error says what was wrong and never quotes
// values. raw is kept, not copied.
func DecodeReply(raw []byte, lim Limits) (*Reply, error) {
	if lim.Bytes > 0 && int64(len(raw)) > lim.Bytes {
		return nil, fmt.Errorf("a message of %d bytes; the limit is %d", len(raw), lim.Bytes)
	}
	// One allocation for both: the spans escape, and live no longer than the reply.
	both := new(struct {
		reply Reply
		at    [replySlots]strictjson.Span
	})
	at := &both.at
	if err := strictjson.CheckSpans(raw, strictjson.Limits{Depth: lim.Depth}, replyScope, at[:]); err != nil {
		return nil, fmt.Errorf("not one strict JSON message: %w", err)
	}
	get := func(i int) []byte {
		if at[i].Empty() {
			return nil
		}
		return at[i].Of(raw)
	}
	if string(get(ofJSONRPC)) != `"2.0"` {
		return nil, errors.New("not a JSON-RPC 2.0 message")
	}
	r := &both.reply
	*r = Reply{Raw: raw, ID: get(ofID), IDAt: at[ofID], Params: get(ofParams), Result: get(ofResult), Error: get(ofError)}
	r.ResultStart, r.ResultEnd = at[ofResult].Start, at[ofResult].End
	if m := get(ofMethod); m != nil {
		if m[0] != '"' || len(m) == len(`""`) {
			return nil, errors.New(`"method" is not a string`)
		}
		r.Method = intern(m, methodNames)
	}
	if err := r.classify(); err != nil {
		return nil, err
	}
	if err := r.readResult(at); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Reply) classify() error {
	if string(r.ID) == "null" && r.Error != nil {
		r.ID, r.IDAt = nil, strictjson.Span{} // JSON-RPC's answer to a message whose id could not be read
	}
	if r.ID != nil && !validID(r.ID) {
		return errors.New(`"id" is neither a string nor an integer`)
	}
	answer := r.Result != nil || r.Error != nil
	switch {
	case r.Method != "" && answer, r.Result != nil && r.Error != nil, !answer && r.Method == "":
		return errors.New("neither a request, a notification nor a response")
	case r.Method != "" && r.ID != nil:
		r.Kind = Request
	case r.Method != "":
		r.Kind = Notification
	case r.Result != nil && r.ID == nil:
		return errors.New(`a result without an "id"`)
	case r.Error != nil && r.Error[0] != '{':
		return errors.New(`"error" is not an object`)
	default:
		r.Kind = Response
	}
	return nil
}

// readResult notes the few members of a result that the gateway must see. Those it acts on
// must have their type: what cannot be wrapped or bound may not pass as if it were absent.
func (r *Reply) readResult(at *[replySlots]strictjson.Span) error {
	r.RequestState, r.HasRequestState = at[ofRequestState], !at[ofRequestState].Empty()
	r.CacheScope, r.HasCacheScope = at[ofCacheScope], !at[ofCacheScope].Empty()
	r.InputRequests = at[ofInputRequests]
	if r.HasRequestState && r.Raw[r.RequestState.Start] != '"' {
		return errors.New(`"requestState" is not a string`)
	}
	var err error
	if r.ResultType, err = stringAt(r.Raw, at[ofResultType], "resultType"); err != nil {
		return err
	}
	outer, err := stringAt(r.Raw, at[ofTaskID], "taskId")
	if err != nil {
		return err
	}
	inner, err := stringAt(r.Raw, at[ofTaskTaskID], "taskId")
	if err != nil {
		return err
	}
	if inner != "" && outer != "" && inner != outer {
		return errors.New("the result names two tasks")
	}
	r.TaskID = max(inner, outer)
	return nil
}

func stringAt(raw []byte, s strictjson.Span, name string) (string, error) {
	if s.Empty() {
		return "", nil
	}
	if string(s.Of(raw)) == `"complete"` { // what nearly every result of the newer protocol says
		return "complete", nil
	}
	text, err := strictjson.String(s.Of(raw))
	if err != nil {
		return "", fmt.Errorf("%q is not a string", name)
	}
	return text, nil
}
