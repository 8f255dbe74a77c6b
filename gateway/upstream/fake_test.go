package upstream

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/gateway"
)

// fake is an upstream of which every byte is the test's. serve runs once a connection.
type fake struct {
	url      string
	close    func() // nobody listens from then on
	requests atomic.Int64
	accepted atomic.Int64
	mu       sync.Mutex // guards open
	none     sync.Cond  // open is 0
	open     int        // connections
}

type fakeConn struct {
	*net.TCPConn
	f  *fake
	br *bufio.Reader
}

func newFake(t *testing.T, serve func(c *fakeConn)) *fake {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{url: "http://" + ln.Addr().String() + "/mcp"}
	f.none.L = &f.mu
	f.close = func() { _ = ln.Close() }
	t.Cleanup(f.close)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			f.accepted.Add(1)
			f.count(1)
			go func() {
				defer f.count(-1)
				defer func() { _ = c.Close() }()
				serve(&fakeConn{c.(*net.TCPConn), f, bufio.NewReader(c)})
			}()
		}
	}()
	return f
}

func (f *fake) count(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open += n; f.open == 0 {
		f.none.Broadcast()
	}
}

// wait returns once no connection is open.
func (f *fake) wait() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.open > 0 {
		f.none.Wait()
	}
}

// request reads one request whole; ok is false when the client has gone.
func (c *fakeConn) request() (r *http.Request, body string, ok bool) {
	r, err := http.ReadRequest(c.br)
	if err != nil {
		return nil, "", false
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, "", false
	}
	c.f.requests.Add(1)
	return r, string(b), true
}

func (c *fakeConn) say(s string) { _, _ = io.WriteString(c, s) } // the client may have gone

// reset ends the connection with RST.
func (c *fakeConn) reset() {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// untilGone waits until the client has closed the connection.
func (c *fakeConn) untilGone() { _, _ = io.Copy(io.Discard, c.br) }

// closed fails unless every connection of the fake has ended.
func (f *fake) closed(t *testing.T) {
	t.Helper()
	done := make(chan struct{})
	go func() { f.wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("a connection to the upstream is still open")
	}
}

func newHTTP(t testing.TB, cfg HTTPConfig) *HTTP {
	t.Helper()
	h, err := NewHTTP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func call(body string) gateway.Outbound {
	return gateway.Outbound{Method: "POST", Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)}
}

type answer struct {
	Status int
	Header gateway.ReplyHeader
	Body   string
}

// ask makes a round trip and reads its reply whole, but no more than 1 MiB of it.
func ask(ctx context.Context, h *HTTP, out gateway.Outbound) (answer, error) {
	reply, err := h.roundTrip(ctx, out)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = reply.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(reply.Body, 1<<20))
	return answer{reply.Status, reply.Header, string(body)}, err
}

func ok(body string) string {
	return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + itoa(len(body)) + "\r\n\r\n" + body
}

// idle is how many connections wait for a request; busy how many places are taken.
func (h *HTTP) idleConns() int {
	h.idle.mu.Lock()
	defer h.idle.mu.Unlock()
	return len(h.idle.conns)
}

func (h *HTTP) free(t *testing.T) {
	t.Helper()
	if n := len(h.calls) + len(h.streams); n != 0 {
		t.Errorf("places still taken = %d; want 0", n)
	}
}
