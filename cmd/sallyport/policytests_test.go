package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// shared is a buffer that one goroutine writes while another reads.
type shared struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// --watch runs the tests again when a file has changed, and the exit code is that of the last run.
func TestPolicyTestWatches(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("authz.rego", "package mcp.authz\n\nallow if true\n")
	write("authz_test.yaml", "cases:\n- {name: one, role: r, tool: s.t, allow: false}\n")
	ctx, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	var out shared
	code := make(chan int)
	go func() { code <- runUntil(ctx, []string{"policy", "test", "--watch", dir}, nil, &out, &shared{}, nil) }()
	for _, step := range []struct{ table, want string }{
		{"", "FAIL  authz_test.yaml:2: one"},
		{"cases: [\n", "authz_test.yaml: line 1:"},
		{"cases:\n- {name: two, role: r, tool: s.t, allow: true}\n", "ok    authz_test.yaml:2: two"},
	} {
		if step.table != "" {
			write("authz_test.yaml", step.table)
		}
		if err := until(step.want, func() (bool, string) { return strings.Contains(out.String(), step.want), out.String() }); err != nil {
			t.Fatal(err)
		}
	}
	end()
	if got := <-code; got != exitFine {
		t.Errorf("exit code %d after tests that passed; want %d", got, exitFine)
	}
}
