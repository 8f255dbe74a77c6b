package bridge

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"sallyport/gateway"
)

// same carries a request of a client with a session to an older server. The two speak the same
// revision, so nothing but the session's headers changes on the way there, and nothing on the way
// back: ids and progress tokens are unique in a session.
func (l *Link) same(ctx context.Context, p *gateway.Permit, out gateway.Outbound) (*gateway.Reply, error) {
	form := func(o gateway.Outbound, s *session) (gateway.Outbound, error) {
		o.Header = sessionHeader(o.Header, s)
		return o, nil
	}
	id := out.Message.ID
	reply, s, err := l.within(ctx, p, out, form, func(s *session, q *gateway.Permit) (*gateway.Reply, error) {
		// To this server the end of a request is not its cancellation, but nobody could fetch the
		// answer any more.
		stop := context.AfterFunc(ctx, func() { l.tell(gateway.TellCancelled(s.id, id).As(s.party).In(s.version)) })
		reply, err := l.up.Send(ctx, q)
		if err != nil {
			stop()
			return nil, err
		}
		reply.Body = &closing{reply.Body, func() { stop() }}
		return reply, nil
	})
	if err != nil {
		return nil, err
	}
	reply.Header.SessionID = "" // the client has another
	reply.Body = &closing{reply.Body, func() { l.release(s) }}
	return reply, nil
}

// answerSame carries a client's answer to the session of the client at an older server.
func (l *Link) answerSame(ctx context.Context, p *gateway.Permit, out gateway.Outbound) (*gateway.Reply, error) {
	who := clientOf(out)
	l.mu.Lock()
	s := l.sessions[who]
	l.mu.Unlock()
	gone := fmt.Errorf("%w: the question's session has ended", gateway.ErrUnreachable)
	if s == nil || !s.open() {
		return nil, gone
	}
	q, err := p.Exchange(func(o gateway.Outbound) (gateway.Outbound, error) {
		o.Header = sessionHeader(o.Header, s)
		return o, nil
	})
	if err != nil {
		return nil, err
	}
	reply, err := l.up.Send(ctx, q)
	if err == nil && reply.Status == http.StatusNotFound {
		_ = reply.Body.Close()
		return nil, gone
	}
	return reply, err
}

// closing is a body with something to do when it is closed, once.
type closing struct {
	io.ReadCloser
	then func()
}

func (c *closing) Close() error {
	err := c.ReadCloser.Close()
	if c.then != nil {
		c.then()
	}
	c.then = nil
	return err
}

// Len is how many bytes are unread where that is known, else -1.
func (c *closing) Len() int64 {
	if known, ok := c.ReadCloser.(interface{ Len() int64 }); ok {
		return known.Len()
	}
	return -1
}
