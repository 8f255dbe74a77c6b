package egress

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

const (
	// maxHead bounds the request line and the headers together, in bytes.
	maxHead = 16 << 10
	// maxHeaders bounds the number of header lines.
	maxHeaders = 100
)

// A request is what was asked of the proxy. A tunnel has method CONNECT and neither path nor
// headers: nothing of its head goes further.
type request struct {
	method string
	target authority
	path   string // begins with / or ?, or is *; plain http only
	header []field
	length int64 // of the body; -1 is chunked
}

type field struct{ name, value string }

// A refusal is an answer that the proxy gives itself.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func bad(format string, args ...any) error {
	return &refusal{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// hopByHop are the headers that concern this connection (RFC 9110, 7.6.1), and those that
// writeHead writes itself.
var hopByHop = map[string]bool{
	"connection": true, "keep-alive": true, "proxy-connection": true, "proxy-authenticate": true,
	"proxy-authorization": true, "te": true, "trailer": true, "transfer-encoding": true,
	"upgrade": true, "http2-settings": true, "host": true, "content-length": true, "via": true,
}

// plainMethods are the methods that plain http may use; TRACE would show a server what its
// own request became on the way, and others are not HTTP's.
var plainMethods = map[string]bool{
	"GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true, "OPTIONS": true,
}

// readRequest reads one head, and leaves what follows it in br. It takes less than HTTP/1.1
// does, so that no other reader can see another request in the same bytes: lines end in CRLF,
// nothing is folded, names and values have the characters that RFC 9110 gives them, and the
// body's length is said once. An error that is a *refusal is what the client did wrong; any
// other is its connection's.
func readRequest(br *bufio.Reader) (request, error) {
	left := maxHead
	line, err := readLine(br, &left)
	if err != nil {
		return request{}, err
	}
	method, rest, _ := strings.Cut(line, " ")
	target, version, ok := strings.Cut(rest, " ")
	if !ok || !isToken(method) || version != "HTTP/1.1" && version != "HTTP/1.0" {
		return request{}, bad("the first line is not a request of HTTP/1.1")
	}
	r := request{method: method}
	if err := r.readTarget(target, version); err != nil {
		return request{}, err
	}
	for {
		line, err := readLine(br, &left)
		if err != nil {
			return request{}, err
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) || !isValue(value) {
			return request{}, bad("header line %d is not name: value", len(r.header)+1)
		}
		if len(r.header) == maxHeaders {
			return request{}, &refusal{http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("there are more than %d headers", maxHeaders)}
		}
		r.header = append(r.header, field{name, strings.Trim(value, " \t")})
	}
	if err := r.checkHost(version); err != nil {
		return request{}, err
	}
	if err := r.frame(); err != nil {
		return request{}, err
	}
	return r, nil
}

// readTarget reads the request target: host:port for CONNECT, http://host[:port]/path else.
func (r *request) readTarget(target, version string) (err error) {
	if r.method == http.MethodConnect {
		// Without a default: RFC 9110, 9.3.6 wants the port.
		if r.target, err = parseAuthority(target, 0); err != nil {
			return bad("the target of CONNECT %v; it is host:port", err)
		}
		return nil
	}
	if !plainMethods[r.method] {
		return &refusal{http.StatusMethodNotAllowed, "this proxy knows CONNECT, and GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS of plain http"}
	}
	if version != "HTTP/1.1" {
		return bad("a request of plain http is of HTTP/1.1")
	}
	rest, ok := strings.CutPrefix(target, "http://")
	if !ok {
		return bad("this is a proxy: ask with CONNECT for https, and with the whole address (http://host/path) for plain http")
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	if r.target, err = parseAuthority(rest[:end], 80); err != nil {
		return bad("the address %v", err)
	}
	r.path = rest[end:]
	if strings.ContainsFunc(r.path, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '#' }) {
		return bad("the path has a character that stands in no path")
	}
	switch {
	case strings.HasPrefix(r.path, "/"):
	case r.path == "" && r.method == http.MethodOptions:
		r.path = "*" // RFC 9112, 3.2.4
	default:
		r.path = "/" + r.path
	}
	return nil
}

// checkHost refuses a Host header that names something else than the target: a server that
// believes the one and a list that believes the other would disagree about who was asked.
func (r *request) checkHost(version string) error {
	hosts := r.values("host")
	if len(hosts) == 0 && version == "HTTP/1.0" {
		return nil // older clients open tunnels so
	}
	if len(hosts) != 1 {
		return bad("there are %d Host headers; there must be one", len(hosts))
	}
	port := uint16(80)
	if r.method == http.MethodConnect {
		port = defaultPort // some clients drop it from the header
	}
	if host, err := parseAuthority(hosts[0], port); err != nil || host != r.target {
		return bad("the Host header names another host than the request")
	}
	return nil
}

// frame finds the length of the body.
func (r *request) frame() error {
	coding, length := r.values("transfer-encoding"), r.values("content-length")
	switch {
	case len(coding) > 0 && len(length) > 0:
		return bad("there is a Transfer-Encoding beside a Content-Length")
	case len(coding) > 1 || len(length) > 1:
		return bad("the length of the body is given more than once")
	case len(coding) == 1 && !strings.EqualFold(coding[0], "chunked"):
		return bad("the Transfer-Encoding is not chunked")
	case len(coding) == 1:
		r.length = -1
	case len(length) == 1:
		n, err := strconv.ParseUint(length[0], 10, 63)
		if err != nil {
			return bad("the Content-Length is not a number")
		}
		r.length = int64(n)
	}
	if r.method == http.MethodConnect && r.length != 0 {
		return bad("CONNECT has no body")
	}
	return nil
}

// values returns the values of all headers of the name, which is in lower case.
func (r *request) values(name string) (values []string) {
	for _, f := range r.header {
		if strings.EqualFold(f.name, name) {
			values = append(values, f.value)
		}
	}
	return values
}

// writeHead writes the head that goes to the host: what was asked, for this host alone, once.
func (r *request) writeHead(w io.Writer) error {
	var b strings.Builder
	host := r.target.String()
	if r.target.port == 80 {
		host = strings.TrimSuffix(host, ":80")
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.method, r.path, host)
	named := make(map[string]bool)
	for _, value := range r.values("connection") {
		for name := range strings.SplitSeq(value, ",") {
			named[strings.ToLower(strings.Trim(name, " \t"))] = true
		}
	}
	for _, f := range r.header {
		if name := strings.ToLower(f.name); !hopByHop[name] && !named[name] {
			fmt.Fprintf(&b, "%s: %s\r\n", f.name, f.value)
		}
	}
	switch {
	case r.length < 0:
		b.WriteString("Transfer-Encoding: chunked\r\n")
	case r.length > 0 || len(r.values("content-length")) > 0:
		fmt.Fprintf(&b, "Content-Length: %d\r\n", r.length)
	}
	b.WriteString("Via: 1.1 sallyport\r\nConnection: close\r\n\r\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// readLine reads one line without its CRLF, and takes its bytes from left.
func readLine(br *bufio.Reader, left *int) (string, error) {
	var line []byte
	for {
		part, err := br.ReadSlice('\n')
		if *left -= len(part); *left < 0 {
			return "", &refusal{http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("the head is longer than %d bytes", maxHead)}
		}
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return "", err
		}
		break
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return "", bad("a line ends without CR LF")
	}
	return string(line[:len(line)-2]), nil
}

func isToken(s string) bool {
	for _, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// isValue refuses control characters, a bare CR among them; bytes beyond ASCII are opaque.
func isValue(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
