package upstream

import (
	"sync"
	"time"
)

// pool holds connections that no exchange owns, the latest used last. A connection in it has
// given its whole reply. The zero pool is ready for use.
//
// A new connection is made only by who holds a place and finds the pool empty, so busy and
// idle ones together never exceed the places.
type pool struct {
	mu     sync.Mutex // guards what follows
	conns  []*conn
	timer  *time.Timer // set while conns is not empty
	closed bool
}

// take returns a connection that may be used, or nil.
func (p *pool) take() *conn {
	for {
		c := p.pop()
		if c == nil {
			return nil
		}
		if time.Now().Before(c.idleUntil) && c.usable() {
			c.reused = true
			return c
		}
		c.abort()
	}
}

func (p *pool) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.conns) - 1
	if last < 0 {
		return nil
	}
	c := p.conns[last]
	p.conns[last] = nil
	p.conns = p.conns[:last]
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
