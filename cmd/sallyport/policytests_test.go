package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/policy"
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
	ctx, end := context.WithTimeout(t.Context(), 3*time.Minute)
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

// Commands take the URL of a bundle where they take a directory, and leave nothing behind.
func TestPolicyCommandsTakeAURL(t *testing.T) {
	dir, temp := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temp)
	for name, text := range map[string]string{"authz.rego": "package mcp.authz\n\nallow if true\n",
		"authz_test.yaml": "cases:\n- {name: one, role: r, tool: s.t, allow: true}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	built, err := policy.Build(t.Context(), dir, policy.BuildOptions{Number: 1})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/bundle.tar.gz" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(built.Raw) // a test
	}))
	defer server.Close()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path, want string
		code       int
	}{
		{"/bundle.tar.gz", "1 passed", exitFine},
		{"/gone", "/gone: the server answered 404 Not Found", exitFailed},
	} {
		var out, talk shared
		code := run([]string{"policy", "test"}, nil, &out, &talk, []string{"SALLYPORT_POLICIES=" + server.URL + tt.path, "SALLYPORT_POLICY_CA=" + ca})
		if code != tt.code || !strings.Contains(out.String()+talk.String(), tt.want) {
			t.Errorf("%s: exit code %d, %s%s; want %d and %s", tt.path, code, out.String(), talk.String(), tt.code, tt.want)
		}
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
