package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"sallyport/gateway"
)

func TestConnectionIsKeptForTheNextCall(t *testing.T) {
	f := newFake(t, echo)
	h := newHTTP(t, HTTPConfig{URL: f.url})
	for i := range 5 {
		want := fmt.Sprintf(`{"n":%d}`, i)
		if got, err := ask(t.Context(), h, call(want)); err != nil || got.Body != want {
			t.Fatalf("answer %+v, error %v; want %s", got, err, want)
		}
	}
	if n := f.accepted.Load(); n != 1 {
		t.Errorf("connections = %d; want 1", n)
	}
	h.Close()
	f.closed(t)
}

// echo answers each request with its own body.
func echo(c *fakeConn) {
	for {
		_, body, more := c.request()
		if !more {
			return
		}
		c.say(ok(body))
	}
}

func TestBytesOnAnIdleConnectionAreNobodysAnswer(t *testing.T) {
	for name, late := range map[string]string{
		"a second reply": ok(`{"theirs":1}`),
		"408":            "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
		"one byte":       "\n",
	} {
		t.Run(name, func(t *testing.T) {
			first, said := make(chan struct{}), make(chan struct{})
			var n atomic.Int64
			f := newFake(t, func(c *fakeConn) {
				if n.Add(1) > 1 {
					echo(c)
					return
				}
				_, body, _ := c.request()
				c.say(ok(body))
				<-first
				c.say(late)
				close(said)
				echo(c)
			})
			h := newHTTP(t, HTTPConfig{URL: f.url})
			for _, want := range []string{`{"n":1}`, `{"n":2}`} {
				got, err := ask(t.Context(), h, call(want))
				if err != nil || got.Body != want {
					t.Fatalf("answer %+v, error %v; want %s", got, err, want)
				}
				if want == `{"n":1}` {
					close(first)
					<-said
				}
			}
			if n := f.accepted.Load(); n != 2 {
				t.Errorf("connections = %d; want 2", n)
			}
		})
	}
}

func TestIdleConnectionThatTheServerClosedIsReplaced(t *testing.T) {
	for name, end := range map[string]func(c *fakeConn){
		"closed": func(*fakeConn) {}, "reset": (*fakeConn).reset,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, func(c *fakeConn) {
				_, body, _ := c.request()
				c.say(ok(body))
				end(c)
			})
			h := newHTTP(t, HTTPConfig{URL: f.url})
			for i := range 3 {
				if _, err := ask(t.Context(), h, call("{}")); err != nil {
					t.Fatalf("call %d: %v", i, err)
				}
				f.wait()
			}
			if n := f.requests.Load(); n != 3 {
				t.Errorf("upstream requests = %d; want 3", n)
			}
		})
	}
}

// A server that reads the request on a kept connection and hangs up may have done the work.
func TestOnlyIdempotentRequestsAreSentAgain(t *testing.T) {
	tests := []struct {
		name       string
		idempotent bool
		reply      string // before the connection ends
		requests   int64
		want       error
	}{
		{"call", false, "", 2, gateway.ErrUnreachable},
		{"idempotent", true, "", 3, nil},
		{"idempotent, one byte of a reply", true, "H", 2, gateway.ErrGarbage},
		{"idempotent, an interim reply", true, "HTTP/1.1 100 Continue\r\n\r\n", 2, gateway.ErrGarbage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var n atomic.Int64
			f := newFake(t, func(c *fakeConn) {
				if n.Add(1) > 1 {
					echo(c)
					return
				}
				_, body, _ := c.request()
				c.say(ok(body))
				c.request()
				c.say(tt.reply)
			})
			h := newHTTP(t, HTTPConfig{URL: f.url})
			if _, err := ask(t.Context(), h, call("{}")); err != nil {
				t.Fatal(err)
			}
			out := call("{}")
			out.Idempotent = tt.idempotent
			got, err := ask(t.Context(), h, out)
			if !errors.Is(err, tt.want) {
				t.Errorf("answer %+v, error %v; want %v", got, err, tt.want)
			}
			if got := f.requests.Load(); got != tt.requests {
				t.Errorf("upstream requests = %d; want %d", got, tt.requests)
			}
			h.free(t)
		})
	}
}

func TestRepetitionHappensOnce(t *testing.T) {
	var n atomic.Int64
	f := newFake(t, func(c *fakeConn) {
		for {
			_, body, more := c.request()
			if !more || n.Add(1) > 1 {
				return
			}
			c.say(ok(body))
		}
	})
	h := newHTTP(t, HTTPConfig{URL: f.url})
	out := call("{}")
	out.Idempotent = true
	if _, err := ask(t.Context(), h, out); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t.Context(), h, out); !errors.Is(err, gateway.ErrUnreachable) {
		t.Errorf("error %v; want %v", err, gateway.ErrUnreachable)
	}
	if got := f.requests.Load(); got != 3 {
		t.Errorf("upstream requests = %d; want 3", got)
	}
}

// deaf is a connection whose writes from the second on fail after the given number of bytes.
type deaf struct {
	*net.TCPConn
	writes atomic.Int64
	taken  int
}

func (d *deaf) Write(p []byte) (int, error) {
	if d.writes.Add(1) == 1 {
		return d.TCPConn.Write(p)
	}
	n, _ := d.TCPConn.Write(p[:d.taken])
	_ = d.TCPConn.Close()
	return n, syscall.EPIPE
}

func TestKeptConnectionThatTookNoByteIsReplacedForAnyRequest(t *testing.T) {
	for taken, want := range map[int]error{0: nil, 1: gateway.ErrUnreachable, 20: gateway.ErrUnreachable} {
		f := newFake(t, echo)
		h := newHTTP(t, HTTPConfig{URL: f.url})
		dials := 0
		h.connect = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			if dials++; dials > 1 || err != nil {
				return c, err
			}
			return &deaf{TCPConn: c.(*net.TCPConn), taken: taken}, nil
		}
		if _, err := ask(t.Context(), h, call("{}")); err != nil {
			t.Fatal(err)
		}
		if _, err := ask(t.Context(), h, call("{}")); !errors.Is(err, want) {
			t.Errorf("after %d bytes: error %v; want %v", taken, err, want)
		}
		h.free(t)
	}
}

func TestUnreadReplyEndsItsConnection(t *testing.T) {
	f := newFake(t, func(c *fakeConn) {
		for {
			_, body, more := c.request()
			if !more {
				return
			}
			c.say(ok(body + strings.Repeat(" ", 100)))
		}
	})
	h := newHTTP(t, HTTPConfig{URL: f.url})
	reply, err := h.roundTrip(t.Context(), call(`{"n":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(reply.Body, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	_ = reply.Body.Close()
	f.closed(t)
	if got, err := ask(t.Context(), h, call(`{"n":2}`)); err != nil || !strings.HasPrefix(got.Body, `{"n":2}`) {
		t.Errorf("next answer %+v, error %v", got, err)
	}
}

func TestClosedReplyCannotReachTheNext(t *testing.T) {
	f := newFake(t, echo)
	h := newHTTP(t, HTTPConfig{URL: f.url})
	old, err := h.roundTrip(t.Context(), call(`{"n":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(old.Body); err != nil {
		t.Fatal(err)
	}
	_ = old.Body.Close()
	next, err := h.roundTrip(t.Context(), call(`{"n":2}`))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := old.Body.Read(make([]byte, 10)); n != 0 || !errors.Is(err, errClosed) {
		t.Errorf("read of the closed reply: %d bytes, error %v; want %v", n, err, errClosed)
	}
	_ = old.Body.Close() // a second time must not end or give away the connection
	if body, err := io.ReadAll(next.Body); err != nil || string(body) != `{"n":2}` {
		t.Errorf("next answer %q, error %v", body, err)
	}
	_ = next.Body.Close()
	if n := h.idleConns(); n != 1 {
		t.Errorf("connections kept = %d; want 1", n)
	}
	h.free(t)
}

func TestClosedUpstreamKeepsNothingAndStillServes(t *testing.T) {
	f := newFake(t, echo)
	h := newHTTP(t, HTTPConfig{URL: f.url})
	reply, err := h.roundTrip(t.Context(), call("{}"))
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
	if body, err := io.ReadAll(reply.Body); err != nil || string(body) != "{}" {
		t.Errorf("answer under way %q, error %v", body, err)
	}
	_ = reply.Body.Close()
	if _, err := ask(t.Context(), h, call("{}")); err != nil {
		t.Error(err)
	}
	f.closed(t)
}

// Whatever the server does, who gets an answer gets his own.
func TestEveryCallerGetsItsOwnAnswerUnderResets(t *testing.T) {
	var seed atomic.Uint64
	f := newFake(t, func(c *fakeConn) {
		rng := rand.New(rand.NewPCG(seed.Add(1), 7))
		for {
			_, body, more := c.request()
			if !more {
				return
			}
			switch rng.IntN(12) {
			case 0:
				c.reset()
				return
			case 1:
				c.say("HTTP/1.1 200 OK\r\nContent-")
				return
			case 2:
				c.say(head + "Content-Length: 1000\r\n\r\n" + body)
				c.reset()
				return
			case 3: // desynchronised: the same answer again
				c.say(ok(body) + ok(body))
			case 4:
				c.say(head + "\r\n" + body)
				return
			case 5:
				c.say(head + "Connection: close\r\nContent-Length: " + itoa(len(body)) + "\r\n\r\n" + body)
			case 6, 7:
				half := len(body) / 2
				c.say(head + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n", half, body[:half]))
				c.say(fmt.Sprintf("%x\r\n%s\r\n0\r\nX: y\r\n\r\n", len(body)-half, body[half:]))
			default:
				c.say(ok(body))
			}
		}
	})
	h := newHTTP(t, HTTPConfig{URL: f.url, MaxConns: 32})
	var answered, asked atomic.Int64
	var callers sync.WaitGroup
	for caller := range 200 {
		callers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(caller), 1))
			for n := range 20 {
				ctx, cancel := context.WithCancel(context.Background())
				body := fmt.Sprintf(`{"caller":%d,"n":%d,"pad":%q}`, caller, n, strings.Repeat("x", rng.IntN(3000)))
				if rng.IntN(20) == 0 {
					go cancel()
				}
				asked.Add(1)
				got, err := ask(ctx, h, call(body))
				cancel()
				if err == nil && !strings.HasPrefix(body, got.Body) || err == nil && got.Body == "" {
					t.Errorf("asked %.40s, got %.40s", body, got.Body)
				}
				if err == nil && got.Body == body {
					answered.Add(1)
				}
			}
		})
	}
	callers.Wait()
	if n := answered.Load(); n < asked.Load()/2 {
		t.Errorf("answered = %d of %d; the test should see more", n, asked.Load())
	}
	// A call may be cut off before the fake has read it whole, but is never sent twice.
	if n := f.requests.Load(); n > asked.Load() {
		t.Errorf("upstream requests = %d for %d calls", n, asked.Load())
	}
	h.free(t)
	h.Close()
	f.closed(t)
}
