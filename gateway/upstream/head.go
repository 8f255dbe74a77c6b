package upstream

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"time"

	"sallyport/gateway"
)

const (
	maxContentType = 256
	maxSessionID   = 1024
)

// replyHead is what is taken from a reply's header.
type replyHead struct {
	status    int
	header    gateway.ReplyHeader
	length    int64 // of the body; -1 when it is not given
	chunked   bool
	close     bool          // the connection ends with this reply
	keepAlive time.Duration // how long the server says it keeps an idle connection; 0 unsaid
	http10    bool

	hasType, hasLength bool
}

func garbage(what string) error { return fmt.Errorf("%w: %s", gateway.ErrGarbage, what) }

// statusLine reads "HTTP/1.1 200 OK", without its line end.
func (h *replyHead) statusLine(line []byte) error {
	*h = replyHead{length: -1}
	const example = "HTTP/1.1 200"
	if len(line) < len(example) || string(line[:7]) != "HTTP/1." || line[8] != ' ' {
		return garbage("no HTTP/1.1 status line")
	}
	switch line[7] {
	case '1':
	case '0':
		h.http10, h.close = true, true
	default:
		return garbage("no HTTP/1.1 status line")
	}
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return garbage("status is not a number")
		}
		h.status = h.status*10 + int(c-'0')
	}
	if h.status < 100 || h.status > 599 || len(line) > 12 && line[12] != ' ' || !validValue(line[12:]) {
		return garbage("malformed status line")
	}
	return nil
}

// field reads one header line, without its line end.
func (h *replyHead) field(line []byte) error {
	name, value, err := splitField(line)
	if err != nil {
		return err
	}
	switch len(name) {
	case len("Connection"):
		if is(name, "Connection") {
			h.close = h.close || hasToken(value, "close")
		} else if is(name, "Keep-Alive") {
			h.keepAlive = keepAliveTimeout(value)
		}
	case len("Content-Type"):
		if is(name, "Content-Type") {
			return h.contentType(value)
		}
	case len("Content-Length"):
		if is(name, "Content-Length") {
			return h.contentLength(value)
		}
		if is(name, "Mcp-Session-Id") {
			return h.sessionID(value)
		}
	case len("Content-Encoding"):
		if is(name, "Content-Encoding") && len(value) > 0 && !is(value, "identity") {
			return garbage("a content coding, which was not asked for")
		}
	case len("Transfer-Encoding"):
		if is(name, "Transfer-Encoding") {
			if h.chunked || !is(value, "chunked") {
				return garbage("a transfer coding other than chunked")
			}
			h.chunked = true
		}
	}
	return nil
}

// end is called after the last line of the header.
func (h *replyHead) end() error {
	if h.chunked && (h.hasLength || h.http10) {
		// Two ends for one body: the next bytes on the connection could be anybody's.
		return garbage("a transfer coding beside a length or in HTTP/1.0")
	}
	return nil
}

// bodiless reports whether the status allows no body (RFC 9112 §6.3).
func (h *replyHead) bodiless() bool { return h.status == 204 || h.status == 304 }

func (h *replyHead) contentType(value []byte) error {
	if h.hasType {
		return garbage("more than one Content-Type")
	}
	h.hasType = true
	media, _, _ := bytes.Cut(value, []byte(";"))
	media = bytes.TrimRight(media, " \t")
	switch {
	case is(media, "application/json"):
		h.header.ContentType = "application/json"
	case is(media, "text/event-stream"):
		h.header.ContentType = "text/event-stream"
	default:
		kind, sub, ok := bytes.Cut(media, []byte("/"))
		if !ok || !validName(kind) || !validName(sub) || len(media) > maxContentType {
			return garbage("malformed Content-Type")
		}
		h.header.ContentType = strings.ToLower(string(media))
	}
	return nil
}

func (h *replyHead) contentLength(value []byte) error {
	if h.hasLength {
		return garbage("more than one Content-Length")
	}
	h.hasLength = true
	if len(value) == 0 || len(value) > 18 {
		return garbage("malformed Content-Length")
	}
	h.length = 0
	for _, c := range value {
		if c < '0' || c > '9' {
			return garbage("malformed Content-Length")
		}
		h.length = h.length*10 + int64(c-'0')
	}
	return nil
}

// sessionID takes visible ASCII only, as the protocol demands of servers.
func (h *replyHead) sessionID(value []byte) error {
	if h.header.SessionID != "" {
		return garbage("more than one Mcp-Session-Id")
	}
	if len(value) == 0 || len(value) > maxSessionID {
		return garbage("Mcp-Session-Id is empty or too long")
	}
	for _, c := range value {
		if c < 0x21 || c > 0x7e {
			return garbage("Mcp-Session-Id is not visible ASCII")
		}
	}
	h.header.SessionID = string(value)
	return nil
}

func splitField(line []byte) (name, value []byte, err error) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	// A folded line begins with a space, which no name may hold.
	if !ok || !validName(name) || !validValue(value) {
		return nil, nil, garbage("malformed header line")
	}
	return name, bytes.Trim(value, " \t"), nil
}

// is compares ASCII without regard to case. want holds no character that folds to another
// than its own two cases.
func is(got []byte, want string) bool {
	if len(got) != len(want) {
		return false
	}
	for i, c := range got {
		w := want[i]
		if c|0x20 != w|0x20 || c != w && !(w|0x20 >= 'a' && w|0x20 <= 'z') {
			return false
		}
	}
	return true
}

func hasToken(list []byte, token string) bool {
	for item := range bytes.SplitSeq(list, []byte(",")) {
		if is(bytes.Trim(item, " \t"), token) {
			return true
		}
	}
	return false
}

// keepAliveTimeout reads "timeout=5, max=100". Servers close an idle connection after that
// time; one that is used in the same moment would lose a call that cannot be sent again.
func keepAliveTimeout(value []byte) time.Duration {
	for item := range bytes.SplitSeq(value, []byte(",")) {
		key, number, _ := bytes.Cut(bytes.Trim(item, " \t"), []byte("="))
		if !is(key, "timeout") || len(number) == 0 {
			continue
		}
		var seconds int64
		for _, c := range number {
			if c < '0' || c > '9' || seconds > math.MaxInt32 {
				return 0
			}
			seconds = seconds*10 + int64(c-'0')
		}
		return time.Duration(seconds) * time.Second
	}
	return 0
}
