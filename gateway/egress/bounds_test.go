package egress

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are in memory, so that time can be false.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	ended chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), ended: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.ended:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.ended) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) connect() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}

// inFalseTime runs a proxy with the entries in a bubble. Dials are answered by dial.
func inFalseTime(t *testing.T, dial DialFunc, test func(t *testing.T, p *pipes, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{names: names{answers: map[string][]string{"api.example.com": {"8.8.8.8 " + public}}}}
		r, err := ParseRules([]string{"api.example.com"})
		if err != nil {
			t.Fatal(err)
		}
		o := w.options()
		o.Dial = dial
		p, done := newPipes(), make(chan error)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- Serve(ctx, p, r, o) }()
		test(t, p, w)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v; want nil", err)
		}
	})
}

const ask = "CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n"

func TestAnIdleTunnelEndsAndABusyOneDoesNot(t *testing.T) {
	far := make(chan net.Conn, 1)
	dial := func(context.Context, netip.AddrPort) (net.Conn, error) {
		ours, theirs := net.Pipe()
		far <- theirs
		return ours, nil
	}
	inFalseTime(t, dial, func(t *testing.T, p *pipes, _ *world) {
		conn := p.connect()
		go func() { _, _ = io.WriteString(conn, ask) }()
		br := bufio.NewReader(conn)
		for _, want := range []string{"HTTP/1.1 200 OK\r\n", "\r\n"} {
			if got, err := br.ReadString('\n'); got != want {
				t.Fatalf("got %q, %v; want %q", got, err, want)
			}
		}
		host := <-far
		began := time.Now()
		for range 3 { // one direction alone keeps both
			time.Sleep(idleTime - time.Second)
			if _, err := host.Write([]byte{'x'}); err != nil {
				t.Fatalf("after %s: %v", time.Since(began), err)
			}
			if b, err := br.ReadByte(); b != 'x' {
				t.Fatalf("after %s: %v", time.Since(began), err)
			}
		}
		last := time.Now()
		if _, err := br.ReadByte(); err == nil {
			t.Error("an idle tunnel says something")
		}
		if got := time.Since(last); got != idleTime {
			t.Errorf("the tunnel ended after %s of silence; want %s", got, idleTime)
		}
	})
}

func TestAHeadThatDoesNotComeEndsTheConnection(t *testing.T) {
	inFalseTime(t, nil, func(t *testing.T, p *pipes, _ *world) {
		conn := p.connect()
		if _, err := io.WriteString(conn, "CONNECT api.exa"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err := io.ReadAll(conn)
		if got := time.Since(began); got != headTime {
			t.Errorf("ended after %s, %v; want %s", got, err, headTime)
		}
	})
}

func TestAHostThatSwallowsPacketsLeavesTimeForTheNextAddress(t *testing.T) {
	var tried []string
	dial := func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		tried = append(tried, fmt.Sprint(to.Addr()))
		<-ctx.Done()
		return nil, ctx.Err()
	}
	inFalseTime(t, dial, func(t *testing.T, p *pipes, _ *world) {
		conn := p.connect()
		go func() { _, _ = io.WriteString(conn, ask) }()
		began := time.Now()
		got, _ := io.ReadAll(conn)
		if want := "\r\n\r\napi.example.com:443 did not answer in time\n"; !strings.HasPrefix(string(got), "HTTP/1.1 504 ") || !strings.HasSuffix(string(got), want) {
			t.Errorf("got %q; want 504 and %q", got, want)
		}
		if took := time.Since(began); took > dialTime+lingerTime || len(tried) != 2 {
			t.Errorf("tried %q in %s; want both addresses within %s", tried, took, dialTime+lingerTime)
		}
	})
}

func TestConnectionsAreBounded(t *testing.T) {
	inFalseTime(t, nil, func(t *testing.T, p *pipes, w *world) {
		for range maxConns {
			defer p.connect().Close()
		}
		got, _ := io.ReadAll(p.connect())
		if !strings.HasPrefix(string(got), "HTTP/1.1 503 ") || !strings.HasSuffix(string(got), "this proxy serves 128 connections at a time\n") {
			t.Errorf("one connection more: %q; want 503", got)
		}
		time.Sleep(headTime + lingerTime) // all that said nothing are gone
		conn := p.connect()
		go func() { _, _ = io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n") }()
		if got, _ := io.ReadAll(conn); !strings.HasPrefix(string(got), "HTTP/1.1 400 ") {
			t.Errorf("after they are gone: %q; want to be served", got)
		}
	})
}

func TestRefusalsInALoopDoNotFillTheLog(t *testing.T) {
	inFalseTime(t, nil, func(t *testing.T, p *pipes, w *world) {
		refuse := func() {
			conn := p.connect()
			go func() { _, _ = io.WriteString(conn, strings.ReplaceAll(ask, "api.", "other.")) }()
			br := bufio.NewReader(conn)
			if got, _ := br.ReadString('\n'); got != "HTTP/1.1 403 Forbidden\r\n" {
				t.Errorf("got %q; want 403", got)
			}
			_ = conn.Close()
		}
		for range 500 {
			refuse()
		}
		if got := strings.Count(w.logged(), "egress refused"); got != maxLines {
			t.Errorf("%d lines for 500 refusals within a second; want %d", got, maxLines)
		}
		time.Sleep(time.Second)
		refuse()
		if want := "omitted_before=490"; !strings.Contains(w.logged(), want) {
			t.Errorf("the next line does not say %s:\n%s", want, w.logged())
		}
	})
}
