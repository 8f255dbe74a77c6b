package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sallyport/gateway/config"
	"sallyport/identity/mint"
	"sallyport/internal/freeport"
)

// slowServer is an MCP server whose calls wait, and whose GET is a stream without an end.
type slowServer struct {
	*httptest.Server
	began, release chan struct{}
}

func newSlowServer(t *testing.T) *slowServer {
	s := &slowServer{began: make(chan struct{}, 8), release: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		result := `{"tools":[{"name":"slow","inputSchema":{"type":"object"}}]}`
		switch {
		case strings.Contains(string(body), `"server/discover"`):
			result = `{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"serverInfo":{"name":"slow","version":"1"},"resultType":"complete"}`
		case strings.Contains(string(body), `"subscriptions/listen"`):
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, ": open\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		case strings.Contains(string(body), `"tools/call"`):
			s.began <- struct{}{}
			select {
			case <-s.release:
			case <-r.Context().Done():
			}
			result = `{"content":[{"type":"text","text":"done after all"}],"resultType":"complete"}`
		case strings.Contains(string(body), `"initialize"`):
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		id := "null"
		if _, after, ok := strings.Cut(string(body), `"id":`); ok {
			id, _, _ = strings.Cut(after, ",")
		}
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, id, result)
	}))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

// settings are the environment of a gateway before the server, and a token for it.
func settings(t *testing.T, upstream string) (env map[string]string, token string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "authz.rego"), []byte("package mcp.authz\n\nallow if \"reader\" in input.subject.roles\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var free [2]string
	for i := range free {
		address, release, err := freeport.Reserve()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(release)
		free[i] = address
	}
	env = map[string]string{"SALLYPORT_UPSTREAM": upstream, "SALLYPORT_POLICIES": dir, "SALLYPORT_STATE": filepath.Join(dir, "state"),
		"SALLYPORT_LISTEN": free[0], "SALLYPORT_ADMIN_LISTEN": free[1]}
	cfg, err := config.Load("", env)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := cfg.OpenAuthority(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	by := mint.Asker{Name: "test", Subject: "dev", ClientID: "test", Roles: []string{"reader"}, Operator: true}
	g, err := authority.Grant(t.Context(), by, mint.Ask{})
	if err != nil {
		t.Fatal(err)
	}
	token, _, err = authority.Token(t.Context(), by, mint.TokenAsk{Grant: g.ID})
	if err := errors.Join(err, authority.Close()); err != nil {
		t.Fatal(err)
	}
	return env, token
}

// serving serves with these settings until stop, and tells how that ended.
func serving(t *testing.T, env map[string]string) (stop func(), ended chan error) {
	t.Helper()
	cfg, err := config.Load("", env)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended = make(chan error, 1)
	go func() { ended <- serve(ctx, cfg, slog.New(slog.DiscardHandler)) }()
	return stop, ended
}

func waitReady(t *testing.T, admin string) {
	t.Helper()
	if err := until("ready", func() (bool, string) {
		status, body, err := fetch("http://" + admin + "/readyz")
		return err == nil && status == http.StatusOK, body
	}); err != nil {
		t.Fatal(err)
	}
}

// Who connects while the gateway starts waits for it, and is not refused: from the first answer about its
// health on, and so at the latest when it says that it is ready.
func TestWhoConnectsWhileItStartsIsNotRefused(t *testing.T) {
	silent := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-silent:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	speak := sync.OnceFunc(func() { close(silent) })
	defer speak()
	env, token := settings(t, server.URL)
	stop, ended := serving(t, env)
	defer stop()
	if err := until("it says that it lives", func() (bool, string) {
		status, _, err := fetch("http://" + env["SALLYPORT_ADMIN_LISTEN"] + "/healthz")
		return err == nil && status == http.StatusOK, ""
	}); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", env["SALLYPORT_LISTEN"])
	if err != nil {
		t.Fatalf("a client that comes while it starts: %v", err)
	}
	_ = conn.Close()
	speak()
	if text, err := callTool("http://"+env["SALLYPORT_LISTEN"]+"/mcp", token, "slow"); err != nil {
		t.Errorf("a call that waits: %s %v; want an answer", text, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("serve: %v", err)
	}
}

func TestAStopLetsCallsEndAndEndsStreams(t *testing.T) {
	slow := newSlowServer(t)
	env, token := settings(t, slow.URL)
	stop, ended := serving(t, env)
	defer stop()
	waitReady(t, env["SALLYPORT_ADMIN_LISTEN"])
	url := "http://" + env["SALLYPORT_LISTEN"] + "/mcp"
	stream := openStream(t, url, token)
	answer := make(chan string, 1)
	go func() {
		text, err := callTool(url, token, "slow")
		answer <- fmt.Sprintf("%s %v", text, err)
	}()
	<-slow.began

	stop()
	if _, err := io.Copy(io.Discard, stream); err != nil && !strings.Contains(err.Error(), "EOF") {
		t.Errorf("the stream ended with %v", err)
	}
	if err := until("no more is accepted", func() (bool, string) { _, _, err := fetch(url); return err != nil, "" }); err != nil {
		t.Fatal(err)
	}
	if status, body, err := fetch("http://" + env["SALLYPORT_ADMIN_LISTEN"] + "/readyz"); err != nil || status != 503 || body != "not ready\ndraining\n" {
		t.Errorf("readyz while draining: %d %q %v", status, body, err)
	}
	select {
	case err := <-ended:
		t.Fatalf("ended with a call in flight: %v", err)
	default:
	}
	close(slow.release)
	if got := <-answer; got != "done after all <nil>" {
		t.Errorf("the call in flight: %s; want its answer", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("serve: %v", err)
	}
}

// Streams of the gateway's own have no handler that the server waits for. Each is told all the same, and
// is on record when the gateway has stopped.
func TestAStopWaitsForStreamsWithoutHandlers(t *testing.T) {
	slow := newSlowServer(t)
	env, token := settings(t, slow.URL)
	delete(env, "SALLYPORT_UPSTREAM")
	file := filepath.Join(t.TempDir(), "sallyport.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "mcpServers:\n  one: {type: http, url: %q}\n  two: {type: http, url: %q}\n", slow.URL, slow.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file, env)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, cfg, slog.New(slog.DiscardHandler)) }()
	waitReady(t, env["SALLYPORT_ADMIN_LISTEN"])
	url := "http://" + env["SALLYPORT_LISTEN"] + "/mcp"
	if err := until("it listens", func() (bool, string) { _, _, err := fetch(url); return err == nil, "" }); err != nil {
		t.Fatal(err)
	}
	const many = 250
	var streams []io.Reader
	for range many {
		streams = append(streams, openStream(t, url, token))
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("serve: %v", err)
	}
	for _, s := range streams {
		if text, err := io.ReadAll(s); err != nil || !strings.HasSuffix(string(text), `"result":{"resultType":"complete"}}`+"\n\n") {
			t.Fatalf("the stream ended with %q, %v; want that it is complete", text, err)
		}
	}
	records := 0
	segments, err := filepath.Glob(filepath.Join(env["SALLYPORT_STATE"], "audit", "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, segment := range segments {
		text, err := os.ReadFile(segment)
		if err != nil {
			t.Fatal(err)
		}
		records += strings.Count(string(text), "the gateway is stopping")
	}
	if records != many {
		t.Errorf("%d of %d streams are on record", records, many)
	}
}

func openStream(t *testing.T, url, token string) io.Reader {
	t.Helper()
	body := `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},` +
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Authorization": {"Bearer " + token},
		"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"subscriptions/listen"}}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("stream: %d %s", resp.StatusCode, text)
	}
	return resp.Body
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	slow := newSlowServer(t)
	env, token := settings(t, slow.URL)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// TestMain runs the program where it is called by its name.
	link := filepath.Join(t.TempDir(), "sallyport")
	if err := os.Symlink(program, link); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), link, "serve")
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	talk, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(talk)
	waitFor := func(text string) {
		t.Helper()
		for said.Scan() {
			if strings.Contains(said.Text(), text) {
				return
			}
		}
		t.Fatalf("ended without saying %s", text)
	}
	waitFor("msg=serving address")
	go func() { _, _ = callTool("http://"+env["SALLYPORT_LISTEN"]+"/mcp", token, "slow") }() // cut off: that is the point
	<-slow.began
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	waitFor("msg=stopping")
	begin := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for said.Scan() { // read it out, so that Wait may close it
	}
	err = cmd.Wait()
	if took := time.Since(begin); err == nil || took > drainTime/2 {
		t.Errorf("ended with %v after %s; want it killed at once", err, took)
	}
}
