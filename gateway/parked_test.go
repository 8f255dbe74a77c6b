package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/gateway/wire"
	"sallyport/identity/grant"
	"sallyport/identity/identitytest"
)

// wireClient speaks HTTP/1 by hand, since what is shown is what happens on the connection.
type wireClient struct {
	net.Conn
	t    *testing.T
	in   *bufio.Reader
	resp *http.Response
	body *bufio.Reader
}

func (f *fixture) listenAll(t *testing.T) *httptest.Server {
	t.Helper()
	f.snap.Sole = ""
	f.swap()
	srv := httptest.NewServer(f.g)
	t.Cleanup(srv.Close)
	return srv
}

// request is a request for a stream of the federated endpoint, as text.
func streamRequest(method, proto, token string) string {
	head := fmt.Sprintf("%s /mcp %s\r\nHost: %s\r\nAuthorization: Bearer %s\r\n", method, proto, strings.TrimPrefix(identitytest.URL, "http://"), token)
	if method == http.MethodGet {
		return head + "Accept: text/event-stream\r\n\r\n"
	}
	return head + fmt.Sprintf("Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n%s: %s\r\n%s: %s\r\nContent-Length: %d\r\n\r\n%s",
		wire.HeaderVersion, wire.V20260728, wire.HeaderMethod, wire.MethodListen, len(listenBody), listenBody)
}

func talk(t *testing.T, conn net.Conn, text string) *wireClient {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	c := &wireClient{Conn: conn, t: t, in: bufio.NewReader(conn)}
	var err error
	if c.resp, err = http.ReadResponse(c.in, nil); err != nil {
		t.Fatal(err)
	}
	if c.resp.StatusCode != 200 {
		t.Fatalf("status %d", c.resp.StatusCode)
	}
	c.body = bufio.NewReader(c.resp.Body)
	return c
}

func dial(t *testing.T, srv *httptest.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// rest is all that comes until the end of the stream, which must be a sound one, and of the connection.
func (c *wireClient) rest() string {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	text, err := io.ReadAll(c.body)
	if err != nil {
		c.t.Errorf("the stream ends with %v; want its last chunk", err)
	}
	if left, err := io.ReadAll(c.in); err != nil || len(left) > 0 {
		c.t.Errorf("after the stream came %q, %v; want the end of the connection", left, err)
	}
	return string(text)
}

func (f *fixture) parked(n int64) func() bool {
	return func() bool { return f.g.streams.count() == n }
}

const completed = "event: message\n" + `data: {"jsonrpc":"2.0","id":"L","result":{"resultType":"complete"}}` + "\n\n"

// However a parked stream ends, its client is told as on one that has a handler, the connection ends
// with it, and the record is the same.
func TestParkedStreamEndsAsOthersDo(t *testing.T) {
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		for _, tt := range []struct {
			name   string
			end    func(f *fixture, id string)
			detail string
		}{
			{"revocation", func(f *fixture, id string) { f.revoke(id) }, grant.ErrRevoked.Error()},
			{"completion", func(f *fixture, id string) {
				if _, err := f.issuer.Grants.Revoke(f.t.Context(), grant.Filter{ID: id}, grant.Completed, "test", ""); err != nil {
					f.t.Fatal(err)
				}
			}, grant.ErrCompleted.Error()},
			{"policy", func(f *fixture, _ string) {
				f.snap.Policy = mustPolicy(f.t, testPolicy+"\ndeny contains \"frozen\" if input.subject.id == \"ann\"\n")
				f.swap()
			}, "the policy denies it"},
			{"stop", func(f *fixture, _ string) { f.g.CloseStreams() }, "the gateway is stopping"},
		} {
			t.Run(method+" "+tt.name, func(t *testing.T) {
				f := newFixture(t)
				id, token := f.under(grant.Grant{})
				srv := f.listenAll(t)
				c := talk(t, dial(t, srv), streamRequest(method, "HTTP/1.1", token))
				eventually(t, "the stream is parked", func() bool { return f.g.streams.holds() == 1 })
				if got := f.rec.all(); len(got) != 0 {
					t.Errorf("records %+v while the stream is open; want none", got)
				}
				tt.end(f, id)
				got, want := c.rest(), ""
				if method == http.MethodPost {
					want = completed
				}
				if !strings.HasSuffix(got, want) || method == http.MethodGet && got != "" {
					t.Errorf("the client got %q; want %q at the end", got, want)
				}
				eventually(t, "it is taken out", f.parked(0))
				if r := f.rec.last(); len(f.rec.all()) != 1 || r.Code != "ok" || !strings.Contains(r.Detail, tt.detail) || r.BytesOut != int64(len(got)) || r.Method != wire.MethodListen {
					t.Errorf("records %+v; want one, ok, %q, %d bytes", f.rec.all(), tt.detail, len(got))
				}
			})
		}
	}
}

// A grant's own end needs nobody who asks for it.
func TestParkedStreamEndsWhenItsGrantExpires(t *testing.T) {
	f := newFixture(t)
	_, token := f.under(grant.Grant{Expires: time.Now().Add(3 * time.Second)})
	c := talk(t, dial(t, f.listenAll(t)), streamRequest(http.MethodPost, "HTTP/1.1", token))
	if got := c.rest(); !strings.HasSuffix(got, completed) {
		t.Errorf("the client got %q; want that it is complete", got)
	}
	eventually(t, "it is taken out", f.parked(0))
	if r := f.rec.last(); !strings.Contains(r.Detail, grant.ErrExpired.Error()) {
		t.Errorf("recorded %q; want that the grant has expired", r.Detail)
	}
}

func TestClientThatLeavesAParkedStreamIsNoticed(t *testing.T) {
	for name, leave := range map[string]func(*net.TCPConn){
		"close":      func(c *net.TCPConn) { _ = c.Close() },
		"half-close": func(c *net.TCPConn) { _ = c.CloseWrite() },
		"reset":      func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			srv := f.listenAll(t)
			talk(t, dial(t, srv), streamRequest(http.MethodPost, "HTTP/1.1", f.other))
			c := talk(t, dial(t, srv), streamRequest(http.MethodPost, "HTTP/1.1", f.reader))
			eventually(t, "both are parked", func() bool { return f.g.streams.holds() == 2 })
			leave(c.Conn.(*net.TCPConn))
			eventually(t, "one is taken out", f.parked(1))
			if r := f.rec.last(); r.Code != "cancelled" || r.Subject != "ann" || r.Detail != context.Canceled.Error() {
				t.Errorf("recorded %+v; want that it was cancelled", r)
			}
		})
	}
}

// What a client sends behind its request is no request: the connection ends with the stream.
func TestNothingFollowsAParkedStreamOnItsConnection(t *testing.T) {
	f := newFixture(t)
	call := modernCall("read_file", `{"path":"/srv/a"}`)
	smuggled := fmt.Sprintf("POST /mcp/files HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n%s: %s\r\n%s: tools/call\r\n%s: read_file\r\nContent-Length: %d\r\n\r\n%s",
		strings.TrimPrefix(identitytest.URL, "http://"), f.reader, wire.HeaderVersion, wire.V20260728, wire.HeaderMethod, wire.HeaderName, len(call), call)
	srv := f.listenAll(t)
	alone := dial(t, srv)
	if _, err := io.WriteString(alone, smuggled); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.ReadResponse(bufio.NewReader(alone), nil); err != nil || resp.StatusCode != 200 || len(f.up.requests()) != 1 {
		t.Fatalf("the call alone: %v, %v; want it served", resp, err)
	}
	_ = alone.Close()
	for _, when := range []string{"in one write", "later"} {
		text := streamRequest(http.MethodPost, "HTTP/1.1", f.reader)
		if when == "in one write" {
			text += smuggled
		}
		c := talk(t, dial(t, srv), text)
		if !c.resp.Close {
			t.Errorf("%s: the answer does not say that the connection will be closed", when)
		}
		eventually(t, "the stream is parked", func() bool { return f.g.streams.holds() == 1 })
		if when == "later" {
			if _, err := io.WriteString(c, smuggled); err != nil {
				t.Fatal(err)
			}
		}
		f.g.CloseStreams()
		eventually(t, "it is taken out", f.parked(0))
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		got, _ := io.ReadAll(c.body) // what was not read may reset the connection
		if left, err := io.ReadAll(c.in); errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(string(got)+string(left), "HTTP/1.1") {
			t.Errorf("%s: after the stream came %q, %v; want the end of the connection", when, left, err)
		}
		if n := len(f.up.requests()); n != 1 {
			t.Errorf("%s: %d calls at the server; want the one that came alone", when, n)
		}
	}
}

// News reaches parked streams, whole.
func TestParkedStreamIsToldOfChanges(t *testing.T) {
	f := newFixture(t)
	c := talk(t, dial(t, f.listenAll(t)), streamRequest(http.MethodPost, "HTTP/1.1", f.reader))
	eventually(t, "the stream is parked", func() bool { return f.g.streams.holds() == 1 })
	var news sync.WaitGroup
	for range 10 { // at the same time
		news.Go(func() { f.g.streams.tell(change{tools: true}) })
	}
	news.Wait()
	stream := &client{t: t, body: c.body}
	if got := stream.event(); !strings.Contains(got, wire.NotifyAcknowledged) {
		t.Errorf("first event %s; want the acknowledgement", got)
	}
	for range 10 {
		if got := stream.event(); !strings.Contains(got, `"method":"notifications/tools/list_changed"`) {
			t.Errorf("event %s; want list_changed", got)
		}
	}
	f.g.CloseStreams()
	if got := c.rest(); got != completed {
		t.Errorf("at the end %q; want %q", got, completed)
	}
}

// A parked stream has no goroutine. Where the connection is not the stream's alone, or the client
// knows no chunks, the stream has its handler and works all the same.
func TestStreamsAreParkedWhereTheyCanBe(t *testing.T) {
	const many = 20
	for _, tt := range []struct {
		name   string
		start  func(*httptest.Server)
		proto  string
		client func(t *testing.T, srv *httptest.Server) net.Conn
		parks  bool
	}{
		{"HTTP/1.1", (*httptest.Server).Start, "HTTP/1.1", dial, true},
		{"HTTP/1.1 over TLS", (*httptest.Server).StartTLS, "HTTP/1.1", dialTLS, true},
		{"HTTP/1.0", (*httptest.Server).Start, "HTTP/1.0", dial, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.snap.Sole = ""
			f.swap()
			srv := httptest.NewUnstartedServer(f.g)
			tt.start(srv)
			t.Cleanup(srv.Close)
			before := runtime.NumGoroutine()
			var open []*wireClient
			for range many {
				open = append(open, talk(t, tt.client(t, srv), streamRequest(http.MethodPost, tt.proto, f.reader)))
			}
			eventually(t, "all are open", f.parked(many))
			if tt.parks {
				eventually(t, "the handlers have gone", func() bool { return runtime.NumGoroutine() <= before+2 })
			} else if n := runtime.NumGoroutine() - before; n < many || f.g.streams.holds() > 0 {
				t.Errorf("%d goroutines for %d streams, %d are parked; want handlers", n, many, f.g.streams.holds())
			}
			f.g.CloseStreams()
			for _, c := range open {
				if got := c.rest(); !strings.HasSuffix(got, completed) {
					t.Errorf("the client got %q; want that it is complete", got)
				}
			}
			eventually(t, "nothing is left", func() bool { return runtime.NumGoroutine() <= before && f.g.streams.holds() == 0 })
		})
	}
}

func dialTLS(t *testing.T, srv *httptest.Server) net.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", srv.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true}) // the server is this test's
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// Over HTTP/2 a stream keeps its handler, and other requests go on beside it.
func TestStreamOverHTTP2KeepsItsHandler(t *testing.T) {
	f := newFixture(t)
	f.snap.Sole = ""
	f.swap()
	srv := httptest.NewUnstartedServer(f.g)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	send := func(body string, headers []string) *http.Response {
		r := f.request("POST", f.reader, body, headers...)
		r.RequestURI, r.URL.Host, r.URL.Scheme = "", strings.TrimPrefix(srv.URL, "https://"), "https"
		resp, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	stream := send(listenBody, modernHeaders(wire.MethodListen, ""))
	if stream.ProtoMajor != 2 || f.g.streams.holds() != 0 {
		t.Fatalf("HTTP/%d, %d parked; want HTTP/2 and none", stream.ProtoMajor, f.g.streams.holds())
	}
	for range 2 {
		if r := send(modernCall("files__read_file", `{"path":"/srv/a"}`), modernHeaders("tools/call", "files__read_file")); r.StatusCode != 200 {
			t.Errorf("a call beside the stream: %d", r.StatusCode)
		}
	}
	f.g.CloseStreams()
	if text, err := io.ReadAll(stream.Body); err != nil || !strings.HasSuffix(string(text), completed) {
		t.Errorf("the stream ends with %q, %v; want that it is complete", text, err)
	}
	eventually(t, "it is taken out", f.parked(0))
}

// The observer learns of a parked stream when it ends, and once.
func TestObserverIsToldOfAParkedStreamAtItsEnd(t *testing.T) {
	f, o := watched(t)
	c := talk(t, dial(t, f.listenAll(t)), streamRequest(http.MethodPost, "HTTP/1.1", f.reader))
	eventually(t, "the stream is parked", func() bool { return f.g.streams.holds() == 1 })
	f.g.CloseStreams()
	got := c.rest()
	eventually(t, "it is taken out", f.parked(0))
	if len(o.ends) != 1 {
		t.Fatalf("the observer was told of %d ends; want one", len(o.ends))
	}
	if s := o.ends[0]; s.Code != "ok" || s.Method != wire.MethodListen || s.BytesOut != int64(len(got)) {
		t.Errorf("the observer was told %+v; want ok and %d bytes", s, len(got))
	}
}

// holds is how many streams are parked.
func (s *streams) holds() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parked
}
