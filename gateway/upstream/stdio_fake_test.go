package upstream

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/wire"
)

// TestMain is also the program that the tests of stdio servers start: this binary, told by
// STDIO_SERVER how to behave.
func TestMain(m *testing.M) {
	if how := os.Getenv("STDIO_SERVER"); how != "" {
		stdioServer(how)
		return
	}
	os.Exit(m.Run())
}

// ours is a Stdio whose program is this binary.
func ours(t testing.TB, how string, change func(*StdioConfig)) *Stdio {
	t.Helper()
	cfg := StdioConfig{Name: "test", MaxMessage: 100_000, CallTimeout: time.Minute}
	cfg.Start = func(_ context.Context, env map[string]string, stdin, stdout, stderr *os.File) (Child, error) {
		return startAs(how, env, stdin, stdout, stderr)
	}
	if change != nil {
		change(&cfg)
	}
	s, err := NewStdio(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func startAs(how string, env map[string]string, stdin, stdout, stderr *os.File) (Child, error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{"STDIO_SERVER=" + how, "GORACE=atexit_sleep_ms=0"}
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return execChild{cmd}, nil
}

type execChild struct{ cmd *exec.Cmd }

func (c execChild) Wait() error { return c.cmd.Wait() }
func (c execChild) Kill()       { _ = c.cmd.Process.Kill() }
func (c execChild) Pid() int    { return c.cmd.Process.Pid }

func who(name string) gateway.Party { return gateway.Party{Key: name} }

// legacyPost is a POST of the older protocol.
func legacyPost(p gateway.Party, session, body string) gateway.Outbound {
	h := http.Header{"Content-Type": {"application/json"}}
	if session != "" {
		h[wire.HeaderSession] = []string{session}
	}
	return gateway.Outbound{Method: http.MethodPost, Header: h, Body: []byte(body), For: p}
}

func toolCall(id, tool, nonce string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":%q,"arguments":{"nonce":%q}}}`, id, tool, nonce)
}

// talk makes an exchange and reads its reply whole.
func talk(ctx context.Context, s *Stdio, out gateway.Outbound) (answer, error) {
	reply, err := s.exchange(ctx, out)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = reply.Body.Close() }()
	body, err := io.ReadAll(reply.Body)
	return answer{reply.Status, reply.Header, string(body)}, err
}

// begin opens a session and returns its id.
func begin(t testing.TB, s *Stdio, p gateway.Party, capabilities string) string {
	t.Helper()
	a, err := talk(t.Context(), s, legacyPost(p, "", `{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":`+capabilities+`,"clientInfo":{"name":"c","version":"1"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if a.Status != 200 || a.Header.SessionID == "" || !strings.HasPrefix(a.Body, `{"jsonrpc":"2.0","id":"i","result":`) {
		t.Fatalf("initialize: %+v", a)
	}
	return a.Header.SessionID
}

// data reads the data of the next event.
func data(t testing.TB, r *bufio.Reader) string {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if rest, ok := strings.CutPrefix(line, "data: "); ok {
			return strings.TrimRight(rest, "\n")
		}
		if err != nil {
			t.Fatalf("stream: %v", err)
		}
	}
}
