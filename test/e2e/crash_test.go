package e2e

import (
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// decision is what these tests read of a record.
type decision struct {
	Phase    string
	Method   string
	Tool     string
	Decision string
	Code     string
	Subject  string
	Grant    string
	Detail   string
	Calls    int64
	Digest   string `json:"arguments_digest"`
}

// records reads the audit log of a gateway from its segments, not from files that a running one
// replaces.
func (g *gate) records(t *testing.T) (all []decision) {
	t.Helper()
	for _, line := range g.recordLines(t) {
		var d decision
		if json.Unmarshal([]byte(line), &d) == nil && d.Phase != "" {
			all = append(all, d)
		}
	}
	return all
}

// recordLines are the lines of all segments, in order. A last line without an end is what a crash may
// leave, and is none.
func (g *gate) recordLines(t *testing.T) (lines []string) {
	t.Helper()
	var names []string // of plain segments: one that is being compressed is there twice
	for _, pattern := range []string{"*.jsonl", "*.jsonl.gz"} {
		found, err := filepath.Glob(filepath.Join(g.state, "audit", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range found {
			names = append(names, strings.TrimSuffix(file, ".gz"))
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		for line := range strings.Lines(readSegment(t, name)) {
			if strings.HasSuffix(line, "\n") {
				lines = append(lines, line)
			}
		}
	}
	return lines
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

// readSegment reads a segment, which may have been compressed a moment ago.
func readSegment(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	packed := errors.Is(err, fs.ErrNotExist)
	if packed {
		f, err = os.Open(name + ".gz")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var from io.Reader = f
	if packed {
		if from, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	text, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestKilledGatewayLosesNoDecisionThatWasActedOn kills the gateway in mid-load, as the power
// does, and holds the record against what reached the server: whatever was let through is
// on record. Then the same state starts again.
func TestKilledGatewayLosesNoDecisionThatWasActedOn(t *testing.T) {
	const callers, enough = 8, 400
	up := newRecorder(t)
	g := startGate(t, setup{policies: map[string]string{"authz.rego": readersRead}, servers: map[string]string{"files": up.url}})
	token := g.token(t, "reader")

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var load sync.WaitGroup
	for c := range callers {
		load.Go(func() {
			for n := 1; ctx.Err() == nil; n++ {
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
	g.signal(syscall.SIGKILL)
	stop()
	load.Wait()

	key, err := os.ReadFile(filepath.Join(g.state, "keys", "audit-digest.key"))
	if err != nil {
		t.Fatal(err)
	}
	onRecord := map[string]bool{}
	for _, d := range g.records(t) {
		if d.Phase == "decision" && d.Decision == "allow" {
			onRecord[d.Digest] = true
		}
	}
	calls := up.seen()
	lost := 0
	for _, call := range calls {
		var m struct {
			Params struct{ Arguments json.RawMessage }
		}
		if err := json.Unmarshal([]byte(call.body), &m); err != nil {
			t.Fatalf("a broken call reached the server: %v", err)
		}
		mac := hmac.New(sha256.New, key)
		mac.Write(m.Params.Arguments)
		if !onRecord[fmt.Sprintf("hmac-sha256:%x", mac.Sum(nil))] {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d calls that reached the server have no decision on record (%d are)", lost, len(calls), len(onRecord))
	}

	g.start(t)
	if r := g.modernCall(t, token, "read_file", `{"path":"/srv/docs/a"}`); r.text() != "done" {
		t.Errorf("call after the crash: %d %s", r.Status, r.Raw)
	}
	if n := len(g.records(t)); n < len(calls) {
		t.Errorf("%d records after the restart, %d calls before it: the restart dropped some", n, len(calls))
	}
}
