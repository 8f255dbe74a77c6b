package wire

import (
	"encoding/json"
	"fmt"

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

func (k Kind) String() string {
	switch k {
	case Request:
		return "request"
	case Notification:
		return "notification"
	case Response:
		return "response"
	}
	return "no message"
}

// Message is one message from a client. It is immutable after [Decode], and its byte slices
// are parts of Raw.
type Message struct {
	Era     Era
	Version string // the revision that applies; "" for initialize, whose own choice is InitVersion
	Kind    Kind
	Raw     []byte          // exactly the bytes received
	ID      []byte          // raw; nil for a notification
	Method  string          // "" for a response
	Params  []byte          // raw object; nil when absent
	IDAt    strictjson.Span // where ID stands in Raw; empty where it is nil

	Name      string             // tools/call, prompts/get: the name; resources/*: the URI; tasks/*: the task; completion: the name or URI referred to
	Ref       string             // completion/complete: "ref/prompt" or "ref/resource"
	Arguments []byte             // raw params.arguments, an object; nil when absent
	Outline   strictjson.Outline // of Arguments, as they are

	ProgressToken   []byte          // params._meta.progressToken, raw; nil when absent
	TokenAt         strictjson.Span // where it stands in Raw; empty where it is nil
	Traceparent     string          // params._meta.traceparent as it stands, sound or not; "" where it is no string
	RequestID       []byte          // notifications/cancelled: params.requestId, raw; nil when absent
	Cursor          string          // lists
	HasCursor       bool            // "" is a valid cursor
	RequestState    strictjson.Span
	HasRequestState bool // then RequestState covers the JSON string in Raw, quotes included
	IsRetry         bool // params.requestState or params.inputResponses is there (tasks/update has the latter too)
	InitVersion     string

	lacks string // the member that names what the method acts on, where it is empty or absent
}

// Wants reports whether a subscriptions/listen asks for the notifications of this name, such as
// toolsListChanged.
func (m *Message) Wants(name string) bool {
	at, ok := place(m.Raw, []string{"params", "notifications", name})
	return ok && string(at.Of(m.Raw)) == "true"
}

// Limits bound a message. Zero fields take the defaults: no limit of bytes, and the depth of
// [strictjson.Limits].
type Limits struct {
	Bytes int64
	Depth int
}

// Code says which kind of refusal a message met.
type Code uint8

// The refusals of this package. The zero value is the least specific.
const (
	Malformed          Code = iota // not one message with one meaning
	HeaderMismatch                 // MCP headers and body disagree
	UnsupportedVersion             // a protocol revision that the gateway does not speak
	InvalidParams                  // params without what the method or the protocol requires
)

func (c Code) String() string {
	switch c {
	case HeaderMismatch:
		return "header_mismatch"
	case UnsupportedVersion:
		return "unsupported_version"
	case InvalidParams:
		return "invalid_params"
	}
	return "malformed"
}

// JSON-RPC error codes of the protocol.
const (
	RPCParse          = -32700
	RPCInvalidRequest = -32600
	RPCUnknownMethod  = -32601
	RPCInvalidParams  = -32602
	RPCHeaderMismatch = -32020
	RPCVersion        = -32022
)

// Error is a refused message: what to answer, and under which id if one was readable. Its
// message never holds values of arguments.
type Error struct {
	Code    Code
	RPC     int
	Message string
	ID      []byte          // raw; nil when the message had none, or none that is valid
	Data    json.RawMessage // nil when there is none
}

func (e *Error) Error() string { return e.Message }

func notStrict(err error) *Error {
	return &Error{Code: Malformed, RPC: RPCParse, Message: "the body is not one strict JSON message: " + err.Error()}
}

func invalid(format string, args ...any) *Error {
	return &Error{Code: Malformed, RPC: RPCInvalidRequest, Message: fmt.Sprintf(format, args...)}
}

func badParams(format string, args ...any) *Error {
	return &Error{Code: InvalidParams, RPC: RPCInvalidParams, Message: fmt.Sprintf(format, args...)}
}

func mismatch(format string, args ...any) *Error {
	return &Error{Code: HeaderMismatch, RPC: RPCHeaderMismatch, Message: "header mismatch: " + fmt.Sprintf(format, args...)}
}

// unsupported is the answer the protocol wants word for word: clients choose another revision
// from its data.
func unsupported(version string) *Error {
	const most = 64
	data, err := json.Marshal(map[string]any{"supported": Supported(), "requested": version[:min(most, len(version))]})
	if err != nil { // strings always marshal
		data = nil
	}
	return &Error{Code: UnsupportedVersion, RPC: RPCVersion, Message: "unsupported protocol version", Data: data}
}
