package upstream

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"time"

	"sallyport/gateway/credential"
)

// HTTPConfig says where an MCP server is and how it is spoken to. Zero fields other than URL
// take the defaults.
type HTTPConfig struct {
	// URL of the server's MCP endpoint, http or https. It holds no user, no password and no
	// fragment; that is what Credential is for.
	URL string
	// Headers are sent with every request and win over those of the request. They are copied.
	Headers http.Header
	// Credential is asked for the gateway's own credential when a request is sent, on behalf of
	// whose request it is. It goes into CredentialHeader after CredentialPrefix ("Bearer ").
	// Default: none.
	Credential                         credential.Source
	CredentialHeader, CredentialPrefix string
	// TLS is used for https and is cloned. Default: the system's roots, TLS 1.2 or newer.
	TLS *tls.Config
	// ConnectTimeout bounds the wait for a free connection, and looking up, connecting and
	// the TLS handshake together. Default 10 s.
	ConnectTimeout time.Duration
	// IdleTimeout is how long the server may be silent: until the first byte of its reply,
	// from there to the end of the header, and then from one piece of the body to the next. A
	// body, or an event of a stream, may take as long in all and a second more for each KiB.
	// It also bounds how long the server may leave the request unread. After the header it
	// does not apply to requests whose reply is a stream. Default 60 s.
	IdleTimeout time.Duration
	// MaxConns bounds the connections for calls, busy and idle. Who comes later waits for at
	// most ConnectTimeout. Default 512.
	MaxConns int
	// MaxStreams bounds the connections of requests whose reply is a stream. They are counted
	// apart, so that listeners cannot take the calls' place. Default 4096.
	MaxStreams int
	// MaxHeaderBytes bounds a reply's header, and apart from it the trailer. Default 32 KiB.
	MaxHeaderBytes int
}

const (
	idleAge    = 90 * time.Second // of a connection without a request
	callBuffer = 16 << 10
	// An idle stream costs little more than this.
	streamBuffer = 4 << 10
)

func (c HTTPConfig) orDefault() HTTPConfig {
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	if c.IdleTimeout <= 0 {
		c.IdleTimeout = 60 * time.Second
	}
	if c.MaxConns <= 0 {
		c.MaxConns = 512
	}
	if c.MaxStreams <= 0 {
		c.MaxStreams = 4096
	}
	if c.MaxHeaderBytes <= 0 {
		c.MaxHeaderBytes = 32 << 10
	}
	return c
}

// NewHTTP returns the server at cfg.URL. It connects to nothing yet. It fails when the URL or
// a header cannot be used; the error does not hold a header's value.
func NewHTTP(cfg HTTPConfig) (*HTTP, error) {
	cfg = cfg.orDefault()
	u, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	h := &HTTP{
		connectTimeout: cfg.ConnectTimeout,
		idleTimeout:    cfg.IdleTimeout,
		maxHeader:      cfg.MaxHeaderBytes,
		address:        address(u),
		connect:        new(net.Dialer).DialContext,
		calls:          make(chan struct{}, cfg.MaxConns),
		streams:        make(chan struct{}, cfg.MaxStreams),
	}
	if u.Scheme == "https" {
		h.tls = tlsConfig(cfg.TLS, u.Hostname())
	}
	h.head = append(h.head, ' ')
	h.head = append(h.head, u.RequestURI()...)
	h.head = append(h.head, " HTTP/1.1\r\nHost: "...)
	h.head = append(h.head, u.Host...)
	h.head = append(h.head, "\r\n"...)
	if err := h.addStatic(cfg.Headers); err != nil {
		return nil, err
	}
	if err := h.addCredential(cfg); err != nil {
		return nil, err
	}
	if !h.isStatic("User-Agent") {
		h.static = append(h.static, "User-Agent")
		h.head = appendField(h.head, "User-Agent", "sallyport")
	}
	return h, nil
}

// addStatic puts the configured headers into the part of the head that all requests share.
func (h *HTTP) addStatic(headers http.Header) error {
	for name, values := range headers {
		name = textproto.CanonicalMIMEHeaderKey(name)
		if !validName(name) || reserved(name) {
			return fmt.Errorf("upstream header %q: it may not be set", name)
		}
		if len(values) != 1 || h.isStatic(name) {
			return fmt.Errorf("upstream header %q: it needs exactly one value", name)
		}
		if !validValue(values[0]) {
			return fmt.Errorf("upstream header %q: its value holds a control character", name)
		}
		h.static = append(h.static, name)
		h.head = appendField(h.head, name, values[0])
	}
	return nil
}

func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The error of url.Parse quotes the URL, which may hold a password.
		return nil, errors.New("upstream url: it cannot be parsed; write it as http://host:port/path")
	}
	switch {
	case u.User != nil:
		return nil, errors.New("upstream url: it holds a user or password; put the credential into the headers")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("upstream url: scheme %q; want http or https", u.Scheme)
	case u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("upstream url: it names no host")
	case u.Fragment != "":
		return nil, errors.New("upstream url: it has a fragment, which no server would see")
	case !validHost(u.Host):
		return nil, errors.New("upstream url: the host holds a character that may not be in one; write international names in punycode")
	}
	if !validTarget(u.RequestURI()) {
		return nil, errors.New("upstream url: the path or query holds a space or control character")
	}
	return u, nil
}

func validHost(host string) bool {
	for _, c := range []byte(host) {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case c == '-', c == '.', c == ':', c == '[', c == ']', c == '_':
		default:
			return false
		}
	}
	return true
}

func validTarget(target string) bool {
	for _, c := range []byte(target) {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "https" {
			port = "443"
		}
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func tlsConfig(given *tls.Config, host string) *tls.Config {
	c := given.Clone()
	if c == nil {
		c = &tls.Config{}
	}
	if c.ServerName == "" {
		c.ServerName = host
	}
	if c.MinVersion < tls.VersionTLS12 {
		c.MinVersion = tls.VersionTLS12
	}
	if c.ClientSessionCache == nil {
		c.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	c.NextProtos = []string{"http/1.1"}
	return c
}
