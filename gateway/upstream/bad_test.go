package upstream

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"sallyport/gateway"
	"sallyport/internal/freeport"

	"github.com/google/go-cmp/cmp"
)

func itoa(n int) string { return strconv.Itoa(n) }

const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

func TestBadReplyIsAnErrorOfItsKindAndEndsTheConnection(t *testing.T) {
	tests := []struct {
		name, reply string
		want        error
	}{
		{"nothing", "", gateway.ErrUnreachable},
		{"half a status line", "HTTP/1.", gateway.ErrGarbage},
		{"half a header", head, gateway.ErrGarbage},
		{"another protocol", "SSH-2.0-OpenSSH_9.6\r\n", gateway.ErrGarbage},
		{"a TLS alert", "\x15\x03\x01\x00\x02\x02\x16", gateway.ErrGarbage},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", gateway.ErrGarbage},
		{"HTTP/1.10", "HTTP/1.10 200 OK\r\n\r\n", gateway.ErrGarbage},
		{"status of two digits", "HTTP/1.1 20 OK\r\n\r\n", gateway.ErrGarbage},
		{"status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", gateway.ErrGarbage},
		{"status with a sign", "HTTP/1.1 +20 OK\r\n\r\n", gateway.ErrGarbage},
		{"status 099", "HTTP/1.1 099 No\r\n\r\n", gateway.ErrGarbage},
		{"status 600", "HTTP/1.1 600 No\r\n\r\n", gateway.ErrGarbage},
		{"control in the reason", "HTTP/1.1 200 O\x00K\r\n\r\n", gateway.ErrGarbage},
		{"bare LF after the status", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", gateway.ErrGarbage},
		{"bare LF after a field", head + "Content-Length: 0\n\r\n", gateway.ErrGarbage},
		{"bare LF at the end", head + "Content-Length: 0\r\n\n", gateway.ErrGarbage},
		{"bare CR", head + "X: a\rContent-Length: 0\r\n\r\n", gateway.ErrGarbage},
		{"folded line", head + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n", gateway.ErrGarbage},
		{"space before the colon", head + "Content-Length : 0\r\n\r\n", gateway.ErrGarbage},
		{"no colon", head + "Content-Length\r\n\r\n", gateway.ErrGarbage},
		{"empty name", head + ": 0\r\n\r\n", gateway.ErrGarbage},
		{"NUL in a value", head + "X: \x00\r\nContent-Length: 0\r\n\r\n", gateway.ErrGarbage},
		{"length and transfer coding", head + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", gateway.ErrGarbage},
		{"transfer coding and length", head + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n", gateway.ErrGarbage},
		{"two lengths", head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", gateway.ErrGarbage},
		{"the same length twice", head + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", gateway.ErrGarbage},
		{"two lengths in one field", head + "Content-Length: 2, 2\r\n\r\n{}", gateway.ErrGarbage},
		{"negative length", head + "Content-Length: -1\r\n\r\n{}", gateway.ErrGarbage},
		{"length with a sign", head + "Content-Length: +2\r\n\r\n{}", gateway.ErrGarbage},
		{"hexadecimal length", head + "Content-Length: 0x2\r\n\r\n{}", gateway.ErrGarbage},
		{"empty length", head + "Content-Length:\r\n\r\n{}", gateway.ErrGarbage},
		{"length beyond int64", head + "Content-Length: 99999999999999999999\r\n\r\n{}", gateway.ErrGarbage},
		{"unknown transfer coding", head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", gateway.ErrGarbage},
		{"chunked twice", head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", gateway.ErrGarbage},
		{"chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", gateway.ErrGarbage},
		{"gzip", head + "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b", gateway.ErrGarbage},
		{"two content types", head + "Content-Type: text/event-stream\r\nContent-Length: 2\r\n\r\n{}", gateway.ErrGarbage},
		{"malformed content type", "HTTP/1.1 200 OK\r\nContent-Type: json\r\nContent-Length: 2\r\n\r\n{}", gateway.ErrGarbage},
		{"two sessions", head + "Mcp-Session-Id: a\r\nMcp-Session-Id: b\r\nContent-Length: 2\r\n\r\n{}", gateway.ErrGarbage},
		{"session with a space", head + "Mcp-Session-Id: a b\r\nContent-Length: 2\r\n\r\n{}", gateway.ErrGarbage},
		{"session beyond ASCII", head + "Mcp-Session-Id: \xc3\xa9\r\nContent-Length: 2\r\n\r\n{}", gateway.ErrGarbage},
		{"empty session", head + "Mcp-Session-Id:\r\nContent-Length: 2\r\n\r\n{}", gateway.ErrGarbage},
		{"long session", head + "Mcp-Session-Id: " + strings.Repeat("a", 1025) + "\r\nContent-Length: 2\r\n\r\n{}", gateway.ErrGarbage},
		{"101", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", gateway.ErrGarbage},
		{"interim replies without end", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 100) + ok("{}"), gateway.ErrGarbage},
		{"long header line", head + "X: " + strings.Repeat("a", 40<<10) + "\r\n\r\n", gateway.ErrTooLarge},
		{"many header lines", head + strings.Repeat("X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", 2000) + "\r\n", gateway.ErrTooLarge},
		{"body cut short", head + "Content-Length: 100\r\n\r\n{}", gateway.ErrGarbage},
		{"chunk cut short", head + "Transfer-Encoding: chunked\r\n\r\nff\r\n{}", gateway.ErrGarbage},
		{"no last chunk", head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", gateway.ErrGarbage},
		{"no end of the trailer", head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", gateway.ErrGarbage},
		{"chunk size is no number", head + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}", gateway.ErrGarbage},
		{"chunk longer than its size", head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}}\r\n0\r\n\r\n", gateway.ErrGarbage},
		{"chunk size with bare LF", head + "Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n", gateway.ErrGarbage},
		{"malformed trailer", head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nno colon\r\n\r\n", gateway.ErrGarbage},
		{"trailer without end", head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + strings.Repeat("X: a\r\n", 10000), gateway.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t, func(c *fakeConn) {
				if _, _, ok := c.request(); ok {
					c.say(tt.reply)
					_ = c.CloseWrite()
					c.untilGone()
				}
			})
			h := newHTTP(t, HTTPConfig{URL: f.url})
			out := call("{}")
			out.Idempotent = true // even so, a new connection that breaks is no reason to ask again
			got, err := ask(t.Context(), h, out)
			if !errors.Is(err, tt.want) {
				t.Fatalf("reply %.60q: answer %+v, error %v; want %v", tt.reply, got, err, tt.want)
			}
			if n := f.requests.Load(); n != 1 {
				t.Errorf("upstream requests = %d; want 1", n)
			}
			f.closed(t)
			h.free(t)
		})
	}
}

func TestErrorHoldsNothingOfTheReply(t *testing.T) {
	const secret = "hunter2secret"
	for _, reply := range []string{
		secret + "\r\n", "HTTP/1.1 " + secret + "\r\n", head + secret + "\r\n\r\n", head + "Content-Length: " + secret + "\r\n\r\n",
		head + "Mcp-Session-Id: " + secret + " x\r\n\r\n", head + "Transfer-Encoding: chunked\r\n\r\n" + secret + "\r\n",
		"HTTP/1.1 200 OK\r\nContent-Type: " + secret + "\r\n\r\n", head + "Content-Length: 99\r\n\r\n" + secret,
	} {
		f := newFake(t, func(c *fakeConn) {
			if _, _, ok := c.request(); ok {
				c.say(reply)
			}
		})
		_, err := ask(t.Context(), newHTTP(t, HTTPConfig{URL: f.url}), call("{}"))
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("reply %q: error %v; want one that does not quote it", reply, err)
		}
	}
}

func TestSoundRepliesAreRead(t *testing.T) {
	js := gateway.ReplyHeader{ContentType: "application/json"}
	tests := []struct {
		name, reply string
		want        answer
		kept        int // connections in the pool afterwards
	}{
		{"length", ok(`{"a":1}`), answer{200, js, `{"a":1}`}, 1},
		{"empty", head + "Content-Length: 0\r\n\r\n", answer{200, js, ""}, 1},
		{"202", "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", answer{Status: 202}, 1},
		{"204", "HTTP/1.1 204 No Content\r\n\r\n", answer{Status: 204}, 1},
		{"no reason", "HTTP/1.1 202\r\ncontent-length: 0\r\n\r\n", answer{Status: 202}, 1},
		{"304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", answer{Status: 304}, 0},
		{"chunked", head + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n", answer{200, js, "{}"}, 1},
		{"chunked with trailers", head + "transfer-encoding: Chunked\r\nTrailer: X\r\n\r\n2\r\n{}\r\n0\r\nX: y\r\nMcp-Session-Id: no\r\n\r\n", answer{200, js, "{}"}, 1},
		{"until the end", head + "\r\n{}", answer{200, js, "{}"}, 0},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}", answer{Status: 200, Body: "{}"}, 0},
		{"connection: close", head + "Connection: x, Close\r\nContent-Length: 2\r\n\r\n{}", answer{200, js, "{}"}, 0},
		{"100 and 103 first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Type: text/html\r\n\r\n" + ok("{}"), answer{200, js, "{}"}, 1},
		{"redirect", "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", answer{Status: 307}, 1},
		{"500", "HTTP/1.1 500 Oops\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n\r\nno", answer{500, gateway.ReplyHeader{ContentType: "text/plain"}, "no"}, 1},
		{"type in capitals", "HTTP/1.1 200 OK\r\nCONTENT-TYPE:  Text/Event-Stream ;charset=utf-8 \r\nContent-Length: 2\r\n\r\n:\n", answer{200, gateway.ReplyHeader{ContentType: "text/event-stream"}, ":\n"}, 1},
		{"unknown type", "HTTP/1.1 200 OK\r\nContent-Type: APPLICATION/X-Q\r\nContent-Length: 2\r\n\r\n{}", answer{200, gateway.ReplyHeader{ContentType: "application/x-q"}, "{}"}, 1},
		{"session", head + "Mcp-Session-Id: a!~\r\nContent-Length: 2\r\n\r\n{}", answer{200, gateway.ReplyHeader{ContentType: "application/json", SessionID: "a!~"}, "{}"}, 1},
		{"identity", head + "Content-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}", answer{200, js, "{}"}, 1},
		{"a header line over the buffer's size", head + "X: " + strings.Repeat("a", callBuffer+100) + "\r\nContent-Length: 2\r\n\r\n{}", answer{200, js, "{}"}, 1},
		{"more than its length", ok("{}") + "{}", answer{200, js, "{}"}, 0},
		{"two replies", ok("{}") + ok(`{"theirs":1}`), answer{200, js, "{}"}, 0},
		{"keep-alive of one second", head + "Keep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\n{}", answer{200, js, "{}"}, 0},
		{"keep-alive of five seconds", head + "Keep-Alive: max=9, timeout=5\r\nContent-Length: 2\r\n\r\n{}", answer{200, js, "{}"}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t, func(c *fakeConn) {
				for {
					if _, _, ok := c.request(); !ok {
						return
					}
					c.say(tt.reply)
					if tt.name == "until the end" {
						return
					}
				}
			})
			h := newHTTP(t, HTTPConfig{URL: f.url})
			for range 2 { // the second finds the connection as the first left it
				got, err := ask(t.Context(), h, call("{}"))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("answer (-want +got):\n%s", diff)
				}
				if n := h.idleConns(); n != tt.kept {
					t.Errorf("connections kept = %d; want %d", n, tt.kept)
				}
			}
			if n := f.requests.Load(); n != 2 {
				t.Errorf("upstream requests = %d; want 2", n)
			}
			if want := int64(2 - tt.kept); f.accepted.Load() != want {
				t.Errorf("connections = %d; want %d", f.accepted.Load(), want)
			}
			h.free(t)
			h.Close()
			f.closed(t)
		})
	}
}

func TestUpstreamThatIsDownIsUnreachable(t *testing.T) {
	address, release, err := freeport.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	h := newHTTP(t, HTTPConfig{URL: "http://" + address})
	if _, err := ask(t.Context(), h, call("{}")); !errors.Is(err, gateway.ErrUnreachable) {
		t.Errorf("error %v; want %v", err, gateway.ErrUnreachable)
	}
	h.free(t)
}

func TestResetIsUnreachableAtEveryPoint(t *testing.T) {
	tests := []struct {
		name  string
		serve func(c *fakeConn)
	}{
		{"before the request", func(c *fakeConn) { c.reset() }},
		{"after the request", func(c *fakeConn) { c.request(); c.reset() }},
		{"in the header", func(c *fakeConn) { c.request(); c.say("HTTP/1.1 200 OK\r\nContent-"); c.reset() }},
		{"in the body", func(c *fakeConn) { c.request(); c.say(head + "Content-Length: 100\r\n\r\n{"); c.reset() }},
		{"in a body that ends with the connection", func(c *fakeConn) { c.request(); c.say(head + "\r\n{"); c.reset() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t, tt.serve)
			h := newHTTP(t, HTTPConfig{URL: f.url})
			got, err := ask(t.Context(), h, call("{}"))
			if !errors.Is(err, gateway.ErrUnreachable) {
				t.Errorf("answer %+v, error %v; want %v", got, err, gateway.ErrUnreachable)
			}
			if n := f.requests.Load(); n > 1 {
				t.Errorf("upstream requests = %d; want at most 1", n)
			}
			f.closed(t)
			h.free(t)
		})
	}
}

func TestEndlessBodyEndsWhereTheCallerStops(t *testing.T) {
	f := newFake(t, func(c *fakeConn) {
		c.request()
		c.say(head + "Transfer-Encoding: chunked\r\n\r\n")
		for {
			if _, err := c.Write([]byte("4\r\naaaa\r\n")); err != nil {
				return
			}
		}
	})
	h := newHTTP(t, HTTPConfig{URL: f.url})
	got, err := ask(context.Background(), h, call("{}"))
	if err != nil || len(got.Body) != 1<<20 {
		t.Errorf("%d bytes, error %v; want the 1 MiB that was asked for", len(got.Body), err)
	}
	f.closed(t)
	h.free(t)
}
