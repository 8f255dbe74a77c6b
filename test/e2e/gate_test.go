package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/freeport"
)

// patience bounds every wait for something that should happen soon, on a machine that is busy too.
const patience = time.Minute

// gate is a running gateway with a state directory of its own.
type gate struct {
	addr, admin string
	endpoint    string // path of the sole server, or of all
	config      string // file
	policies    string // directory
	state       string // directory
	cmd         *exec.Cmd
	log         *logBuffer
	exited      chan struct{}
}

// setup is what a test says about its gateway.
type setup struct {
	policies map[string]string // file → text
	servers  map[string]string // name → URL
	programs map[string]string // name → YAML of a server that is a program
	more     string            // more YAML
}

// startGate runs `sallyport serve` and returns when it is ready, and so are its programs. It is stopped with
// the test.
func startGate(t *testing.T, s setup) *gate {
	t.Helper()
	g := newGate(t, s)
	g.start(t)
	for name := range s.programs {
		g.shows(t, name)
	}
	return g
}

// shows waits until a server has shown what it has: a gateway is ready without those that take long to start.
func (g *gate) shows(t *testing.T, server string) {
	t.Helper()
	eventually(t, server+" is there", func() error {
		_, body, err := get("http://" + g.admin + "/readyz")
		if err == nil && strings.Contains(body, "server "+server+" is unavailable") {
			err = errors.New(body)
		}
		return err
	})
}

// newGate lays out the files of a gateway without starting it.
func newGate(t *testing.T, s setup) *gate {
	t.Helper()
	dir := folder(t)
	g := &gate{
		addr: freeAddress(t), admin: freeAddress(t), config: filepath.Join(dir, "sallyport.yaml"),
		policies: filepath.Join(dir, "policies"), state: filepath.Join(dir, "state"),
	}
	if err := os.Mkdir(g.policies, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range s.policies {
		g.writePolicy(t, name, text)
	}
	var config strings.Builder
	fmt.Fprintf(&config, "listen: %s\nadmin: {listen: %q}\nstate: ./state\npolicies: ./policies\n%smcpServers:\n", g.addr, g.admin, s.more)
	g.endpoint = "/mcp"
	for name, program := range s.programs {
		fmt.Fprintf(&config, "  %s: %s\n", name, program)
	}
	for name, url := range s.servers {
		if len(s.servers)+len(s.programs) == 1 {
			g.endpoint = "/mcp/" + name
		}
		fmt.Fprintf(&config, "  %s: {type: http, url: %q}\n", name, url)
	}
	if err := os.WriteFile(g.config, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *gate) start(t *testing.T) {
	t.Helper()
	g.log, g.exited = &logBuffer{}, make(chan struct{})
	g.cmd = exec.Command(binary, "serve", "--config", g.config)
	g.cmd.Stdout, g.cmd.Stderr = g.log, g.log
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = g.cmd.Wait()
		close(g.exited)
	}()
	t.Cleanup(func() {
		g.signal(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("the gateway said:\n%s", g.log.String())
		}
	})
	eventually(t, "the gateway is ready", func() error {
		select {
		case <-g.exited:
			t.Fatalf("the gateway ended while starting:\n%s", g.log.String())
		default:
		}
		status, body, err := get("http://" + g.admin + "/readyz")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("/readyz: %d %s", status, body)
		}
		return err
	})
}

// publish gives the gateway another public URL, before it starts.
func (g *gate) publish(t *testing.T, url string) {
	t.Helper()
	config, err := os.ReadFile(g.config)
	if err == nil {
		err = os.WriteFile(g.config, append([]byte("publicURL: "+url+"\n"), config...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// signal ends the gateway and waits for its end. No later call is sent on a connection to it.
func (g *gate) signal(s syscall.Signal) {
	_ = g.cmd.Process.Signal(s)
	<-g.exited
	http.DefaultClient.CloseIdleConnections()
}

// says waits until the log holds a text. It comes by a pipe, in its own time.
func (g *gate) says(t *testing.T, text string) {
	t.Helper()
	eventually(t, "the log says so", func() error {
		if !strings.Contains(g.log.String(), text) {
			return errMissing(text)
		}
		return nil
	})
}

func (g *gate) url(path string) string { return "http://" + g.addr + path }

// writePolicy saves a policy file as an editor does: whole, by renaming.
func (g *gate) writePolicy(t *testing.T, name, text string) {
	t.Helper()
	temporary := filepath.Join(filepath.Dir(g.policies), "policy.tmp")
	if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, filepath.Join(g.policies, name)); err != nil {
		t.Fatal(err)
	}
}

// token mints a token with the binary's own command.
func (g *gate) token(t *testing.T, role string, args ...string) string {
	t.Helper()
	args = append([]string{"token", "mint", "--config", g.config, "--role", role, "--subject", "tester"}, args...)
	out, stderr, code := sallyport(t, args...)
	if code != 0 {
		t.Fatalf("sallyport %s: exit %d: %s", strings.Join(args, " "), code, stderr)
	}
	return strings.TrimSpace(out)
}

// headers makes a grant and returns the command that prints the headers of its tokens.
func (g *gate) headers(t *testing.T, role string) string {
	t.Helper()
	out, stderr, code := sallyport(t, "grant", "create", "--config", g.config, "--role", role)
	if code != 0 {
		t.Fatalf("sallyport grant create: exit %d: %s", code, stderr)
	}
	return fmt.Sprintf("%s token headers --config %s --grant %s", binary, g.config, strings.TrimSpace(out))
}

// sallyport runs a command of the binary to its end.
func sallyport(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatalf("run sallyport: %v", err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// rpc is a reply as far as tests read it.
type rpc struct {
	Status int
	Header http.Header
	Raw    string
	ID     json.RawMessage
	Result json.RawMessage
	Error  *struct {
		Code    int
		Message string
	}
}

// text is what a model would read of a tool's result.
func (r rpc) text() string {
	var result struct{ Content []struct{ Text string } }
	_ = json.Unmarshal(r.Result, &result)
	var all []string
	for _, c := range result.Content {
		all = append(all, c.Text)
	}
	return strings.Join(all, "\n")
}

// isError reports whether the result is a tool's error.
func (r rpc) isError() bool {
	var result struct{ IsError bool }
	_ = json.Unmarshal(r.Result, &result)
	return result.IsError
}

const modern = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`

// modernCall sends tools/call in the newer protocol.
func (g *gate) modernCall(t *testing.T, token, tool, arguments string, header ...string) rpc {
	t.Helper()
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{%s,"name":%q,"arguments":%s}}`, modern, tool, arguments)
	return g.post(t, token, body, append([]string{"Mcp-Method", "tools/call", "Mcp-Name", tool}, header...)...)
}

// modernList returns the names in tools/list.
func (g *gate) modernList(t *testing.T, token string) []string {
	t.Helper()
	r := g.post(t, token, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{%s}}`, modern), "Mcp-Method", "tools/list")
	var result struct{ Tools []struct{ Name string } }
	if err := json.Unmarshal(r.Result, &result); err != nil {
		t.Fatalf("tools/list: %d %s", r.Status, r.Raw)
	}
	names := []string{}
	for _, tool := range result.Tools {
		names = append(names, tool.Name)
	}
	return names
}

// stale says that the gateway's store of grants was silent for a second, as it may be on a busy machine: then
// it refuses, and that is right.
func (r rpc) stale() bool {
	return r.Status == http.StatusServiceUnavailable && strings.Contains(r.Raw, "which grants live is not known")
}

// post sends a request, again while the store of grants is silent.
func (g *gate) post(t *testing.T, token, body string, header ...string) (r rpc) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		var err error
		if r, err = g.tryPost(t.Context(), token, body, header...); err != nil {
			t.Fatalf("post: %v", err)
		}
		if !r.stale() || time.Now().After(end) {
			return r
		}
	}
}

func (g *gate) tryPost(ctx context.Context, token, body string, header ...string) (rpc, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url(g.endpoint), strings.NewReader(body))
	if err != nil {
		return rpc{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("MCP-Protocol-Version", "2026-07-28")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return rpc{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return rpc{}, err
	}
	r := rpc{Status: resp.StatusCode, Header: resp.Header, Raw: string(text)}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		text = lastData(text)
	}
	_ = json.Unmarshal(text, &r)
	return r, nil
}

// lastData is the data of a stream's last event, which is the answer.
func lastData(stream []byte) []byte {
	var last []byte
	for line := range bytes.Lines(stream) {
		if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			last = data
		}
	}
	return last
}

func get(url string) (int, string, error) {
	resp, err := http.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// eventually asks until there is no error, and fails with the last one. It is for what another
// process does in its own time; how long it takes is not part of any claim.
func eventually(t *testing.T, what string, ask func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
		<-tick.C
	}
}

// freeAddress is a loopback port that nothing listens on, and that is the test's until its end.
func freeAddress(t *testing.T) string {
	t.Helper()
	address, release, err := freeport.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return address
}

// logBuffer collects what a process says.
type logBuffer struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
