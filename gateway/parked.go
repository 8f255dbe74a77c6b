package gateway

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"sallyport/gateway/wire"
	"sallyport/identity"
)

// ownStream is a stream of the gateway's own: all that is kept while it is open, near to one piece.
type ownStream struct {
	relay relay
	st    stream
	out   streamWriter
	over  ending
}

// ending passes on why something ends: once, and when there is somebody to hear it. What waits for it
// costs less than with a context.
type ending struct {
	mu    sync.Mutex // guards both below
	cause error
	hear  func(cause error)
}

// end tells the cause. The first one counts.
func (e *ending) end(cause error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cause != nil {
		return
	}
	if e.cause = cause; e.hear != nil {
		e.hear(cause)
	}
}

// then says who hears the cause. hear must not block.
func (e *ending) then(hear func(cause error)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.hear = hear; e.cause != nil {
		hear(e.cause)
	}
}

// streamAll keeps a stream open on which the endpoint tells of changed lists.
func (x *exchange) streamAll(who *identity.Principal, call checked, first []byte) error {
	if x.g.streams.full(who.Key()) {
		return refuse(CodeLimited, "%d streams are open already; close one", maxStreams)
	}
	wants := wantsOf(call.msg)
	if x.msg != nil { // of a message only this is needed, and it may be large
		x.msg = &wire.Message{Era: x.msg.Era, Kind: x.msg.Kind, Method: wire.MethodListen, ID: bytes.Clone(x.msg.ID)}
		call.msg = x.msg
	}
	s := &ownStream{relay: relay{exchange: x, who: who, call: call}, out: streamWriter{w: x.w, c: http.NewResponseController(x.w)}}
	s.st = stream{x: x, who: who, call: call, out: &s.out, stop: s.over.end, wants: wants}
	release := x.live.OnEnd(s.over.end)
	parks := x.closes()
	x.g.streams.add(&s.st)
	s.relay.answerStream(&s.out)
	err := s.out.write(first, true)
	if err == nil && parks && s.park(release) {
		return nil
	}
	defer x.g.streams.remove(&s.st)
	defer release()
	ctx, stop := context.WithCancelCause(x.r.Context())
	defer stop(nil)
	s.over.then(stop)
	s.relay.ctx, s.relay.stop = ctx, stop
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for err == nil {
		select {
		case <-ctx.Done():
			return s.relay.broken(&s.out, ctx.Err())
		case <-alive.C:
			err = s.out.write(keepAliveComment, true)
		}
	}
	x.rec.BytesOut = s.out.sent()
	x.outcome("cancelled", errClientGone.Error())
	return nil
}

// closes announces that the connection ends with its stream, which then needs no handler. The server
// frames the body in chunks, which HTTP/1.0 does not know; HTTP/2 has many streams on a connection.
func (x *exchange) closes() bool {
	if x.r.ProtoMajor != 1 || x.r.ProtoMinor < 1 {
		return false
	}
	x.w.Header()["Connection"] = []string{"close"}
	return true
}

// noRequest stands for the request of a parked stream, which is over.
var noRequest = new(http.Request)

// park leaves the stream open when its handler returns: without the handler's goroutine and the
// server's buffers, which are most of what an idle stream costs. It ends as others do and has the same
// record. release lets go of the grant, and is called at the end. After false nothing has changed, and
// the handler goes on.
func (s *ownStream) park(release func()) bool {
	conn := s.out.take()
	if conn == nil {
		return false
	}
	x := s.relay.exchange
	x.w, x.r, x.question, x.bound, x.unbind, x.parked = nil, noRequest, nil, nil, nil, true // what they hold goes with the handler
	x.g.streams.park(&s.st)
	forget := x.g.hangups.Watch(conn, func() { s.over.end(context.Canceled) })
	s.over.then(func(cause error) {
		go func() {
			defer x.g.streams.remove(&s.st) // last: when no stream is open all is told
			defer x.seen()
			defer forget()
			defer release()
			defer x.recovered()
			s.unparked(conn, cause)
		}()
	})
	return true
}

// unparked is the end of a parked stream: its client's, the grant's or the gateway's.
func (s *ownStream) unparked(conn net.Conn, cause error) {
	s.out.hurry(conn)
	ctx, stop := context.WithCancelCause(context.Background())
	stop(cause)
	s.relay.ctx, s.relay.stop = ctx, stop
	_ = s.relay.broken(&s.out, ctx.Err()) // notes what it returns
}

// keepAlive is how often a stream of the endpoint's own says that it is there.
const keepAlive = 30 * time.Second

// turns divide keepAlive, so that streams which open together do not speak together.
const turns = int(keepAlive / time.Second)

var keepAliveComment = []byte(":\n\n")

// park notes that a stream has no handler, and keeps it alive in the handler's place.
func (s *streams) park(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = (s.last + 1) % turns
	st.parked, st.turn = true, s.last
	if s.parked++; !s.ticks {
		s.ticks = true
		time.AfterFunc(time.Second, s.tick)
	}
}

// tick keeps those alive whose turn it is. There is one timer for all, and none while there is nobody.
func (s *streams) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ticks = s.parked > 0; !s.ticks {
		return
	}
	s.turn = (s.turn + 1) % turns
	for st := range s.open {
		if st.parked && st.turn == s.turn {
			go st.alive() // it may wait for a client that does not read
		}
	}
	time.AfterFunc(time.Second, s.tick)
}

func (st *stream) alive() {
	if st.out.write(keepAliveComment, true) != nil {
		st.stop(errClientGone)
	}
}
