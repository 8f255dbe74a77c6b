//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sallyport/identity/grant"
)

// TestClaudeCodesGrantEndsWithItsRun runs a real Claude Code below `sallyport run`, as on a laptop.
// However run ends, its grant is over; and a Claude Code that outlives it has no access.
func TestClaudeCodesGrantEndsWithItsRun(t *testing.T) {
	program := claude(t)
	for _, tt := range []struct {
		name   string
		signal syscall.Signal // 0: Claude Code ends by itself
		exit   int            // of run; -1: by the signal
	}{
		{"when the command ends", 0, 0},
		{"by SIGTERM", syscall.SIGTERM, 128 + int(syscall.SIGTERM)},
		{"by SIGKILL", syscall.SIGKILL, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			up, dir := newRecorder(t), t.TempDir()
			g := startGate(t, setup{policies: map[string]string{"authz.rego": docsForAgents}, servers: map[string]string{"files": up.url}})
			writeJSON(t, filepath.Join(dir, "mcp.json"), map[string]any{"mcpServers": map[string]any{
				"gw": map[string]any{"type": "stdio", "command": binary, "args": []string{"connect", g.url(g.endpoint)}}}})
			started := make(chan struct{})
			var run *exec.Cmd
			note := step{"mcp__gw__note", map[string]any{"text": "x"}}
			m := newModel(t, []step{note, note}, func(n int) {
				<-started
				if n == 0 || tt.signal == 0 {
					return
				}
				if found := g.grantsFor(t, "JIRA-1234"); len(found) != 1 || found[0].State != grant.Active || found[0].JKT == "" {
					t.Errorf("grants %+v while it runs; want one that is active and bound to a key", found)
				}
				if err := run.Process.Signal(tt.signal); err != nil {
					t.Error(err)
				}
				g.untilCompleted(t, "JIRA-1234")
			})
			said := &logBuffer{}
			run = claudeCommand(t, dir, m.url, binary, "run", "--config", g.config, "--role", "agent", "--ttl", "45m", "--task", "JIRA-1234", "--", program)
			run.Stdout, run.Stderr = said, said
			if err := run.Start(); err != nil {
				t.Fatal(err)
			}
			close(started)
			err := run.Wait() // and until nobody has the output open, which is the end of Claude Code
			if failed, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok || tt.exit != run.ProcessState.ExitCode() {
				t.Errorf("run ended with %v (%v); want %d\n%.3000s", err, failed, tt.exit, said)
			}
			g.untilCompleted(t, "JIRA-1234")
			_, results := m.saw()
			if len(results) == 0 || results[0] != "done" {
				t.Fatalf("the model got %q; want done first\n%.3000s", results, said)
			}
			want := 2
			if tt.signal != 0 {
				want = 1
			}
			if calls := len(up.seen()); calls != want {
				t.Errorf("%d calls reached the server; want %d", calls, want)
			}
			if tt.signal != 0 && len(results) > 1 {
				if results[1] == "done" {
					t.Error("the second call was answered after run had ended")
				}
				t.Logf("a model that outlives run sees %q", results[1:])
			}
			if strings.Contains(said.String(), "eyJ") {
				t.Error("run printed a token")
			}
		})
	}
}

// untilCompleted waits for the end of the task's only grant.
func (g *gate) untilCompleted(t *testing.T, task string) {
	eventually(t, "the grant is completed", func() error {
		if found := g.grantsFor(t, task); len(found) != 1 || found[0].State != grant.Completed {
			return fmt.Errorf("grants %+v", found)
		}
		return nil
	})
}
