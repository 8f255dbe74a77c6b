package e2e

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// nobodyMay adds a role that exists and may nothing: of one that no rule names there are no tokens.
const nobodyMay = readersRead + `
deny contains "nobody may nothing" if "nobody" in input.subject.roles
`

// TestAttacksReachNothing plays each file of testdata/attacks against the real binary, byte by
// byte as written. Whatever else is wanted of the answer, not one byte may reach the server.
// The form of a file is told in testdata/attacks/README.md.
func TestAttacksReachNothing(t *testing.T) {
	up := newRecorder(t)
	g := newGate(t, setup{policies: map[string]string{"authz.rego": nobodyMay}, servers: map[string]string{"files": up.url}})
	// The same state under another public URL signs, with our own key, tokens for somebody
	// else. A command does that only where no gateway runs: a running one signs for itself alone.
	elsewhere := *g
	elsewhere.config = filepath.Join(t.TempDir(), "elsewhere.yaml")
	config, err := os.ReadFile(g.config)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(g.config)
	other := strings.NewReplacer("./state", g.state, "./policies", g.policies, "listen: "+g.addr, "listen: "+freeAddress(t)).Replace(string(config))
	if err := os.WriteFile(elsewhere.config, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	forAnother := elsewhere.token(t, "reader")
	g.start(t)
	eventually(t, "the gateway has asked the server all that it asks for itself", func() error {
		if !up.listening() {
			return fmt.Errorf("no listening stream yet")
		}
		return nil
	})
	stranger := newGate(t, setup{policies: map[string]string{"authz.rego": readersRead}, servers: map[string]string{"files": up.url},
		more: "publicURL: http://" + g.addr + "\n"})
	reader := g.token(t, "reader")
	values := strings.NewReplacer(
		"{{host}}", g.addr,
		"{{reader}}", reader,
		"{{nobody}}", g.token(t, "nobody"),
		"{{expired}}", expired(t, g),
		"{{elsewhere}}", forAnother,
		"{{stranger}}", stranger.token(t, "reader"),
		"{{unsigned}}", unsigned(reader),
		"{{altered}}", altered(reader),
		"{{modern}}", modern,
	)
	if r := g.modernCall(t, reader, "read_file", `{"path":"/srv/docs/a"}`); r.text() != "done" {
		t.Fatalf("the allowed call fails, so a refusal would prove nothing: %d %s", r.Status, r.Raw)
	}

	files, err := filepath.Glob("testdata/attacks/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no attacks found: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a := readAttack(t, file, values)
			up.untouched(t, "the attack", func() {
				resp, body := send(t, g.addr, a.request)
				a.check(t, resp, body)
				for _, secret := range []string{reader, dir} {
					if strings.Contains(body, secret) {
						t.Errorf("the answer holds %q", secret)
					}
				}
			})
		})
	}
}

// attack is one file.
type attack struct {
	request []byte
	want    []string
}

// readAttack reads a file: a comment, "request" (a head, an empty line, a body) or
// "request.quoted" (the same with its body as a Go string), and "want".
func readAttack(t *testing.T, file string, values *strings.Replacer) attack {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(bytes.TrimSpace(archive.Comment)) == 0 {
		t.Errorf("%s does not open with a comment that says why it exists", file)
	}
	var a attack
	for _, part := range archive.Files {
		text := strings.TrimSuffix(string(part.Data), "\n")
		switch part.Name {
		case "request", "request.quoted":
			head, body, _ := strings.Cut(text, "\n\n")
			if part.Name == "request.quoted" {
				if body, err = strconv.Unquote(body); err != nil {
					t.Fatalf("%s: the body is not a Go string: %v", file, err)
				}
			}
			a.request = assemble(values.Replace(head), values.Replace(body), values.Replace("{{host}}"))
		case "want":
			a.want = strings.Split(values.Replace(text), "\n")
		default:
			t.Fatalf("%s: unknown part %q", file, part.Name)
		}
	}
	if a.request == nil || len(a.want) == 0 || !strings.HasPrefix(a.want[0], "status ") {
		t.Fatalf("%s needs a request and a want that begins with the status", file)
	}
	return a
}

// assemble makes the bytes of a request. Host and Content-Length are added where the head does
// not say them. In the body {{fill}} stands for 5 MiB, {{deep}} for 200 objects in one another.
func assemble(head, body, host string) []byte {
	lines := strings.Split(head, "\n")
	has := func(name string) bool {
		for _, line := range lines[1:] {
			if n, _, _ := strings.Cut(line, ":"); strings.EqualFold(n, name) {
				return true
			}
		}
		return false
	}
	body = strings.Replace(body, "{{fill}}", strings.Repeat("x", 5<<20), 1)
	body = strings.Replace(body, "{{deep}}", strings.Repeat(`{"a":`, 200)+"1"+strings.Repeat("}", 200), 1)
	if !has("Host") {
		lines = append(lines, "Host: "+host)
	}
	if !has("Content-Length") && !has("Transfer-Encoding") {
		lines = append(lines, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	lines = append(lines, "Connection: close")
	return []byte(strings.Join(lines, "\r\n") + "\r\n\r\n" + body)
}

// send writes the bytes and reads one answer.
func send(t *testing.T, addr string, request []byte) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = conn.Write(request) }() // it may be refused before it is all read
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("read the answer: %v", err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body) // a refusal of a body not read may end in a reset
	return resp, string(body)
}

// check holds an answer against the lines of "want":
//
//	status N
//	header NAME: PART     the header's value holds PART
//	body TEXT             the body is TEXT
//	holds TEXT            the body holds TEXT
//	lacks TEXT            the body does not
func (a attack) check(t *testing.T, resp *http.Response, body string) {
	t.Helper()
	for _, line := range a.want {
		verb, want, _ := strings.Cut(line, " ")
		ok := false
		switch verb {
		case "status":
			ok = strconv.Itoa(resp.StatusCode) == want
		case "header":
			name, part, _ := strings.Cut(want, ": ")
			ok = strings.Contains(resp.Header.Get(name), part)
		case "body":
			ok = body == want
		case "holds":
			ok = strings.Contains(body, want)
		case "lacks":
			ok = !strings.Contains(body, want)
		default:
			t.Fatalf("unknown line %q", line)
		}
		if !ok {
			t.Errorf("want %q; got %d %v\n%.500s", line, resp.StatusCode, resp.Header, body)
		}
	}
}

// expired is a token that has been good and is over.
func expired(t *testing.T, g *gate) string {
	t.Helper()
	token := g.token(t, "reader", "--ttl", "1s")
	eventually(t, "a token of one second ends", func() error {
		if _, _, code := sallyport(t, "token", "inspect", "--config", g.config, token); code != 3 {
			return fmt.Errorf("token inspect: exit %d, want 3", code)
		}
		return nil
	})
	return token
}

// unsigned is the token with the algorithm none and no signature.
func unsigned(token string) string {
	parts := strings.Split(token, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"at+jwt","alg":"none"}`)) + "." + parts[1] + "."
}

// altered is the token with another role under the same signature.
func altered(token string) string {
	parts := strings.Split(token, ".")
	claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
	claims = bytes.Replace(claims, []byte(`"reader"`), []byte(`"admin!"`), 1)
	return parts[0] + "." + base64.RawURLEncoding.EncodeToString(claims) + "." + parts[2]
}
