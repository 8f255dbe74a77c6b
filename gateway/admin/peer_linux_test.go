package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sallyport/identity/mint"

	"go.uber.org/goleak"
)

// askVariable makes this program a caller of the socket that it names.
const askVariable = "SALLYPORT_TEST_ASK"

func TestMain(m *testing.M) {
	if path := os.Getenv(askVariable); path != "" {
		me, err := Dial(path).Whoami(context.Background())
		fmt.Printf("%s|%v", me.User, err)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestKernelSaysWhoCalls(t *testing.T) {
	uid := uint32(os.Getuid())
	r := start(t, func(o *Options) {
		o.peer = nil
		o.Local = func() []LocalRule { return []LocalRule{{UID: uid, User: "0", Operator: true}} }
	})
	me, err := r.Whoami(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := "uid-0"
	if u, err := user.Current(); err == nil {
		want = u.Username
	}
	if me.UID != uid || me.User != want || !me.Operator {
		t.Errorf("whoami = %+v; want uid %d, %s", me, uid, want)
	}
	if _, err := r.Grant(t.Context(), mint.Ask{Roles: []string{"reader"}}); err != nil {
		t.Error(err)
	}
}

// The kernel's word holds for a process of another user; only root can start one.
func TestProcessOfAnotherUserIsRefused(t *testing.T) {
	if os.Getuid() != 0 {
		const why = "only root can start a process of another user"
		if os.Getenv("CI") == "true" {
			t.Fatal(why + "; run the tests of CI as root")
		}
		t.Skip(why + "; TestUserWithoutRuleMayAskForNothing is for everybody")
	}
	r := start(t, func(o *Options) { o.peer = nil })
	for _, tt := range []struct {
		mode os.FileMode
		want string
	}{
		{0o666, "(uid 65534) may ask for nothing here"},
		{0o600, "this user may not open " + r.path},
	} {
		if err := errors.Join(os.Chmod(filepath.Dir(r.path), 0o755), os.Chmod(r.path, tt.mode)); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), copyOfSelf(t))
		cmd.Env = []string{askVariable + "=" + r.path}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), "|") || !strings.Contains(string(out), tt.want) {
			t.Errorf("socket with mode %v: %s, %v; want nobody, and %q", tt.mode, out, err, tt.want)
		}
	}
}

// copyOfSelf is this program where any user can run it.
func copyOfSelf(t *testing.T) string {
	t.Helper()
	dir := directory(t)
	path := filepath.Join(dir, "caller")
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = self.Close() }() // only read
	var program bytes.Buffer
	if _, err := io.Copy(&program, self); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path, program.Bytes(), 0o755), os.Chmod(path, 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	return path
}
