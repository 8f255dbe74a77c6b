package bridge

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// session is one at the server, for one client.
type session struct {
	who   client
	party gateway.Party
	ids   atomic.Int64 // of requests in it; initialize had 1

	ready       chan struct{} // closed when the three below are set
	id, version string
	err         error

	users int       // requests in it; guarded by Link.mu
	used  time.Time // guarded by Link.mu
}

// open reports whether the handshake has been made.
func (s *session) open() bool {
	select {
	case <-s.ready:
		return s.err == nil
	default:
		return false
	}
}

// next is an id for a request in the session.
func (s *session) next() []byte { return strconv.AppendInt(nil, s.ids.Add(1)+1, 10) }

// acquire returns the client's session, which the caller releases. Whoever comes while it is being
// opened waits for that.
func (l *Link) acquire(ctx context.Context, out gateway.Outbound) (*session, error) {
	who := clientOf(out)
	l.mu.Lock()
	s := l.sessions[who]
	if s == nil {
		var err error
		if s, err = l.create(who, out); err != nil {
			l.mu.Unlock()
			return nil, err
		}
	}
	s.users++
	s.used = l.o.Now()
	l.mu.Unlock()
	select {
	case <-s.ready:
	case <-ctx.Done():
		l.release(s)
		return nil, ctx.Err()
	}
	if s.err != nil {
		l.release(s)
		return nil, s.err
	}
	return s, nil
}

func (l *Link) release(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.users--
	s.used = l.o.Now()
}

// create begins a session. It must be called with mu held. The handshake belongs to everybody who
// waits for it, so it does not end with the request that was first.
func (l *Link) create(who client, out gateway.Outbound) (*session, error) {
	if l.closed {
		return nil, fmt.Errorf("%w: the server has been removed, or the gateway is stopping", gateway.ErrUnreachable)
	}
	if err := l.makeRoom(); err != nil {
		return nil, err
	}
	s := &session{who: who, party: out.For, ready: make(chan struct{})}
	l.sessions[who] = s
	l.running.Go(func() { l.handshake(s, out.Can, out.Level) })
	return s, nil
}

// makeRoom takes out sessions that have long been unused, and one that has not where there are as
// many as there may be. It must be called with mu held.
func (l *Link) makeRoom() error {
	now := l.o.Now()
	var oldest *session
	for who, s := range l.sessions {
		switch {
		case s.users > 0:
		case now.Sub(s.used) > l.o.SessionIdle:
			delete(l.sessions, who)
			l.running.Go(func() { l.endSession(s) })
		case oldest == nil || s.used.Before(oldest.used):
			oldest = s
		}
	}
	if len(l.sessions) < l.o.MaxSessions {
		return nil
	}
	if oldest == nil {
		return fmt.Errorf("%w: %d sessions are open at it and all are in use", gateway.ErrUnreachable, len(l.sessions))
	}
	delete(l.sessions, oldest.who)
	l.running.Go(func() { l.endSession(oldest) })
	return nil
}

func (l *Link) handshake(s *session, can gateway.Capabilities, level string) {
	ctx, cancel := context.WithTimeout(l.ctx, l.o.CallTimeout)
	defer cancel()
	id, version, err := l.initialize(ctx, s.party, can)
	if err == nil && level != "" {
		_ = l.errand(ctx, gateway.AskLevel(id, level).As(s.party).In(version)) // a server without logging says no
	}
	if err != nil && ctx.Err() != nil && l.ctx.Err() == nil {
		err = fmt.Errorf("%w: no session within %v", gateway.ErrTimeout, l.o.CallTimeout)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.id, s.version, s.err = id, version, err
	if l.sessions[s.who] != s && err == nil {
		s.err = fmt.Errorf("%w: the session has ended", gateway.ErrUnreachable)
		if id != "" {
			l.running.Go(func() { _ = l.errand(l.ctx, gateway.EndSession(id).As(s.party).In(version)) }) // it may know already
		}
	} else if err != nil {
		l.drop(s)
	}
	close(s.ready)
}

// initialize begins a session at the server.
func (l *Link) initialize(ctx context.Context, party gateway.Party, can gateway.Capabilities) (id, version string, _ error) {
	reply, err := l.up.Ask(ctx, gateway.AskInitialize(can).As(party))
	if err != nil {
		return "", "", fmt.Errorf("begin a session: %w", err)
	}
	id = reply.Header.SessionID
	src, err := l.source(reply)
	if err != nil {
		return "", "", fmt.Errorf("begin a session: %w", err)
	}
	defer src.close()
	var msg *wire.Reply
	for msg == nil || msg.Kind != wire.Response {
		if msg, err = src.next(); err != nil {
			return "", "", fmt.Errorf("begin a session: %w", unended(err))
		}
	}
	if msg.Result == nil {
		return "", "", fmt.Errorf("%w: the server refused to begin a session", gateway.ErrUnreachable)
	}
	if version = text(msg.Result, "protocolVersion"); !older(version) {
		return "", "", fmt.Errorf("%w: a session in a revision of the protocol that is not spoken here", gateway.ErrGarbage)
	}
	if err := l.errand(ctx, gateway.TellInitialized(id).As(party).In(version)); err != nil {
		return "", "", fmt.Errorf("begin a session: %w", err)
	}
	return id, version, nil
}

// SetLevel sets the level of log messages in the sessions of a client; see [gateway.Link].
func (l *Link) SetLevel(name, level string) {
	l.mu.Lock()
	var open []*session
	for who, s := range l.sessions {
		if who.session == name && name != "" && s.open() {
			open = append(open, s)
		}
	}
	l.mu.Unlock()
	for _, s := range open {
		l.tell(gateway.AskLevel(s.id, level).As(s.party).In(s.version))
	}
}

func older(version string) bool {
	switch version {
	case wire.V20251125, wire.V20250618, wire.V20250326, wire.V20241105:
		return true
	}
	return false
}

// text is a member of obj that is a string, or "".
func text(obj []byte, name string) string {
	span, ok := strictjson.Find(obj, name)
	if !ok {
		return ""
	}
	s, _ := strictjson.String(span.Of(obj)) // else it is as good as absent
	return s
}

// drop takes a session out of the table. It must be called with mu held.
func (l *Link) drop(s *session) {
	if l.sessions[s.who] == s {
		delete(l.sessions, s.who)
	}
}

// within sends a request in the client's session; form puts it into the form that the session
// wants. Where the server has forgotten the session, and so has executed nothing, it is sent once
// more in a new one. The caller releases the session that comes with a reply.
func (l *Link) within(ctx context.Context, p *gateway.Permit, out gateway.Outbound,
	form func(gateway.Outbound, *session) (gateway.Outbound, error), send func(*session, *gateway.Permit) (*gateway.Reply, error)) (*gateway.Reply, *session, error) {
	for {
		s, err := l.acquire(ctx, out)
		if err != nil {
			return nil, nil, err
		}
		q, err := p.Exchange(func(o gateway.Outbound) (gateway.Outbound, error) { return form(o, s) })
		if err != nil {
			l.release(s)
			return nil, nil, err
		}
		reply, err := send(s, q)
		if err == nil && (reply.Status != http.StatusNotFound || s.id == "") {
			return reply, s, nil
		}
		l.release(s)
		if err != nil {
			return nil, nil, err
		}
		_ = reply.Body.Close()
		l.mu.Lock()
		l.drop(s)
		l.mu.Unlock()
		if p, err = q.Again(reply); err != nil {
			return nil, nil, fmt.Errorf("%w: the server forgets each session at once", gateway.ErrUnreachable)
		}
	}
}

// sessionHeader returns the headers with those of the session.
func sessionHeader(h http.Header, s *session) http.Header {
	h = h.Clone()
	delete(h, wire.HeaderSession)
	delete(h, wire.HeaderLastEventID)
	if s.id != "" {
		h[wire.HeaderSession] = []string{s.id}
	}
	h[wire.HeaderVersion] = []string{s.version}
	if s.version == wire.V20241105 {
		delete(h, wire.HeaderVersion) // which came later
	}
	return h
}
