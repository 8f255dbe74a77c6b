package egress

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

const (
	// maxConns bounds the connections of one server; one more is answered 503.
	maxConns = 128
	// headTime bounds the time in which a head arrives, and an answer of ours is taken.
	headTime = 10 * time.Second
	// lingerTime bounds the time for which a refused client is listened to.
	lingerTime = time.Second
	// idleTime ends a connection over which nothing passed in either direction.
	idleTime = 5 * time.Minute
)

// Options are what [Serve] works with. The zero Options is usable.
type Options struct {
	Resolver   Resolver                   // nil is the system's
	Dial       DialFunc                   // nil connects over TCP; for tests
	Interfaces func() ([]net.Addr, error) // nil is net.InterfaceAddrs; for tests
	Log        *slog.Logger               // nil is silence
	Name       string                     // the server's, for log and answers
	Advice     func(target string) string // what to do about a target that is not allowed; nil is for a server
}

// proxy serves one server. All fields are set by Serve and immutable after.
type proxy struct {
	rules      Rules
	name       string
	resolver   Resolver
	dial       DialFunc
	interfaces func() ([]net.Addr, error)
	advice     func(target string) string
	trace      *slog.Logger
	log        *refusals
}

// Serve answers what arrives at l until ctx ends or l is closed, and then returns nil. It
// closes l and all connections, and waits for all that it started. Any other return is an
// error of l's Accept.
//
// What the rules do not allow is answered 403 with the entry that would allow it, and logged
// as "egress refused", at most ten times a second. A request that is no request is answered
// 400, 405 or 431, a host that cannot be reached 502 or 504. A connection carries one request.
func Serve(ctx context.Context, l net.Listener, r Rules, o Options) error {
	p := newProxy(r, o)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	var running sync.WaitGroup
	defer running.Wait() // after cancel
	defer cancel()
	defer func() { _ = l.Close() }()
	slots := make(chan struct{}, maxConns)
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ECONNABORTED):
			// Passes by itself; to end here would cut the server off for good.
			p.trace.LogAttrs(ctx, slog.LevelWarn, "egress cannot accept", slog.Any("error", err))
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		default:
			return fmt.Errorf("egress of server %s: accept: %w", p.name, err)
		}
		select {
		case slots <- struct{}{}:
			running.Go(func() {
				defer func() { <-slots }()
				p.serve(ctx, conn)
			})
		default:
			p.log.misused("too many connections")
			// Here, and without lingering: what is beyond the bound must cost nothing that
			// could pile up.
			_ = conn.SetDeadline(time.Now().Add(lingerTime))
			write(conn, &refusal{http.StatusServiceUnavailable, fmt.Sprintf("this proxy serves %d connections at a time", maxConns)})
			_ = conn.Close()
		}
	}
}

func newProxy(r Rules, o Options) *proxy {
	p := &proxy{rules: r, name: o.Name, resolver: o.Resolver, dial: o.Dial, interfaces: o.Interfaces, advice: o.Advice}
	if p.advice == nil {
		p.advice = func(target string) string { return fmt.Sprintf("add %q to egress of server %s", target, p.name) }
	}
	if p.resolver == nil {
		p.resolver = net.DefaultResolver
	}
	if p.dial == nil {
		p.dial = p.dialTCP
	}
	if p.interfaces == nil {
		p.interfaces = net.InterfaceAddrs
	}
	p.trace = o.Log
	if p.trace == nil {
		p.trace = slog.New(slog.DiscardHandler)
	}
	p.trace = p.trace.With(slog.String("server", o.Name))
	p.log = &refusals{to: p.trace}
	return p
}

// serve answers the one request of conn and closes it.
func (p *proxy) serve(ctx context.Context, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.SetDeadline(time.Now().Add(headTime))
	br := bufio.NewReaderSize(conn, 4<<10)
	req, err := readRequest(br)
	if err != nil {
		if r, ok := errors.AsType[*refusal](err); ok {
			p.log.misused(r.text)
			answer(conn, r)
		}
		return
	}
	if !p.rules.allows(req.target) {
		p.log.refused(req.target, "not in egress")
		answer(conn, &refusal{http.StatusForbidden, fmt.Sprintf("%s is not allowed: %s", req.target, p.advice(req.target.String()))})
		return
	}
	_ = conn.SetDeadline(time.Now().Add(dialTime + headTime))
	out, err := p.open(ctx, req.target)
	if err != nil {
		if _, ok := errors.AsType[*errAddress](err); !ok {
			p.log.failed(req.target, err)
		}
		answer(conn, p.explain(req.target, err))
		return
	}
	defer func() { _ = out.Close() }()
	defer context.AfterFunc(ctx, func() { _ = out.Close() })()
	p.trace.LogAttrs(ctx, slog.LevelDebug, "egress opened", slog.String("target", req.target.String()),
		slog.String("method", req.method), slog.String("address", out.RemoteAddr().String()))
	if req.method == http.MethodConnect {
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
			return
		}
	}
	relay(conn, br, out, &req)
}

// answer writes a refusal as a response. Nobody is helped by an error of it. What the client
// still sends is read for a moment: a socket that is closed with bytes unread takes the
// answer back.
func answer(conn net.Conn, r *refusal) {
	write(conn, r)
	closeWrite(conn)
	_ = conn.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, conn, 1<<20)
}

func write(w io.Writer, r *refusal) {
	body := r.text + "\n"
	_, _ = fmt.Fprintf(w, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		r.status, http.StatusText(r.status), len(body), body)
}
