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
	again    atomic.Bool // it, or the one that it came from, has been sent to a lost session
}

// Outbound is what goes upstream: built from nothing, never a copy of the client's request.
type Outbound struct {
	Method     string      // HTTP method
	Header     http.Header // all headers but Host, Content-Length and the upstream's credential
	Body       []byte      // exactly the bytes that were authorised
	Idempotent bool        // may be sent again when a connection breaks before any reply
	Stream     bool        // the reply may stay open without end: no idle timeout

	Message *wire.Message // Body, understood; nil where Method is not POST, and for errands
	For     Party         // whose request it is

	Session string       // the client's session at the federated endpoint; "" in the newer era
	Can     Capabilities // what that client can be asked
	Level   string       // of log messages that it has set there; "" where it has not
}

// Party is whose request it is, as far as an upstream has to know: who may share a process or a
// session, and on whose behalf a credential is asked for. It holds no credential. The zero Party
// is the gateway itself.
type Party struct {
	Key     string // of the principal; opaque, equal for two requests of one principal
	Grant   string // id of the grant, or ""
	Subject string
	Issuer  string
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

// Exchange turns a permit into one for the same request in another form: another revision of the
// protocol, another name for the same tool. The old one is spent, also when change fails, so
// that there is one call for one decision.
func (p *Permit) Exchange(change func(Outbound) (Outbound, error)) (*Permit, error) {
	out, err := p.Redeem()
	if err != nil {
		return nil, err
	}
	if out, err = change(out); err != nil {
		return nil, err
	}
	next := &Permit{out: out, valid: true}
	next.again.Store(p.again.Load())
	return next, nil
}

// Again returns a permit for the same request when the server's answer to it says that it was not
// executed: 404 to a request of a session, which the server does not know any more (MCP
// 2025-11-25, Transports, "Session Management"). It does so once for one decision; in all other
// cases it returns ErrSpent.
func (p *Permit) Again(answer *Reply) (*Permit, error) {
	if p == nil || !p.valid || !p.redeemed.Load() || answer.Status != http.StatusNotFound ||
		p.out.Header.Get(wire.HeaderSession) == "" || p.again.Swap(true) {
		return nil, ErrSpent
	}
	next := &Permit{out: p.out, valid: true}
	next.again.Store(true)
	return next, nil
}
