package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"sallyport/gateway"
	"sallyport/gateway/wire"
)

var _ gateway.Upstream = (*Stdio)(nil)

// Send implements [gateway.Upstream].
func (s *Stdio) Send(ctx context.Context, p *gateway.Permit) (*gateway.Reply, error) {
	out, err := p.Redeem()
	if err != nil {
		return nil, err
	}
	return s.exchange(ctx, out)
}

// Ask implements [gateway.Upstream].
func (s *Stdio) Ask(ctx context.Context, e gateway.Errand) (*gateway.Reply, error) {
	return s.exchange(ctx, e.Outbound())
}

// exchange answers a request as an HTTP server would. A process that ends under it before a byte
// of the request was written gives way to the next.
func (s *Stdio) exchange(ctx context.Context, out gateway.Outbound) (reply *gateway.Reply, err error) {
	session := first(out.Header, wire.HeaderSession)
	if out.Method != http.MethodPost {
		return s.ofSession(ctx, out, session)
	}
	msg := out.Message
	if msg == nil {
		var refused *wire.Error
		if msg, refused = wire.Decode(out.Body, out.Header, wire.Limits{}); refused != nil {
			return nil, fmt.Errorf("send to server: %w", refused)
		}
	}
	const tries = 3
	for range tries {
		if msg.Era == wire.Modern {
			reply, err = s.modernRequest(ctx, out.For, msg)
		} else {
			reply, err = s.legacyRequest(ctx, out.For, msg, session)
		}
		if !errors.Is(err, errGone) {
			break
		}
	}
	return reply, err
}

func first(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func noSession(id []byte) *gateway.Reply {
	return jsonReply(http.StatusNotFound, wire.AppendError(nil, id, http.StatusNotFound, "Session not found", nil))
}

// session finds a session and its process. A process that is not there has none, and is not
// started to say so.
func (s *Stdio) session(p gateway.Party, id string) (*process, *peer) {
	s.mu.Lock()
	at := s.places[s.keyOf(p, wire.Legacy)]
	s.mu.Unlock()
	if at == nil {
		return nil, nil
	}
	proc := at.proc.Load()
	if proc == nil {
		return nil, nil
	}
	return proc, proc.peer(id)
}

// ofSession is GET and DELETE.
func (s *Stdio) ofSession(ctx context.Context, out gateway.Outbound, session string) (*gateway.Reply, error) {
	p, one := s.session(out.For, session)
	if one == nil {
		return noSession(nil), nil
	}
	if out.Method == http.MethodDelete {
		p.leave(one)
		return &gateway.Reply{Status: http.StatusNoContent, Body: http.NoBody}, nil
	}
	q := one.listen(4 * s.cfg.MaxMessage)
	return &gateway.Reply{Status: http.StatusOK, Header: gateway.ReplyHeader{ContentType: "text/event-stream", SessionID: session},
		Body: &eventBody{ctx: ctx, q: q, close: func(error) { one.deaf(q); p.use() }}}, nil
}

// legacyRequest is a POST of the older protocol. What has no session is a client's first word, or
// that of one which keeps none.
func (s *Stdio) legacyRequest(ctx context.Context, party gateway.Party, msg *wire.Message, session string) (*gateway.Reply, error) {
	if session != "" {
		p, one := s.session(party, session)
		if one == nil {
			return noSession(msg.ID), nil
		}
		return p.inSession(ctx, msg, one)
	}
	if msg.Kind != wire.Request {
		return accepted(), nil // it concerns nobody
	}
	if refusal := s.refusesInit(); refusal != nil {
		return jsonReply(http.StatusOK, replace(refusal, msg.ID, "id")), nil
	}
	p, err := s.process(ctx, s.keyOf(party, wire.Legacy), party)
	if err != nil {
		return nil, err
	}
	if msg.Method == wire.MethodInitialize {
		return p.initialize(ctx, msg)
	}
	if hello, err := p.handshake(ctx, nil); err != nil {
		return nil, err
	} else if p.hello.Load() == nil { // refused
		return jsonReply(http.StatusOK, replace(hello, msg.ID, "id")), nil
	}
	return p.call(ctx, msg, nil)
}

func (p *process) inSession(ctx context.Context, msg *wire.Message, one *peer) (*gateway.Reply, error) {
	switch {
	case msg.Kind == wire.Response:
		return accepted(), p.reply(msg, one)
	case msg.Method == wire.NotifyCancelled:
		p.cancelOf(msg, one)
		return accepted(), nil
	case msg.Method == wire.NotifyInitialized, msg.Kind == wire.Notification && p.s.cfg.Instance == Shared:
		return accepted(), nil // it has been said, or is not one client's to say
	case msg.Kind == wire.Notification:
		return accepted(), p.write(msg.Raw)
	case msg.Method == wire.MethodInitialize:
		return p.initialize(ctx, msg)
	case msg.Method == wire.MethodResSubscribe, msg.Method == wire.MethodResUnsub:
		if p.subscribe(one, msg) {
			return jsonReply(http.StatusOK, wire.AppendResult(nil, msg.ID, []byte(`{}`))), nil
		}
	}
	return p.call(ctx, msg, one)
}

func (p *process) call(ctx context.Context, msg *wire.Message, one *peer) (*gateway.Reply, error) {
	c := &asking{msg: msg, peer: one}
	c.passes = !c.endless() // what stays open has an answer that is put together here
	if err := p.begin(ctx, c); err != nil {
		return nil, err
	}
	return c.await(ctx)
}

func (p *process) initialize(ctx context.Context, msg *wire.Message) (*gateway.Reply, error) {
	raw, err := p.handshake(ctx, msg)
	if err != nil {
		return nil, err
	}
	reply := jsonReply(http.StatusOK, replace(raw, msg.ID, "id"))
	if _, ok := at(raw, "result"); ok {
		reply.Header.SessionID = p.join(msg).id
	}
	return reply, nil
}

// cancelOf cancels a call of the same session.
func (p *process) cancelOf(msg *wire.Message, one *peer) {
	p.mu.Lock()
	var found *asking
	for _, c := range p.calls {
		if c.peer == one && string(c.msg.ID) == string(msg.RequestID) {
			found = c
		}
	}
	p.mu.Unlock()
	if found != nil {
		p.cancel(found.id) // the call's own end tells what became of it
	}
}
