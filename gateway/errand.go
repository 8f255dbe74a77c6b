package gateway

import (
	"net/http"
	"slices"

	"sallyport/gateway/wire"
)

// Errand is a request of the gateway's own: handshake, catalogue, listening, and the refusal
// of a server's question. It never carries client bytes other than an id. The zero Errand asks
// nothing.
type Errand struct{ out Outbound }

// In returns the errand as one of a session whose revision of the protocol is version, as the
// server has chosen it: some refuse every other.
func (e Errand) In(version string) Errand {
	if _, ok := e.out.Header[wire.HeaderVersion]; !ok {
		return e
	}
	e.out.Header = e.out.Header.Clone()
	delete(e.out.Header, wire.HeaderVersion)
	if version != "" && version != wire.V20241105 { // which came before the header
		e.out.Header[wire.HeaderVersion] = []string{version}
	}
	return e
}

// As returns the errand as one for p: a server with a process for each principal does it there.
func (e Errand) As(p Party) Errand {
	e.out.For = p
	return e
}

// Outbound returns what to send; an empty Method means nothing.
func (e Errand) Outbound() Outbound { return e.out }

// ClientInfo is who the gateway says it is, as a client.
const ClientInfo = `{"name":"sallyport","version":"1"}`

// errand builds a POST of one JSON-RPC message in the given era.
func errand(era wire.Era, session, method, params string, idempotent bool) Errand {
	h := http.Header{
		"Content-Type": {"application/json"},
		"Accept":       {"application/json, text/event-stream"},
	}
	if era == wire.Modern {
		h[wire.HeaderVersion] = []string{wire.V20260728}
		h[wire.HeaderMethod] = []string{method}
	} else if method != wire.MethodInitialize {
		h[wire.HeaderVersion] = []string{wire.V20251125}
	}
	if session != "" {
		h[wire.HeaderSession] = []string{session}
	}
	id := `"id":1,`
	if method == wire.NotifyInitialized || method == wire.NotifyCancelled {
		id = ""
	}
	body := `{"jsonrpc":"2.0",` + id + `"method":"` + method + `","params":{` + params + `}}`
	return Errand{Outbound{Method: http.MethodPost, Header: h, Body: []byte(body), Idempotent: idempotent}}
}

const modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"` + wire.V20260728 +
	`","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":` + ClientInfo + `}`

// AskDiscover asks whether the server speaks the newer protocol.
func AskDiscover() Errand { return errand(wire.Modern, "", wire.MethodDiscover, modernMeta, true) }

// Capabilities are what a client can be asked by a server, of those that the gateway knows.
type Capabilities struct{ Sampling, Elicitation, Roots bool }

func (c Capabilities) append(dst []byte) []byte {
	dst = append(dst, '{')
	for _, one := range []struct {
		name string
		has  bool
	}{{"sampling", c.Sampling}, {"elicitation", c.Elicitation}, {"roots", c.Roots}} {
		if !one.has {
			continue
		}
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = append(dst, `"`+one.name+`":{}`...)
	}
	return append(dst, '}')
}

// AskInitialize opens a session of the gateway's own, in which the server may ask what can
// names.
func AskInitialize(can Capabilities) Errand {
	return errand(wire.Legacy, "", wire.MethodInitialize,
		`"protocolVersion":"`+wire.V20251125+`","capabilities":`+string(can.append(nil))+`,"clientInfo":`+ClientInfo, false)
}

// TellInitialized completes the handshake that AskInitialize began.
func TellInitialized(session string) Errand {
	return errand(wire.Legacy, session, wire.NotifyInitialized, "", false)
}

// askList asks for one page of a list; cursor is a raw JSON string or nil.
func askList(method string, era wire.Era, session string, cursor []byte) Errand {
	params := ""
	if era == wire.Modern {
		params = modernMeta
	}
	if cursor != nil {
		if params != "" {
			params += ","
		}
		params += `"cursor":` + string(cursor)
	}
	return errand(era, session, method, params, true)
}

// askListen opens a stream on which a modern server says that its tools have changed. The older
// era's stream belongs to a session; those catalogues are polled.
func askListen() Errand {
	e := errand(wire.Modern, "", wire.MethodListen, modernMeta+`,"notifications":{"toolsListChanged":true}`, true)
	e.out.Stream = true
	return e
}

// TellCancelled takes back a request of a session of the gateway's own; id is raw.
func TellCancelled(session string, id []byte) Errand {
	return errand(wire.Legacy, session, wire.NotifyCancelled, `"requestId":`+string(id), false)
}

// LogLevels are those of the older protocol's logging (RFC 5424), least urgent first.
var LogLevels = []string{"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}

// AskLevel sets the least urgent level of log messages in a session of the gateway's own. A level
// that the protocol does not have asks nothing.
func AskLevel(session, level string) Errand {
	if !slices.Contains(LogLevels, level) {
		return Errand{}
	}
	return errand(wire.Legacy, session, wire.MethodSetLevel, `"level":"`+level+`"`, true)
}

// EndSession ends a session of the gateway's own.
func EndSession(session string) Errand {
	return Errand{Outbound{Method: http.MethodDelete, Header: http.Header{wire.HeaderSession: {session}, wire.HeaderVersion: {wire.V20251125}}}}
}

// RefuseQuestion answers a server's question that the policy keeps from the client, so that
// the server does not wait for an answer that will never come.
func RefuseQuestion(session string, id []byte) Errand {
	e := errand(wire.Legacy, session, "", "", false)
	e.out.Body = wire.AppendError(nil, id, 403, "refused by the gateway's policy", nil)
	return e
}

// AnswerPing answers a server that asks whether the client of a session of the gateway's own is
// there; id is raw.
func AnswerPing(session string, id []byte) Errand {
	e := errand(wire.Legacy, session, "", "", false)
	e.out.Body = wire.AppendResult(nil, id, []byte(`{}`))
	return e
}
