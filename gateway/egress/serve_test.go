package egress

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const public = "93.184.215.14"

func TestTunnelCarriesBothDirectionsAndTheEndOfEach(t *testing.T) {
	echo := host(t, func(c net.Conn) {
		got, _ := io.ReadAll(c) // until the other side has ended its direction
		_, _ = c.Write(append([]byte("heard "), got...))
	})
	w := &world{names: names{answers: map[string][]string{"api.example.com": {public}}}, hosts: map[string]string{public + ":443": echo}}
	conn, br := tunnel(t, start(t, w.options(), "api.example.com"), "API.example.com:443")
	if _, err := io.WriteString(conn, "one\ntwo"); err != nil {
		t.Fatal(err)
	}
	_ = conn.CloseWrite()
	got, err := io.ReadAll(br)
	if err != nil || string(got) != "heard one\ntwo" {
		t.Errorf("through the tunnel: %q, %v; want %q", got, err, "heard one\ntwo")
	}
	if diff := cmp.Diff([]string{"api.example.com"}, w.questions()); diff != "" {
		t.Errorf("names resolved (-want +got):\n%s", diff)
	}
}

func TestAnOrdinaryClientWorksThroughIt(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Host, r.URL, body)
	})
	secure, plain := httptest.NewTLSServer(handler), httptest.NewServer(handler)
	t.Cleanup(secure.Close)
	t.Cleanup(plain.Close)
	w := &world{
		names: names{answers: map[string][]string{"example.com": {public}}},
		hosts: map[string]string{public + ":443": secure.Listener.Addr().String(), public + ":80": plain.Listener.Addr().String()},
	}
	proxy := &url.URL{Scheme: "http", Host: start(t, w.options(), "example.com", "example.com:80")}
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	transport := secure.Client().Transport.(*http.Transport).Clone()
	transport.Proxy = http.ProxyURL(proxy)
	transport.DialContext, transport.DialTLSContext = nil, nil // httptest's own leads past any proxy
	transport.TLSClientConfig.RootCAs = roots
	client := &http.Client{Transport: transport}
	defer client.CloseIdleConnections()
	for _, tt := range []struct{ address, want string }{
		{"https://example.com/a?b=c", "POST example.com /a?b=c body"},
		{"http://example.com/a?b=c", "POST example.com /a?b=c body"},
		{"http://example.com?q", "POST example.com /?q body"},
	} {
		for _, body := range []io.Reader{strings.NewReader("body"), io.MultiReader(strings.NewReader("body"))} { // the second is sent in chunks
			resp, err := client.Post(tt.address, "text/plain", body)
			if err != nil {
				t.Errorf("POST %s: %v", tt.address, err)
				continue
			}
			got, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || string(got) != tt.want {
				t.Errorf("POST %s = %q, %v; want %q", tt.address, got, err, tt.want)
			}
		}
	}
}

func TestWhatIsNotListedIsRefusedWithTheEntryThatWouldAllowIt(t *testing.T) {
	w := &world{names: names{answers: map[string][]string{"evil.example": {public}, "api.example.com": {public}}}}
	proxy := start(t, w.options(), "api.example.com", "*.example.org")
	for _, tt := range []struct{ ask, entry string }{
		{"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n", "evil.example:443"},
		{"CONNECT api.example.com:22 HTTP/1.1\r\nHost: api.example.com:22\r\n\r\n", "api.example.com:22"},
		{"CONNECT example.org:443 HTTP/1.0\r\n\r\n", "example.org:443"},
		{"GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n", "api.example.com:80"},
		{"POST http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 4\r\n\r\nbody", "evil.example:80"},
		{"GET http://169.254.169.254/latest/meta-data/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n", "169.254.169.254:80"},
		{"CONNECT 127.0.0.1:8080 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n", "127.0.0.1:8080"},
		{"CONNECT [::1]:8080 HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "[::1]:8080"},
		{"CONNECT [::ffff:127.0.0.1]:8080 HTTP/1.1\r\nHost: [::ffff:127.0.0.1]:8080\r\n\r\n", "[::ffff:127.0.0.1]:8080"},
	} {
		got := say(t, proxy, tt.ask)
		want := fmt.Sprintf("%s is not allowed: add %q to egress of server tickets\n", tt.entry, tt.entry)
		if !strings.HasPrefix(got, "HTTP/1.1 403 Forbidden\r\n") || !strings.HasSuffix(got, "\r\n\r\n"+want) {
			t.Errorf("%q\n got %q\nwant 403 and %q", tt.ask, got, want)
		}
		if line := fmt.Sprintf("egress refused\" server=tickets target=%s reason=\"not in egress\"", tt.entry); !strings.Contains(w.logged(), line) {
			t.Errorf("log lacks %s:\n%s", line, w.logged())
		}
	}
	if len(w.questions())+len(w.dials()) != 0 {
		t.Errorf("resolved %q and dialled %q; want nothing before the list allows it", w.questions(), w.dials())
	}
}

func TestANameThatResolvesToAnAddressThatIsNotPublicIsRefused(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "10.0.0.5", "169.254.169.254", "100.64.0.1", "::1", "fd00::1", "fe80::1%eth0", "::ffff:192.168.0.1", "64:ff9b::a00:5", "0.0.0.0"} {
		w := &world{names: names{answers: map[string][]string{"api.example.com": {addr}}}}
		got := say(t, start(t, w.options(), "api.example.com"), "CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
		want := "\r\n\r\napi.example.com:443 resolves to an address that is not public; if it is meant, add that address with port 443 to egress of server tickets (the gateway's log names the address)\n"
		if !strings.HasPrefix(got, "HTTP/1.1 403 ") || !strings.HasSuffix(got, want) {
			t.Errorf("%s: got %q; want 403 and %q", addr, got, want)
		}
		if len(w.dials()) != 0 {
			t.Errorf("%s: dialled %q; want nothing", addr, w.dials())
		}
		if shown := netip.AddrPortFrom(netip.MustParseAddr(addr).Unmap(), 443).String(); !strings.Contains(w.logged(), "egress refused") || !strings.Contains(w.logged(), shown) {
			t.Errorf("%s: the log does not name it:\n%s", addr, w.logged())
		}
	}
}

func TestANameThatResolvesToAListedAddressIsReached(t *testing.T) {
	hello := host(t, func(c net.Conn) { _, _ = io.WriteString(c, "hello") })
	_, port, _ := net.SplitHostPort(hello)
	w := &world{names: names{answers: map[string][]string{"db.internal.example": {"127.0.0.1"}}}}
	o := w.options()
	o.Dial = nil // the real one, which looks at the socket's address again
	_, br := tunnel(t, start(t, o, "db.internal.example:"+port, "127.0.0.1:"+port), "db.internal.example:"+port)
	if got, err := io.ReadAll(br); err != nil || string(got) != "hello" {
		t.Errorf("through the tunnel: %q, %v; want hello", got, err)
	}
}

func TestRebindingIsSeenAtEveryDial(t *testing.T) {
	hello := host(t, func(c net.Conn) { _, _ = io.WriteString(c, "hello") })
	w := &world{
		names: names{answers: map[string][]string{"api.example.com": {public, "169.254.169.254"}}},
		hosts: map[string]string{public + ":443": hello, "169.254.169.254:443": hello},
	}
	proxy := start(t, w.options(), "api.example.com")
	_, br := tunnel(t, proxy, "api.example.com:443")
	if got, _ := io.ReadAll(br); string(got) != "hello" {
		t.Fatalf("first answer %q; want hello, or the second proves nothing", got)
	}
	got := say(t, proxy, "CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 403 ") {
		t.Errorf("after the name moved: %q; want 403", got)
	}
	if diff := cmp.Diff([]string{public + ":443"}, w.dials()); diff != "" {
		t.Errorf("dialled (-want +got):\n%s", diff)
	}
}

func TestOfSeveralAddressesOnlyPublicOnesAreTriedUntilOneAnswers(t *testing.T) {
	hello := host(t, func(c net.Conn) { _, _ = io.WriteString(c, "hello") })
	w := &world{
		names: names{answers: map[string][]string{"api.example.com": {"10.0.0.1 8.8.4.4 ::1 " + public}}},
		hosts: map[string]string{public + ":443": hello, "10.0.0.1:443": hello, "[::1]:443": hello},
	}
	_, br := tunnel(t, start(t, w.options(), "api.example.com"), "api.example.com:443")
	if got, _ := io.ReadAll(br); string(got) != "hello" {
		t.Errorf("through the tunnel: %q; want hello", got)
	}
	if diff := cmp.Diff([]string{"8.8.4.4:443", public + ":443"}, w.dials()); diff != "" {
		t.Errorf("dialled (-want +got):\n%s", diff)
	}
}

func TestAnAddressOfThisMachineIsRefused(t *testing.T) {
	w := &world{names: names{answers: map[string][]string{"api.example.com": {public}}}}
	o := w.options()
	o.Interfaces = func() ([]net.Addr, error) {
		return []net.Addr{&net.IPNet{IP: net.ParseIP(public), Mask: net.CIDRMask(24, 32)}}, nil
	}
	ask := "CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n"
	if got := say(t, start(t, o, "api.example.com"), ask); !strings.HasPrefix(got, "HTTP/1.1 403 ") {
		t.Errorf("got %q; want 403", got)
	}
	o.Interfaces = func() ([]net.Addr, error) { return nil, errors.New("no netlink") }
	if got := say(t, start(t, o, "api.example.com"), ask); !strings.HasPrefix(got, "HTTP/1.1 502 ") {
		t.Errorf("when nobody can say: got %q; want 502", got)
	}
	if len(w.dials()) != 0 {
		t.Errorf("dialled %q; want nothing", w.dials())
	}
}

// TestTheSocketsOwnAddressIsJudged goes past the check before the dial, as a mistake in it would.
func TestTheSocketsOwnAddressIsJudged(t *testing.T) {
	accepted := make(chan struct{}, 2)
	here := netip.MustParseAddrPort(host(t, func(net.Conn) { accepted <- struct{}{} }))
	w := &world{}
	o := w.options()
	o.Dial = nil
	conn, err := newProxy(Rules{}, o).dial(t.Context(), here)
	if e, ok := errors.AsType[*errAddress](err); !ok || e.what != "loopback" {
		t.Errorf("dial %s = %v, %v; want refused as loopback", here, conn, err)
	}
	r, err := ParseRules([]string{here.String()})
	if err != nil {
		t.Fatal(err)
	}
	if conn, err = newProxy(r, o).dial(t.Context(), here); err != nil {
		t.Fatalf("dial %s, which is listed: %v", here, err)
	}
	_ = conn.Close()
	<-accepted
	if len(accepted) != 0 {
		t.Error("the refused dial arrived as well")
	}
}

func TestAHostThatCannotBeReachedIsToldWithoutItsAddress(t *testing.T) {
	w := &world{names: names{answers: map[string][]string{"down.example.com": {public}}}}
	proxy := start(t, w.options(), "*.example.com")
	for _, name := range []string{"down.example.com", "unknown.example.com"} {
		got := say(t, proxy, "CONNECT "+name+":443 HTTP/1.1\r\nHost: "+name+"\r\n\r\n")
		if want := "\r\n\r\ncannot connect to " + name + ":443\n"; !strings.HasPrefix(got, "HTTP/1.1 502 ") || !strings.HasSuffix(got, want) {
			t.Errorf("%s: got %q; want 502 and %q", name, got, want)
		}
		if !strings.Contains(w.logged(), "egress failed\" server=tickets target="+name) {
			t.Errorf("the log does not name %s:\n%s", name, w.logged())
		}
	}
}

func TestServeEndsWithItsListenerAndTakesTunnelsAlong(t *testing.T) {
	held := make(chan struct{})
	silent := host(t, func(c net.Conn) { _, _ = io.ReadAll(c); close(held) })
	w := &world{names: names{answers: map[string][]string{"api.example.com": {public}}}, hosts: map[string]string{public + ":443": silent}}
	r, err := ParseRules([]string{"api.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- Serve(context.Background(), l, r, w.options()) }()
	_, br := tunnel(t, l.Addr().String(), "api.example.com:443")
	_ = l.Close()
	if err := <-done; err != nil {
		t.Errorf("Serve = %v; want nil", err)
	}
	if got, _ := io.ReadAll(br); len(got) != 0 {
		t.Errorf("tunnel says %q; want its end", got)
	}
	<-held
}
