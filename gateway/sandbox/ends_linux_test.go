package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// acts are what this test's binary does where it stands for a gateway or a program of its own.
var acts = map[string]func(){"calls": calls, "gateway": gateway, "lack": lack}

// self runs this test's binary in a sandbox, doing one of its acts.
func self(t *testing.T, act string) Spec {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Spec{Command: path, Env: map[string]string{"SANDBOX_TEST_ACT": act}}
}

// ends fails unless everybody who held the writing end of a pipe has ended, soon.
func ends(t *testing.T, r *os.File) {
	t.Helper()
	if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Errorf("something still runs and holds the pipe: %v", err)
	}
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r, w
}

func TestNothingOutlivesTheProgram(t *testing.T) {
	r, w := pipe(t)
	p, err := Start(Spec{Command: "/bin/sh", Args: []string{"-c", "(setsid sh -c 'sleep 1000 & sleep 1000' &) ; exit 3"}}, nil, w, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	err = p.Wait()
	if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != 3 {
		t.Errorf("status: %v; want 3", err)
	}
	ends(t, r)
}

func TestKillEndsTheProgramAndWhatItStarted(t *testing.T) {
	r, w := pipe(t)
	p, err := Start(Spec{Command: "/bin/sh", Args: []string{"-c", "trap '' TERM INT HUP; sleep 1000 & sleep 1000"}}, nil, w, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	p.Kill()
	if err := p.Wait(); err == nil {
		t.Error("Wait returned nil for a program that was killed")
	}
	ends(t, r)
	p.Kill() // of one that has ended, harms nobody
}

// gateway stands for a gateway: it starts a server that holds descriptor 3, says so and waits.
func gateway() {
	p, err := Start(Spec{Command: "/bin/sh", Args: []string{"-c", "trap '' TERM INT HUP; sleep 1000 & sleep 1000"}}, nil, os.NewFile(3, "pipe"), nil, nil)
	fmt.Println("started", err)
	if err == nil {
		_ = p.Wait()
	}
}

func TestServerEndsWithItsGateway(t *testing.T) {
	r, w := pipe(t)
	s := self(t, "gateway")
	cmd := exec.Command(s.Command)
	cmd.Env = append(os.Environ(), "SANDBOX_TEST_ACT=gateway")
	cmd.ExtraFiles = []*os.File{w}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	said := make([]byte, 64)
	n, _ := out.Read(said)
	if string(said[:n]) != "started <nil>\n" {
		t.Errorf("gateway said %q", said[:n])
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	ends(t, r)
}

func TestLauncherKeepsOneHelperAndEndsIt(t *testing.T) {
	var l Launcher
	l.prepare()
	spare := l.spare
	if spare == nil || !spare.alive() {
		t.Fatal("no helper was made ready")
	}
	l.prepare()
	if l.spare != spare {
		t.Error("a second helper took the place of the first")
	}
	l.Close()
	if spare.alive() || l.spare != nil {
		t.Error("the helper that waited outlived its launcher")
	}
	l.prepare()
	if l.spare != nil {
		t.Error("a launcher that is closed made a helper")
	}
}

// TestUnprivilegedGateway runs the tests that matter again as a user without rights, where these
// run as root.
func TestUnprivilegedGateway(t *testing.T) {
	if os.Geteuid() != 0 {
		return // all of them ran so
	}
	dir, err := os.MkdirTemp("", "unprivileged-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	for _, err := range []error{os.Mkdir(dir+"/tmp", 0o700), os.Chown(dir+"/tmp", nobody, nobody), os.Chmod(dir, 0o755),
		os.WriteFile(dir+"/sandbox.test", binary, 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(dir+"/sandbox.test", "-test.v", "-test.run",
		"^(TestMachineCanIsolate|TestProgramSees|TestServerCannot|TestProgramWithout|TestEgressReaches|TestLimitsHold$|TestNothingOutlives|TestServerEnds|TestWhatWasTried|TestCalls|TestWithoutAMech)")
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "TMPDIR=" + dir + "/tmp"}
	cmd.SysProcAttr = &unix.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "\n--- PASS: Test") < 11 {
		t.Errorf("as a user without rights: %v\n%s", err, out)
	}
}

// sh copies the shell to a place of its own, to be an interpreter there.
func sh(t *testing.T, to string) {
	t.Helper()
	text, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, string(text))
}

// write makes a file that can be executed, and its directories.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o755)); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(to, path)); err != nil {
		t.Fatal(err)
	}
}
