//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// TestAHostileServerGetsNothingOfItsGateway runs the hostile server as a user would run any
// other, behind the real binary, and calls its one tool. What it aims at is the gateway's own:
// keys, record, admin address, environment, process. All attempts against a sandbox itself are
// made in test/e2e/escape.
func TestAHostileServerGetsNothingOfItsGateway(t *testing.T) {
	const mark = "mark-of-the-gateway"
	t.Setenv("HOSTILE_TARGET", mark) // in the environment that the gateway is started with
	dir, program, secret := layHostile(t, mark)
	g := newGate(t, setup{policies: map[string]string{"authz.rego": allowTesters}})
	g.endpoint = "/mcp/hostile"
	g.appendServer(t, fmt.Sprintf("  hostile:\n    command: %s\n    sandbox: {read: [%s], write: [%s], egress: [\"*.nowhere.example\"]}\n",
		program, filepath.Join(dir, "folder"), filepath.Join(dir, "work")))
	g.start(t)
	g.shows(t, "hostile")
	tester := g.token(t, "tester")
	const version = "2025-06-18" // the era that the hostile server speaks
	r := g.post(t, tester, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"`+version+`","capabilities":{},"clientInfo":{"name":"tester","version":"1"}}}`,
		"MCP-Protocol-Version", version)
	session := r.Header.Get("Mcp-Session-Id")
	if r.Error != nil || session == "" {
		t.Fatalf("initialize: %d %s", r.Status, r.Raw)
	}

	targets := map[string]string{
		"mark": mark, "secret": secret, "folder": filepath.Join(dir, "folder"), "work": filepath.Join(dir, "work"), "home": dir,
		"gateway": strconv.Itoa(g.cmd.Process.Pid), "victim": strconv.Itoa(g.cmd.Process.Pid), "helper": "1",
		"tcp4": g.admin, "admin": filepath.Join(g.state, "admin.sock"), "allowed": "a.nowhere.example:443",
		"processes": "2000", "inside": "localhost:" + portOf(g.admin),
	}
	for _, tt := range hostileAttempts(filepath.Join(dir, "folder", "given")) {
		aimed := map[string]string{}
		for key, value := range targets {
			aimed[key] = value
		}
		if tt.secret != "" {
			aimed["secret"] = tt.secret
		}
		arguments, err := json.Marshal(map[string]any{"attempt": tt.attempt, "targets": aimed})
		if err != nil {
			t.Fatal(err)
		}
		r := g.post(t, tester, fmt.Sprintf(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"escape","arguments":%s}}`, arguments),
			"MCP-Protocol-Version", version, "Mcp-Session-Id", session)
		var report struct {
			Attempt, Detail string
			Escaped         bool
		}
		if err := json.Unmarshal([]byte(r.text()), &report); err != nil || report.Attempt != tt.attempt {
			t.Fatalf("%s: no report: %d %s", tt.attempt, r.Status, r.Raw)
		}
		if report.Escaped != tt.want {
			t.Errorf("%s: escaped = %t (%s); want %t", tt.attempt, report.Escaped, report.Detail, tt.want)
		}
	}
	select {
	case <-g.exited:
		t.Error("the gateway has died of it")
	default:
	}
	g.says(t, secret) // that it was tried
}

// hostileAttempt is one call of the tool; secret, where it is set, is aimed at instead.
type hostileAttempt struct {
	attempt, secret string
	want            bool
}

func hostileAttempts(given string) []hostileAttempt {
	return []hostileAttempt{
		{attempt: "say-something", want: true},
		{attempt: "read-outside", secret: given, want: true}, // the control: it can read at all
		{attempt: "read-outside"},
		{attempt: "read-by-the-gateways-root"},
		{attempt: "read-the-environment"},
		{attempt: "read-the-gateways-environment"},
		{attempt: "see-the-hosts-processes"},
		{attempt: "signal-the-gateway"},
		{attempt: "kill-a-process-of-the-host"}, // the gateway itself
		{attempt: "read-memory-of-a-process-of-the-host"},
		{attempt: "connect-to-the-admin-socket"},
		{attempt: "connect-to-the-hosts-loopback"}, // the gateway's admin address
		{attempt: "proxy-to-the-hosts-loopback"},
		{attempt: "proxy-plain-to-the-loopback"},
		{attempt: "proxy-by-a-name-that-is-inside"},
		{attempt: "call-as-32-bit"},
		{attempt: "fork-bomb"},
	}
}

// layHostile builds the hostile server, and makes a folder that it may read, one that it may
// write and a secret, which has the mark as the file "given" has that it may read.
func layHostile(t *testing.T, mark string) (dir, program, secret string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "hostile-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program = filepath.Join(dir, "hostile")
	build := exec.Command("go", "build", "-o", program, "./hostile")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the hostile server: %v\n%s", err, out)
	}
	for _, name := range []string{"folder", "work", "secret"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	secret = filepath.Join(dir, "secret", "key")
	for _, file := range []string{secret, filepath.Join(dir, "folder", "given")} {
		if err := os.WriteFile(file, []byte(mark), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, program, secret
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// appendServer adds an entry to the servers of a gateway that has not been started.
func (g *gate) appendServer(t *testing.T, text string) {
	t.Helper()
	f, err := os.OpenFile(g.config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}
