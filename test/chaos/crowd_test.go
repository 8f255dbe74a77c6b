package chaos

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestAFloodOfNobodyDelaysNoCallAndFillsNoRecord sends requests without a token from all sides, as fast as they go.
// Calls with one pass meanwhile and are on record; of the flood the record has a line a second.
func TestAFloodOfNobodyDelaysNoCallAndFillsNoRecord(t *testing.T) {
	s := newServer(t)
	g := startGate(t, "", map[string]string{"files": at(s.url)})
	token := g.token(t)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var flood sync.WaitGroup
	var refused atomic.Int64
	began := time.Now()
	for range 16 {
		flood.Go(func() {
			for ctx.Err() == nil {
				r, err := g.call(context.Background(), "", "read_file", "/nobody")
				if err != nil || r.Status != http.StatusUnauthorized {
					t.Errorf("a call of nobody: %v %d %s; want 401", err, r.Status, r.Raw)
					return
				}
				refused.Add(1)
			}
		})
	}
	const calls = 200
	for range calls {
		g.goesOn(t, token, "a flood")
	}
	stop()
	flood.Wait()
	seconds := int(time.Since(began)/time.Second) + 1
	eventually(t, "all of the flood is counted", func() error {
		lines, counted := 0, int64(0)
		for _, r := range g.records(t) {
			if r.Phase == "summary" && r.Code == "unauthenticated" {
				lines, counted = lines+1, counted+r.Count
			}
		}
		if lines > 2*seconds {
			t.Fatalf("%d lines about %d refusals in %d seconds; want about one a second", lines, refused.Load(), seconds)
		}
		if counted != refused.Load() {
			return fmt.Errorf("%d are on record, %d were refused", counted, refused.Load())
		}
		return nil
	})
	if n := len(g.outcomes(t, "read_file")); n != calls || s.calls.Load() != calls {
		t.Errorf("%d outcomes on record, %d calls at the server; want %d", n, s.calls.Load(), calls)
	}
	t.Logf("%d refused in %ds beside %d calls", refused.Load(), seconds, calls)
}

// TestTenThousandIdleConnectionsKeepNobodyOut opens as many connections as this machine lets a process have, up to
// ten thousand, has each say something once, and leaves them idle. Calls pass; what the connections took is
// given back with them.
func TestTenThousandIdleConnectionsKeepNobodyOut(t *testing.T) {
	many := 10000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil && limit.Max < 10500 { // Go has raised the soft one
		many = int(limit.Max) / 2
	}
	s := newServer(t)
	g := startGate(t, "", map[string]string{"files": at(s.url)})
	token := g.token(t)
	g.goesOn(t, token, "nothing")
	before, memory := g.files(t), g.resident(t)
	idle := make([]net.Conn, many)
	var all sync.WaitGroup
	for part := range 8 {
		all.Go(func() {
			for n := part; n < many; n += 8 {
				c, err := net.Dial("tcp", g.addr)
				if err != nil {
					t.Errorf("connection %d: %v", n, err)
					return
				}
				idle[n] = c
				_, _ = io.WriteString(c, "GET /mcp/files HTTP/1.1\r\nHost: "+g.addr+"\r\n\r\n")
				_ = c.SetReadDeadline(time.Now().Add(patience))
				if _, err := io.ReadAtLeast(c, make([]byte, 512), 16); err != nil {
					t.Errorf("connection %d: %v", n, err)
					return
				}
			}
		})
	}
	all.Wait()
	for range 20 {
		g.goesOn(t, token, fmt.Sprintf("%d idle connections", many))
	}
	if n := g.files(t); n < before+many {
		t.Errorf("%d descriptors with %d connections, %d before; the rest proves nothing", n, many, before)
	}
	t.Logf("%d idle connections: %d KiB each", many, (g.resident(t)-memory)/int64(many)>>10)
	for _, c := range idle {
		if c != nil {
			_ = c.Close()
		}
	}
	eventually(t, "their descriptors are given back", func() error {
		if n := g.files(t); n > before+20 {
			return fmt.Errorf("%d descriptors, %d before", n, before)
		}
		return nil
	})
}

// files is how many descriptors the gateway has open.
func (g *gate) files(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", g.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// resident is the gateway's memory in bytes.
func (g *gate) resident(t *testing.T) (bytes int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", g.cmd.Process.Pid))
	if err == nil {
		var size int64
		_, err = fmt.Sscan(string(text), &size, &bytes)
	}
	if err != nil {
		t.Fatal(err)
	}
	return bytes * int64(os.Getpagesize())
}

// whole is a call with its body.
func (g *gate) whole(token, path string) string {
	text := body("read_file", path)
	return g.post(token, fmt.Sprintf("Content-Length: %d", len(text))) + text
}

// TestPipelinedRequestsAreAnsweredInOrder sends requests without waiting, the refused among them, and one that
// is a part of the bytes after another's body and no request of its own.
func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	s := newServer(t)
	g := startGate(t, "", map[string]string{"files": at(s.url)})
	token := g.token(t)
	w := g.dial(t)
	all := ""
	for n := range 10 {
		with := token
		if n%3 == 2 {
			with = "nobody"
		}
		all += g.whole(with, fmt.Sprintf("/%d", n))
	}
	go func() { _ = w.say(all) }()
	for n := range 10 {
		status, text := w.answer()
		if n%3 == 2 && status != http.StatusUnauthorized || n%3 != 2 && (status != http.StatusOK || !strings.Contains(text, "done")) {
			t.Errorf("answer %d: %d %s", n, status, text)
		}
	}
	if n := s.calls.Load(); n != 7 {
		t.Errorf("%d calls at the server; want the 7 that had a token", n)
	}
	smuggled := g.whole(token, "/smuggled")
	for name, head := range map[string]string{
		"two lengths":       "Content-Length: 2\r\nContent-Length: " + fmt.Sprint(len(smuggled)+2),
		"length and chunks": "Content-Length: " + fmt.Sprint(len(smuggled)+2) + "\r\nTransfer-Encoding: chunked",
	} {
		w := g.dial(t)
		_ = w.say(strings.Replace(g.post(token, head), token, "nobody", 1) + "0\r\n\r\n" + smuggled)
		first, _ := w.answer()
		if second, text := w.answer(); second != 0 {
			t.Errorf("%s: %d, and then %d %s; want the connection to end", name, first, second, text)
		}
	}
	if n := s.calls.Load(); n != 7 {
		t.Errorf("%d calls at the server; a smuggled one has reached it", n)
	}
}

// TestAClientThatHalfClosesHoldsNothing ends its side of the connection with the request, and one goes without waiting.
// What was decided has its outcome, and nothing is held for either.
func TestAClientThatHalfClosesHoldsNothing(t *testing.T) {
	s := newServer(t)
	gone := make(chan struct{}, 2)
	s.instead = func(w http.ResponseWriter, arguments []byte, id string) bool {
		if !strings.Contains(string(arguments), "half") {
			return false
		}
		return misbehave(w, id, func(c net.Conn, _ string) { hold(c); gone <- struct{}{} })
	}
	g := startGate(t, "", map[string]string{"files": at(s.url)})
	token := g.token(t)
	g.goesOn(t, token, "nothing")
	for n, leave := range []func(*net.TCPConn) error{(*net.TCPConn).CloseWrite, (*net.TCPConn).Close} {
		w := g.dial(t)
		if err := w.say(g.whole(token, "/half")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the call is at the server", func() error {
			if got := s.calls.Load(); got != int64(n)+2 {
				return fmt.Errorf("%d are", got)
			}
			return nil
		})
		_ = leave(w.Conn.(*net.TCPConn))
		select {
		case <-gone:
		case <-time.After(patience):
			t.Fatal("the server's side of the call is held for a client that has gone")
		}
	}
	if all := g.outcomes(t, "read_file"); len(all) != 3 || all[1].Code != "cancelled" || all[2].Code != "cancelled" {
		t.Errorf("outcomes %+v; want the two that were left to be cancelled", all)
	}
	g.goesOn(t, token, "clients that went")
}
