package audit

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFileThatMayNotGrowRefusesAndRecovers lets the kernel refuse writes: its child may write
// no file beyond a limit, so a write ends in the middle of a line.
func TestFileThatMayNotGrowRefusesAndRecovers(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		signal.Ignore(syscall.SIGXFSZ)
		limit := unix.Rlimit{Cur: 10_100, Max: unix.RLIM_INFINITY}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
		fillAndRecover(t, dir, syscall.EFBIG, func() {}) // the next segment has room again
		return
	}
	runChild(t, child(t, filepath.Join(t.TempDir(), "audit")))
}

// TestFullDiskRefusesAndRecovers fills a real file system, which its child mounts for itself
// alone. Where the kernel lets nobody do that, the test before this one stands for it.
func TestFullDiskRefusesAndRecovers(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k,mode=0700"); err != nil {
			t.Logf("no file system to fill: %v", err)
			return
		}
		ballast := filepath.Join(dir, "ballast")
		if err := os.WriteFile(ballast, make([]byte, 128<<10), 0o600); err != nil {
			t.Fatal(err)
		}
		fillAndRecover(t, filepath.Join(dir, "state", "audit"), syscall.ENOSPC, func() {
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
		})
		return
	}
	cmd := child(t, t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if err := cmd.Start(); errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
		t.Logf("no namespace to mount in: %v", err)
		return
	} else if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func runChild(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.Output(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// fillAndRecover decides until a decision is refused for want, makes room, and decides again.
// Every decision that was acknowledged must be in the log once.
func fillAndRecover(t *testing.T, dir string, want error, makeRoom func()) {
	l := open(t, dir, Options{})
	var acknowledged []string
	decide := func() error {
		r := decision(NewID())
		err := l.Decide(context.Background(), r)
		if err == nil {
			acknowledged = append(acknowledged, r.ID)
		}
		return err
	}
	var err error
	for range 2000 {
		if err = decide(); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrUnaudited) || !errors.Is(err, want) {
		t.Fatalf("Decide = %v after %d decisions; want %v", err, len(acknowledged), want)
	}
	if l.Healthy() == nil {
		t.Error("the log says that it is well")
	}
	makeRoom()
	deadline := time.Now().Add(time.Minute)
	for decide() != nil {
		if time.Now().After(deadline) {
			t.Fatalf("not well after a minute: %v", l.Healthy())
		}
		time.Sleep(retryEvery / 4) // the kernel's disk has no fake clock
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	noAlarm(t, dir)
	count, repairs := map[string]int{}, 0
	for _, r := range linesLoose(t, dir) {
		count[r.ID]++
		if r.Phase == PhaseRepair && strings.Contains(r.Detail, "written again") {
			repairs++
		}
	}
	for _, id := range acknowledged {
		if count[id] != 1 {
			t.Errorf("acknowledged decision %s is in the log %d times", id, count[id])
		}
	}
	if repairs == 0 || len(count) != len(acknowledged)+repairs {
		t.Errorf("%d records and %d repairs for %d decisions", len(count), repairs, len(acknowledged))
	}
}
