package upstream

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
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

// stdioServer is an MCP server of the older protocol, and of the newer with "modern". Each tool
// is one way to answer.
func stdioServer(how string) {
	switch how {
	case "banner":
		fmt.Println("Server is starting…")
	case "exit":
		fmt.Fprintln(os.Stderr, "no licence file")
		os.Exit(3)
	case "cheap":
		cheapStdioServer()
		return
	case "silent":
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	answers := make(chan string, 16)
	var handshakes int
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		var msg struct {
			ID     json.RawMessage
			Method string
			Params struct {
				Name      string
				Arguments struct{ Nonce string }
				Meta      struct {
					ProgressToken json.RawMessage `json:"progressToken"`
				} `json:"_meta"`
				RequestID json.RawMessage
			}
			Result json.RawMessage
		}
		if err := json.Unmarshal([]byte(line), &msg); err != nil {
			say(`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"bad line"}}`)
			continue
		}
		nonce := msg.Params.Arguments.Nonce
		text := func(s string) {
			say(`{"result":{"content":[{"type":"text","text":%q}]},"jsonrpc":"2.0","id":%s}`, s, msg.ID)
		}
		switch {
		case msg.Method == "" && msg.ID != nil:
			answers <- string(msg.ID) + string(msg.Result)
		case msg.Method == "server/discover":
			if how == "modern" {
				say(`{"jsonrpc":"2.0","id":%s,"result":{"supportedVersions":["2026-07-28"],"capabilities":{},"resultType":"complete"}}`, msg.ID)
			} else {
				say(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"Method not found"}}`, msg.ID)
			}
		case msg.Method == "initialize":
			if handshakes++; handshakes > 1 {
				say(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32600,"message":"twice"}}`, msg.ID)
				continue
			}
			say(`{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"t","version":"1"}}}`, msg.ID)
		case msg.Method == "notifications/cancelled":
			fmt.Fprintf(os.Stderr, "cancelled %s\n", msg.Params.RequestID)
		case msg.Method == "subscriptions/listen":
			say(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":%s},"notifications":{}}}`, msg.ID)
		case msg.Method != "tools/call":
			if msg.ID != nil {
				say(`{"jsonrpc":"2.0","id":%s,"result":{}}`, msg.ID)
			}
		default:
			switch msg.Params.Name {
			case "echo":
				text(nonce)
			case "env":
				text(os.Getenv(nonce))
			case "pid":
				text(fmt.Sprint(os.Getpid()))
			case "crash":
				fmt.Fprintln(os.Stderr, "out of cheese")
				os.Exit(7)
			case "hang":
				fmt.Fprintln(os.Stderr, "hanging")
			case "progress":
				say(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":1,"message":%q}}`, msg.Params.Meta.ProgressToken, nonce)
				text(nonce)
			case "garbage":
				say("this is not JSON")
			case "large":
				say(`{"result":{"content":[{"type":"text","text":%q}]},"jsonrpc":"2.0","id":%s}`, strings.Repeat("x", 200_000), msg.ID)
			case "ask":
				say(`{"jsonrpc":"2.0","id":"q1","method":"roots/list"}`)
				id := string(msg.ID)
				go func() {
					say(`{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":%q}]}}`, id, <-answers)
				}()
			case "change":
				say(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
				text("changed")
			}
		}
	}
}

// ours is a Stdio whose program is this binary.
func ours(t testing.TB, how string, change func(*StdioConfig)) *Stdio {
	t.Helper()
	cfg := StdioConfig{Name: "test", MaxMessage: 100_000, CallTimeout: 20 * time.Second}
	cfg.Start = func(_ context.Context, env map[string]string, stdin, stdout, stderr *os.File) (Child, error) {
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
