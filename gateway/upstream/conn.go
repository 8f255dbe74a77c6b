package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"sallyport/gateway"
)

// conn is a connection to the server. One exchange at a time owns it; abort alone may be
// called from elsewhere.
type conn struct {
	raw   net.Conn // the TCP connection
	nc    net.Conn // what is spoken on: raw, or TLS over it
	br    *bufio.Reader
	idle  time.Duration // the server's longest silence
	wait  time.Duration // deadline of each read from here on; 0 leaves the deadline as it is
	pace  pace          // of what is read while wait bounds it
	ioErr error         // the first error of a read, to tell it from a parser's
	began bool          // a byte of the reply has come

	owner     string // principal whose requests it carries; "" for the gateway's own
	reused    bool
	idleUntil time.Time // while in the pool
	keep      time.Duration

	socket  syscall.RawConn
	look    func(fd uintptr) // stores into silent; made once, so that looking allocates nothing
	silent  bool
	aborter func() // abort, bound once
}

// dial makes a connection within the connect timeout.
func (h *HTTP) dial(ctx context.Context, buffer int) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, h.connectTimeout)
	defer cancel()
	raw, err := h.connect(ctx, "tcp", h.address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", gateway.ErrUnreachable, err)
	}
	c := &conn{raw: raw, nc: raw, idle: h.idleTimeout, keep: idleAge}
	c.br = bufio.NewReaderSize(c, buffer)
	c.aborter = c.abort
	c.look = func(fd uintptr) { c.silent = silent(fd) }
	if sc, ok := raw.(syscall.Conn); ok {
		c.socket, _ = sc.SyscallConn() // without it the connection is not used again
	}
	if h.tls == nil {
		return c, nil
	}
	over := tls.Client(raw, h.tls)
	if err := over.HandshakeContext(ctx); err != nil {
		c.abort()
		return nil, fmt.Errorf("%w: TLS handshake: %w", gateway.ErrUnreachable, err)
	}
	c.nc = over
	return c, nil
}

// abort ends the connection at once, and with it any read or write on it. It closes the socket
// and not TLS, which would wait to say goodbye.
func (c *conn) abort() { _ = c.raw.Close() }

// extend gives the server another span of silence.
func (c *conn) extend() { _ = c.raw.SetDeadline(time.Now().Add(c.idle)) } // a closed socket shows at the next read

// Read is what the buffered reader reads from.
func (c *conn) Read(p []byte) (int, error) {
	if c.wait > 0 {
		now := time.Now()
		if c.pace.late(now, c.wait) {
			c.ioErr = os.ErrDeadlineExceeded
			return 0, c.ioErr
		}
		_ = c.raw.SetReadDeadline(now.Add(c.wait))
	}
	n, err := c.nc.Read(p)
	c.pace.got += int64(n)
	if err != nil && c.ioErr == nil {
		c.ioErr = err
	}
	return n, err
}

// usable reports whether an idle connection may carry another request: the server has said
// nothing since its last reply, not even goodbye. It leaves a fresh deadline.
func (c *conn) usable() bool {
	if c.br.Buffered() > 0 || !c.quiet() {
		return false
	}
	if c.nc != c.raw {
		// TLS may have read a record from the socket that nobody has asked for yet. With the
		// deadline gone by, it hands that out and touches the socket no more.
		_ = c.raw.SetReadDeadline(time.Unix(1, 0))
		var b [1]byte
		if n, err := c.nc.Read(b[:]); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return false
		}
	}
	c.extend()
	return true
}

// quiet reports whether nothing is there to be read from the socket.
func (c *conn) quiet() bool {
	c.silent = false
	return c.socket != nil && c.socket.Control(c.look) == nil && c.silent
}

// stall is how long a plain write may hang before it is asked whether a reply is there already.
const stall = 100 * time.Millisecond

// send writes a request. written says how much the server may have; answered that a reply
// began before all was written, so that the rest is not.
func (c *conn) send(request, rest []byte) (written int, answered bool, err error) {
	for _, part := range [2][]byte{request, rest} {
		if len(part) == 0 {
			continue
		}
		n, answered, err := c.write(part)
		written += n
		if answered || err != nil {
			return written, answered, err
		}
	}
	return written, false, nil
}

// write writes p. Small ones cost one write and no deadline of their own. A server may answer
// a large one without reading it, and then never read on; so a write that hangs looks up.
func (c *conn) write(p []byte) (written int, answered bool, err error) {
	if len(p) <= joinedBody+callBuffer || c.nc != c.raw {
		n, err := c.nc.Write(p)
		return n, false, err
	}
	last := time.Now()
	for {
		_ = c.raw.SetWriteDeadline(time.Now().Add(min(stall, c.idle)))
		n, err := c.nc.Write(p[written:])
		written += n
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			c.extend()
			return written, false, err
		}
		if !c.quiet() {
			c.extend()
			return written, true, nil
		}
		if now := time.Now(); n > 0 {
			last = now
		} else if now.Sub(last) > c.idle {
			return written, false, err
		}
	}
}

// line returns the next header line without its CRLF, valid until the next read. left is what
// remains of the header's size.
func (c *conn) line(left *int) ([]byte, error) {
	line, err := c.br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		var long []byte
		for errors.Is(err, bufio.ErrBufferFull) && len(long)+len(line) <= *left {
			long = append(long, line...)
			line, err = c.br.ReadSlice('\n')
		}
		line = append(long, line...)
	}
	if *left -= len(line); *left < 0 {
		return nil, fmt.Errorf("%w: header", gateway.ErrTooLarge)
	}
	if err != nil {
		return nil, err
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return nil, garbage("a header line that does not end in CRLF")
	}
	return line[:len(line)-2], nil
}

// failure names what ended a read or write of this connection.
func (c *conn) failure(ctx context.Context, doing string, err error) error {
	sound := !errors.Is(err, gateway.ErrGarbage) && !errors.Is(err, gateway.ErrTooLarge)
	if c.ioErr != nil && sound {
		err = c.ioErr
	}
	switch {
	case ctx.Err() != nil:
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("%w: %s: %w", gateway.ErrTimeout, doing, ctx.Err())
		}
		return fmt.Errorf("%w: %s: %w", gateway.ErrUnreachable, doing, context.Cause(ctx))
	case !sound:
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: %s", gateway.ErrTimeout, doing)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		if c.began {
			return fmt.Errorf("%w: %s: cut short", gateway.ErrGarbage, doing)
		}
		return fmt.Errorf("%w: %s: the connection was closed", gateway.ErrUnreachable, doing)
	case c.ioErr != nil:
		return fmt.Errorf("%w: %s: %w", gateway.ErrUnreachable, doing, err)
	default:
		return fmt.Errorf("%w: %s: %w", gateway.ErrGarbage, doing, err)
	}
}
