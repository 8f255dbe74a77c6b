package egress

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWhatIsNoRequestIsRefusedAndReachesNothing sends what a host on the list and another
// reader might understand differently.
func TestWhatIsNoRequestIsRefusedAndReachesNothing(t *testing.T) {
	w := &world{names: names{answers: map[string][]string{"a.example": {public}}}}
	proxy := start(t, w.options(), "a.example", "a.example:80", "*.a.example")
	const (
		get  = "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n"
		conn = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n"
	)
	for _, tt := range []struct{ name, raw, want string }{
		{"origin form", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "400 this is a proxy: ask with CONNECT for https, and with the whole address (http://host/path) for plain http"},
		{"https in the clear", "GET https://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "400 this is a proxy: ask with CONNECT for https, and with the whole address (http://host/path) for plain http"},
		{"unknown method", "PROPFIND http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "405 this proxy knows CONNECT, and GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS of plain http"},
		{"trace", "TRACE http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "405 this proxy knows CONNECT, and GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS of plain http"},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\n", "400 the first line is not a request of HTTP/1.1"},
		{"no version", "GET http://a.example/\r\n\r\n", "400 the first line is not a request of HTTP/1.1"},
		{"two spaces", "GET  http://a.example/ HTTP/1.1\r\n\r\n", "400 the first line is not a request of HTTP/1.1"},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\n", "400 a line ends without CR LF"},
		{"HTTP/1.0 plain", "GET http://a.example/ HTTP/1.0\r\nHost: a.example\r\n\r\n", "400 a request of plain http is of HTTP/1.1"},
		{"bare line feed", "GET http://a.example/ HTTP/1.1\nHost: a.example\n\n", "400 a line ends without CR LF"},
		{"bare CR in a value", get + "X: a\rHost: b.example\r\n\r\n", "400 header line 2 is not name: value"},
		{"NUL in a value", get + "X: a\x00\r\n\r\n", "400 header line 2 is not name: value"},
		{"folded line", get + "X: a\r\n b\r\n\r\n", "400 header line 3 is not name: value"},
		{"space before the colon", get + "Content-Length : 5\r\n\r\n", "400 header line 2 is not name: value"},
		{"no colon", get + "nonsense\r\n\r\n", "400 header line 2 is not name: value"},
		{"no Host", "GET http://a.example/ HTTP/1.1\r\n\r\n", "400 there are 0 Host headers; there must be one"},
		{"two Hosts", get + "host: b.example\r\n\r\n", "400 there are 2 Host headers; there must be one"},
		{"another Host", "GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n", "400 the Host header names another host than the request"},
		{"another port in Host", "GET http://a.example/ HTTP/1.1\r\nHost: a.example:443\r\n\r\n", "400 the Host header names another host than the request"},
		{"CONNECT, another Host", "CONNECT a.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n", "400 the Host header names another host than the request"},
		{"CONNECT, Host with a path", "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443/x\r\n\r\n", "400 the Host header names another host than the request"},
		{"both lengths", get + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400 there is a Transfer-Encoding beside a Content-Length"},
		{"two lengths", get + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", "400 the length of the body is given more than once"},
		{"two equal lengths", get + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", "400 the length of the body is given more than once"},
		{"list of lengths", get + "Content-Length: 5, 5\r\n\r\nabcde", "400 the Content-Length is not a number"},
		{"signed length", get + "Content-Length: +5\r\n\r\nabcde", "400 the Content-Length is not a number"},
		{"hexadecimal length", get + "Content-Length: 0x5\r\n\r\nabcde", "400 the Content-Length is not a number"},
		{"unknown coding", get + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "400 the Transfer-Encoding is not chunked"},
		{"two codings", get + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "400 the Transfer-Encoding is not chunked"},
		{"vertical tab in the coding", get + "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", "400 header line 2 is not name: value"},
		{"CONNECT with a body", conn + "Content-Length: 5\r\n\r\nhello", "400 CONNECT has no body"},
		{"CONNECT in chunks", conn + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400 CONNECT has no body"},
		{"CONNECT without a port", "CONNECT a.example HTTP/1.1\r\nHost: a.example\r\n\r\n", "400 the target of CONNECT has no port; it is host:port"},
		{"CONNECT of an address", "CONNECT http://a.example:443/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "400 the target of CONNECT has more than one colon; an IPv6 address stands in brackets; it is host:port"},
		{"user name", "CONNECT u@a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", "400 the target of CONNECT has '@' in its host; it is host:port"},
		{"user name, plain", "GET http://a.example@b.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n", "400 the address has '@' in its host"},
		{"backslash", "GET http://a.example\\@b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "400 the address has '\\\\' in its host"},
		{"fragment", "GET http://a.example/#b HTTP/1.1\r\nHost: a.example\r\n\r\n", "400 the path has a character that stands in no path"},
		{"beyond ASCII", "GET http://a.example/\xff HTTP/1.1\r\nHost: a.example\r\n\r\n", "400 the path has a character that stands in no path"},
		{"percent in the host", "CONNECT a%2eexample:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", "400 the target of CONNECT has '%' in its host; it is host:port"},
		{"trailing dot", "CONNECT a.example.:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", "400 the target of CONNECT ends in a dot; it is host:port"},
		{"Kelvin sign", "CONNECT \u212a.a.example:443 HTTP/1.1\r\nHost: k.a.example:443\r\n\r\n", "400 the target of CONNECT has letters beyond ASCII; it is host:port"},
		{"decimal IPv4", "CONNECT 2130706433:80 HTTP/1.1\r\nHost: 2130706433:80\r\n\r\n", "400 the target of CONNECT is an IPv4 address in a form other than four decimal numbers; it is host:port"},
		{"hexadecimal IPv4", "CONNECT 0x7f.1:80 HTTP/1.1\r\nHost: 0x7f.1:80\r\n\r\n", "400 the target of CONNECT is an IPv4 address in a form other than four decimal numbers; it is host:port"},
		{"octal IPv4", "CONNECT 0177.0.0.1:80 HTTP/1.1\r\nHost: 0177.0.0.1:80\r\n\r\n", "400 the target of CONNECT is an IPv4 address in a form other than four decimal numbers; it is host:port"},
		{"short IPv4", "CONNECT 127.1:80 HTTP/1.1\r\nHost: 127.1:80\r\n\r\n", "400 the target of CONNECT is an IPv4 address in a form other than four decimal numbers; it is host:port"},
		{"IPv6 zone", "CONNECT [fe80::1%25eth0]:80 HTTP/1.1\r\nHost: a\r\n\r\n", "400 the target of CONNECT has an IPv6 zone; it is host:port"},
		{"port out of range", "CONNECT a.example:65979 HTTP/1.1\r\nHost: a.example:65979\r\n\r\n", "400 the target of CONNECT has a port that is not a number from 1 to 65535; it is host:port"},
		{"second spelling of a port", "CONNECT a.example:+443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", "400 the target of CONNECT has a port that is not a number from 1 to 65535; it is host:port"},
		{"long head", get + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 20), "431 the head is longer than 16384 bytes"},
		{"long line", "GET http://a.example/" + strings.Repeat("x", 30000), "431 the head is longer than 16384 bytes"},
		{"many headers", get + strings.Repeat("X: x\r\n", 101) + "\r\n", "431 there are more than 100 headers"},
	} {
		resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(say(t, proxy, tt.raw))), nil)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		if got := fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimSuffix(string(body), "\n")); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
	if len(w.questions())+len(w.dials()) != 0 {
		t.Errorf("resolved %q and dialled %q; want nothing", w.questions(), w.dials())
	}
}

// TestPlainRequestsArriveRebuilt shows the bytes that a host gets.
func TestPlainRequestsArriveRebuilt(t *testing.T) {
	got := make(chan string, 1)
	recorder := host(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		var b strings.Builder
		req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(br, &b)))
		if err != nil {
			got <- "no request: " + err.Error()
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
		got <- b.String()
	})
	w := &world{names: names{answers: map[string][]string{"a.example": {public}}}, hosts: map[string]string{public + ":80": recorder, public + ":81": recorder}}
	proxy := start(t, w.options(), "a.example:80", "a.example:81")
	for _, tt := range []struct{ name, raw, want string }{
		{
			"hop-by-hop headers stay behind",
			"GET http://a.example/x?y=z HTTP/1.1\r\nHost: A.example:80\r\nAccept: */*\r\nProxy-Authorization: Basic c2VjcmV0\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\nUpgrade: websocket\r\nX-End:  2 \r\n\r\n",
			"GET /x?y=z HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\nX-End: 2\r\nVia: 1.1 sallyport\r\nConnection: close\r\n\r\n",
		},
		{
			"a body, and not what follows it",
			"POST http://a.example:81 HTTP/1.1\r\nHost: a.example:81\r\nContent-Length: 5\r\n\r\nhelloGET /admin HTTP/1.1\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: a.example:81\r\nContent-Length: 5\r\nVia: 1.1 sallyport\r\nConnection: close\r\n\r\nhello",
		},
		{
			"chunks are cut anew, extensions and trailers dropped",
			"POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n02\r\nde\r\n0\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nVia: 1.1 sallyport\r\nConnection: close\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
		},
		{
			"the length of nothing is kept",
			"DELETE http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n",
			"DELETE / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\nVia: 1.1 sallyport\r\nConnection: close\r\n\r\n",
		},
		{
			"options of the whole host",
			"OPTIONS http://a.example HTTP/1.1\r\nHost: a.example\r\n\r\n",
			"OPTIONS * HTTP/1.1\r\nHost: a.example\r\nVia: 1.1 sallyport\r\nConnection: close\r\n\r\n",
		},
	} {
		conn := connect(t, proxy)
		if _, err := io.WriteString(conn, tt.raw); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, <-got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		_ = conn.Close()
	}
}

// TestAConnectionCarriesOneRequest: a second request on it ends it, whoever it is for.
func TestAConnectionCarriesOneRequest(t *testing.T) {
	keeping := host(t, func(c net.Conn) { // a host that does not close, as it was asked to
		_, _ = http.ReadRequest(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		_, _ = io.ReadAll(c)
	})
	w := &world{names: names{answers: map[string][]string{"a.example": {public}}}, hosts: map[string]string{public + ":80": keeping}}
	conn := connect(t, start(t, w.options(), "a.example:80"))
	br := bufio.NewReader(conn)
	const first = "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n"
	if _, err := io.WriteString(conn, first); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(resp.Body); string(body) != "ok" {
		t.Fatalf("first answer %q; want ok", body)
	}
	_, _ = io.WriteString(conn, "GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n")
	if got, _ := io.ReadAll(br); len(got) != 0 {
		t.Errorf("the second request is answered %q; want the end of the connection", got)
	}
}

// FuzzRequest holds that a request which is taken goes on as exactly one request, that
// net/http reads as the same one for the same host.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nConnection: x\r\nX: y\r\n\r\n",
		"POST http://a.example:81?q HTTP/1.1\r\nHost: a.example:81\r\nContent-Length: 3\r\n\r\nabc",
		"PUT http://[2001:db8::1]/ HTTP/1.1\r\nHost: [2001:db8::1]\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
		"CONNECT a.example:443 HTTP/1.0\r\n\r\n",
		"OPTIONS http://a.example HTTP/1.1\r\nHost: a.example:80\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		from := bufio.NewReader(bytes.NewReader(raw))
		r, err := readRequest(from)
		if err != nil || r.method == http.MethodConnect {
			return
		}
		var sent bytes.Buffer
		if send(&sent, from, &r) != nil {
			return // a body that is not whole
		}
		br := bufio.NewReader(&sent)
		req, err := http.ReadRequest(br)
		if err != nil {
			t.Fatalf("%q goes on as what is no request: %v", raw, err)
		}
		host, err := parseAuthority(req.Host, 80)
		if err != nil || host != r.target {
			t.Errorf("%q goes to %s and says Host %q", raw, r.target, req.Host)
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			t.Errorf("%q goes on with a body that cannot be read: %v", raw, err)
		}
		if rest, _ := io.ReadAll(br); len(rest) > 0 {
			t.Errorf("%q goes on as more than one request: %q", raw, rest)
		}
	})
}
