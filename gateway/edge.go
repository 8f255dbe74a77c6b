package gateway

import (
	"mime"
	"net"
	"net/http"
	"strings"
)

// edge looks at the request before anything of its body is read.
func (x *exchange) edge() error {
	r := x.r
	switch r.Method {
	case http.MethodPost, http.MethodGet, http.MethodDelete:
	default:
		return refuse(CodeWrongMethod, "use POST (or GET and DELETE for sessions of the older protocol)")
	}
	// DNS rebinding: a page that made the browser resolve its own name to us still sends its
	// own name as Host (MCP transports, "Security Warning").
	if !x.snap.Hosts[r.Host] && !x.snap.Hosts[canonicalHost(r.Host)] { // the sets hold canonical names
		return refuse(CodeWrongHost, "this gateway does not answer for that host name")
	}
	if origins := r.Header["Origin"]; len(origins) > 1 || len(origins) == 1 && !x.snap.Origins[canonicalOrigin(origins[0])] {
		return refuse(CodeForbiddenOrigin, "requests from that origin are not accepted")
	}
	if r.Method != http.MethodPost {
		return nil
	}
	if len(r.Header["Content-Type"]) != 1 || !isJSON(r.Header["Content-Type"][0]) {
		return refuse(CodeWrongType, "send one Content-Type: application/json")
	}
	if r.Header["Content-Encoding"] != nil {
		return refuse(CodeWrongType, "compressed requests are not accepted")
	}
	if r.ContentLength > x.snap.Limits.RequestBytes {
		return refuse(CodeTooLarge, "the request is larger than %d bytes", x.snap.Limits.RequestBytes)
	}
	return nil
}

func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	media, params, err := mime.ParseMediaType(contentType)
	charset := strings.ToLower(params["charset"])
	return err == nil && media == "application/json" && (charset == "" || charset == "utf-8")
}

// canonicalHost makes the loopback spellings one, as the contract says.
func canonicalHost(host string) string {
	host = strings.ToLower(host)
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.Trim(host, "[]"), ""
	}
	if name == "localhost" || name == "::1" {
		name = "127.0.0.1"
	}
	if port == "" {
		return name
	}
	return net.JoinHostPort(name, port)
}

func canonicalOrigin(origin string) string {
	scheme, host, ok := strings.Cut(strings.ToLower(origin), "://")
	if !ok {
		return strings.ToLower(origin)
	}
	return scheme + "://" + canonicalHost(host)
}

// Authorities returns the sets that Snapshot.Hosts and Snapshot.Origins want for the given
// URLs (scheme and authority).
func Authorities(urls ...string) (hosts, origins map[string]bool) {
	hosts, origins = map[string]bool{}, map[string]bool{}
	for _, u := range urls {
		scheme, host, ok := strings.Cut(u, "://")
		if !ok {
			continue
		}
		canonical := canonicalHost(host)
		hosts[canonical] = true
		origins[strings.ToLower(scheme)+"://"+canonical] = true
		if name, port, err := net.SplitHostPort(canonical); err == nil && (scheme == "http" && port == "80" || scheme == "https" && port == "443") {
			hosts[name] = true
			origins[strings.ToLower(scheme)+"://"+name] = true
		}
	}
	return hosts, origins
}
