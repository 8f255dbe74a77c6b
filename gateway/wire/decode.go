package wire

import (
	"bytes"
	"net/http"
	"strings"

	"sallyport/internal/strictjson"
)

// Decode reads one message and checks it against its headers. What it returns has one meaning:
// the envelope is well formed, no name in it can be read as another, and the MCP headers say
// what the body says. Whether the method is known is asked separately ([Message.MethodKnown]).
// body is kept, not copied, and must not change afterwards.
//
// The error is a *Error and not an error, so that nil means nil; its ID is set where the
// message had a valid one.
func Decode(body []byte, h http.Header, lim Limits) (*Message, *Error) {
	if lim.Bytes > 0 && int64(len(body)) > lim.Bytes {
		return nil, invalid("a message of %d bytes; the limit is %d", len(body), lim.Bytes)
	}
	text := bytes.TrimLeft(body, " \t\r\n")
	if len(text) > 0 && text[0] == '[' {
		return nil, invalid("batches are not accepted: send one JSON-RPC message per request")
	}
	// One allocation for both: the spans escape, and live no longer than the message.
	both := new(struct {
		message Message
		at      noted
	})
	at := &both.at
	outline, failed := strictjson.CheckOutline(body, strictjson.Limits{Depth: lim.Depth}, messageScope, at[:])
	if failed != nil {
		return nil, notStrict(failed)
	}
	if text[0] != '{' {
		return nil, invalid("a JSON-RPC message is an object")
	}
	m := &both.message
	*m = Message{Raw: body, Outline: outline.Of(at[atArguments])}
	err := m.readEnvelope(at)
	if err == nil {
		err = m.readParams(at)
	}
	if err == nil {
		err = m.checkHeaders(h, at)
	}
	if err == nil {
		err = m.requireName()
	}
	if err != nil {
		err.ID = m.ID
		return nil, err
	}
	return m, nil
}

func (m *Message) readEnvelope(at *noted) *Error {
	if id := at.raw(m.Raw, atID); id != nil {
		if !validID(id) {
			return invalid(`"id" must be a string or an integer of at most 256 bytes`)
		}
		m.ID, m.IDAt = id, at[atID]
	}
	if string(at.raw(m.Raw, atJSONRPC)) != `"2.0"` {
		return invalid(`"jsonrpc" must be "2.0"`)
	}
	if raw := at.raw(m.Raw, atMethod); raw != nil {
		if raw[0] != '"' || len(raw) == len(`""`) {
			return invalid(`"method" must be a string that is not empty`)
		}
		m.Method = intern(raw, methodNames)
	}
	if m.Params = at.raw(m.Raw, atParams); m.Params != nil && m.Params[0] != '{' {
		return invalid(`"params" must be an object`)
	}
	return m.classify(at)
}

func (m *Message) classify(at *noted) *Error {
	hasResult, hasError := !at[atResult].Empty(), !at[atError].Empty()
	answer := hasResult || hasError
	switch {
	case m.Method != "" && answer, hasResult && hasError, answer && m.Params != nil:
		return invalid("a message is a request, a notification or a response: not two of them")
	case m.Method != "" && m.ID != nil:
		m.Kind = Request
	case m.Method != "":
		m.Kind = Notification
	case hasError && at.raw(m.Raw, atError)[0] != '{':
		return invalid(`"error" must be an object`)
	case answer && m.ID == nil:
		return invalid(`a response must have an "id"`)
	case answer:
		m.Kind = Response
	default:
		return invalid(`a message needs a "method", a "result" or an "error"`)
	}
	return nil
}

// maxID bounds an id, in bytes: several tables keep ids for as long as a request is open.
const maxID = 256

// validID accepts what both eras allow: a string, or an integer in its plain form. Fractions
// and exponents are refused even where their value is whole, since 1, 1.0 and 1e0 are one id
// to some parsers and three to others; so are 0 and -0.
func validID(raw []byte) bool {
	if len(raw) > maxID {
		return false
	}
	if raw[0] == '"' {
		return true
	}
	digits := bytes.TrimPrefix(raw, []byte("-"))
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(digits) > 0 && string(raw) != "-0"
}

func (m *Message) readParams(at *noted) *Error {
	if raw := at.raw(m.Raw, atMeta); raw != nil && raw[0] != '{' {
		return badParams(`params: "_meta" must be an object`)
	}
	m.ProgressToken, m.TokenAt = at.raw(m.Raw, atProgressToken), at[atProgressToken]
	if t := at.raw(m.Raw, atTraceparent); len(t) == len(traceparentForm)+2 && t[0] == '"' {
		m.Traceparent = string(t[1 : len(t)-1])
	}
	if m.Arguments = at.raw(m.Raw, atArguments); m.Arguments != nil && m.Arguments[0] != '{' {
		return badParams(`params: "arguments" must be an object`)
	}
	if err := m.readRetry(at); err != nil {
		return err
	}
	if err := m.readName(at); err != nil {
		return err
	}
	var err *Error
	switch m.Method {
	case NotifyCancelled:
		if m.RequestID = at.raw(m.Raw, atRequestID); m.RequestID != nil && !validID(m.RequestID) {
			return badParams(`params: "requestId" must be a string or an integer of at most 256 bytes`)
		}
	case MethodInitialize:
		m.InitVersion, err = m.str(at, atInitVersion, "protocolVersion")
	default:
		if strings.HasSuffix(m.Method, "/list") {
			m.HasCursor = !at[atCursor].Empty()
			m.Cursor, err = m.str(at, atCursor, "cursor")
		}
	}
	return err
}

// readRetry notes what makes a request the continuation of another. requestState must be a
// string, since that is what the gateway can unwrap.
func (m *Message) readRetry(at *noted) *Error {
	m.RequestState, m.HasRequestState = at[atRequestState], !at[atRequestState].Empty()
	m.IsRetry = m.HasRequestState || !at[atInputResponses].Empty()
	_, err := m.str(at, atRequestState, "requestState")
	return err
}

// readName reads what the method acts on.
func (m *Message) readName(at *noted) *Error {
	var err *Error
	var where slot
	var member string
	switch m.Method {
	case MethodToolsCall, MethodPromptsGet:
		where, member = atName, "name"
	case MethodResRead, MethodResSubscribe, MethodResUnsub:
		where, member = atURI, "uri"
	case MethodTasksGet, MethodTasksResult, MethodTasksCancel, MethodTasksUpdate:
		where, member = atTaskID, "taskId"
	case MethodComplete:
		if m.Ref, err = m.str(at, atRefType, "ref.type"); err != nil {
			return err
		}
		switch m.Ref {
		case "ref/prompt":
			where, member = atRefName, "ref.name"
		case "ref/resource":
			where, member = atRefURI, "ref.uri"
		default:
			return badParams(`params: "ref.type" must be "ref/prompt" or "ref/resource"`)
		}
	default:
		return nil
	}
	m.Name, err = m.str(at, where, member)
	if err == nil && m.Name == "" {
		m.lacks = member
	}
	return err
}

// requireName is asked last: a method that the era does not have is unknown, whatever it lacks.
func (m *Message) requireName() *Error {
	if m.lacks == "" || !m.MethodKnown() {
		return nil
	}
	return badParams("%s needs a non-empty params.%s", m.Method, m.lacks)
}

// str decodes the string at a slot; "" where there is none.
func (m *Message) str(at *noted, s slot, name string) (string, *Error) {
	raw := at.raw(m.Raw, s)
	if raw == nil {
		return "", nil
	}
	text, err := strictjson.String(raw)
	if err != nil {
		return "", badParams("params: %q must be a string", name)
	}
	return text, nil
}

// intern decodes a JSON string and returns the one copy of it that known has, if any.
func intern(raw []byte, known map[string]string) string {
	if s, ok := known[string(raw[1:len(raw)-1])]; ok {
		return s
	}
	s, err := strictjson.String(raw)
	if err != nil { // callers pass checked strings only
		return ""
	}
	return s
}
