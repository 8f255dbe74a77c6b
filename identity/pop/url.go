package pop

import (
	"net"
	"net/url"
	"strings"
)

// sameURL reports whether htu, the client's word, is the URL want (RFC 9449 §4.3): scheme and
// host in any case, the scheme's own port named or not, and the loopback's three names as one,
// as everywhere in the gateway. The path is compared byte by byte: a gateway serves no path that
// can be spelled in two ways. A query or fragment is refused even when empty (§4.2 forbids them).
func sameURL(htu, want string) bool {
	if htu == want {
		return !strings.ContainsAny(want, "?#") && want != ""
	}
	a, ok := canonical(htu)
	if !ok {
		return false
	}
	b, ok := canonical(want)
	return ok && a == b
}

func canonical(raw string) (string, bool) {
	if strings.ContainsAny(raw, "?#") {
		return "", false
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	if host == "localhost" || host == "::1" {
		host = "127.0.0.1"
	}
	switch {
	case port != "":
	case scheme == "http":
		port = "80"
	case scheme == "https":
		port = "443"
	default:
		return "", false
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return scheme + "://" + net.JoinHostPort(host, port) + path, true
}
