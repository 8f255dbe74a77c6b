package upstream

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
	"sort"
	"strings"
	"testing"

	"sallyport/gateway"
	"sallyport/gateway/credential"

	"github.com/google/go-cmp/cmp"
)

func lines(s string) []string {
	l := strings.Split(s, "\r\n")
	sort.Strings(l)
	return l
}

func TestRequestIsBuiltFromNothing(t *testing.T) {
	h := newHTTP(t, HTTPConfig{
		URL:     "http://Tools.test:8080/a%20b/mcp?x=1",
		Headers: http.Header{"authorization": {"Bearer ours"}, "Mcp-Name": {"ours"}},
	})
	out := gateway.Outbound{Method: "POST", Body: []byte("{}"), Header: http.Header{
		"Content-Type": {"application/json"}, "Mcp-Name": {"theirs"}, "User-Agent": {"theirs"}}}
	got, rest, err := h.appendRequest(nil, out, credential.Secret{})
	if err != nil || rest != nil {
		t.Fatal(rest, err)
	}
	want := "POST /a%20b/mcp?x=1 HTTP/1.1\r\nHost: Tools.test:8080\r\nAuthorization: Bearer ours\r\nMcp-Name: ours\r\n" +
		"User-Agent: sallyport\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	if diff := cmp.Diff(lines(want), lines(string(got))); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(string(got), "POST /a%20b/mcp?x=1 HTTP/1.1\r\nHost: Tools.test:8080\r\n") {
		t.Errorf("request begins %.60q", got)
	}
}

func TestRequestWithoutBodySaysSo(t *testing.T) {
	h := newHTTP(t, HTTPConfig{URL: "https://tools.test"})
	for method, want := range map[string]string{
		"GET":    "GET / HTTP/1.1\r\nHost: tools.test\r\nUser-Agent: sallyport\r\n\r\n",
		"DELETE": "DELETE / HTTP/1.1\r\nHost: tools.test\r\nUser-Agent: sallyport\r\n\r\n",
		"POST":   "POST / HTTP/1.1\r\nHost: tools.test\r\nUser-Agent: sallyport\r\nContent-Length: 0\r\n\r\n",
	} {
		got, _, err := h.appendRequest(nil, gateway.Outbound{Method: method}, credential.Secret{})
		if err != nil || string(got) != want {
			t.Errorf("request %q, error %v; want %q", got, err, want)
		}
	}
}

func TestOutboundThatCouldSayTwoThingsIsRefused(t *testing.T) {
	f := newFake(t, echo)
	h := newHTTP(t, HTTPConfig{URL: f.url})
	with := func(name string, values ...string) gateway.Outbound {
		return gateway.Outbound{Method: "POST", Header: http.Header{name: values}}
	}
	tests := []struct {
		out  gateway.Outbound
		want string
	}{
		{gateway.Outbound{}, `method ""`},
		{gateway.Outbound{Method: "HEAD"}, `method "HEAD"`},
		{gateway.Outbound{Method: "CONNECT"}, `method "CONNECT"`},
		{gateway.Outbound{Method: "GET / HTTP/1.1\r\nX:"}, "method"},
		{with("X", "a\r\nY: b"), `header "X" needs one value without control characters`},
		{with("X", "a\nY: b"), `header "X" needs one value`},
		{with("X", "a\x00b"), `header "X" needs one value`},
		{with("X", "a\x7fb"), `header "X" needs one value`},
		{with("X", "a", "b"), `header "X" needs one value`},
		{with("X"), `header "X" needs one value`},
		{with("X\r\nY", "a"), "may not be set"},
		{with("X Y", "a"), "may not be set"},
		{with("X:", "a"), "may not be set"},
		{with("", "a"), "may not be set"},
		{with("mcp-name", "a"), `header "mcp-name" may not be set`},
		{with("Host", "evil.test"), `header "Host" may not be set`},
		{with("Content-Length", "3"), "may not be set"},
		{with("Transfer-Encoding", "chunked"), "may not be set"},
		{with("Connection", "keep-alive"), "may not be set"},
		{with("Upgrade", "h2c"), "may not be set"},
		{with("Te", "trailers"), "may not be set"},
		{with("Trailer", "X"), "may not be set"},
		{with("Expect", "100-continue"), "may not be set"},
		{with("Accept-Encoding", "gzip"), "may not be set"},
		{with("Authorization", "Bearer theirs"), "may not be set"},
		{with("Cookie", "a=b"), "may not be set"},
		{with("Proxy-Authorization", "a"), "may not be set"},
	}
	for _, tt := range tests {
		_, err := h.roundTrip(t.Context(), tt.out)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: error %v; want %q", tt.out, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "theirs") {
			t.Errorf("%+v: the error holds the value: %v", tt.out, err)
		}
	}
	if n := f.accepted.Load(); n != 0 {
		t.Errorf("connections = %d; want 0", n)
	}
	h.free(t)
}

func TestConfigurationThatCannotBeMeantIsRefused(t *testing.T) {
	header := func(name string, values ...string) HTTPConfig {
		return HTTPConfig{URL: "http://a.test", Headers: http.Header{name: values}}
	}
	tests := []struct {
		cfg  HTTPConfig
		want string
	}{
		{HTTPConfig{}, `scheme ""`},
		{HTTPConfig{URL: "ftp://a.test"}, `scheme "ftp"; want http or https`},
		{HTTPConfig{URL: "http://"}, "names no host"},
		{HTTPConfig{URL: "http:a.test"}, "names no host"},
		{HTTPConfig{URL: "http://me:secret@a.test"}, "put the credential into the headers"},
		{HTTPConfig{URL: "http://a.test/#secret"}, "fragment"},
		{HTTPConfig{URL: "http://bücher.test"}, "punycode"},
		{HTTPConfig{URL: "http://a.test:secret/"}, "cannot be parsed"},
		{HTTPConfig{URL: "http://[fe80::1%25eth0]/"}, "host holds a character"},
		{header("Host", "b.test"), `header "Host": it may not be set`},
		{header("content-length", "1"), `header "Content-Length": it may not be set`},
		{header("X", "secret\r\nY: b"), "control character"},
		{header("X Y", "secret"), "may not be set"},
		{header("X", "secret", "b"), "exactly one value"},
		{HTTPConfig{URL: "http://a.test", Headers: http.Header{"X": {"secret"}, "x": {"b"}}}, "exactly one value"},
	}
	for _, tt := range tests {
		_, err := NewHTTP(tt.cfg)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: error %v; want %q", tt.cfg, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error holds a secret: %v", err)
		}
	}
}

func TestEmptyPermitAndErrandSendNothing(t *testing.T) {
	f := newFake(t, echo)
	h := newHTTP(t, HTTPConfig{URL: f.url})
	for _, p := range []*gateway.Permit{nil, {}} {
		if _, err := h.Send(t.Context(), p); !errors.Is(err, gateway.ErrSpent) {
			t.Errorf("error %v; want %v", err, gateway.ErrSpent)
		}
	}
	if _, err := h.Ask(t.Context(), gateway.Errand{}); err == nil {
		t.Error("the empty errand was sent")
	}
	if n := f.accepted.Load(); n != 0 {
		t.Errorf("connections = %d; want 0", n)
	}
}

func TestProxyOfTheEnvironmentIsNotUsed(t *testing.T) {
	proxy, f := newFake(t, echo), newFake(t, echo)
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, proxy.url)
	}
	if _, err := ask(t.Context(), newHTTP(t, HTTPConfig{URL: f.url}), call("{}")); err != nil {
		t.Fatal(err)
	}
	if f.requests.Load() != 1 || proxy.accepted.Load() != 0 {
		t.Errorf("requests = %d, connections to the proxy = %d", f.requests.Load(), proxy.accepted.Load())
	}
}

func TestReplyBeforeTheBodyIsReadIsTheAnswer(t *testing.T) {
	const refusal = "HTTP/1.1 413 Too Large\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno"
	want := answer{413, gateway.ReplyHeader{ContentType: "text/plain"}, "no"}
	big := call(strings.Repeat("x", 32<<20))
	for name, after := range map[string]func(c *fakeConn){
		"and the server stays": func(c *fakeConn) { _, _, _ = c.request() },
		"and the server goes":  func(*fakeConn) {},
	} {
		t.Run(name, func(t *testing.T) {
			gone := make(chan struct{})
			f := newFake(t, func(c *fakeConn) {
				_, _ = c.br.ReadString('\n')
				c.say(refusal)
				if name == "and the server stays" {
					<-gone
				}
				after(c)
			})
			h := newHTTP(t, HTTPConfig{URL: f.url})
			got, err := ask(t.Context(), h, big)
			close(gone)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if n := h.idleConns(); n != 0 {
				t.Errorf("connections kept = %d; want 0, the request was not sent whole", n)
			}
			f.closed(t)
			h.free(t)
		})
	}
}

func TestLargeRequestArrivesWhole(t *testing.T) {
	var want = strings.Repeat("0123456789abcdef", 1<<19)
	f := newFake(t, func(c *fakeConn) {
		for {
			_, body, more := c.request()
			if !more {
				return
			}
			c.say(ok(fmt.Sprint(body == want)))
		}
	})
	h := newHTTP(t, HTTPConfig{URL: f.url})
	for range 2 {
		if got, err := ask(t.Context(), h, call(want)); err != nil || got.Body != "true" {
			t.Fatalf("answer %+v, error %v", got, err)
		}
	}
	if n := f.accepted.Load(); n != 1 {
		t.Errorf("connections = %d; want 1", n)
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, "%s %s %s", r.Proto, r.TLS.NegotiatedProtocol, body)
	}))
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
	s.StartTLS()
	t.Cleanup(s.Close)
	h := newHTTP(t, HTTPConfig{URL: s.URL, TLS: s.Client().Transport.(*http.Transport).TLSClientConfig})
	for range 3 {
		got, err := ask(t.Context(), h, call("{}"))
		if err != nil || got.Body != "HTTP/1.1 http/1.1 {}" {
			t.Fatalf("answer %+v, error %v", got, err)
		}
	}
	if n := h.idleConns(); n != 1 {
		t.Errorf("connections kept = %d; want 1", n)
	}
	large := call(strings.Repeat("x", 1<<20))
	if got, err := ask(t.Context(), h, large); err != nil || len(got.Body) < 1<<20 {
		t.Errorf("%d bytes, error %v", len(got.Body), err)
	}
	h = newHTTP(t, HTTPConfig{URL: s.URL})
	if _, err := ask(t.Context(), h, call("{}")); !errors.Is(err, gateway.ErrUnreachable) {
		t.Errorf("unknown authority: error %v; want %v", err, gateway.ErrUnreachable)
	}
	h.free(t)
}

// With TLS, a second reply may have left the socket before anybody looks at it.
func TestSecondReplyOverTLSIsNobodysAnswer(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.StartTLS()
	t.Cleanup(s.Close)
	for _, late := range []string{ok(`{"theirs":1}`), "x"} {
		first, said := make(chan struct{}), make(chan struct{})
		f := newFake(t, func(c *fakeConn) {
			over := tls.Server(c.TCPConn, s.TLS)
			for n := 0; ; n++ {
				r, err := http.ReadRequest(bufio.NewReader(over))
				if err != nil {
					return
				}
				body, _ := io.ReadAll(r.Body)
				_, _ = io.WriteString(over, ok(string(body)))
				if string(body) == "1" { // a record of its own, in the same breath
					_, _ = io.WriteString(over, late)
					close(said)
					<-first
				}
			}
		})
		cfg := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		cfg.ServerName = "example.com"
		h := newHTTP(t, HTTPConfig{URL: strings.Replace(f.url, "http:", "https:", 1), TLS: cfg})
		reply, err := h.roundTrip(t.Context(), call("1"))
		if err != nil {
			t.Fatal(err)
		}
		<-said // both records are there to be read together
		if body, err := io.ReadAll(reply.Body); err != nil || string(body) != "1" {
			t.Fatalf("answer %q, error %v", body, err)
		}
		_ = reply.Body.Close()
		if got, err := ask(t.Context(), h, call("2")); err != nil || got.Body != "2" {
			t.Errorf("answer %+v, error %v; want 2", got, err)
		}
		close(first)
		if n := f.accepted.Load(); n != 2 {
			t.Errorf("connections = %d; want 2", n)
		}
	}
}

func TestUsableSeesWhatTLSHasReadAhead(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.StartTLS()
	t.Cleanup(s.Close)
	ours, theirs := tcpPair(t)
	server := tls.Server(theirs, s.TLS)
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	cfg := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	cfg.ServerName = "example.com"
	h := newHTTP(t, HTTPConfig{URL: "https://example.com", TLS: cfg})
	h.connect = func(context.Context, string, string) (net.Conn, error) { return ours, nil }
	c, err := h.dial(t.Context(), callBuffer)
	if err != nil || <-done != nil {
		t.Fatal(err)
	}
	c.extend()
	_, _ = io.WriteString(server, "a")
	var b [1]byte
	if _, err := io.ReadFull(c.nc, b[:]); err != nil { // takes the session tickets as well
		t.Fatal(err)
	}
	if !c.usable() || !c.usable() {
		t.Fatal("a silent connection is not usable")
	}
	// Two records in one segment: reading the first takes both from the socket.
	cork(t, theirs, func() { _, _ = io.WriteString(server, "b"); _, _ = io.WriteString(server, "c") })
	if _, err := c.nc.Read(b[:]); err != nil || b[0] != 'b' {
		t.Fatal(err, b)
	}
	if c.usable() {
		t.Error("the connection is usable with a record read ahead")
	}
	c.abort()
}
