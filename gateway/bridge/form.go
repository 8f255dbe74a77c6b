package bridge

import (
	"fmt"
	"net/http"
	"strconv"

	"sallyport/gateway"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// Members of _meta that only the newer protocol has, and that are about a single request of it.
const (
	metaVersion      = "io.modelcontextprotocol/protocolVersion"
	metaCapabilities = "io.modelcontextprotocol/clientCapabilities"
	metaClient       = "io.modelcontextprotocol/clientInfo"
	metaLevel        = "io.modelcontextprotocol/logLevel"
)

// member is one of an object, its name and value raw.
type member struct{ name, value []byte }

// object writes obj with its members as keep changes them, and others after them. obj may be nil.
// A nil value leaves a member out; without any member the object is nil.
func object(obj []byte, keep func(name string, value []byte) []byte, more ...member) []byte {
	out := []byte{'{'}
	add := func(m member) {
		if m.value == nil {
			return
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, m.name...), ':'), m.value...)
	}
	if obj != nil {
		_ = strictjson.EachMember(obj, func(m strictjson.Member) { // what was decoded is an object
			add(member{obj[m.NameStart:m.NameEnd], keep(m.Name, m.Value().Of(obj))})
		})
	}
	for _, m := range more {
		add(m)
	}
	if len(out) == 1 {
		return nil
	}
	return append(out, '}')
}

// request writes a request of a message's method.
func request(id []byte, method string, params []byte) []byte {
	out := append([]byte(`{"jsonrpc":"2.0","id":`), id...)
	out = append(out, `,"method":`...)
	out = strictjson.AppendString(out, method)
	if params != nil {
		out = append(append(out, `,"params":`...), params...)
	}
	return append(out, '}')
}

// paramsOf is the params of what is sent. They are not those of Outbound.Message where the line has
// changed the body since it was decoded.
func paramsOf(out gateway.Outbound) []byte {
	if span, ok := strictjson.Find(out.Body, "params"); ok {
		return span.Of(out.Body)
	}
	return nil
}

func memberOf(obj []byte, name string) []byte {
	if obj == nil {
		return nil
	}
	if span, ok := strictjson.Find(obj, name); ok {
		return span.Of(obj)
	}
	return nil
}

// toOlder is the request in the form of a session at an older server. The id is ours, since two
// clients of one principal may use the same at the same time; so is the progress token.
func toOlder(out gateway.Outbound, s *session, id []byte, lim wire.Limits) (gateway.Outbound, error) {
	meta := func(name string, value []byte) []byte {
		switch name {
		case metaVersion, metaCapabilities, metaClient, metaLevel:
			return nil
		case "progressToken":
			return id
		}
		return value
	}
	params := object(paramsOf(out), func(name string, value []byte) []byte {
		switch name {
		case "_meta":
			return object(value, meta)
		case "requestState", "inputResponses":
			return nil
		}
		return value
	})
	h := http.Header{"Content-Type": {jsonType}, "Accept": {jsonType + ", " + eventsType}}
	wire.TraceHeaders(h, out.Header)
	return remade(out, request(id, out.Message.Method, params), sessionHeader(h, s), lim)
}

// toNewer is the request in the form of a newer server, with what its client has answered so far.
func (l *Link) toNewer(out gateway.Outbound, id []byte, more ...member) (gateway.Outbound, error) {
	msg := out.Message
	var bindings []wire.HeaderBinding
	if msg.Method == wire.MethodToolsCall {
		bindings = l.o.Bindings(msg.Name)
	}
	h, err := wire.MirrorHeaders(msg.Method, msg.Name, bindings, msg.Arguments)
	if err != nil {
		return gateway.Outbound{}, fmt.Errorf("%w: %w", gateway.ErrUnreachable, err)
	}
	wire.TraceHeaders(h, out.Header)
	params := paramsOf(out)
	meta := object(memberOf(params, "_meta"), func(name string, value []byte) []byte {
		switch name {
		case metaVersion, metaCapabilities, metaClient, metaLevel:
			return nil // a client of the older protocol has no say in them
		}
		return value
	}, member{quoted(metaVersion), quoted(wire.V20260728)}, member{quoted(metaCapabilities), capabilities(out.Can)}, member{quoted(metaClient), []byte(gateway.ClientInfo)},
		member{quoted(metaLevel), level(out.Level)})
	params = object(params, func(name string, value []byte) []byte {
		switch name {
		case "_meta", "requestState", "inputResponses":
			return nil
		}
		return value
	}, append([]member{{quoted("_meta"), meta}}, more...)...)
	return remade(out, request(id, msg.Method, params), h, l.o.Limits)
}

// level is the level of log messages that an older client has set for its session, if any.
func level(set string) []byte {
	if set == "" {
		return nil
	}
	return quoted(set)
}

// remade is out with another body and other headers. The body is decoded as the client's was: it
// has one meaning, and its headers say the same.
func remade(out gateway.Outbound, body []byte, h http.Header, lim wire.Limits) (gateway.Outbound, error) {
	msg, refused := wire.Decode(body, h, wire.Limits{Depth: lim.Depth})
	if refused != nil {
		return gateway.Outbound{}, fmt.Errorf("%w: the request cannot be put into the form of the server: %w", gateway.ErrUnreachable, refused)
	}
	out.Body, out.Header, out.Message, out.Stream = body, h, msg, false
	return out, nil
}

func quoted(s string) []byte { return strictjson.AppendString(nil, s) }

// capabilities is what a client can be asked, as it is declared.
func capabilities(can gateway.Capabilities) []byte {
	empty := func(has bool) []byte {
		if has {
			return []byte(`{}`)
		}
		return nil
	}
	out := object(nil, nil, member{quoted("sampling"), empty(can.Sampling)}, member{quoted("elicitation"), empty(can.Elicitation)},
		member{quoted("roots"), empty(can.Roots)})
	if out == nil {
		return []byte(`{}`)
	}
	return out
}

// allows reports whether a client that can be asked can be asked this.
func allows(can gateway.Capabilities, method string) bool {
	switch method {
	case wire.AskElicitation:
		return can.Elicitation
	case wire.AskSampling:
		return can.Sampling
	case wire.AskRoots:
		return can.Roots
	}
	return false
}

const complete = "complete"

// answerOf is a server's answer under the client's id. result is nil for an error.
func answerOf(id, result, failure []byte) []byte {
	if result != nil {
		return wire.AppendResult(nil, id, result)
	}
	out := append([]byte(`{"jsonrpc":"2.0","id":`), id...)
	return append(append(append(out, `,"error":`...), failure...), '}')
}

// completed is an older server's result as a newer client reads it. It is nobody else's to cache.
func completed(method string, msg *wire.Reply) ([]byte, error) {
	if msg.Result[0] != '{' || msg.ResultType != "" && msg.ResultType != complete {
		return nil, fmt.Errorf("%w: a result that the server's revision of the protocol does not have", gateway.ErrGarbage)
	}
	more := []member{{quoted("resultType"), quoted(complete)}}
	for _, m := range []member{{quoted("ttlMs"), []byte("0")}, {quoted("cacheScope"), quoted("private")}} {
		if name, _ := strictjson.String(m.name); method == wire.MethodResRead && memberOf(msg.Result, name) == nil {
			more = append(more, m)
		}
	}
	return object(msg.Result, func(name string, value []byte) []byte {
		if name == "resultType" {
			return nil
		}
		return value
	}, more...), nil
}

// Codes that the newer protocol has given up, and must not be sent in it.
const (
	codeNoResource  = "-32002"
	codeElicitation = "-32042"
)

// newerError is an older server's error as a newer client reads it.
func newerError(failure []byte) []byte {
	return object(failure, func(name string, value []byte) []byte {
		switch {
		case name == "code" && string(value) == codeNoResource:
			return strconv.AppendInt(nil, wire.RPCInvalidParams, 10)
		case name == "code" && string(value) == codeElicitation:
			return []byte("-32603")
		}
		return value
	})
}

// olderResult is a newer server's result as an older client reads it.
func olderResult(result []byte) []byte {
	out := object(result, func(name string, value []byte) []byte {
		if name == "resultType" {
			return nil
		}
		return value
	})
	if out == nil {
		return []byte(`{}`)
	}
	return out
}
