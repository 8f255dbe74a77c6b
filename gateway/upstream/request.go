package upstream

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"sallyport/gateway"
	"sallyport/gateway/credential"
)

// A body up to this size leaves together with the head, in one write.
const joinedBody = 16 << 10

// appendRequest appends the head of out to buf, and its body when that is small. rest is what
// is still to be sent after it. It refuses headers that could say more than one thing.
func (h *HTTP) appendRequest(buf []byte, out gateway.Outbound, secret credential.Secret) (request, rest []byte, err error) {
	switch out.Method {
	case http.MethodPost, http.MethodGet, http.MethodDelete:
	default:
		return nil, nil, fmt.Errorf("build upstream request: method %q", out.Method)
	}
	buf = append(buf, out.Method...)
	buf = append(buf, h.head...)
	buf = h.presented.append(buf, secret)
	for name, values := range out.Header {
		// Canonical names only, so that no two of them are the same to the server.
		if !validName(name) || name != http.CanonicalHeaderKey(name) || reserved(name) || ofClient(name) {
			return nil, nil, fmt.Errorf("build upstream request: header %q may not be set", name)
		}
		if len(values) != 1 || !validValue(values[0]) {
			return nil, nil, fmt.Errorf("build upstream request: header %q needs one value without control characters", name)
		}
		if h.isStatic(name) {
			continue
		}
		buf = appendField(buf, name, values[0])
	}
	if len(out.Body) > 0 || out.Method == http.MethodPost {
		buf = append(buf, "Content-Length: "...)
		buf = strconv.AppendInt(buf, int64(len(out.Body)), 10)
		buf = append(buf, "\r\n"...)
	}
	buf = append(buf, "\r\n"...)
	if len(out.Body) <= joinedBody {
		return append(buf, out.Body...), nil, nil
	}
	return buf, out.Body, nil
}

// isStatic reports whether the name's value is the same for all requests.
func (h *HTTP) isStatic(name string) bool {
	for _, s := range h.static {
		if len(s) == len(name) && strings.EqualFold(s, name) {
			return true
		}
	}
	return false
}

func appendField(buf []byte, name, value string) []byte {
	buf = append(buf, name...)
	buf = append(buf, ": "...)
	buf = append(buf, value...)
	return append(buf, "\r\n"...)
}

// reserved names belong to the connection or are written by this package.
func reserved(name string) bool {
	switch len(name) {
	case 2, 4, 6, 7, 10, 14, 15, 16, 17:
	default:
		return false
	}
	for _, r := range [...]string{"Te", "Host", "Expect", "Trailer", "Upgrade", "Connection", "Keep-Alive",
		"Content-Length", "Accept-Encoding", "Content-Encoding", "Proxy-Connection", "Transfer-Encoding"} {
		if strings.EqualFold(name, r) {
			return true
		}
	}
	return false
}

// ofClient names carry credentials, and never come from a request. Nothing of the gateway puts
// one there; this is the last door.
func ofClient(name string) bool {
	return strings.EqualFold(name, "Authorization") || strings.EqualFold(name, "Cookie") ||
		strings.EqualFold(name, "Proxy-Authorization")
}

// validName reports whether name is a token (RFC 9110 §5.6.2).
func validName[T string | []byte](name T) bool {
	for i := range len(name) {
		if !tokenByte[name[i]] {
			return false
		}
	}
	return len(name) > 0
}

// validValue reports whether value is free of control characters other than the tab
// (RFC 9110 §5.5).
func validValue[T string | []byte](value T) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

var tokenByte = func() (t [256]bool) {
	for c := '0'; c <= 'z'; c++ {
		t[c] = c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a'
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()
