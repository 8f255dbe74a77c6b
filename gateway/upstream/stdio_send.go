package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

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

// exchange answers a request as an HTTP server would.
func (s *Stdio) exchange(ctx context.Context, out gateway.Outbound) (*gateway.Reply, error) {
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
	if msg.Era == wire.Modern {
		return s.modernRequest(ctx, out.For, msg)
	}
	p, err := s.process(ctx, out.For)
	if err != nil {
		return nil, err
	}
	var one *peer
	if session != "" {
		if one = p.peer(session); one == nil {
			return noSession(msg.ID), nil
		}
	}
	return p.legacyRequest(ctx, msg, one)
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

// ofSession is GET and DELETE. A process that is not there has no sessions, and is not started.
func (s *Stdio) ofSession(ctx context.Context, out gateway.Outbound, session string) (*gateway.Reply, error) {
	s.mu.Lock()
	in := s.instances[s.keyOf(out.For)]
	s.mu.Unlock()
	var p *process
	if in != nil {
		in.mu.Lock()
		p = in.proc
		in.mu.Unlock()
	}
	if p == nil {
		return noSession(nil), nil
	}
	one := p.peer(session)
	if one == nil {
		return noSession(nil), nil
	}
	if out.Method == http.MethodDelete {
		p.leave(one)
		return &gateway.Reply{Status: http.StatusNoContent, Body: http.NoBody}, nil
	}
	q := one.listen(4 * s.cfg.MaxMessage)
	return &gateway.Reply{Status: http.StatusOK, Header: gateway.ReplyHeader{ContentType: "text/event-stream", SessionID: session},
		Body: &eventBody{ctx: ctx, q: q, close: func() { one.deaf(q); p.touch() }}}, nil
}

func (p *process) legacyRequest(ctx context.Context, msg *wire.Message, one *peer) (*gateway.Reply, error) {
	switch {
	case msg.Method == wire.MethodInitialize:
		return p.initialize(ctx, msg)
	case msg.Kind == wire.Response:
		return accepted(), p.reply(msg, one)
	case msg.Method == wire.NotifyInitialized:
		return accepted(), nil // it has been said
	case msg.Method == wire.NotifyCancelled:
		p.cancelOf(msg, one)
		return accepted(), nil
	case msg.Kind == wire.Notification:
		return accepted(), p.write(msg.Raw)
	}
	if _, err := p.handshake(ctx, nil); err != nil { // a client without a session
		return nil, err
	}
	c, err := p.begin(msg, one)
	if err != nil {
		return nil, err
	}
	if one != nil && (msg.Method == wire.MethodResSubscribe || msg.Method == wire.MethodResUnsub) {
		one.subscribe(msg)
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
		if c.peer == one && one != nil && string(c.raw) == string(msg.RequestID) {
			found = c
		}
	}
	p.mu.Unlock()
	if found != nil {
		_ = p.cancel(found.id) // the call's own end tells what became of it
	}
}

// probeTimeout is how long a program may think about server/discover before it is taken for one
// that does not know it.
const probeTimeout = 5 * time.Second

// modernRequest is a request of the newer protocol, which has no sessions.
func (s *Stdio) modernRequest(ctx context.Context, party gateway.Party, msg *wire.Message) (*gateway.Reply, error) {
	if s.speaksModern() == no {
		return wrongEra(msg.ID), nil
	}
	p, err := s.process(ctx, party)
	if err != nil {
		return nil, err
	}
	if msg.Kind == wire.Notification { // of cancellation, which the end of the request has brought
		return accepted(), nil
	}
	if s.speaksModern() == unknown {
		if p, err = s.probe(ctx, p, party, msg); err != nil || p == nil {
			return wrongEra(msg.ID), err
		}
	}
	c, err := p.begin(msg, nil)
	if err != nil {
		return nil, err
	}
	return c.await(ctx)
}

func (s *Stdio) speaksModern() verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.modern
}

// wrongEra is how a server of the older protocol refuses the newer: clients then begin with
// initialize.
func wrongEra(id []byte) *gateway.Reply {
	return jsonReply(http.StatusBadRequest, wire.AppendError(nil, id, -32000, "Bad Request: this server does not speak protocol "+wire.V20260728, nil))
}

// probe asks the program once whether it speaks the newer protocol. It returns the process to go
// on with, or nil where it does not; a program that ends or falls silent over the question does
// not.
func (s *Stdio) probe(ctx context.Context, p *process, party gateway.Party, msg *wire.Message) (*process, error) {
	p.shake.Lock()
	defer p.shake.Unlock()
	if known := s.speaksModern(); known != unknown || p.hello != nil {
		if known == yes {
			return p, nil
		}
		return nil, nil
	}
	out := gateway.AskDiscover().Outbound()
	discover, refused := wire.Decode(out.Body, out.Header, wire.Limits{})
	if refused != nil {
		return nil, refused
	}
	speaks, err := p.discover(ctx, discover)
	if errors.Is(err, gateway.ErrUnreachable) && !p.alive() {
		// It may have ended over the question, or for a reason of its own, which the older
		// handshake will tell.
		s.forgive(party)
		err = nil
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.modern = no
	if speaks {
		s.modern = yes
	}
	s.mu.Unlock()
	if !speaks {
		return nil, nil
	}
	return p, nil
}

func (p *process) discover(ctx context.Context, msg *wire.Message) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, min(probeTimeout, p.s.cfg.StartTimeout))
	defer cancel()
	c, err := p.begin(msg, nil)
	if err != nil {
		return false, err
	}
	for {
		raw, answer, err := c.next(ctx, 0)
		switch {
		case ctx.Err() != nil:
			c.forget()
			return false, nil
		case err != nil:
			return false, err
		case !answer:
			continue
		}
		_, ok := at(raw, "result")
		return ok, nil
	}
}

// forgive lets the next process of p start at once.
func (s *Stdio) forgive(p gateway.Party) {
	s.mu.Lock()
	in := s.instances[s.keyOf(p)]
	s.mu.Unlock()
	if in == nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.proc, in.failures, in.next = nil, 0, time.Time{}
}
