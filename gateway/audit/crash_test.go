package audit

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// child tells a test's own process, started again, what to do in which directory.
const childDir = "SALLYPORT_TEST_AUDIT_DIR"

func child(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

// TestKilledWriterLosesNothing is also its own child: 50 callers decide until the process is
// killed, and it says on stdout what was acknowledged.
func TestKilledWriterLosesNothing(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		decideForever(dir)
	}
	dir := filepath.Join(t.TempDir(), "audit")
	everything := map[string]bool{}
	for round := range 3 {
		acknowledged := killAfter(t, child(t, dir), 300*(round+1))
		noAlarm(t, dir) // also before a start has mended what was left
		l := open(t, dir, Options{})
		if err := l.Decide(t.Context(), decision(fmt.Sprint("round", round))); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		noAlarm(t, dir)
		count := map[string]int{}
		for _, r := range lines(t, dir) { // no number twice, none left out
			count[r.ID]++
		}
		for _, id := range acknowledged {
			everything[id] = true
		}
		for id := range everything {
			if count[id] != 1 {
				t.Errorf("round %d: acknowledged decision %s is in the log %d times", round, id, count[id])
			}
		}
	}
}

// killAfter kills the process when it has said n whole lines, and returns all that it said.
func killAfter(t *testing.T, cmd *exec.Cmd, n int) []string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	for sc := bufio.NewScanner(out); sc.Scan(); {
		if len(sc.Text()) == 26 { // the last may be cut
			said = append(said, sc.Text())
		}
		if len(said) == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("the child ended by itself: %v", err)
	}
	if len(said) < n {
		t.Fatalf("only %d decisions were acknowledged; want %d", len(said), n)
	}
	return said
}

func decideForever(dir string) {
	l, err := Open(dir, Options{SegmentBytes: 20_000})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for range 50 {
		go func() {
			for {
				id := NewID()
				if err := l.Decide(context.Background(), decision(id)); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				// One write of less than a pipe's buffer is whole.
				if _, err := os.Stdout.WriteString(id + "\n"); err != nil {
					os.Exit(1)
				}
			}
		}()
	}
	select {}
}
