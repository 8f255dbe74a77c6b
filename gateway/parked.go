package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// closes announces that the connection ends with its stream, which then needs no handler. The server
// frames the body in chunks, which HTTP/1.0 does not know; HTTP/2 has many streams on a connection.
func (x *exchange) closes() bool {
	if x.r.ProtoMajor != 1 || x.r.ProtoMinor < 1 {
		return false
	}
	x.w.Header()["Connection"] = []string{"close"}
	return true
}

// park leaves a stream of the gateway's own open when its handler returns: without the handler's
// goroutine and the server's buffers, which are most of what an idle stream costs. It ends as others
// do, with r.ctx, which must not be the request's, and has the same record. release is called at the
// end. After false nothing has changed, and the handler goes on.
func (r *relay) park(out *streamWriter, release func()) bool {
	conn := out.take()
	if conn == nil {
		return false
	}
	x := r.exchange
	x.w, x.r, x.question, x.parked = nil, &http.Request{RemoteAddr: x.r.RemoteAddr}, nil, true // what they hold goes with the handler
	forget := x.g.hangups.Watch(conn, func() { r.stop(context.Canceled) })
	silence := x.g.pulse.add(func() {
		if out.write(keepAliveComment, true) != nil {
			r.stop(errClientGone)
		}
	})
	context.AfterFunc(r.ctx, func() {
		defer release() // last: when no stream is open all is told
		defer x.seen()
		defer forget()
		defer x.recovered()
		silence()
		r.unparked(out)
	})
	return true
}

// unparked is the end of a parked stream: the client's, the grant's or the gateway's.
func (r *relay) unparked(out *streamWriter) {
	defer r.stop(nil) // lets go of the grant
	if errors.Is(context.Cause(r.ctx), errClientGone) {
		r.rec.BytesOut = out.sent()
		r.outcome("cancelled", errClientGone.Error())
		return
	}
	_ = r.broken(out, r.ctx.Err()) // says what it returns
}

// keepAlive is how often a stream of the endpoint's own says that it is there.
const keepAlive = 30 * time.Second

var keepAliveComment = []byte(":\n\n")

// pulse calls each function once in [keepAlive], by one timer for all.
type pulse struct {
	mu    sync.Mutex // guards all below
	slots [keepAlive / time.Second]map[uint64]func()
	now   int // the slot whose turn was last
	added uint64
	count int
	armed bool // the timer runs
}

// add begins anywhere in the round, so that streams which open together do not speak together. f is
// called in a goroutine of its own; remove does not wait for it.
func (p *pulse) add(f func()) (remove func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	number := p.added
	p.added++
	slot := int(number % uint64(len(p.slots)))
	if p.slots[slot] == nil {
		p.slots[slot] = make(map[uint64]func())
	}
	p.slots[slot][number] = f
	p.count++
	if !p.armed {
		p.armed = true
		time.AfterFunc(time.Second, p.tick)
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if _, ok := p.slots[slot][number]; ok {
			delete(p.slots[slot], number)
			p.count--
		}
	}
}

// tick is the turn of the next slot. The timer rests while there is nothing to call.
func (p *pulse) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.armed = p.count > 0; !p.armed {
		return
	}
	p.now = (p.now + 1) % len(p.slots)
	for _, f := range p.slots[p.now] {
		go f()
	}
	time.AfterFunc(time.Second, p.tick)
}
