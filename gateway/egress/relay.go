package egress

import (
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"
)

// relay carries bytes both ways until both sides are done, one breaks, or nothing has passed
// for idleTime. in has been read through from. It closes both.
func relay(in net.Conn, from io.Reader, out net.Conn, req *request) {
	alive := func() {
		end := time.Now().Add(idleTime)
		_ = in.SetDeadline(end)
		_ = out.SetDeadline(end)
	}
	alive()
	shut := func() { _ = in.Close(); _ = out.Close() }
	tunnel := req.method == http.MethodConnect
	var up sync.WaitGroup
	up.Go(func() {
		err := send(out, &lively{from, alive}, req)
		switch {
		case !tunnel && err == nil:
			// A connection carries one request. A client that takes it for more would wait
			// for an answer that nobody will give, so its next byte ends it.
			if n, _ := from.Read(make([]byte, 1)); n > 0 {
				shut()
			}
		case tunnel && err != nil:
			shut()
		default:
			// The end of this direction, or of a body that broke off: the host may yet answer.
			closeWrite(out)
		}
	})
	if _, err := io.Copy(in, &lively{out, alive}); err == nil && tunnel {
		closeWrite(in)
		up.Wait()
	}
	shut()
	up.Wait()
}

// send carries what the client sends: all of it for a tunnel; for plain http the one request,
// and not a byte that follows it.
func send(out io.Writer, from io.Reader, req *request) error {
	if req.method == http.MethodConnect {
		_, err := io.Copy(out, from)
		return err
	}
	if err := req.writeHead(out); err != nil {
		return err
	}
	if req.length >= 0 {
		_, err := io.CopyN(out, from, req.length)
		return err
	}
	// Encoded anew: how two readers take an odd chunk is not left to them.
	w := httputil.NewChunkedWriter(out)
	if _, err := io.Copy(w, httputil.NewChunkedReader(from)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_, err := io.WriteString(out, "\r\n") // no trailers
	return err
}

// lively tells of every read that brought something.
type lively struct {
	io.Reader
	alive func()
}

func (l *lively) Read(b []byte) (int, error) {
	n, err := l.Reader.Read(b)
	if n > 0 {
		l.alive()
	}
	return n, err
}

func closeWrite(c net.Conn) {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		_ = h.CloseWrite()
	}
}
