package shim

import (
	"bytes"
	"fmt"
	"net/http"

	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// message is what must be known of a client's message to carry it. It judges nothing that the
// gateway judges: that one refuses, and writes the refusal down.
type message struct {
	raw     []byte
	kind    wire.Kind
	id      []byte // raw; nil for a notification
	method  string
	version string // the revision named in _meta: the newer era; "" in the older
	name    string // of what the method acts on
	args    []byte // raw
	cancels []byte // of a cancellation: the id of the request, raw
}

// readMessage reads one line.
func readMessage(line []byte) (*message, *rpcError) {
	if err := strictjson.Check(line, strictjson.Limits{}); err != nil {
		return nil, &rpcError{wire.RPCParse, fmt.Sprintf("parse error: %v", err)}
	}
	m := &message{raw: line}
	members, err := strictjson.Object(line)
	if err != nil {
		return nil, &rpcError{wire.RPCInvalidRequest, "invalid request: a JSON-RPC message is an object, and a line holds one"}
	}
	var params []byte
	for _, member := range members {
		v := member.Value().Of(line)
		switch member.Name {
		case "id":
			if string(v) != "null" {
				m.id = v
			}
		case "method":
			m.method, _ = strictjson.String(v) // another type: refused by the gateway
		case "params":
			params = v
		}
	}
	switch {
	case m.method == "":
		m.kind = wire.Response
	case m.id == nil:
		m.kind = wire.Notification
	default:
		m.kind = wire.Request
	}
	m.readParams(params)
	return m, nil
}

func (m *message) readParams(params []byte) {
	if len(params) == 0 || params[0] != '{' {
		return
	}
	m.args = find(params, "arguments")
	m.cancels = find(params, "requestId")
	m.version = text(find(find(params, "_meta"), "io.modelcontextprotocol/protocolVersion"))
	switch m.method {
	case wire.MethodResRead, wire.MethodResSubscribe, wire.MethodResUnsub:
		m.name = text(find(params, "uri"))
	case wire.MethodTasksGet, wire.MethodTasksUpdate, wire.MethodTasksCancel:
		m.name = text(find(params, "taskId"))
	default:
		m.name = text(find(params, "name"))
	}
}

// find returns a member of an object, or nil.
func find(object []byte, name string) []byte {
	if len(object) == 0 || object[0] != '{' {
		return nil
	}
	span, ok := strictjson.Find(object, name)
	if !ok {
		return nil
	}
	return span.Of(object)
}

func text(raw []byte) string {
	s, _ := strictjson.String(raw) // what is none is empty
	return s
}

// modernHeaders are those in which a message of the newer era says again what its body says.
func (m *message) modernHeaders(bindings []wire.HeaderBinding) (http.Header, *rpcError) {
	if m.method != wire.MethodToolsCall {
		bindings = nil
	}
	h, err := wire.MirrorHeaders(m.method, m.name, bindings, m.args)
	if err != nil {
		return nil, &rpcError{wire.RPCInvalidParams, fmt.Sprintf("invalid params: %v", err)}
	}
	h[wire.HeaderVersion] = []string{m.version}
	return h, nil
}

// rpcError is what a client is told where the gateway has not answered.
type rpcError struct {
	code int
	text string
}

func (e *rpcError) Error() string { return e.text }

// oneLine makes a message fit for a line: between tokens JSON may hold line ends, within them
// none.
func oneLine(raw []byte) []byte {
	if bytes.IndexByte(raw, '\n') < 0 && bytes.IndexByte(raw, '\r') < 0 {
		return raw
	}
	flat := bytes.Clone(raw)
	for i, c := range flat {
		if c == '\n' || c == '\r' {
			flat[i] = ' '
		}
	}
	return flat
}
