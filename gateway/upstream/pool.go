package upstream

import (
	"slices"
	"sync"
	"time"
)

// pool holds connections that no exchange owns, the latest used last. A connection in it has
// given its whole reply. The zero pool is ready for use.
//
// A connection carries the requests of one principal. A server that answers once too often, when the next
// request is under way already, shifts every later answer on that connection by one, and nothing in an answer
// says whose it is: so it gives a caller at most that caller's own.
//
// Busy and idle ones together never exceed the places: who holds a place and finds none of its own makes
// room where there is none.
type pool struct {
	mu     sync.Mutex // guards what follows
	conns  []*conn
	timer  *time.Timer // set while conns is not empty
	closed bool
}

// take returns a connection of this owner that may be used, or nil when a new one may be made.
func (p *pool) take(owner string, places chan struct{}) *conn {
	for {
		c := p.pop(owner, places)
		if c == nil {
			return nil
		}
		if c.owner == owner && time.Now().Before(c.idleUntil) && c.usable() {
			c.reused = true
			return c
		}
		c.abort()
	}
}

// pop takes out the owner's latest connection. Where it has none and all places are taken, it takes out the
// oldest of another, to be closed.
func (p *pool) pop(owner string, places chan struct{}) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.conns) - 1; i >= 0; i-- {
		if c := p.conns[i]; c.owner == owner {
			p.conns = slices.Delete(p.conns, i, i+1)
			return c
		}
	}
	if len(p.conns) == 0 || len(places)+len(p.conns) <= cap(places) {
		return nil
	}
	c := p.conns[0]
	p.conns = slices.Delete(p.conns, 0, 1)
	return c
}

// put keeps c for the next request.
func (p *pool) put(c *conn) {
	if c.keep <= 0 {
		c.abort()
		return
	}
	c.idleUntil = time.Now().Add(c.keep)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.abort()
		return
	}
	p.conns = append(p.conns, c)
	if p.timer == nil {
		p.timer = time.AfterFunc(idleAge, p.sweep)
	}
}

// sweep closes connections that nobody has used for long.
func (p *pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, kept := time.Now(), p.conns[:0]
	for _, c := range p.conns {
		if now.Before(c.idleUntil) {
			kept = append(kept, c)
			continue
		}
		c.abort()
	}
	clear(p.conns[len(kept):])
	p.conns = kept
	p.timer = nil
	if len(kept) > 0 {
		p.timer = time.AfterFunc(idleAge, p.sweep)
	}
}

// close drops all, now and whenever one comes back.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	for _, c := range p.conns {
		c.abort()
	}
	p.conns = nil
}
