package bridge

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"

	"sallyport/gateway"
	"sallyport/gateway/wire"
)

const (
	jsonType   = "application/json"
	eventsType = "text/event-stream"
)

// source is the messages of a server's reply, one by one, whether it is one body or a stream.
type source struct {
	body   io.ReadCloser
	lim    wire.Limits
	events *wire.EventReader // nil for one body
	over   bool              // the one body has been read
}

// source takes over the reply, whose status and content type must be those of an answer.
func (l *Link) source(reply *gateway.Reply) (*source, error) {
	src := &source{body: reply.Body, lim: l.o.Limits}
	kind := reply.Header.ContentType
	switch status := reply.Status; {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		_ = reply.Body.Close()
		return nil, fmt.Errorf("%w: it refused the gateway's own credential: status %d", gateway.ErrUnreachable, status)
	case status == http.StatusOK && kind == eventsType:
		src.events = wire.NewEventReader(reply.Body, int(src.lim.Bytes))
	case kind != jsonType || status >= 300 && status < 400 || status >= 500:
		_ = reply.Body.Close()
		return nil, fmt.Errorf("%w: status %d, content type %q", gateway.ErrGarbage, status, kind)
	}
	return src, nil
}

func (s *source) close() { _ = s.body.Close() }

// next returns the next message; nil without an error is a sign of life and no more. At the end
// the error is io.EOF.
func (s *source) next() (*wire.Reply, error) {
	raw, err := s.nextRaw()
	if raw == nil || err != nil {
		return nil, err
	}
	msg, err := wire.DecodeReply(raw, s.lim)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", gateway.ErrGarbage, err)
	}
	return msg, nil
}

func (s *source) nextRaw() ([]byte, error) {
	if s.events != nil {
		ev, err := s.events.Next()
		switch {
		case errors.Is(err, wire.ErrEventTooLarge):
			return nil, fmt.Errorf("%w: an event of over %d bytes", gateway.ErrTooLarge, s.lim.Bytes)
		case err != nil || len(ev.Data) == 0 || ev.Incomplete:
			return nil, err
		}
		return ev.Data, nil
	}
	if s.over {
		return nil, io.EOF
	}
	s.over = true
	raw, err := io.ReadAll(io.LimitReader(s.body, s.lim.Bytes+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > s.lim.Bytes {
		return nil, fmt.Errorf("%w: a body of over %d bytes", gateway.ErrTooLarge, s.lim.Bytes)
	}
	return raw, nil
}

// unended is what is wrong when a reply ends before the answer.
func unended(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the reply ended without an answer", gateway.ErrGarbage)
	}
	return err
}

// feed is a reply's body of events that next makes one by one; nil is none this time.
type feed struct {
	next func() ([]byte, error)
	end  func()
	rest []byte
	err  error
}

// comment shows that a stream is alive; clients skip it.
var comment = []byte(":\n\n")

func (f *feed) Read(p []byte) (int, error) {
	for len(f.rest) == 0 {
		if f.err != nil {
			return 0, f.err
		}
		f.rest, f.err = f.next()
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

func (f *feed) Close() error {
	f.end()
	return nil
}

func streamOf(next func() ([]byte, error), end func()) *gateway.Reply {
	return &gateway.Reply{Status: http.StatusOK, Header: gateway.ReplyHeader{ContentType: eventsType}, Body: &feed{next: next, end: end}}
}

// whole is a body of known length.
type whole struct{ *bytes.Reader }

func (whole) Close() error { return nil }

// Len is how many bytes are unread.
func (w whole) Len() int64 { return int64(w.Reader.Len()) }

func jsonOf(status int, body []byte) *gateway.Reply {
	return &gateway.Reply{Status: status, Header: gateway.ReplyHeader{ContentType: jsonType}, Body: whole{bytes.NewReader(body)}}
}

func accepted() *gateway.Reply { return &gateway.Reply{Status: http.StatusAccepted, Body: http.NoBody} }

// JSON-RPC codes of the contract, for what the link itself says.
const (
	rpcUnavailable = 502
	rpcDenied      = 403
)

// refuse answers a request with an error of the link's own.
func (l *Link) refuse(msg *wire.Message, code int, words string) *gateway.Reply {
	status := http.StatusOK
	if code == wire.RPCUnknownMethod && msg.Era == wire.Modern {
		status = http.StatusNotFound
	}
	return jsonOf(status, wire.AppendError(nil, msg.ID, code, words, nil))
}
