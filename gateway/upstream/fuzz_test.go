package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/gateway"
)

// recording is a connection that has one thing to say and then ends.
type recording struct {
	net.Conn // nil: anything else is a mistake
	r        io.Reader
}

func (r *recording) Read(p []byte) (int, error)       { return r.r.Read(p) }
func (r *recording) Write(p []byte) (int, error)      { return len(p), nil }
func (r *recording) Close() error                     { return nil }
func (r *recording) SetDeadline(time.Time) error      { return nil }
func (r *recording) SetReadDeadline(time.Time) error  { return nil }
func (r *recording) SetWriteDeadline(time.Time) error { return nil }

// FuzzReplyMeansWhatNetHTTPReads: what this parser takes, net/http takes as well, and both
// understand it alike. The reverse does not hold; this parser is the stricter one.
func FuzzReplyMeansWhatNetHTTPReads(f *testing.F) {
	for _, seed := range []string{
		ok("{}"), head + "Transfer-Encoding: chunked\r\n\r\n2;a\r\n{}\r\n0\r\nX: y\r\n\r\n", head + "\r\n{}",
		"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + ok("{}"), "HTTP/1.0 200\r\n\r\nabc", "HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\n{}",
		head + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", head + "Content-Length: 02\r\n\r\n{}",
		head + "Content-Length: 1\r\nContent-length: 1\r\n\r\n{}", head + "X: a\r\n b\r\n\r\n", "HTTP/1.1 200 OK\nX: y\n\n{}",
		head + "Mcp-Session-Id: abc\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}" + ok("x"),
		"HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", head + "Transfer-Encoding: chunked\r\n\r\n00000000002\r\n{}\r\n0\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := NewHTTP(HTTPConfig{URL: "http://a.test"})
		if err != nil {
			t.Fatal(err)
		}
		h.connect = func(context.Context, string, string) (net.Conn, error) {
			return &recording{r: bytes.NewReader(data)}, nil
		}
		reply, err := h.roundTrip(t.Context(), call("{}"))
		if err != nil {
			if !errors.Is(err, gateway.ErrGarbage) && !errors.Is(err, gateway.ErrTooLarge) && !errors.Is(err, gateway.ErrUnreachable) {
				t.Errorf("%q: error %v is of no kind", data, err)
			}
			return
		}
		got, gotErr := io.ReadAll(reply.Body)
		_ = reply.Body.Close()
		compare(t, data, reply, got, gotErr)
	})
}

func compare(t *testing.T, data []byte, reply *gateway.Reply, got []byte, gotErr error) {
	br := bufio.NewReader(bytes.NewReader(data))
	req := &http.Request{Method: "POST"}
	resp, err := http.ReadResponse(br, req)
	for err == nil && resp.StatusCode < 200 {
		resp, err = http.ReadResponse(br, req)
	}
	if err != nil {
		t.Fatalf("%q: net/http refuses what was taken: %v", data, err)
	}
	want, wantErr := io.ReadAll(resp.Body)
	if resp.StatusCode != reply.Status || gotErr == nil && (!bytes.Equal(got, want) || wantErr != nil) {
		t.Fatalf("%q: status %d body %q; net/http has %d %q %v", data, reply.Status, got, resp.StatusCode, want, wantErr)
	}
	if id := resp.Header.Get("Mcp-Session-Id"); id != reply.Header.SessionID {
		t.Errorf("%q: session %q; net/http has %q", data, reply.Header.SessionID, id)
	}
	if media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && media != reply.Header.ContentType {
		t.Errorf("%q: type %q; net/http has %q", data, reply.Header.ContentType, media)
	}
	if strings.ToLower(reply.Header.ContentType) != reply.Header.ContentType {
		t.Errorf("%q: type %q is not in lower case", data, reply.Header.ContentType)
	}
}
