package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// streamWriter writes whole events; the gateway's own may come from another goroutine.
type streamWriter struct {
	mu   sync.Mutex // guards all below; one event at a time
	w    http.ResponseWriter
	c    *http.ResponseController
	conn net.Conn // once it was taken from the server, which then knows it no more; w and c are nil
	n    int64
	over bool // the handler has returned: w is no longer ours; or a write to conn has failed

	bounds sync.Mutex // guards ending and the deadline of conn; taken after mu, and without it
	ending bool       // what is still written is the last word
}

// errStreamOver is returned for an event that comes after the end.
var errStreamOver = errors.New("the stream is over")

// writeTimeout bounds how long a client may leave an event unread.
const writeTimeout = 30 * time.Second

// lastWordTimeout bounds it where the stream ends, so that who does not read keeps nothing open.
const lastWordTimeout = time.Second

// beginStream answers with a stream. One without end is registered before the client learns
// that it is open, so that no policy swap passes it by; release takes it out again.
func (r *relay) beginStream(endless bool) (out *streamWriter, release func()) {
	out, release = &streamWriter{w: r.w, c: http.NewResponseController(r.w)}, func() {}
	if endless {
		st := r.exchange.stream(r.who, r.call, out, r.stop)
		r.g.streams.add(&st)
		release = func() { r.g.streams.remove(&st) }
	}
	r.answerStream(out)
	return out, release
}

// answerStream writes the head of an answer that is a stream.
func (x *exchange) answerStream(out *streamWriter) {
	h := x.w.Header()
	h["Content-Type"] = []string{"text/event-stream"}
	h["Cache-Control"] = noStore
	h["X-Accel-Buffering"] = []string{"no"}
	x.started = true
	_ = out.write([]byte{}, true) // fails again at the first event, where it is seen
}

func (s *streamWriter) write(event []byte, flush bool) error {
	if event == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return errStreamOver
	}
	if s.conn != nil {
		return s.chunk(event)
	}
	_ = s.c.SetWriteDeadline(time.Now().Add(writeTimeout)) // not all writers can
	if _, err := s.w.Write(event); err != nil {
		return err
	}
	s.n += int64(len(event))
	if !flush {
		return nil
	}
	return s.c.Flush()
}

// take takes the connection from the server, with whose handler it would end. What the client has
// sent behind its request is lost: the connection serves no other. It returns nil where that cannot be
// (HTTP/2); then all is as before. All that was written must have been flushed.
func (s *streamWriter) take() net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn, _, err := s.c.Hijack()
	if err != nil {
		return nil
	}
	s.conn, s.w, s.c = conn, nil, nil
	return conn
}

// chunk continues the chunked body that the server has begun (RFC 9112 §7.1). Part of a chunk may be
// out when it fails, so nothing can follow.
func (s *streamWriter) chunk(event []byte) error {
	if len(event) == 0 {
		return nil // an empty chunk would be the last
	}
	s.setDeadline(s.conn)
	if _, err := s.conn.Write(fmt.Appendf(nil, "%x\r\n%s\r\n", len(event), event)); err != nil {
		s.over = true
		return err
	}
	s.n += int64(len(event))
	return nil
}

// setDeadline sets the time by which a client must have read an event.
func (s *streamWriter) setDeadline(conn net.Conn) {
	s.bounds.Lock()
	defer s.bounds.Unlock()
	wait := writeTimeout
	if s.ending {
		wait = lastWordTimeout
	}
	_ = conn.SetWriteDeadline(time.Now().Add(wait)) // fails where the write does
}

// hurry shortens what a client has left for the event that it is reading; then it has as long for the
// last word.
func (s *streamWriter) hurry(conn net.Conn) {
	s.bounds.Lock()
	s.ending = true
	s.bounds.Unlock()
	s.setDeadline(conn)
}

// close must be called before the handler returns, or at the end of a stream that has outlived it,
// whose connection it closes.
func (s *streamWriter) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		if !s.over {
			s.setDeadline(s.conn)
			_, _ = s.conn.Write([]byte("0\r\n\r\n")) // whoever has gone needs it no more
		}
		_ = s.conn.Close() // nothing is left to be said
	}
	s.over = true
}

func (s *streamWriter) sent() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}
