package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/gateway"
)

// piped returns an upstream behind pipes, so that time can be the test's.
func piped(t *testing.T, cfg HTTPConfig, serve func(c net.Conn)) *HTTP {
	t.Helper()
	cfg.URL = "http://upstream.test/mcp"
	h := newHTTP(t, cfg)
	var servers sync.WaitGroup
	t.Cleanup(servers.Wait)
	h.connect = func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		servers.Go(func() {
			defer func() { _ = theirs.Close() }()
			r, err := http.ReadRequest(bufio.NewReader(theirs))
			if err == nil {
				_, _ = io.Copy(io.Discard, r.Body)
			}
			serve(theirs)
		})
		return ours, nil
	}
	return h
}

func drip(c net.Conn, s string, every time.Duration) {
	for i := range len(s) {
		time.Sleep(every) // in the bubble of synctest
		if _, err := io.WriteString(c, s[i:i+1]); err != nil {
			return
		}
	}
}

const events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"

func TestSilenceIsATimeoutAndSoIsATrickle(t *testing.T) {
	tests := []struct {
		name  string
		serve func(c net.Conn)
		want  error
		after time.Duration
	}{
		{"no reply", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, gateway.ErrTimeout, 60 * time.Second},
		{"a late reply", func(c net.Conn) { time.Sleep(59 * time.Second); _, _ = io.WriteString(c, ok("{}")) }, nil, 59 * time.Second},
		{"a header byte by byte", func(c net.Conn) { drip(c, ok("{}"), 10*time.Second) }, gateway.ErrTimeout, 70 * time.Second},
		{"half a header", func(c net.Conn) { _, _ = io.WriteString(c, head); _, _ = io.Copy(io.Discard, c) }, gateway.ErrTimeout, 60 * time.Second},
		{"a body byte by byte", func(c net.Conn) {
			_, _ = io.WriteString(c, head+"Content-Length: 10\r\n\r\n")
			drip(c, "0123456789", 59*time.Second)
		}, gateway.ErrTimeout, 118 * time.Second},
		{"a body line by line", func(c net.Conn) {
			_, _ = io.WriteString(c, head+"Content-Length: 600000\r\n\r\n")
			for range 100 { // 200 bytes a second are too few
				if _, err := io.WriteString(c, strings.Repeat(" ", 6000)); err != nil {
					return
				}
				time.Sleep(30 * time.Second)
			}
		}, gateway.ErrTimeout, 90 * time.Second},
		{"a body that comes slowly", func(c net.Conn) {
			_, _ = io.WriteString(c, head+"Content-Length: 600000\r\n\r\n")
			for range 100 {
				_, _ = io.WriteString(c, strings.Repeat(" ", 6000))
				time.Sleep(5 * time.Second)
			}
		}, nil, 495 * time.Second},
		{"a trailer byte by byte", func(c net.Conn) {
			_, _ = io.WriteString(c, head+"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
			drip(c, "X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n", 10*time.Second)
		}, gateway.ErrTimeout, 70 * time.Second},
		{"an event byte by byte", func(c net.Conn) {
			_, _ = io.WriteString(c, events+"data: 1\n\n")
			drip(c, "data: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n\n", 10*time.Second)
		}, gateway.ErrTimeout, 70 * time.Second},
		{"events byte by byte", func(c net.Conn) {
			_, _ = io.WriteString(c, events)
			drip(c, strings.Repeat(":\n\n", 100)+strings.Repeat(":\r\n\r\n", 100), 10*time.Second)
		}, nil, 8000 * time.Second},
		{"half a body", func(c net.Conn) {
			_, _ = io.WriteString(c, head+"Content-Length: 10\r\n\r\n01234")
			_, _ = io.Copy(io.Discard, c)
		}, gateway.ErrTimeout, 60 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := piped(t, HTTPConfig{}, tt.serve)
				start := time.Now()
				_, err := ask(t.Context(), h, call("{}"))
				if !errors.Is(err, tt.want) || time.Since(start) != tt.after {
					t.Errorf("error %v after %v; want %v after %v", err, time.Since(start), tt.want, tt.after)
				}
				h.free(t)
			})
		})
	}
}

func TestStreamMayBeSilentAfterItsHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := piped(t, HTTPConfig{}, func(c net.Conn) {
			time.Sleep(50 * time.Second)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
			time.Sleep(24 * time.Hour)
			_, _ = io.WriteString(c, "data: 1\n\n")
		})
		got, err := ask(t.Context(), h, gateway.Outbound{Method: "GET", Stream: true})
		if err != nil || got.Body != "data: 1\n\n" {
			t.Errorf("answer %+v, error %v", got, err)
		}
		h.free(t)
	})
}

func TestStreamWithoutAHeaderTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := piped(t, HTTPConfig{}, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
		if _, err := ask(t.Context(), h, gateway.Outbound{Method: "GET", Stream: true}); !errors.Is(err, gateway.ErrTimeout) {
			t.Errorf("error %v; want %v", err, gateway.ErrTimeout)
		}
	})
}

func TestServerThatDoesNotReadIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := piped(t, HTTPConfig{}, nil)
		h.connect = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			t.Cleanup(func() { _ = theirs.Close() })
			return ours, nil
		}
		if _, err := ask(t.Context(), h, call("{}")); !errors.Is(err, gateway.ErrTimeout) {
			t.Errorf("error %v; want %v", err, gateway.ErrTimeout)
		}
		h.free(t)
	})
}

func TestConnectingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := piped(t, HTTPConfig{ConnectTimeout: 3 * time.Second}, nil)
		h.connect = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		start := time.Now()
		_, err := ask(t.Context(), h, call("{}"))
		if !errors.Is(err, gateway.ErrUnreachable) || time.Since(start) != 3*time.Second {
			t.Errorf("error %v after %v; want %v after 3s", err, time.Since(start), gateway.ErrUnreachable)
		}
		h.free(t)
	})
}

func TestCallerBeyondMaxConnsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := piped(t, HTTPConfig{MaxConns: 1}, func(c net.Conn) { _, _ = io.WriteString(c, ok("{}")) })
		first, err := h.roundTrip(t.Context(), call("{}"))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = ask(t.Context(), h, call("{}"))
		if !errors.Is(err, gateway.ErrUnreachable) || time.Since(start) != 10*time.Second {
			t.Errorf("all busy: error %v after %v; want %v after 10s", err, time.Since(start), gateway.ErrUnreachable)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		_, err = ask(ctx, h, call("{}"))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("context of 1s: error %v after %v", err, time.Since(start))
		}
		if _, err := ask(t.Context(), h, gateway.Outbound{Method: "GET", Stream: true}); err != nil {
			t.Errorf("streams wait for calls: %v", err)
		}
		time.AfterFunc(5*time.Second, func() { _ = first.Body.Close() })
		if _, err := ask(t.Context(), h, call("{}")); err != nil {
			t.Errorf("a place became free: %v", err)
		}
		h.free(t)
	})
}

func TestCancellationEndsTheExchangeAtOnce(t *testing.T) {
	for name, prefix := range map[string]string{
		"before the reply": "", "in the header": head, "in the body": head + "Content-Length: 10\r\n\r\n01", "in chunks": head + "Transfer-Encoding: chunked\r\n\r\n2\r\n01\r\n",
	} {
		for _, stream := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				said := make(chan struct{})
				f := newFake(t, func(c *fakeConn) {
					c.request()
					c.say(prefix)
					close(said)
					c.untilGone()
				})
				h := newHTTP(t, HTTPConfig{URL: f.url})
				ctx, cancel := context.WithCancel(t.Context())
				go func() { <-said; cancel() }()
				out := call("{}")
				out.Stream = stream
				out.Idempotent = true
				if _, err := ask(ctx, h, out); !errors.Is(err, context.Canceled) {
					t.Errorf("error %v; want %v", err, context.Canceled)
				}
				f.closed(t)
				h.free(t)
				if n := f.requests.Load(); n != 1 {
					t.Errorf("upstream requests = %d; want 1", n)
				}
			})
		}
	}
}

func TestCancelledContextSendsNothing(t *testing.T) {
	f := newFake(t, echo)
	h := newHTTP(t, HTTPConfig{URL: f.url})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ask(ctx, h, call("{}")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v; want %v", err, context.Canceled)
	}
	if n := f.accepted.Load(); n != 0 {
		t.Errorf("connections = %d; want 0", n)
	}
}

// A caller may read in one goroutine and close in another.
func TestCloseEndsAReadUnderWay(t *testing.T) {
	f := newFake(t, func(c *fakeConn) {
		c.request()
		c.say(head + "Content-Length: 10\r\n\r\n01")
		c.untilGone()
	})
	h := newHTTP(t, HTTPConfig{URL: f.url})
	reply, err := h.roundTrip(t.Context(), call("{}"))
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error)
	began := make(chan struct{})
	go func() {
		_, _ = io.ReadFull(reply.Body, make([]byte, 2))
		close(began)
		_, err := reply.Body.Read(make([]byte, 1))
		read <- err
	}()
	<-began
	_ = reply.Body.Close()
	if err := <-read; err == nil {
		t.Error("the read went on after Close")
	}
	f.closed(t)
	h.free(t)
}

func TestIdleConnectionsAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pool
		ended := func(keep time.Duration) chan struct{} {
			ours, theirs := net.Pipe()
			done := make(chan struct{})
			go func() {
				_, _ = io.Copy(io.Discard, theirs)
				close(done)
			}()
			p.put(&conn{raw: ours, nc: ours, keep: keep})
			return done
		}
		start := time.Now()
		old := ended(idleAge)
		<-old
		if got := time.Since(start); got != idleAge {
			t.Errorf("an unused connection was closed after %v; want %v", got, idleAge)
		}
		short := ended(5 * time.Second)
		time.Sleep(6 * time.Second)
		if c := p.take("", make(chan struct{}, 1)); c != nil {
			t.Error("a connection past its server's keep-alive time was taken")
		}
		<-short
		last := ended(idleAge)
		p.close()
		<-last
	})
}

func TestLenIsWhatIsUnread(t *testing.T) {
	for reply, want := range map[string][2]int64{
		ok("0123456789"): {10, 6},
		head + "Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n": {-1, -1},
		head + "\r\n0123456789": {-1, -1},
	} {
		f := newFake(t, func(c *fakeConn) { c.request(); c.say(reply) })
		r, err := newHTTP(t, HTTPConfig{URL: f.url}).roundTrip(t.Context(), call("{}"))
		if err != nil {
			t.Fatal(err)
		}
		body := r.Body.(interface {
			io.ReadCloser
			Len() int64
		})
		before := body.Len()
		_, _ = io.ReadFull(body, make([]byte, 4))
		if got := [2]int64{before, body.Len()}; got != want {
			t.Errorf("reply %q: Len = %v; want %v", reply, got, want)
		}
		if _, err := io.Copy(io.Discard, body); err != nil || body.Len() != 0 {
			t.Errorf("reply %q: at the end Len = %d, error %v", reply, body.Len(), err)
		}
		_ = body.Close()
	}
}
