package chaos

import (
	"bytes"
	"context"
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

	"sallyport/internal/freeport"
)

// gate is a gateway, running or not, with a directory of its own.
type gate struct {
	dir, addr, admin string
	wrap             []string // what the gateway is started by: a tracer, a limit
	env              []string // of the gateway, beside the test's own

	cmd    *exec.Cmd
	log    *logBuffer
	exited chan struct{}
}

const policy = `package mcp.authz

import rego.v1

allow if "agent" in input.subject.roles

deny contains "what this task has read may not leave" if {
	"source:private" in input.flow.labels
	"sink:external" in input.tool.labels
}
`

// newGate lays out the files of a gateway in front of servers, each in YAML.
func newGate(t *testing.T, more string, servers map[string]string) *gate {
	t.Helper()
	g := &gate{dir: folder(t), addr: freeAddress(t), admin: freeAddress(t)}
	if err := os.Mkdir(g.path("policies"), 0o700); err != nil {
		t.Fatal(err)
	}
	g.save(t, "policies/authz.rego", policy)
	var config strings.Builder
	fmt.Fprintf(&config, "listen: %s\nadmin: {listen: %q}\nstate: ./state\npolicies: ./policies\n%smcpServers:\n", g.addr, g.admin, more)
	for name, server := range servers {
		fmt.Fprintf(&config, "  %s: %s\n", name, server)
	}
	g.save(t, "sallyport.yaml", config.String())
	return g
}

func startGate(t *testing.T, more string, servers map[string]string) *gate {
	t.Helper()
	g := newGate(t, more, servers)
	g.start(t)
	return g
}

// at is an HTTP server in the configuration.
func at(url string) string { return fmt.Sprintf("{type: http, url: %q}", url) }

func (g *gate) path(name ...string) string {
	return filepath.Join(append([]string{g.dir}, name...)...)
}

// save writes a file as an editor does: whole, by renaming.
func (g *gate) save(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(g.path("save.tmp"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(g.path("save.tmp"), g.path(name)); err != nil {
		t.Fatal(err)
	}
}

// start returns when the gateway is ready.
func (g *gate) start(t *testing.T) {
	t.Helper()
	g.launch(t)
	eventually(t, "the gateway is ready", func() error {
		select {
		case <-g.exited:
			t.Fatalf("the gateway ended while starting:\n%s", g.log.String())
		default:
		}
		status, body := g.get("/readyz")
		if status != http.StatusOK {
			return fmt.Errorf("/readyz: %d %s", status, body)
		}
		return nil
	})
}

// launch starts the gateway and does not wait. It is killed with the test.
func (g *gate) launch(t *testing.T) {
	t.Helper()
	args := append(append([]string{}, g.wrap...), program, "serve", "--config", g.path("sallyport.yaml"))
	cmd, log, exited := exec.Command(args[0], args[1:]...), &logBuffer{}, make(chan struct{})
	cmd.Stdout, cmd.Stderr, cmd.Env = log, log, append(os.Environ(), g.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if g.cmd == nil { // the first; the others are ended by who starts them again
		t.Cleanup(func() {
			g.signal(syscall.SIGKILL)
			if t.Failed() {
				t.Logf("the gateway said:\n%s", g.log.String())
			}
		})
	}
	g.cmd, g.log, g.exited = cmd, log, exited
	go func() {
		_ = cmd.Wait() // of a killed process
		close(exited)
	}()
}

// signal ends the gateway, with what it was started by, and waits for its end.
func (g *gate) signal(s syscall.Signal) {
	_ = syscall.Kill(-g.cmd.Process.Pid, s)
	<-g.exited
	clients.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
}

// get asks the operator's listener.
func (g *gate) get(path string) (int, string) {
	resp, err := http.Get("http://" + g.admin + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

// sallyport runs a command of the binary to its end.
func (g *gate) sallyport(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "SALLYPORT_CONFIG="+g.path("sallyport.yaml"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatalf("run sallyport: %v", err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// must is a command that has to succeed, and what it prints. It is tried again while the store of grants is
// silent, as it may be for a moment on a busy machine.
func (g *gate) must(t *testing.T, args ...string) (out string) {
	t.Helper()
	eventually(t, "sallyport "+strings.Join(args, " "), func() error {
		text, said, code := g.sallyport(t, args...)
		switch {
		case code == 0:
			out = strings.TrimSpace(text)
			return nil
		case strings.Contains(said, "grants are stale"):
			return errors.New(said)
		}
		t.Fatalf("sallyport %s: exit %d: %s", strings.Join(args, " "), code, said)
		return nil
	})
	return out
}

// token makes a token of a new grant, or of the one that args name.
func (g *gate) token(t *testing.T, args ...string) string {
	t.Helper()
	if len(args) == 0 {
		args = []string{"--role", "agent", "--subject", "tester"}
	}
	return g.must(t, append([]string{"token", "mint", "--ttl", "15m"}, args...)...)
}

// verify holds the record against its checkpoints, with the public key.
func (g *gate) verify(t *testing.T) {
	t.Helper()
	dir := g.path("state", "audit")
	g.save(t, "audit.pub", g.must(t, "audit", "key", "--log", dir)+"\n")
	g.must(t, "audit", "verify", dir, "--key", g.path("audit.pub"))
}

func freeAddress(t *testing.T) string {
	t.Helper()
	address, release, err := freeport.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return address
}

// folder is like t.TempDir, with a path short enough for a socket below it wherever temporary files are.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// logBuffer collects what a process says.
type logBuffer struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.text.Len() > 4<<20 { // an hour says much
		b.text.Next(b.text.Len() / 2)
	}
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (g *gate) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(g.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
