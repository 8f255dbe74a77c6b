package chaos

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// alone is the variable that tells a test that it runs in namespaces of its own, where it may mount.
const alone = "CHAOS_ALONE"

// apart runs the test once more as a process that may mount file systems which nobody else sees, and
// reports whether this is that process.
func apart(t *testing.T) bool {
	t.Helper()
	if os.Getenv(alone) != "" {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "3m")
	cmd.Env = append(os.Environ(), alone+"=1", "E2E_BINARY="+program)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	switch {
	case cmd.ProcessState == nil:
		// The record's own tests fail its writer's system calls one by one, without a mount.
		t.Logf("no namespace to mount in: %v", err)
	case err != nil:
		t.Errorf("in namespaces of its own: %v\n%s", err, out)
	default:
		t.Logf("%s", out)
	}
	return false
}

func mount(t *testing.T, dir, options string) bool {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options+",mode=0700"); err != nil {
		t.Logf("no file system to fill: %v", err)
		return false
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return true
}

// TestFullDiskRefusesAndRecovers fills the disk of the state directory under load. From then on no
// call reaches a server, who calls is told why, and so is who watches; no grant is made that would not be
// on record. When there is room again, calls are served without anybody's help.
func TestFullDiskRefusesAndRecovers(t *testing.T) {
	if !apart(t) {
		return
	}
	s := newServer(t)
	g := newGate(t, "", map[string]string{"files": at(s.url)})
	if !mount(t, g.path("state"), "size=16m") {
		return
	}
	g.start(t)
	token := g.token(t)
	g.goesOn(t, token, "nothing")
	ballast := fill(t, g.path("state", "ballast"))
	answered := s.calls.Load()
	refused := 0
	for n := 0; refused < 50; n++ {
		r := g.served(t, token, "read_file", fmt.Sprintf("/%d", n))
		switch {
		case r.done() && refused == 0 && n < 5000: // what is left of the last page
			answered++
		case r.Status == http.StatusServiceUnavailable && r.code() == 503 && strings.Contains(r.Raw, "cannot be recorded"):
			refused++
		default:
			t.Fatalf("call %d on a full disk: %d %s; want a refusal because of the record", n, r.Status, r.Raw)
		}
	}
	if n := s.calls.Load(); n != answered {
		t.Errorf("%d calls at the server, %d answered: a refused one has reached it", n, answered)
	}
	if status, body := g.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "no space left on device") {
		t.Errorf("/readyz: %d %s; want 503 and why", status, body)
	}
	if out, said, code := g.sallyport(t, "grant", "create", "--role", "agent"); code == 0 || out != "" || !strings.Contains(said, "record") {
		t.Errorf("grant create: exit %d, %s%s; want a refusal that names the record", code, out, said)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	recovers(t, g, token)
	if status, body := g.get("/readyz"); status != http.StatusOK {
		t.Errorf("/readyz with room again: %d %s", status, body)
	}
	g.must(t, "grant", "create", "--role", "agent")
	g.signal(syscall.SIGTERM)
	g.verify(t)
	g.start(t)
	g.goesOn(t, token, "a start")
}

// fill takes all the room that there is.
func fill(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	return path
}

func recovers(t *testing.T, g *gate, token string) {
	t.Helper()
	eventually(t, "calls are served again", func() error {
		if r := g.mustCall(t, token, "read_file", "/again"); !r.done() {
			return fmt.Errorf("%d %s", r.Status, r.Raw)
		}
		return nil
	})
}

// TestReadOnlyDiskKeepsItFromStarting gives the gateway a state directory that cannot be written.
func TestReadOnlyDiskKeepsItFromStarting(t *testing.T) {
	if !apart(t) {
		return
	}
	s := newServer(t)
	g := newGate(t, "", map[string]string{"files": at(s.url)})
	dir := g.path("state")
	if !mount(t, dir, "size=16m") {
		return
	}
	g.start(t)
	token := g.token(t)
	g.goesOn(t, token, "nothing")
	g.signal(syscall.SIGTERM)
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	g.launch(t)
	<-g.exited
	if code := g.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(g.log.String(), "read-only file system") {
		t.Errorf("serve: exit %d: %s; want 1 and why", code, g.log)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	g.start(t)
	g.goesOn(t, token, "the disk can be written again")
}

// inject makes system calls of the running gateway fail, or take their time, until the function that it
// returns is called; nil where this machine lets nobody trace.
func (g *gate) inject(t *testing.T, what string) (stop func()) {
	t.Helper()
	strace := os.Getenv("AUDIT_STRACE")
	if strace == "" {
		strace = "strace"
	}
	said := &logBuffer{}
	calls, _, _ := strings.Cut(what, ":")
	cmd := exec.Command(strace, "-f", "-o", "/dev/null", "-p", fmt.Sprint(g.cmd.Process.Pid), "-e", "trace="+calls, "-e", "inject="+what)
	cmd.Stderr = said
	err := cmd.Start()
	exited := make(chan struct{})
	if err == nil {
		go func() {
			_ = cmd.Wait() // of an interrupted command
			close(exited)
		}()
		eventually(t, "strace is attached", func() error {
			select {
			case <-exited:
				err = fmt.Errorf("%s", said)
				return nil
			default:
			}
			if !strings.Contains(said.String(), "attached") {
				return fmt.Errorf("it says %q", said)
			}
			return nil
		})
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("strace may not trace: %v", err)
		}
		t.Logf("strace may not trace: %v", err)
		return nil
	}
	return func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		<-exited
	}
}

// TestDiskThatTurnsReadOnlyRefusesAndRecovers lets every sync and every new file of the running gateway fail, as
// those of a file system do that the kernel has made read-only after an error.
func TestDiskThatTurnsReadOnlyRefusesAndRecovers(t *testing.T) {
	s := newServer(t)
	g := startGate(t, "", map[string]string{"files": at(s.url)})
	token := g.token(t)
	g.goesOn(t, token, "nothing")
	before := s.calls.Load()
	stop := g.inject(t, "fdatasync,fsync,ftruncate,mkdirat,unlinkat,renameat:error=EROFS")
	if stop == nil {
		return
	}
	for n := range 20 {
		if r := g.mustCall(t, token, "read_file", fmt.Sprintf("/%d", n)); r.Status != http.StatusServiceUnavailable || r.code() != 503 {
			t.Errorf("call %d on a read-only disk: %d %s; want a refusal because of the record", n, r.Status, r.Raw)
		}
	}
	if n := s.calls.Load() - before; n != 0 {
		t.Errorf("%d calls reached the server", n)
	}
	stop()
	recovers(t, g, token)
	g.verify(t)
}

// TestSlowDiskIsWaitedFor lets every sync take a while: calls take as long, and none is refused or let
// through before its record.
func TestSlowDiskIsWaitedFor(t *testing.T) {
	s := newServer(t)
	g := startGate(t, "limits: {concurrentPerGrant: 64}\n", map[string]string{"files": at(s.url)})
	token := g.token(t)
	g.goesOn(t, token, "nothing")
	const slow = 400 * time.Millisecond
	stop := g.inject(t, fmt.Sprintf("fdatasync:delay_enter=%d", slow.Microseconds()))
	if stop == nil {
		return
	}
	var all sync.WaitGroup
	for n := range 32 {
		all.Go(func() {
			began := time.Now()
			if r := g.served(t, token, "read_file", fmt.Sprintf("/%d", n)); !r.done() || time.Since(began) < slow {
				t.Errorf("call on a slow disk: %d %s after %v; want done, and not before a sync has ended", r.Status, r.Raw, time.Since(began))
			}
		})
	}
	all.Wait()
	stop()
	g.goesOn(t, token, "a slow disk")
	g.verify(t)
}

// TestDiskThatHangsRefuses lets a sync take longer than anybody would wait.
func TestDiskThatHangsRefuses(t *testing.T) {
	s := newServer(t)
	g := startGate(t, "", map[string]string{"files": at(s.url)})
	token := g.token(t)
	g.goesOn(t, token, "nothing")
	before := s.calls.Load()
	stop := g.inject(t, "fdatasync:delay_enter=60000000")
	if stop == nil {
		return
	}
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			if r := g.mustCall(t, token, "read_file", fmt.Sprintf("/%d", n)); r.Status != http.StatusServiceUnavailable || r.code() != 503 {
				t.Errorf("call on a disk that hangs: %d %s; want a refusal because of the record", r.Status, r.Raw)
			}
		})
	}
	all.Wait()
	if n := s.calls.Load() - before; n != 0 {
		t.Errorf("%d calls reached the server", n)
	}
	stop()
	recovers(t, g, token)
	g.verify(t)
}
