package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// claude finds Claude Code's own executable, which `make test-claude` fetches. E2E_CLAUDE is
// the folder that it was fetched into.
func claude(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(os.Getenv("E2E_CLAUDE"), "node_modules", "@anthropic-ai", "claude-code-*", "claude"))
	if os.Getenv("E2E_CLAUDE") != "" && len(found) > 0 {
		return found[0]
	}
	const hint = "Claude Code is not here: `make test-claude` fetches it and runs this test"
	if os.Getenv("E2E_REQUIRED") != "" || os.Getenv("CI") == "true" {
		t.Fatal(hint)
	}
	t.Skip(hint)
	return ""
}

const docsForAgents = `package mcp.authz

import rego.v1

allow if {
	"agent" in input.subject.roles
	input.tool.name in {"read_file", "note"}
	not outside
}

outside if {
	input.tool.name == "read_file"
	not startswith(input.arguments.path, "/srv/docs/")
}

deny contains "agents may read below /srv/docs only" if {
	"agent" in input.subject.roles
	outside
}
`

// TestClaudeCodeWorksThroughTheGateway runs a real Claude Code, with a scripted model, by the
// lines that the documentation gives: `token headers` as headersHelper. It lists and calls; the
// reason of a refusal reaches the model; and when the token ends in mid-session the helper is
// run again and the call that found it ended still comes through.
func TestClaudeCodeWorksThroughTheGateway(t *testing.T) {
	program := claude(t)
	up := newRecorder(t)
	g := startGate(t, setup{policies: map[string]string{"authz.rego": docsForAgents}, servers: map[string]string{"files": up.url},
		more: "identity: {tokenTTL: 5s}\n"})
	dir := t.TempDir()
	handed := filepath.Join(dir, "handed-out")

	// The helper is `sallyport token headers`, noting how often it ran.
	helper := filepath.Join(dir, "helper")
	script := fmt.Sprintf("#!/bin/sh\nexec %s | tee -a %s\n", g.headers(t, "agent"), handed)
	if err := os.WriteFile(helper, []byte(script), 0o700); err != nil { // a program
		t.Fatal(err)
	}
	writeJSON(t, filepath.Join(dir, "mcp.json"), map[string]any{"mcpServers": map[string]any{
		"gw": map[string]string{"type": "http", "url": g.url(g.endpoint), "headersHelper": helper}}})

	before := 0 // tokens handed out when the session's token had ended
	m := newModel(t, []step{
		{"mcp__gw__read_file", map[string]any{"path": "/srv/docs/a"}},
		{"mcp__gw__read_file", map[string]any{"path": "/etc/passwd"}},
		{"mcp__gw__note", map[string]any{"text": "after the token has ended"}},
	}, func(n int) {
		if n == 2 {
			all := tokens(t, handed)
			before = len(all)
			untilEnded(t, g, all[before-1])
		}
	})

	runClaude(t, program, dir, m.url)

	tools, results := m.saw()
	slices.Sort(tools)
	if want := []string{"mcp__gw__note", "mcp__gw__read_file"}; !slices.Equal(tools, want) {
		t.Errorf("the model was offered %v, want %v", tools, want)
	}
	wants := []string{"done", "agents may read below /srv/docs only", "done"}
	if len(results) != len(wants) {
		t.Fatalf("the model got %d results, want %d: %q", len(results), len(wants), results)
	}
	for i, want := range wants {
		if !strings.Contains(results[i], want) {
			t.Errorf("result %d is %q, want it to hold %q", i+1, results[i], want)
		}
	}
	if n := len(tokens(t, handed)); before == 0 || n <= before {
		t.Errorf("the helper handed out %d tokens, %d of them before the session's had ended; want one after", n, before)
	}
	for _, call := range up.seen() {
		if strings.Contains(call.body, "/etc/passwd") {
			t.Errorf("the denied call reached the server: %s", call.body)
		}
	}
}

// runClaude runs Claude Code to its end in dir, whose mcp.json names the server "gw".
func runClaude(t *testing.T, program, dir, model string) {
	t.Helper()
	if out, err := claudeCommand(t, dir, model, program).CombinedOutput(); err != nil {
		t.Fatalf("claude: %v\n%.3000s", err, out)
	}
}

// claudeCommand is Claude Code in dir, which is its HOME as well. command is how it is started: the
// program, or what runs the program.
func claudeCommand(t *testing.T, dir, model string, command ...string) *exec.Cmd {
	t.Helper()
	// A helper runs only in a directory that the user has trusted.
	writeJSON(t, filepath.Join(dir, ".claude.json"), map[string]any{"hasCompletedOnboarding": true,
		"projects": map[string]any{dir: map[string]bool{"hasTrustDialogAccepted": true}}})
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	args := append(command[1:], "-p", "go", "--mcp-config", "mcp.json", "--strict-mcp-config",
		"--allowedTools", "mcp__gw__*", "--output-format", "json")
	cmd := exec.CommandContext(ctx, command[0], args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "ANTHROPIC_BASE_URL=" + model, "ANTHROPIC_API_KEY=none",
		"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "DISABLE_AUTOUPDATER=1", "DISABLE_TELEMETRY=1", "DISABLE_ERROR_REPORTING=1",
		"ENABLE_TOOL_SEARCH=false", "MCP_CONNECTION_NONBLOCKING=0"}
	return cmd
}

// TestClaudeCodeUsesAllServersAtOneURL runs a real Claude Code against /mcp, behind which three
// programs run in sandboxes: each role sees its part, under the servers' names.
func TestClaudeCodeUsesAllServersAtOneURL(t *testing.T) {
	program := claude(t)
	g, docs := allServers(t, `package mcp.authz

import rego.v1

allow if {
	"agent" in input.subject.roles
	input.server.name == "files"
	input.tool.name == "read_text_file"
}

allow if {
	"agent" in input.subject.roles
	input.server.name in {"memory", "reference"}
	input.tool.name in {"create_entities", "test_simple_text"}
}
`, eras[1])
	dir := t.TempDir()
	writeJSON(t, filepath.Join(dir, "mcp.json"), map[string]any{"mcpServers": map[string]any{
		"gw": map[string]string{"type": "http", "url": g.url("/mcp"), "headersHelper": g.headers(t, "agent")}}})
	m := newModel(t, []step{
		{"mcp__gw__files__read_text_file", map[string]any{"path": filepath.Join(docs, "a.txt")}},
		{"mcp__gw__memory__create_entities", map[string]any{"entities": []any{map[string]any{"name": "claude", "entityType": "agent", "observations": []string{"asks"}}}}},
		{"mcp__gw__reference__test_simple_text", map[string]any{}},
	}, nil)
	runClaude(t, program, dir, m.url)
	tools, results := m.saw()
	slices.Sort(tools)
	if want := []string{"mcp__gw__files__read_text_file", "mcp__gw__memory__create_entities", "mcp__gw__reference__test_simple_text"}; !slices.Equal(tools, want) {
		t.Errorf("the model was offered %v, want %v", tools, want)
	}
	for i, want := range []string{"the text of a", "claude", "simple text response"} {
		if i >= len(results) || !strings.Contains(results[i], want) {
			t.Errorf("results %q: want %q in number %d", results, want, i+1)
		}
	}
}

func writeJSON(t *testing.T, file string, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// tokens returns what the helper has handed out.
func tokens(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Errorf("the helper has not run: %v", err)
	}
	var all []string
	for line := range strings.Lines(string(text)) {
		var h struct{ Authorization string }
		if err := json.Unmarshal([]byte(line), &h); err != nil {
			t.Errorf("the helper printed what is not headers: %v", err)
			continue
		}
		all = append(all, strings.TrimPrefix(h.Authorization, "Bearer "))
	}
	return all
}

// untilEnded waits until the gateway would no longer accept the token.
func untilEnded(t *testing.T, g *gate, token string) {
	eventually(t, "the token of the session ends", func() error {
		if out, err := exec.Command(binary, "token", "inspect", "--config", g.config, token).CombinedOutput(); err == nil {
			return fmt.Errorf("it is good: %s", out)
		}
		return nil
	})
}
