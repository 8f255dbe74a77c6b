package gateway

import (
	"errors"
	"net/http"
	"sync/atomic"

	"sallyport/gateway/wire"
)

// Permit carries one client request upstream, once. Only authorize and authorizeSession make one; the zero Permit
// buys nothing. It holds no client credential, so there is none to leak.
type Permit struct {
	out      Outbound
	valid    bool
	redeemed atomic.Bool
}

// Outbound is what goes upstream: built from nothing, never a copy of the client's request.
type Outbound struct {
	Method     string      // HTTP method
	Header     http.Header // all headers but Host, Content-Length and the upstream's credential
	Body       []byte      // exactly the bytes that were authorised
	Idempotent bool        // may be sent again when a connection breaks before any reply
	Stream     bool        // the reply may stay open without end: no idle timeout
}

// ErrSpent is returned when a permit that is empty or already used is redeemed.
var ErrSpent = errors.New("permit is empty or already used")

// Redeem returns what to send, the first time; afterwards, and for a zero Permit, ErrSpent.
func (p *Permit) Redeem() (Outbound, error) {
	if p == nil || !p.valid || p.redeemed.Swap(true) {
		return Outbound{}, ErrSpent
	}
	return p.out, nil
}

// Errand is a request of the gateway's own: handshake, catalogue, listening, and the refusal
// of a server's question. It never carries client bytes other than an id. The zero Errand asks
// nothing.
type Errand struct{ out Outbound }

// Outbound returns what to send; an empty Method means nothing.
func (e Errand) Outbound() Outbound { return e.out }

const clientInfo = `{"name":"sallyport","version":"1"}`

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
	if method == wire.NotifyInitialized {
		id = ""
	}
	body := `{"jsonrpc":"2.0",` + id + `"method":"` + method + `","params":{` + params + `}}`
	return Errand{Outbound{Method: http.MethodPost, Header: h, Body: []byte(body), Idempotent: idempotent}}
}

const modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"` + wire.V20260728 +
	`","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":` + clientInfo + `}`

// askDiscover asks whether the server speaks the newer protocol.
func askDiscover() Errand { return errand(wire.Modern, "", wire.MethodDiscover, modernMeta, true) }

// askInitialize opens a session of the gateway's own.
func askInitialize() Errand {
	return errand(wire.Legacy, "", wire.MethodInitialize,
		`"protocolVersion":"`+wire.V20251125+`","capabilities":{},"clientInfo":`+clientInfo, false)
}

func tellInitialized(session string) Errand {
	return errand(wire.Legacy, session, wire.NotifyInitialized, "", false)
}

// askTools asks for one page of tools; cursor is a raw JSON string or nil.
func askTools(era wire.Era, session string, cursor []byte) Errand {
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
	return errand(era, session, wire.MethodToolsList, params, true)
}

// askListen opens a stream on which a modern server says that its tools have changed. The older
// era's stream belongs to a session; those catalogues are polled.
func askListen() Errand {
	e := errand(wire.Modern, "", wire.MethodListen, modernMeta+`,"notifications":{"toolsListChanged":true}`, true)
	e.out.Stream = true
	return e
}

// endSession ends a session of the gateway's own.
func endSession(session string) Errand {
	return Errand{Outbound{Method: http.MethodDelete, Header: http.Header{wire.HeaderSession: {session}, wire.HeaderVersion: {wire.V20251125}}}}
}

// refuseQuestion answers a server's question that the policy keeps from the client, so that
// the server does not wait for an answer that will never come.
func refuseQuestion(session string, id []byte) Errand {
	e := errand(wire.Legacy, session, "", "", false)
	e.out.Body = wire.AppendError(nil, id, 403, "refused by the gateway's policy", nil)
	return e
}
