package upstream

import (
	"errors"
	"io"
	"time"
)

// keepAliveMargin is how long before the server's own time an idle connection is given up.
const keepAliveMargin = time.Second

var noDeadline time.Time

var errClosed = errors.New("read of a reply that has been closed")

// Read reads the body. After the end it returns io.EOF; a body that breaks off before its end
// is an error, except where only the end of the connection ends it.
func (x *exchange) Read(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.c == nil:
		return 0, errClosed
	case x.err != nil:
		return 0, x.err
	case len(p) == 0:
		return 0, nil
	}
	n, err := x.readSome(p)
	if x.events && n > 0 && x.ends.in(p[:n]) {
		x.c.pace = pace{}
	}
	return n, err
}

func (x *exchange) readSome(p []byte) (int, error) {
	if x.body != nil {
		return x.readChunked(p)
	}
	return x.readPlain(p)
}

func (x *exchange) readPlain(p []byte) (int, error) {
	if x.left >= 0 && int64(len(p)) > x.left {
		p = p[:x.left]
	}
	n, err := x.c.br.Read(p)
	if x.left < 0 {
		if err == io.EOF {
			x.finish()
			x.head.close = true
			return n, io.EOF
		}
		return n, x.broken(err)
	}
	if x.left -= int64(n); x.left == 0 {
		x.finish()
		return n, io.EOF
	}
	return n, x.broken(err)
}

func (x *exchange) readChunked(p []byte) (int, error) {
	n, err := x.body.Read(p)
	if err == io.EOF {
		if err := x.trailer(); err != nil {
			return n, x.broken(err)
		}
		x.finish()
		return n, io.EOF
	}
	return n, x.broken(err)
}

// trailer reads what may follow the last chunk, and keeps none of it.
func (x *exchange) trailer() error {
	left := x.h.maxHeader
	for {
		line, err := x.c.line(&left)
		if err != nil || len(line) == 0 {
			return err
		}
		if _, _, err := splitField(line); err != nil {
			return err
		}
	}
}

// finish notes that the reply is complete.
func (x *exchange) finish() {
	x.whole, x.err = true, io.EOF
}

// broken notes that the reply will never be.
func (x *exchange) broken(err error) error {
	if err == nil {
		return nil
	}
	x.err = x.c.failure(x.ctx, "read the reply's body", err)
	return x.err
}

// Len is how many bytes of the body are unread, or -1 where the server has not said. It is the
// server's word: a caller that makes room for it keeps a limit of its own.
func (x *exchange) Len() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.whole {
		return 0
	}
	if x.body != nil {
		return -1
	}
	return x.left
}

// Close gives the connection back when the reply was read to its end, and ends it otherwise,
// with any read that is under way. It never fails and may be called more than once.
func (x *exchange) Close() error {
	reading := !x.mu.TryLock()
	if reading {
		x.abort()
		x.mu.Lock()
	}
	defer x.mu.Unlock()
	c := x.c
	if c == nil {
		return nil
	}
	x.c, x.body = nil, nil
	// stop fails when the context has ended: then the socket is closed or about to be.
	if x.stop() && !reading && x.keepable() && c.br.Buffered() == 0 {
		x.h.idle.put(c)
	} else {
		c.abort()
	}
	<-x.places
	return nil
}

// keepable reports whether what comes next on the connection can only be the next reply.
func (x *exchange) keepable() bool {
	return x.whole && !x.head.close && !x.unsent && !x.stream
}
