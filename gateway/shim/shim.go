package shim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// Config says where the gateway is and who speaks to it. URL and Source are required.
type Config struct {
	URL     string                 // the endpoint: https://gw.example/mcp or …/mcp/{server}
	Source  Source                 // where tokens come from
	Key     Key                    // what they are bound to; nil: sent as bearer tokens, alone or beside a client certificate
	TLS     *tls.Config            // nil: the system's authorities, no client certificate
	Measure func() (string, error) // digest of the agent's own files, asked for each token; nil: none
	Log     *slog.Logger           // what a person should read; nil: discarded
	Now     func() time.Time       // default time.Now

	// PlainHTTP allows http:// to other machines. Whoever sits between reads everything.
	PlainHTTP bool

	MaxLine   int // of a line from the client, in bytes; default 16 MiB
	MaxAnswer int // of a message from the gateway, in bytes; default 64 MiB
}

const (
	defaultMaxLine   = 16 << 20
	defaultMaxAnswer = 64 << 20
)

// Shim carries clients to one gateway. It is safe for concurrent use.
type Shim struct {
	url       *url.URL
	log       *slog.Logger
	maxLine   int
	maxAnswer int

	http   *http.Client
	proofs *prover
	tokens *keeper

	gate    chan struct{} // held while the first token is fetched
	started atomic.Bool   // what answers is a gateway, and there has been a token
}

// New returns a shim that has reached nobody yet. The error says what is wrong with the URL.
func New(cfg Config) (*Shim, error) {
	u, err := checkURL(cfg.URL, cfg.PlainHTTP)
	if err != nil {
		return nil, err
	}
	if cfg.Source == nil {
		return nil, errors.New("no source of tokens")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = wallTime
	}
	if cfg.MaxLine <= 0 {
		cfg.MaxLine = defaultMaxLine
	}
	if cfg.MaxAnswer <= 0 {
		cfg.MaxAnswer = defaultMaxAnswer
	}
	proofs := &prover{key: cfg.Key, now: cfg.Now, log: cfg.Log, nonces: map[string]string{}}
	return &Shim{
		url: u, log: cfg.Log, maxLine: cfg.MaxLine, maxAnswer: cfg.MaxAnswer,
		http:   newHTTPClient(cfg.TLS),
		proofs: proofs,
		tokens: &keeper{source: cfg.Source, measure: cfg.Measure, proofs: proofs, now: cfg.Now, log: cfg.Log},
		gate:   make(chan struct{}, 1),
	}, nil
}

// checkURL reads the address of an endpoint.
func checkURL(raw string, plain bool) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is not a URL; want something like https://gateway.example/mcp", raw)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("%q is not an http or https URL; want something like https://gateway.example/mcp", raw)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the URL must have no user, query or fragment: tokens are never part of it")
	case u.Scheme == "http" && !plain && !loopback(u.Hostname()):
		return nil, fmt.Errorf("%s is another machine and http is not encrypted: use https, or --plain-http where something else protects the way", u.Host)
	}
	return u, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// start makes sure, once, that what answers is a gateway that gives tokens.
func (s *Shim) start(ctx context.Context) error {
	if s.started.Load() {
		return nil
	}
	select {
	case s.gate <- struct{}{}:
		defer func() { <-s.gate }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if s.started.Load() {
		return nil
	}
	if err := s.probe(ctx); err != nil {
		return err
	}
	if _, err := s.tokens.get(ctx); err != nil {
		return err
	}
	s.started.Store(true)
	return nil
}

// Serve carries one client: in is what it says, a message a line, and out what it hears. It
// returns when in has ended and what was asked is answered, or soon after ctx has ended. The
// error wraps ErrEnded where the grant has ended, and ErrStart where the first request met no
// gateway or got no token; it has been logged and the client has been told. Reading from in may
// go on in the background after Serve has returned.
func (s *Shim) Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	return newClient(s, out).serve(ctx, in)
}

// ErrStart is wrapped by the error of a Serve that came to nothing.
var ErrStart = errors.New("not connected")

// wallTime is time.Now without the reading of the monotonic clock, which stands still while a
// machine sleeps; tokens do not.
func wallTime() time.Time { return time.Now().Round(0) }
