package demo

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/gateway/admin"
	"sallyport/gateway/config"
	"sallyport/identity/mint"
)

// running is a demo that has told its story and serves on.
type running struct {
	end   context.CancelFunc
	ended chan error

	mu   sync.Mutex // guards page
	page bytes.Buffer
}

func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.page.Write(p)
}

func (r *running) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.page.String()
}

// until waits for a text on the page.
func (r *running) until(t *testing.T, text string) {
	t.Helper()
	eventually(t, "the page says "+text, func() bool {
		select {
		case err := <-r.ended:
			t.Fatalf("the demo ended with %v:\n%s", err, r.text())
		default:
		}
		return strings.Contains(r.text(), text)
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

func serving(t *testing.T) *running {
	t.Helper()
	dir, err := os.MkdirTemp("", "demo") // short enough for a socket below it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	r := &running{end: cancel, ended: make(chan error, 1)}
	go func() {
		r.ended <- Run(ctx, Options{Listen: "127.0.0.1:0", Out: r, Program: "/opt/sally port/sallyport", Policies: example(t)})
	}()
	r.until(t, lastLine)
	return r
}

func TestServesOnAndPrintsLinesThatAShellTakes(t *testing.T) {
	r := serving(t)
	page := r.text()
	adds := regexp.MustCompile(`(?m)^claude mcp add .*$`).FindAllString(page, -1)
	if len(adds) != 4 {
		t.Fatalf("%d claude lines; want one for each of 4 servers:\n%s", len(adds), page)
	}
	for _, line := range adds {
		words := shellWords(t, line)
		if len(words) != 12 || !strings.HasPrefix(words[3], "sallyport-") || words[5] != "/opt/sally port/sallyport" || words[6] != "connect" {
			t.Fatalf("the shell reads %q as %q", line, words)
		}
		resp, err := http.Post(words[7], "application/json", strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("POST %s without a token = %d; want 401", words[7], resp.StatusCode)
		}
		if _, err := os.Stat(words[9]); words[8] != "--config" || err != nil {
			t.Errorf("%q names no configuration that exists: %v", line, err)
		}
	}
	if n := strings.Count(page, "npx @modelcontextprotocol/inspector@2 --cli"); n != 4 {
		t.Errorf("%d inspector lines; want 4", n)
	}
	r.end()
	if err := <-r.ended; err != nil {
		t.Errorf("demo ended with %v; want nil", err)
	}
	if left, _ := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); len(left) > 0 {
		t.Errorf("the demo left %q", left)
	}
}

// Whoever follows the printed lines gets a token that works, sees what was decided, and can
// change the policy while the demo runs.
func TestServingOnFollowsThePolicyAndTellsOfCalls(t *testing.T) {
	r := serving(t)
	file := regexp.MustCompile(`--config (\S+)`).FindStringSubmatch(r.text())[1]
	cfg, err := config.Load(file, nil)
	if err != nil {
		t.Fatalf("the configuration that the lines name: %v", err)
	}
	commands := admin.Dial(cfg.Socket())
	g, err := commands.Grant(t.Context(), mint.Ask{Roles: []string{"assistant"}, Task: "test"})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := commands.Token(t.Context(), mint.TokenAsk{Grant: g.ID})
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{protocol: modern, token: answer.Token, url: map[string]string{"notes": cfg.PublicURL + "/mcp/notes"}}
	list := func() reply {
		answer, err := a.call(t.Context(), "notes", "list_notes", "{}")
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	if answer := list(); answer.status != http.StatusOK || answer.rpc != 0 || answer.toolError {
		t.Fatalf("list_notes = HTTP %d %s; want the notes", answer.status, answer.body)
	}
	r.until(t, "18. ALLOW   notes.list_notes")

	policy := "package mcp.authz\n\nallow := false\n\ndeny contains \"closed for today\"\n"
	for _, tests := range []string{"authz_test.rego", "authz_test.yaml"} {
		if err := os.Remove(filepath.Join(cfg.Policies, tests)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(cfg.Policies, "authz.rego"), []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the next calls follow the new policy", func() bool { return list().rpc != 0 })
	r.until(t, "closed for today")
	r.end()
	if err := <-r.ended; err != nil {
		t.Errorf("demo ended with %v; want nil", err)
	}
}

// shellWords lets a shell split a line, without running it.
func shellWords(t *testing.T, line string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `printf '%s\0' `+line).Output()
	if err != nil {
		t.Fatalf("the shell refuses %q: %v", line, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

func TestATakenPortSaysWhatToDo(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	err = Run(t.Context(), Options{Listen: ln.Addr().String(), Once: true, Out: io.Discard, Policies: example(t)})
	if err == nil || !strings.Contains(err.Error(), "address already in use; another address: --listen 127.0.0.1:0") {
		t.Errorf("demo on a port that is taken = %v; want advice", err)
	}
}

func TestAnAddressThatOthersReachIsRefused(t *testing.T) {
	err := Run(t.Context(), Options{Listen: "0.0.0.0:0", Once: true, Out: io.Discard, Policies: example(t)})
	if err == nil || !strings.Contains(err.Error(), "the demo listens on loopback only") {
		t.Errorf("demo on 0.0.0.0 = %v; want a refusal", err)
	}
}
