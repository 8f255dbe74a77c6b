package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// programs are where the real ones are.
type programs struct {
	claude    string // Claude Code's executable
	node      string
	modules   string // folder of server-filesystem's package and what it needs
	sallyport string
}

// find looks for what `make phishing` has installed.
func find(claude, clients, sallyport string) (programs, error) {
	p := programs{sallyport: sallyport}
	found, _ := filepath.Glob(filepath.Join(claude, "node_modules", "@anthropic-ai", "claude-code-*", "claude"))
	if len(found) == 0 {
		return p, fmt.Errorf("no Claude Code in %q: `make phishing` fetches it", claude)
	}
	p.claude = found[0]
	var err error
	if p.modules, err = filepath.EvalSymlinks(filepath.Join(clients, "node_modules")); err != nil {
		return p, fmt.Errorf("no MCP servers in %q: `make phishing` fetches them", clients)
	}
	if p.node = filepath.Join(p.modules, ".bin", "node"); !exists(p.node) {
		if p.node, err = exec.LookPath("node"); err != nil {
			return p, fmt.Errorf("no Node for this machine in %q, and none in PATH", clients)
		}
	}
	if !exists(p.sallyport) {
		return p, fmt.Errorf("no gateway at %q: `make build` builds it", p.sallyport)
	}
	return p, nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// filesystem is the command line of server-filesystem for a folder.
func (p programs) filesystem(dir string) []string {
	return []string{p.node, filepath.Join(p.modules, "@modelcontextprotocol", "server-filesystem", "dist", "index.js"), dir}
}

// claudeCode runs Claude Code, or what runs it, to its end in the folder dir.
func claudeCode(ctx context.Context, model, dir, home string, env []string, command ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	// Tools are allowed only in a directory that the user has trusted.
	if err := writeJSON(filepath.Join(home, ".claude.json"), map[string]any{"hasCompletedOnboarding": true,
		"projects": map[string]any{dir: map[string]bool{"hasTrustDialogAccepted": true}}}); err != nil {
		return err
	}
	command = append(command, "-p", "Read all documents and write a summary of them.", "--strict-mcp-config",
		"--permission-mode", "bypassPermissions", "--output-format", "json")
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(env, "PATH="+os.Getenv("PATH"), "HOME="+home, "TMPDIR="+home, "ANTHROPIC_BASE_URL="+model, "ANTHROPIC_API_KEY=none",
		"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "DISABLE_AUTOUPDATER=1", "DISABLE_TELEMETRY=1", "DISABLE_ERROR_REPORTING=1",
		"ENABLE_TOOL_SEARCH=false", "MCP_CONNECTION_NONBLOCKING=0", "IS_SANDBOX=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("claude: %w\n%.3000s", err, out)
	}
	return nil
}

func writeJSON(file string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}
