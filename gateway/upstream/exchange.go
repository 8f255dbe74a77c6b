package upstream

import (
	"context"
	"errors"
	"io"
	"net/http/httputil"
	"os"
	"sync"

	"sallyport/gateway"
)

// maxInterim is how many 1xx replies may come before the reply.
const maxInterim = 8

// exchange is one request and its reply; it is the reply's body. It is never used again, so a
// caller that holds on to it cannot reach a later one's bytes.
type exchange struct {
	h      *HTTP
	ctx    context.Context
	places chan struct{} // where the place is given back
	stream bool
	owner  string // principal whose request it is
	reply  gateway.Reply
	abort  func() // ends the connection, from anywhere
	head   replyHead

	mu     sync.Mutex // held while the body is read; guards what follows
	c      *conn      // nil after Close
	stop   func() bool
	body   io.Reader // of the chunks; nil for other bodies
	left   int64     // of a body with a length; -1 while it ends with the connection
	err    error     // what every further read returns
	events bool      // it is a stream of events
	ends   eventEnd  // of those
	whole  bool      // the reply has been read to its end
	unsent bool      // the server has not had the whole request

	repeatable bool // the last attempt left no trace, or one that an idempotent request may leave
	untouched  bool // not a byte of the request was written
	touched    bool // in this attempt or an earlier one, some were
}

// attempt sends the request on x.c, or on a new connection, and reads the reply's head.
func (x *exchange) attempt(request, rest []byte) error {
	x.repeatable, x.untouched = false, false
	if x.c == nil {
		buffer := callBuffer
		if x.stream {
			buffer = streamBuffer
		}
		c, err := x.h.dial(x.ctx, buffer)
		if err != nil {
			return err
		}
		c.extend()
		c.owner = x.owner
		x.c = c
	}
	x.abort = x.c.aborter
	x.stop = context.AfterFunc(x.ctx, x.abort)
	if err := x.sendAndReadHead(request, rest); err != nil {
		x.stop()
		x.c.abort()
		return err
	}
	return nil
}

func (x *exchange) sendAndReadHead(request, rest []byte) error {
	c := x.c
	c.wait, c.ioErr, c.began = 0, nil, false
	written, answered, err := c.send(request, rest)
	x.unsent = answered || err != nil
	x.touched = x.touched || written > 0
	broke := err
	if broke != nil && written == 0 {
		x.untouched = !errors.Is(broke, os.ErrDeadlineExceeded)
		return c.failure(x.ctx, "send the request", asIO(c, broke))
	}
	if errors.Is(broke, os.ErrDeadlineExceeded) {
		if c.quiet() {
			return c.failure(x.ctx, "send the request", broke)
		}
		c.extend()
	}
	// A server may refuse a request before it has read it, and then close. Its reply is here
	// even where the rest of the request could not be written.
	if _, err := c.br.Peek(1); err != nil {
		x.repeatable = !errors.Is(err, os.ErrDeadlineExceeded)
		if broke != nil {
			return c.failure(x.ctx, "send the request", broke)
		}
		return c.failure(x.ctx, "wait for the reply", err)
	}
	c.began = true
	if err := x.readHead(); err != nil {
		return c.failure(x.ctx, "read the reply's header", err)
	}
	x.begin()
	return nil
}

// asIO marks a write's error as the connection's own.
func asIO(c *conn, err error) error {
	c.ioErr = err
	return err
}

// mayRepeat reports whether the request may go out again on a new connection. Only one that
// had been idle is excused: servers close those at any moment, and a new one that breaks would
// break again.
func (x *exchange) mayRepeat(idempotent bool) bool {
	if x.c == nil || !x.c.reused || x.ctx.Err() != nil {
		return false
	}
	return x.untouched || x.repeatable && idempotent
}

// readHead reads the reply's head, past interim ones. Once its first byte is here, it must be
// complete before the idle time has passed; single bytes do not extend that.
func (x *exchange) readHead() error {
	c, left := x.c, x.h.maxHeader
	for range maxInterim + 1 {
		if first, err := c.br.Peek(1); err != nil {
			return err
		} else if first[0] != 'H' {
			return garbage("no HTTP/1.1 status line") // said at once: such bytes may have no line end
		}
		c.extend()
		if err := x.readFields(&left); err != nil {
			return err
		}
		switch {
		case x.head.status == 101:
			return garbage("a change of protocol, which was not asked for")
		case x.head.status >= 200:
			return nil
		}
	}
	return garbage("too many interim replies")
}

func (x *exchange) readFields(left *int) error {
	line, err := x.c.line(left)
	if err != nil {
		return err
	}
	if err := x.head.statusLine(line); err != nil {
		return err
	}
	for {
		line, err := x.c.line(left)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return x.head.end()
		}
		if err := x.head.field(line); err != nil {
			return err
		}
	}
}

// begin makes the body ready to be read.
func (x *exchange) begin() {
	c := x.c
	c.wait, c.pace = c.idle, pace{}
	x.events = x.head.header.ContentType == "text/event-stream"
	if x.stream {
		c.wait = 0
		_ = c.raw.SetDeadline(noDeadline)
	}
	if s := x.head.keepAlive; s > 0 {
		c.keep = min(idleAge, s-keepAliveMargin)
	}
	switch {
	case x.head.bodiless():
		x.head.close = x.head.close || x.head.chunked || x.head.length > 0
		x.finish()
	case x.head.chunked:
		x.body = httputil.NewChunkedReader(c.br)
	case x.head.length == 0:
		x.finish()
	default:
		x.left = x.head.length
	}
}
