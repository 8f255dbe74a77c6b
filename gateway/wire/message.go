package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"sallyport/internal/strictjson"
)

// Kind is what a JSON-RPC message is. The zero value is none of them.
type Kind uint8

// The kinds of message.
const (
	Request Kind = iota + 1
	Notification
	Response
)

// Message is one message from a client. It is immutable after [Decode].
type Message struct {
	Era     Era
	Version string // the revision that applies; "" for initialize, whose own choice is InitVersion
	Kind    Kind
	Raw     []byte // exactly the bytes received
	ID      []byte // raw; nil for a notification
	Method  string // "" for a response
	Params  []byte // raw; nil when absent

	Name      string // tools/call, prompts/get: the name; resources/*: the URI; tasks/*: the task; completion: the name or URI referred to
	Ref       string // completion/complete: "ref/prompt" or "ref/resource"
	Arguments []byte // raw params.arguments; nil when absent

	RequestID         []byte          // notifications/cancelled: params.requestId, raw
	Cursor            string          // lists
	HasCursor         bool            // "" is a valid cursor
	RequestState      strictjson.Span // of the JSON string in Raw, quotes included
	HasRequestState   bool
	IsRetry           bool // a multi-round-trip retry: requestState or inputResponses present
	InitVersion       string
	WantsToolsChanged bool // subscriptions/listen asks for tools/list_changed

	paramsStart int // of Params in Raw
}

// Limits bound a message. Zero fields take the defaults of strictjson.
type Limits struct {
	Depth int
}

// Code says which kind of refusal a message met.
type Code uint8

// The refusals of this package.
const (
	Malformed Code = iota
	HeaderMismatch
	UnsupportedVersion
)

// JSON-RPC error codes of the protocol.
const (
	RPCParse          = -32700
	RPCInvalidRequest = -32600
	RPCUnknownMethod  = -32601
	RPCInvalidParams  = -32602
	RPCHeaderMismatch = -32020
	RPCVersion        = -32022
)

// Error is a refused message: what to answer, and under which id if one was readable.
type Error struct {
	Code    Code
	RPC     int
	Message string
	ID      []byte
	Data    json.RawMessage
}

func (e *Error) Error() string { return e.Message }

var (
	// Values of these members are the user's own data: names in them are free.
	free = map[string]*strictjson.Scope{
		"arguments": nil, "inputResponses": nil, "requestState": nil,
		"experimental": nil, "extensions": nil, "structuredContent": nil,
		"result": nil, "error": nil, // of a client's answer to a server's question
	}
	protocolKeys = strictjson.NewKeySet("jsonrpc", "id", "method", "params", "result", "error",
		"name", "arguments", "uri", "cursor", "_meta", "taskId", "task", "requestState", "inputResponses",
		"progressToken", "requestId", "ref", "argument", "protocolVersion", "clientInfo",
		"capabilities", "notifications", "toolsListChanged", metaVersion, metaCapabilities)
	requestScope = strictjson.NewScope(protocolKeys, free)
)

// Decode reads one message and checks it against its headers. The error, if any, is never nil
// inside the interface: callers compare the pointer.
func Decode(body []byte, h http.Header, lim Limits) (*Message, *Error) {
	if b := bytes.TrimLeft(body, " \t\r\n"); len(b) > 0 && b[0] == '[' {
		return nil, &Error{RPC: RPCInvalidRequest, Message: "batches are not accepted: send one JSON-RPC message per request"}
	}
	members, err := envelope(body, lim)
	if err != nil {
		return nil, err
	}
	m := &Message{Raw: body}
	if err := m.readEnvelope(members); err != nil {
		return nil, err
	}
	meta, err := m.readParams()
	if err != nil {
		err.ID = m.ID
		return nil, err
	}
	if err := m.checkHeaders(h, meta); err != nil {
		err.ID = m.ID
		return nil, err
	}
	return m, nil
}

// envelope checks the document and returns its members.
func envelope(body []byte, lim Limits) ([]strictjson.Member, *Error) {
	if err := strictjson.CheckScope(body, strictjson.Limits{Depth: lim.Depth}, requestScope); err != nil {
		return nil, &Error{RPC: RPCParse, Message: "the body is not one strict JSON message: " + err.Error()}
	}
	members, err := strictjson.Object(body)
	if err != nil {
		return nil, invalid("a JSON-RPC message is an object")
	}
	return members, nil
}

func invalid(format string, args ...any) *Error {
	return &Error{RPC: RPCInvalidRequest, Message: fmt.Sprintf(format, args...)}
}

func (m *Message) readEnvelope(members []strictjson.Member) *Error {
	var version, hasResult, hasError bool
	for _, mem := range members {
		v := mem.Value().Of(m.Raw)
		switch mem.Name {
		case "jsonrpc":
			version = string(v) == `"2.0"`
		case "id":
			if !validID(v) {
				return invalid(`"id" must be a string or an integer`)
			}
			m.ID = v
		case "method":
			s, err := strictjson.String(v)
			if err != nil || s == "" {
				return invalid(`"method" must be a string`)
			}
			m.Method = s
		case "params":
			if v[0] != '{' {
				return invalid(`"params" must be an object`)
			}
			m.Params, m.paramsStart = v, mem.Start
		case "result":
			hasResult = true
		case "error":
			hasError = true
		}
	}
	if !version {
		return invalid(`"jsonrpc" must be "2.0"`)
	}
	switch answer := hasResult || hasError; {
	case m.Method != "" && answer, hasResult && hasError:
		return invalid("a message is a request, a notification or a response: not two of them")
	case m.Method != "" && m.ID != nil:
		m.Kind = Request
	case m.Method != "":
		m.Kind = Notification
	case answer && m.ID != nil:
		m.Kind = Response
	case answer:
		return invalid(`a response must have an "id"`)
	default:
		return invalid(`a message needs a "method", a "result" or an "error"`)
	}
	return nil
}

// validID accepts what both eras allow: a string, or an integer in its plain form.
func validID(raw []byte) bool {
	if raw[0] == '"' {
		return true
	}
	digits := bytes.TrimPrefix(raw, []byte("-"))
	if len(digits) == 0 {
		return false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// metaFields is what _meta says of the protocol.
type metaFields struct {
	version      string
	hasVersion   bool
	capabilities bool
}

func (m *Message) readParams() (metaFields, *Error) {
	var meta metaFields
	if m.Params == nil {
		return meta, nil
	}
	base := m.paramsStart
	var failed *Error
	err := strictjson.EachMember(m.Params, func(mem strictjson.Member) {
		v := mem.Value().Of(m.Params)
		var err error
		switch mem.Name {
		case "_meta":
			meta, err = readMeta(v)
		case "arguments":
			if v[0] != '{' {
				err = errors.New(`"arguments" must be an object`)
			}
			m.Arguments = v
		case "requestId":
			m.RequestID = v
		case "cursor":
			m.Cursor, err = str(v, "cursor")
			m.HasCursor = true
		case "requestState":
			_, err = str(v, "requestState")
			m.RequestState = strictjson.Span{Start: base + mem.Start, End: base + mem.End}
			m.HasRequestState, m.IsRetry = true, true
		case "inputResponses":
			m.IsRetry = true
		case "ref":
			err = m.readRef(v)
		case "notifications":
			span, ok := strictjson.Find(v, "toolsListChanged")
			m.WantsToolsChanged = ok && string(span.Of(v)) == "true"
		case "protocolVersion":
			if m.Method == MethodInitialize {
				m.InitVersion, err = str(v, "protocolVersion")
			}
		case nameMember(m.Method):
			m.Name, err = str(v, mem.Name)
		}
		if err != nil && failed == nil {
			failed = &Error{RPC: RPCInvalidParams, Message: "params: " + err.Error()}
		}
	})
	if err != nil {
		return meta, invalid("params: %v", err)
	}
	if failed == nil && m.Kind == Request && m.Name == "" && nameMember(m.Method) != "" {
		failed = &Error{RPC: RPCInvalidParams, Message: fmt.Sprintf("%s needs a non-empty params.%s", m.Method, nameMember(m.Method))}
	}
	return meta, failed
}

// nameMember is the member of params that names what the method acts on; "" where none does.
func nameMember(method string) string {
	switch method {
	case MethodToolsCall, MethodPromptsGet:
		return "name"
	case MethodResRead, MethodResSubscribe, MethodResUnsub:
		return "uri"
	case MethodTasksGet, MethodTasksResult, MethodTasksCancel, MethodTasksUpdate:
		return "taskId"
	}
	return ""
}

func (m *Message) readRef(v []byte) error {
	if m.Method != MethodComplete {
		return nil
	}
	return strictjson.EachMember(v, func(mem strictjson.Member) {
		s, err := strictjson.String(mem.Value().Of(v))
		if err != nil {
			return
		}
		switch mem.Name {
		case "type":
			m.Ref = s
		case "name", "uri":
			m.Name = s
		}
	})
}

func readMeta(v []byte) (metaFields, error) {
	var meta metaFields
	var failed error
	err := strictjson.EachMember(v, func(mem strictjson.Member) {
		switch mem.Name {
		case metaVersion:
			meta.version, failed = str(mem.Value().Of(v), metaVersion)
			meta.hasVersion = true
		case metaCapabilities:
			meta.capabilities = v[mem.Start] == '{'
		}
	})
	if err != nil {
		return meta, errors.New(`"_meta" must be an object`)
	}
	return meta, failed
}

func str(raw []byte, what string) (string, error) {
	s, err := strictjson.String(raw)
	if err != nil {
		return "", fmt.Errorf("%q must be a string", what)
	}
	return s, nil
}

// MethodKnown reports whether the era's allow-list has the method.
func (m *Message) MethodKnown() bool { return m.Kind == Response || clientMethods[m.Era][m.Method] }
