package audit

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestKilledAtEverySystemCall kills a real process at the n-th of each of its system calls that
// change a file, for n from 1 on, and lets each of them fail. What it has said before was
// acknowledged. It is also its own child.
func TestKilledAtEverySystemCall(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		twoShortLives(dir)
		return
	}
	strace := os.Getenv("AUDIT_STRACE") // set by `make unit`, which fetches it
	if strace == "" {
		found, err := exec.LookPath("strace")
		if err != nil && os.Getenv("CI") == "true" {
			t.Fatal("strace is not installed; `make unit` fetches it")
		}
		if err != nil {
			t.Skip("strace is not installed; `make unit` fetches it")
		}
		strace = found
	}
	if out, err := exec.Command(strace, "-qq", "-o", "/dev/null", "true").CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("strace may not trace: %v: %s", err, out)
		}
		t.Skipf("strace may not trace: %v: %s", err, out)
	}
	const most = 40 // of one system call, by one thread
	runs, kills := 0, 0
	for _, call := range []string{"write", "pwrite64", "fsync", "fdatasync", "ftruncate", "fallocate", "renameat", "unlinkat"} {
		for _, what := range []string{"signal=KILL", "error=EIO", "error=ENOSPC"} {
			kill := what == "signal=KILL"
			for n, alive := 1, 0; n <= most && (alive < 2 || !kill && n <= 3); n += 1 + n/8 {
				dir := filepath.Join(t.TempDir(), "audit")
				said, ended := traced(t, strace, dir, fmt.Sprintf("inject=%s:%s:when=%d", call, what, n))
				if ended {
					alive++
				} else {
					alive = 0
				}
				runs++
				if kill && !ended {
					kills++
				}
				name := fmt.Sprintf("%s %s %d", call, what, n)
				afterDeath(t, name, dir, said)
				if t.Failed() {
					return
				}
			}
		}
	}
	t.Logf("%d runs, %d deaths", runs, kills)
	if kills < 20 {
		t.Errorf("only %d deaths", kills)
	}
}

// traced runs the child until it ends or dies, and returns what it said.
func traced(t *testing.T, strace, dir, inject string) (said []string, ended bool) {
	t.Helper()
	cmd := child(t, dir)
	cmd.Args = append([]string{strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=write,pwrite64,fsync,fdatasync,ftruncate,fallocate,renameat,unlinkat", "-e", inject}, cmd.Args...)
	cmd.Path, cmd.Stderr = strace, nil
	cmd.Env = append(cmd.Env, "GOMAXPROCS=1")
	out, err := cmd.Output()
	for sc := bufio.NewScanner(bytes.NewReader(out)); sc.Scan(); {
		if strings.HasPrefix(sc.Text(), "record ") && strings.HasSuffix(sc.Text(), ".") { // else it is cut
			said = append(said, strings.TrimSuffix(sc.Text(), "."))
		}
	}
	return said, err == nil
}

func afterDeath(t *testing.T, name, dir string, said []string) {
	t.Helper()
	if _, err := VerifierKey(dir); err == nil {
		noAlarm(t, dir) // before a start has mended anything
	} else if len(said) > 0 {
		t.Errorf("%s: %d records were acknowledged without a key", name, len(said))
	}
	l, err := Open(dir, Options{})
	if err != nil {
		t.Errorf("%s: Open = %v", name, err)
		return
	}
	if err := l.Close(); err != nil {
		t.Errorf("%s: Close = %v", name, err)
	}
	noAlarm(t, dir)
	list, err := readLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for _, p := range list {
		if _, err := p.each(func(line []byte) { all.Write(line) }); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range said {
		if n := bytes.Count(all.Bytes(), []byte(`"id":"`+id+`"`)); n != 1 {
			t.Errorf("%s: acknowledged %s is there %d times", name, id, n)
		}
	}
	if t.Failed() {
		t.Logf("%s\n%s", name, dump(t, dir))
	}
}

// twoShortLives opens a log twice and says which decisions were acknowledged. It rotates and
// compresses meanwhile.
func twoShortLives(dir string) {
	for life := range 2 {
		l, err := Open(dir, Options{SegmentBytes: 1500, packOver: 1, Preamble: preamble})
		if err != nil {
			continue
		}
		var all sync.WaitGroup
		for caller := range 2 {
			all.Go(func() {
				for i := range 4 {
					id := fmt.Sprintf("record %d %d %d", life, caller, i)
					if l.Decide(context.Background(), decision(id)) == nil {
						_, _ = os.Stdout.WriteString(id + ".\n")
					}
				}
			})
		}
		all.Wait()
		_ = l.Close()
	}
}
