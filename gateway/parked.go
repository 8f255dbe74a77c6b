package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"sallyport/gateway/wire"
	"sallyport/identity"
)

// ownStream is a stream of the gateway's own: all that is kept while it is open, near to one piece.
type ownStream struct {
	st   stream
	out  streamWriter
	over ending
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

// standIn stands for the message of an open stream by its era, whatever else that held: it may be large.
var standIn = [2]*wire.Message{wire.Modern: {Era: wire.Modern, Kind: wire.Request, Method: wire.MethodListen}, wire.Legacy: {Era: wire.Legacy, Kind: wire.Request, Method: wire.MethodListen}}

// streamAll keeps a stream open on which the endpoint tells of changed lists.
func (x *exchange) streamAll(who *identity.Principal, call checked, first []byte) error {
	if x.g.streams.full(who.Key()) {
		return refuse(CodeLimited, "%d streams are open already; close one", maxStreams)
	}
	s := &ownStream{out: streamWriter{w: x.w, c: http.NewResponseController(x.w)}}
	s.st = x.stream(who, call, &s.out, s.over.end)
	if x.msg != nil {
		x.msg = standIn[x.msg.Era]
		x.vacate(0)
	}
	release := x.live.OnEnd(s.over.end)
	parks := x.closes()
	x.g.streams.add(&s.st)
	x.answerStream(&s.out)
	err := s.out.write(first, true)
	if err == nil && parks && s.park(release) {
		return nil
	}
	defer x.g.streams.remove(&s.st)
	defer release()
	ctx, stop := context.WithCancelCause(x.r.Context())
	defer stop(nil)
	s.over.then(stop)
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for err == nil {
		select {
		case <-ctx.Done():
			s.ended(context.Cause(ctx))
			return nil
		case <-alive.C:
			err = s.out.write(keepAliveComment, true)
		}
	}
	s.ended(errClientGone)
	return nil
}

// ended has the last word on a stream, and notes what ended it: the client, the grant or the gateway.
func (s *ownStream) ended(cause error) {
	x := s.st.x
	if !errors.Is(cause, errStreamEnded) && !endOfGrant(cause) {
		x.rec.BytesOut = s.out.sent()
		x.outcome("cancelled", cause.Error())
		return
	}
	if s.st.id != nil && s.st.era == wire.Modern {
		_ = s.out.write(wire.AppendEvent(nil, wire.AppendResult(nil, s.st.id, []byte(`{"resultType":"complete"}`))), true) // the client has gone
	}
	x.rec.BytesOut = s.out.sent()
	x.outcome("ok", cause.Error())
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
	x := s.st.x
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
			s.out.hurry(conn)
			s.ended(cause)
		}()
	})
	return true
}

// keepAlive is how often a stream of the endpoint's own says that it is there.
const keepAlive = 30 * time.Second

// round is keepAlive in seconds. Each parked stream has a second of it at which it speaks, so that those
// which open together do not speak together.
const round = int(keepAlive / time.Second)

var keepAliveComment = []byte(":\n\n")

// park notes that a stream has no handler, and keeps it alive in the handler's place.
func (s *streams) park(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.given = (s.given + 1) % round
	st.parked, st.second = true, s.given
	if s.parked++; !s.ticks {
		s.ticks = true
		time.AfterFunc(time.Second, s.tick)
	}
}

// tick keeps those alive whose second it is. There is one timer for all, and none while there is nobody.
func (s *streams) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ticks = s.parked > 0; !s.ticks {
		return
	}
	s.second = (s.second + 1) % round
	for st := range s.open {
		if st.parked && st.second == s.second {
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
