package sandbox

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if Reexecuted() {
		Main()
	}
	if act := acts[os.Getenv("SANDBOX_TEST_ACT")]; act != nil {
		act()
		syscall.Exit(0) // without the second that the race detector waits
	}
	os.Exit(m.Run())
}

// ran is what became of a program in a sandbox.
type ran struct {
	out, log string
	err      error
}

type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// runs runs a shell script in a sandbox to its end.
func runs(t *testing.T, s Spec, script string) ran {
	t.Helper()
	s.Name = "test"
	if s.Command == "" {
		s.Command, s.Args = "/bin/sh", []string{"-c", script}
	}
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	var log buffer
	p, err := Start(s, null, out, out, testLog(&log))
	if err != nil {
		return ran{err: err}
	}
	done := make(chan error, 1)
	go func() { done <- p.Wait() }()
	select {
	case err = <-done:
	case <-time.After(3 * time.Minute):
		p.Kill()
		t.Fatalf("the program does not end")
	}
	text, _ := os.ReadFile(out.Name())
	return ran{string(text), log.String(), err}
}

func TestMachineCanIsolate(t *testing.T) {
	r := Check()
	for _, p := range r.Parts {
		t.Logf("%-12s %v %s %s", p.Name, p.OK, p.Detail, p.Cure)
	}
	if !r.OK {
		t.Fatal(r.Missing())
	}
}

func TestProgramSeesWhatItWasGivenAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"read", "write", "other", "read/hidden", "read/hidden/own"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"read/a", "other/secret", "read/hidden/key"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte("content of "+file+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "read/hidden/own/mine"), []byte("mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../other/secret", filepath.Join(dir, "read/link")); err != nil {
		t.Fatal(err)
	}
	s := Spec{Read: []string{dir + "/read"}, Write: []string{dir + "/write"}, Hide: []string{dir + "/read/hidden"}, Own: []Own{{dir + "/read/hidden/own", true}}, Env: map[string]string{"GIVEN": "yes"}}
	t.Setenv("SECRET", "from the gateway's environment")
	for _, c := range []struct{ name, script, want string }{
		{"read", "cat " + dir + "/read/a", "content of read/a"},
		{"write", "echo x > " + dir + "/write/f && cat " + dir + "/write/f", "x"},
		{"write where it may read", "echo x > " + dir + "/read/f", "Read-only file system"},
		{"read beside", "cat " + dir + "/other/secret", "No such file"},
		{"read through a link", "cat " + dir + "/read/link", "No such file"},
		{"read what is hidden", "cat " + dir + "/read/hidden/key", "No such file"},
		{"read its own below", "ls " + dir + "/read/hidden; cat " + dir + "/read/hidden/own/mine; echo x > " + dir + "/read/hidden/own/new; cat " + dir + "/read/hidden/own/new", "own\nmine\nx"},
		{"write beside its own", "echo x > " + dir + "/read/hidden/f", "Read-only file system"},
		{"home of the machine's root", "ls /root", "No such file"},
		{"home", "echo x > $HOME/f && cat $HOME/f && pwd", "x\n" + Home},
		{"tmp", "ls -A /tmp; echo end", "end"},
		{"shm", "echo x > /dev/shm/f && cat /dev/shm/f", "x"},
		{"other devices", "echo x > /dev/x", "/dev/x"},
		{"environment", "env | sort | cut -d= -f1 | tr '\\n' ' '", "GIVEN HOME LANG PATH PWD TMPDIR "},
		{"processes", "ls /proc | grep -c '^[0-9]'", "\n"},
		{"environment of process 1", "cat /proc/1/environ", "Permission denied"},
		{"root directory", "echo x > /x", "Read-only file system"},
		{"usr", "echo x > /usr/x", "Read-only file system"},
		{"who", "id -u; hostname", "1000\nsandbox"},
		{"capabilities", "grep -E 'Cap(Eff|Prm|Bnd|Amb|Inh)|NoNewPrivs' /proc/self/status | tr -d '\\t\\n'", "CapInh:0000000000000000CapPrm:0000000000000000CapEff:0000000000000000CapBnd:0000000000000000CapAmb:0000000000000000NoNewPrivs:1"},
		{"descriptors", "exec ls /proc/self/fd", "0\n1\n2\n3\n"}, // 3 is ls's own
		{"network", "cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '", "lo\n"},
		{"sysrq", "echo h > /proc/sysrq-trigger", "cannot create /proc/sysrq-trigger"},
		{"kernel settings", "echo 1 > /proc/sys/kernel/panic", "Read-only file system"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := runs(t, s, c.script)
			if !strings.Contains(got.out, c.want) {
				t.Errorf("%s\ngot  %q (%v)\nwant %q", c.script, got.out, got.err, c.want)
			}
		})
	}
	if _, err := os.Stat(dir + "/write/f"); err != nil {
		t.Errorf("what it wrote is not on the machine: %v", err)
	}
}

func testLog(to *buffer) *slog.Logger { return slog.New(slog.NewTextHandler(to, nil)) }

func TestProgramWithoutEgressHasNoSocket(t *testing.T) {
	script := `const net=require("net");const s=net.connect(9,"127.0.0.1");s.on("error",e=>{console.log(e.code);});
require("dgram");try{require("dns").lookup("example.com",e=>console.log("dns",e.code))}catch(e){}`
	got := runs(t, Spec{Command: node(t), Args: []string{"-e", script}}, "")
	if !strings.Contains(got.out, "EPERM") || !strings.Contains(got.out, "dns EAI_AGAIN") && !strings.Contains(got.out, "dns ENOTFOUND") {
		t.Errorf("got %q, %v", got.out, got.err)
	}
	if !strings.Contains(got.log, `tried="socket (IPv4 stream)"`) {
		t.Errorf("log: %s", got.log)
	}
}

func node(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("these tests need node")
	}
	return path
}

// The one way out is the listener that the gateway serves.
func TestEgressReachesTheGatewaysListenerAlone(t *testing.T) {
	s := Spec{Name: "test", Egress: true, Command: node(t), Args: []string{"-e", `
const net=require("net");
net.connect(3128,"127.0.0.1").on("data",d=>{console.log("proxy says "+d);
 net.connect(81,"127.0.0.1").on("error",e=>{console.log("port 81 "+e.code);
  net.connect(80,"1.1.1.1").on("error",e=>{console.log("beyond "+e.code);
   require("dgram").createSocket("udp4").bind(5,"127.0.0.1").on("error",e=>{console.log("udp "+e.code)});
  })})}).on("error",e=>console.log("proxy "+e.code));`}}
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start(s, nil, out, out, nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := p.Proxy().Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("hello"))
			_ = c.Close()
		}
	}()
	_ = p.Wait()
	text, _ := os.ReadFile(out.Name())
	for _, want := range []string{"proxy says hello", "port 81 E", "beyond E", "udp E"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q lacks %q", text, want)
		}
	}
}

func TestLimitsHold(t *testing.T) {
	small := Limits{MemoryBytes: 512 << 20, TmpBytes: 8 << 20, FileBytes: 1 << 20, Processes: 64, Files: 32}
	for _, c := range []struct{ name, script, want string }{
		{"fork bomb", "i=0; while [ $i -lt 2000 ]; do sleep 5 & i=$((i+1)); done; echo unbounded", "Cannot fork"},
		{"file size", "head -c 4000000 /dev/zero > $HOME/f; stat -c %s $HOME/f", "1048576"},
		{"tmp", "for i in 1 2 3 4 5 6 7 8 9 10; do head -c 1000000 /dev/zero > /tmp/f$i || echo full; done", "full"},
		{"shm, with tmp", "head -c 1000000 /dev/zero > /dev/shm/f; for i in 1 2 3 4 5 6 7 8; do head -c 1000000 /dev/zero > /tmp/f$i || echo full; done", "full"},
		{"descriptors", "ulimit -n", "32"},
		{"core", "grep core /proc/self/limits | tr -s ' '", "Max core file size 1 1 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := runs(t, Spec{Limits: small}, c.script); !strings.Contains(got.out, c.want) {
				t.Errorf("got %q, %v; want %q", got.out, got.err, c.want)
			}
		})
	}
	got := runs(t, Spec{Limits: small, Command: node(t), Args: []string{"-e", `const a=[];for(let i=0;i<64;i++){a.push(Buffer.alloc(16<<20,1))};console.log("has it all")`}}, "")
	if strings.Contains(got.out, "has it all") || got.err == nil {
		t.Errorf("1 GiB of memory within 512 MiB: %q, %v", got.out, got.err)
	}
}

// TestProcessIdsDoNotRunOut starts more processes than there are ids, one after the other, and
// then two at once.
func TestProcessIdsDoNotRunOut(t *testing.T) {
	r := runs(t, Spec{Limits: Limits{Processes: 16}}, `i=0; while [ $i -lt 700 ]; do /bin/true || exit 1; i=$((i+1)); done; (/bin/sleep 0.1 & /bin/sleep 0.1 & wait) && echo done`)
	if r.err != nil || r.out != "done\n" {
		t.Errorf("after 700 processes: %v %q; want done", r.err, r.out)
	}
}

func TestSignalsAreStatus(t *testing.T) {
	got := runs(t, Spec{}, "kill -9 $$")
	if e, ok := got.err.(*exec.ExitError); !ok || e.ExitCode() != 137 {
		t.Errorf("killed: %v; want 137", got.err)
	}
}

func TestProcessOneCannotBeKilledFromInside(t *testing.T) {
	got := runs(t, Spec{}, "kill -9 1; kill -15 1; kill -2 1; kill -9 -1; echo still here")
	if !strings.Contains(got.out, "still here") {
		t.Errorf("got %q, %v", got.out, got.err)
	}
}

// A script of a version manager, beside its interpreter, runs.
func TestProgramOutsideTheBaseRuns(t *testing.T) {
	prefix := t.TempDir()
	for _, dir := range []string{"bin", "lib"} {
		if err := os.Mkdir(filepath.Join(prefix, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	sh, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"bin/interpreter": sh, "lib/data": []byte("data of the library"), "lib/main": []byte("#!/usr/bin/env interpreter\ncat " + prefix + "/lib/data\n")} {
		if err := os.WriteFile(filepath.Join(prefix, name), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../lib/main", filepath.Join(prefix, "bin/tool")); err != nil {
		t.Fatal(err)
	}
	if got := runs(t, Spec{Command: prefix + "/bin/tool"}, ""); got.out != "data of the library" {
		t.Errorf("got %q, %v", got.out, got.err)
	}
}

func TestBadSpecsSayWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "state/keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "socket")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct {
		spec Spec
		want string
	}{
		{Spec{}, `command: "" is not an absolute path`},
		{Spec{Command: "/no/such/program"}, "command: /no/such/program does not exist"},
		{Spec{Command: file}, "command: " + file + " is not a program (it cannot be executed)"},
		{Spec{Command: "/bin/sh", Read: []string{"/no/such/folder"}}, "sandbox.read: /no/such/folder does not exist"},
		{Spec{Command: "/bin/sh", Read: []string{"relative"}}, `sandbox.read: "relative" is not an absolute path in its shortest form`},
		{Spec{Command: "/bin/sh", Write: []string{"/"}}, "sandbox.write: / is everything; name what the server needs"},
		{Spec{Command: "/bin/sh", Read: []string{"/proc/self"}}, "sandbox.read: /proc/self is the machine's /proc, which a sandbox has of its own"},
		{Spec{Command: "/bin/sh", Read: []string{dir + "/state/keys"}, Hide: []string{dir + "/state"}}, "sandbox.read: " + dir + "/state/keys is the gateway's own and stays out of every sandbox"},
		{Spec{Command: "/bin/sh", Write: []string{dir}, Hide: []string{dir + "/state"}}, "sandbox.write: " + dir + " holds " + dir + "/state, which is the gateway's own; name a directory beside it"},
		{Spec{Command: "/bin/sh", Env: map[string]string{"A=B": ""}}, `env: "A=B" is no name of a variable`},
		{Spec{Command: "/bin/sh", Env: map[string]string{"A": "secret\x00"}}, "env.A holds a NUL byte, where a program would see its end"},
		{Spec{Command: "/bin/sh", Args: []string{"-c", "\x00"}}, "args.1 holds a NUL byte, where a program would see its end"},
		{Spec{Command: "/bin/sh", Read: []string{socket}}, "sandbox.read: " + socket + " is neither a file nor a directory"},
		{Spec{Command: "/bin/sh", Own: []Own{{Path: file}}}, "sandbox: " + file + ", which the gateway keeps for the server, is no directory"},
		{Spec{Command: "/bin/sh", Env: map[string]string{"A": strings.Repeat("x", 300_000)}}, "more than one message to the helper holds; pass what is large in a file"},
		{Spec{Command: "/bin/sh", Dir: "/no/such"}, "execute /bin/sh in /no/such: no such file or directory"},
	} {
		p, err := Start(c.spec, nil, nil, nil, nil)
		if err == nil {
			p.Kill()
			t.Errorf("%+v runs; want %s", c.spec, c.want)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%v tells a value", err)
		}
	}
}

func TestMissingMechanismSaysWhatToDo(t *testing.T) {
	err := report(&MissingError{Part{Name: partLandlock, Detail: "not in this kernel", Cure: cures[partLandlock]}}, bounded{}).Missing()
	for _, want := range []string{"Landlock: not in this kernel", "`sandbox: container`", "`sandbox: none` runs it with every right that the gateway has"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}
