package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TestRecordIsFollowedVerifiedAndProved kills a gateway in mid-load and starts it again while a
// collector follows its record. What the collector has is what the log has, byte for byte; the log
// verifies with a checkpoint that was kept before; a decision is proved with the public key alone;
// and a log in which one byte was changed, or which was cut, does not verify.
func TestRecordIsFollowedVerifiedAndProved(t *testing.T) {
	up := newRecorder(t)
	g := startGate(t, setup{policies: map[string]string{"authz.rego": readersRead}, servers: map[string]string{"files": up.url}})
	dir := filepath.Join(g.state, "audit")
	collected := follow(t, dir)
	token := g.token(t, "reader")
	kept := filepath.Join(t.TempDir(), "kept")
	key := filepath.Join(t.TempDir(), "audit.pub")

	g.load(t, token, up, 200)
	auditCommand(t, 0, "checkpoint", "--log", dir, "--out", kept)
	g.load(t, token, up, 400) // and is killed in the middle of it
	g.start(t)
	if r := g.modernCall(t, token, "read_file", `{"path":"/srv/docs/last"}`); r.text() != "done" {
		t.Fatalf("call after the crash: %d %s", r.Status, r.Raw)
	}
	g.signal(syscall.SIGTERM)

	put(t, key, auditCommand(t, 0, "key", "--log", dir))
	auditCommand(t, 0, "verify", dir, "--key", key, "--checkpoint", kept)
	want := lines(t, dir)
	eventually(t, "the collector has the whole log", func() error {
		if got := collected.String(); got != want {
			return fmt.Errorf("it has %d bytes and %d lines, the log %d and %d", len(got), strings.Count(got, "\n"), len(want), strings.Count(want, "\n"))
		}
		return nil
	})

	id := strings.Fields(auditCommand(t, 0, "search", "--log", dir, "--tool", "files.read_file", "--limit", "1"))[8]
	proof := filepath.Join(t.TempDir(), "it.tlog-proof")
	auditCommand(t, 0, "prove", id, "--log", dir, "--out", proof)
	if out := auditCommand(t, 0, "verify-proof", proof, "--key", key); !strings.Contains(out, id) {
		t.Errorf("the proof is about something else than %s:\n%s", id, out)
	}

	for _, path := range segments(t, dir) {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, bad := range map[string]string{
			"a byte in the middle changed": string(flip(whole, len(whole)/2)),
			"its end cut":                  string(whole[:1+bytes.LastIndexByte(whole[:len(whole)-1], '\n')]),
		} {
			put(t, path, bad)
			if out := auditCommand(t, 3, "verify", dir, "--key", key); !strings.Contains(out, "does NOT verify") {
				t.Errorf("%s with %s:\n%s", filepath.Base(path), name, out)
			}
			put(t, path, string(whole))
		}
	}
	auditCommand(t, 0, "verify", dir, "--key", key, "--checkpoint", kept)
}

func flip(whole []byte, at int) []byte {
	out := bytes.Clone(whole)
	out[at] ^= 1
	return out
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// load calls until so many calls have reached the server. From 400 on the gateway is killed then,
// with calls under way.
func (g *gate) load(t *testing.T, token string, up *recorder, enough int) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var callers sync.WaitGroup
	for c := range 4 {
		callers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{%s,"name":"read_file","arguments":{"path":"/srv/docs/%d/%d"}}}`, modern, c, n)
				if _, err := g.tryPost(ctx, token, body, "Mcp-Method", "tools/call", "Mcp-Name", "read_file"); err != nil {
					return // killed
				}
			}
		})
	}
	eventually(t, "the load is under way", func() error {
		if n := len(up.seen()); n < enough {
			return fmt.Errorf("%d calls so far", n)
		}
		return nil
	})
	if enough >= 400 {
		g.signal(syscall.SIGKILL)
	}
	stop()
	callers.Wait()
}

// follow runs `audit tail --follow` until the test ends, and returns what it prints.
func follow(t *testing.T, dir string) *logBuffer {
	t.Helper()
	out, talk := &logBuffer{}, &logBuffer{}
	cmd := exec.Command(binary, "audit", "tail", "--follow", "-o", "json", "--after", "0", "--log", dir)
	cmd.Stdout, cmd.Stderr = out, talk
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait() // of an interrupted command
		if t.Failed() {
			t.Logf("the collector said:\n%s", talk.String())
		}
	})
	return out
}

// auditCommand runs `sallyport audit …` and holds it to an exit code.
func auditCommand(t *testing.T, want int, args ...string) string {
	t.Helper()
	out, stderr, code := sallyport(t, append([]string{"audit"}, args...)...)
	if code != want {
		t.Fatalf("sallyport audit %s: exit %d, want %d\n%s%s", strings.Join(args, " "), code, want, out, stderr)
	}
	return out
}

// segments are the files of a log that hold records, in order.
func segments(t *testing.T, dir string) (out []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if info, err := os.Stat(path); err != nil || info.Size() == 0 || strings.HasSuffix(path, ".torn") {
			continue
		}
		out = append(out, path)
	}
	if len(out) < 2 {
		t.Fatalf("segments %q; want one for each start", out)
	}
	return out
}

// lines are all lines of a log, in order.
func lines(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	for _, path := range segments(t, dir) {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var r io.Reader = f
		if strings.HasSuffix(path, ".gz") {
			if r, err = gzip.NewReader(f); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := io.Copy(&out, r); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}
