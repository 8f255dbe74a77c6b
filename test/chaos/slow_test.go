package chaos

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// wire is a client's connection without a library between.
type wire struct {
	net.Conn
	r *bufio.Reader
}

func (g *gate) dial(t *testing.T) *wire {
	t.Helper()
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &wire{c, bufio.NewReader(c)}
}

// post is the head of a call, whose body follows.
func (g *gate) post(token string, length string) string {
	head := "POST /mcp/files HTTP/1.1\r\nHost: " + g.addr + "\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n" +
		"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: read_file\r\n" + length + "\r\n"
	if token != "" {
		head += "Authorization: Bearer " + token + "\r\n"
	}
	return head + "\r\n"
}

func (w *wire) say(text string) error {
	_, err := io.WriteString(w, text)
	return err
}

// trickle says a byte a second until the other side has had enough.
func (w *wire) trickle(text string) {
	for i := range len(text) {
		if w.say(text[i:i+1]) != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// answer is the next one's status and body; 0 where the connection ends without.
func (w *wire) answer() (int, string) {
	resp, err := http.ReadResponse(w.r, nil)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body) // what came of it is shown
	return resp.StatusCode, string(body)
}

// ended waits for the gateway to end the connection.
func (w *wire) ended(t *testing.T, what string) {
	t.Helper()
	if _, err := io.Copy(io.Discard, w.r); isTimeout(err) {
		t.Errorf("%s: the connection is open after %v", what, patience)
	}
}

func isTimeout(err error) bool {
	n, ok := err.(net.Error)
	return ok && n.Timeout()
}

const long = 2000 // bytes that a body announces

// TestClientsThatNeverEndAreCutOff lets clients send as slowly as they can, with and without a token. Each
// is answered or cut off within the limits, none costs anybody else a call, and nothing of them reaches the
// server.
func TestClientsThatNeverEndAreCutOff(t *testing.T) {
	s := newServer(t)
	g := startGate(t, "limits: {bodyTimeout: 2s, requestBytes: 256KiB}\n", map[string]string{"files": at(s.url)})
	token := g.token(t)
	length := fmt.Sprintf("Content-Length: %d", long)
	announced := g.post(token, length)
	var all sync.WaitGroup
	for name, client := range map[string]func(t *testing.T, w *wire){
		"a header that never ends": func(t *testing.T, w *wire) {
			go w.trickle(g.post(token, length))
			w.ended(t, "header")
		},
		"nothing at all": func(t *testing.T, w *wire) { w.ended(t, "nothing") },
		"headers without end": func(t *testing.T, w *wire) {
			_ = w.say(strings.TrimSuffix(announced, "\r\n"))
			for w.say("X-More: "+strings.Repeat("x", 4096)+"\r\n") == nil {
			}
			w.ended(t, "headers")
		},
		"a body that never ends": func(t *testing.T, w *wire) {
			_ = w.say(announced)
			go w.trickle(strings.Repeat(" ", long))
			if status, body := w.answer(); status != http.StatusBadRequest || !strings.Contains(body, "did not arrive whole and in time") {
				t.Errorf("%d %s; want 400 and why", status, body)
			}
			w.ended(t, "body")
		},
		"a body that never begins": func(t *testing.T, w *wire) {
			_ = w.say(announced)
			if status, body := w.answer(); status != http.StatusBadRequest || !strings.Contains(body, "did not arrive whole and in time") {
				t.Errorf("%d %s; want 400 and why", status, body)
			}
			w.ended(t, "body")
		},
		"a body without end": func(t *testing.T, w *wire) {
			_ = w.say(g.post(token, "Transfer-Encoding: chunked"))
			go func() {
				for w.say("1000\r\n"+strings.Repeat(" ", 4096)+"\r\n") == nil {
				}
			}()
			if status, _ := w.answer(); status != http.StatusRequestEntityTooLarge && status != 0 { // the answer can be lost with what is not read
				t.Errorf("%d; want 413", status)
			}
			w.ended(t, "body")
		},
		"a body of nobody": func(t *testing.T, w *wire) {
			_ = w.say(g.post("", length))
			go w.trickle(strings.Repeat(" ", long))
			if status, body := w.answer(); status != http.StatusUnauthorized {
				t.Errorf("%d %s; want 401", status, body)
			}
			w.ended(t, "body")
		},
		"a body of nobody at the token endpoint": func(t *testing.T, w *wire) {
			_ = w.say("POST /oauth/token HTTP/1.1\r\nHost: " + g.addr + "\r\nContent-Type: application/x-www-form-urlencoded\r\n" + length + "\r\n\r\n")
			go w.trickle(strings.Repeat("a", long))
			w.ended(t, "body")
		},
		"a body in chunks of nobody": func(t *testing.T, w *wire) {
			_ = w.say(g.post("", "Transfer-Encoding: chunked"))
			go func() {
				for w.say("1\r\n \r\n") == nil {
					time.Sleep(time.Second)
				}
			}()
			w.ended(t, "body")
		},
		"a body too large by its length": func(t *testing.T, w *wire) {
			_ = w.say(g.post(token, "Content-Length: 9999999"))
			go w.trickle(strings.Repeat(" ", long))
			if status, _ := w.answer(); status != http.StatusRequestEntityTooLarge {
				t.Errorf("%d; want 413", status)
			}
			w.ended(t, "body")
		},
	} {
		all.Go(func() { t.Run(name, func(t *testing.T) { client(t, g.dial(t)) }) })
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan int)
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			g.goesOn(t, token, "slow clients")
			time.Sleep(20 * time.Millisecond)
		}
		served <- n
	}()
	all.Wait()
	stop()
	if n := <-served; int64(n) != s.calls.Load() {
		t.Errorf("%d calls at the server; want the %d that were whole", s.calls.Load(), n)
	}
}
