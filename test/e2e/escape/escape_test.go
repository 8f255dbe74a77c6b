//go:build linux

package escape

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/gateway/sandbox"
)

var (
	mark    string // in everything that is to be protected
	hostile string // the program, built once
)

const markName = "ESCAPE_MARK"

func TestMain(m *testing.M) {
	if sandbox.Reexecuted() {
		sandbox.Main()
	}
	if mark = os.Getenv(markName); mark == "" {
		// Again, so that the mark is in the environment that /proc shows of this process.
		err := unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), markName+"=mark-"+rand.Text()))
		fmt.Fprintln(os.Stderr, "execute this test again:", err)
		os.Exit(1)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "hostile-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	hostile = filepath.Join(dir, "hostile")
	build := exec.Command("go", "build", "-o", hostile, "../hostile")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the hostile server: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// allowed are the attempts that come through in a sandbox, and are meant to. The reasons are
// told in docs/threat-model.md, which TestWhatComesThroughIsDocumented holds to this list.
var allowed = []string{
	"say-something",
	"proxy-to-an-allowed-host",
	"fill-the-disk-with-many-files",
	"run-a-program-of-its-own-making",
	"run-a-program-without-a-file",
	"see-the-machine",
	"use-the-processor-in-turns",
}

// uncontrolled are the attempts that are not made bare, with the reason.
var uncontrolled = map[string]string{
	"connect-to-the-metadata-address": "would talk to whatever hosts this machine",
	"kill-everything":                 "would kill everything",
	"kill-its-parent":                 "would kill this test",
	"set-the-clock":                   "would set the clock of this machine",
	"fill-the-root":                   "the root of this machine is not bounded as a sandbox's is",
}

// machine are the attempts that some machines refuse to root itself, or whose kernel lacks
// what they need. Their bare run is logged and proves nothing where it fails.
var machine = map[string]string{
	"be-spared-when-memory-ends": "containers keep CAP_SYS_RESOURCE back",
	"call-as-x32":                "CONFIG_X86_X32_ABI",
	"load-a-kernel":              "CONFIG_KEXEC",
	"load-a-module":              "CONFIG_MODULES",
	"open-a-crypto-socket":       "CONFIG_CRYPTO_USER_API",
	"open-a-ping-socket":         "net.ipv4.ping_group_range",
	"open-a-vsock":               "CONFIG_VSOCKETS",
	"open-kvm":                   "no virtual machines inside this one",
	"open-memory":                "CONFIG_DEVMEM, CONFIG_PROC_KCORE",
	"raise-its-limits":           "no limit is set, or containers keep CAP_SYS_RESOURCE back",
	"reach-the-ports":            "CONFIG_X86_IOPL_IOPERM",
	"take-the-processor":         "CONFIG_RT_GROUP_SCHED",
	"write-modprobe":             "CONFIG_MODULES",
	"write-sysrq":                "CONFIG_MAGIC_SYSRQ",
}

// deadly are the attempts that may end without a report: what stops them stops the process.
var deadly = []string{
	"call-as-32-bit", "call-as-x32", "kill-everything", "kill-its-parent", "memory-bomb", "memory-bomb-of-children",
	"memory-bomb-without-a-process", "fill-the-disk-with-one-file", "use-the-processor-without-end",
}

// alone are the attempts that get a world, or a sandbox, of their own: they take others with
// them, or are about the process that the sandbox starts.
var alone = append([]string{
	"fork-bomb", "kill-a-process-of-the-host", "leave-a-process-behind", "read-an-inherited-descriptor", "read-the-environment",
	"replace-its-own-program", "signal-the-gateway",
}, deadly...)

// apart divides the attempts into those that are made one after the other in one place, and
// those that are made alone.
func apart(names []string) [][]string {
	var together []string
	var all [][]string
	for _, name := range names {
		if slices.Contains(alone, name) {
			all = append(all, []string{name})
			continue
		}
		together = append(together, name)
	}
	return append(all, together)
}

// TestEveryAttemptComesThroughBare is the control: what fails here would prove nothing inside.
func TestEveryAttemptComesThroughBare(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("not root: what fails here may fail for that reason, and is logged alone")
	}
	names := slices.DeleteFunc(attempts(t), func(name string) bool {
		return uncontrolled[name] != "" || strings.HasPrefix(name, "proxy-")
	})
	came := 0
	for _, some := range apart(names) {
		w := newWorld(t)
		for _, r := range w.bare(t, some...) {
			switch {
			case r.Escaped:
				came++
			case machine[r.Attempt] != "" || os.Geteuid() != 0:
				t.Logf("%s does not come through on this machine (%s): %s", r.Attempt, machine[r.Attempt], r.Detail)
			default:
				t.Errorf("%s does not come through bare: %s", r.Attempt, r.Detail)
			}
		}
		w.endLingering()
	}
	if came < 80 {
		t.Errorf("%d attempts came through; with so few the sandbox proves little", came)
	}
}

// TestNoAttemptEscapes makes each attempt in a sandbox without a way out.
func TestNoAttemptEscapes(t *testing.T) {
	names := slices.DeleteFunc(attempts(t), func(name string) bool { return strings.HasPrefix(name, "proxy-") })
	if len(names) < 100 {
		t.Errorf("%d attempts; there were more than a hundred", len(names))
	}
	for _, some := range apart(names) {
		w := newWorld(t)
		w.judge(t, w.sandboxed(t, some, nil))
	}
}

// TestNoAttemptEscapesWhereThereIsAWayOut makes those of the network in a sandbox that has
// sockets, whose proxy opens one host, and one whose name leads to this machine.
func TestNoAttemptEscapesWhereThereIsAWayOut(t *testing.T) {
	w := newWorld(t)
	w.judge(t, w.sandboxed(t, attempts(t, "network"), []string{w.targets["allowed"], w.targets["inside"]}))
}

// TestTheProxyOpensWhatIsListed is the control of the attempts through the proxy.
func TestTheProxyOpensWhatIsListed(t *testing.T) {
	names := []string{"proxy-to-an-allowed-host", "proxy-to-an-unlisted-host", "proxy-to-the-hosts-loopback", "proxy-to-the-ipv6-loopback",
		"proxy-by-localhost", "proxy-by-a-name-that-is-inside", "proxy-plain-to-the-loopback"}
	w := newWorld(t)
	for _, r := range w.sandboxed(t, names, []string{w.targets["allowed"], w.targets["inside"], "unlisted.example", "localhost:" + port(w.targets["tcp4"]),
		w.targets["tcp4"], w.targets["tcp6"]}) {
		if !r.Escaped {
			t.Errorf("%s does not come through where it is listed: %s", r.Attempt, r.Detail)
		}
	}
}

// TestWhatWasTriedIsInTheLog makes attempts of each kind and looks for them there.
func TestWhatWasTriedIsInTheLog(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct{ attempt, want string }{
		{"read-outside", w.targets["secret"]},
		{"read-ssh-key", filepath.Join(w.targets["home"], ".ssh/id_ed25519")},
		{"trace-its-own-child", "ptrace"},
		{"mount-a-file-system", "mount"},
		{"connect-to-the-admin-socket", "socket (unix stream)"},
		{"load-bpf", "bpf"},
		{"proxy-to-an-unlisted-host", `"egress refused" server=hostile target=unlisted.example:443`},
		{"proxy-by-a-name-that-is-inside", "127.0.0.1:" + port(w.targets["tcp4"]) + " is loopback"},
	} {
		w.sandboxed(t, []string{tt.attempt}, []string{w.targets["allowed"], w.targets["inside"]})
		if !strings.Contains(w.log.String(), tt.want) {
			t.Errorf("after %s the log lacks %q:\n%s", tt.attempt, tt.want, &w.log)
		}
	}
	if strings.Contains(w.log.String(), mark) {
		t.Error("the log holds the mark: a secret was logged")
	}
}

// judge says whether attempts ended as they should, and looks at what they were aimed at.
func (w *world) judge(t *testing.T, reports []report) {
	t.Helper()
	for _, r := range reports {
		want := slices.Contains(allowed, r.Attempt)
		switch {
		case r.Attempt == "memory-bomb-of-children" && os.Geteuid() != 0:
			// Whether memory is bounded for all together depends on who may make cgroups.
		case r.Attempt == "leave-a-process-behind" && r.Escaped:
			// It was started; whether it stayed is looked at below.
		case r.dead && !slices.Contains(deadly, r.Attempt):
			t.Errorf("%s says nothing, so nothing is known: %s", r.Attempt, r.Detail)
		case r.Escaped && !want:
			t.Errorf("%s escapes", r.Attempt)
		case !r.Escaped && want:
			t.Errorf("%s does not come through, and docs/threat-model.md says that it does: %s", r.Attempt, r.Detail)
		default:
			t.Logf("%s: %s", r.Attempt, r.Detail)
		}
	}
	aims := ""
	if len(reports) == 1 {
		aims = reports[0].Attempt + ": "
	}
	select {
	case <-w.ended:
		t.Error(aims + "the victim has died")
	case <-time.After(10 * time.Millisecond): // a signal that is on its way arrives
	}
	if w.lockIsHeld() {
		t.Error(aims + "a process was left behind")
	}
	if given, err := os.ReadFile(filepath.Join(w.targets["folder"], "given")); err != nil || string(given) != "what may be read" {
		t.Errorf("%sthe folder that may be read was changed: %q, %v", aims, given, err)
	}
	if key, err := os.ReadFile(w.targets["secret"]); err != nil || !strings.Contains(string(key), mark) {
		t.Errorf("%sthe secret was changed: %v", aims, err)
	}
}

func (w *world) lockIsHeld() bool {
	f, err := os.OpenFile(w.targets["lock"], os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// endLingering ends what leave-a-process-behind left bare, by the lock that it holds.
func (w *world) endLingering() {
	found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range found {
		line, err := os.ReadFile(path)
		var pid int
		if err == nil && strings.HasSuffix(string(line), "\x00linger\x00"+w.targets["lock"]+"\x00") {
			if _, err := fmt.Sscanf(path, "/proc/%d/", &pid); err == nil {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
	}
}

// attempts asks the hostile program what it has.
func attempts(t *testing.T, which ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), hostile, append([]string{"list"}, which...)...).Output()
	must(t, err)
	names := strings.Fields(string(out))
	if len(names) < 20 {
		t.Fatalf("the hostile server knows %d attempts", len(names))
	}
	return names
}

// TestListsNameAttempts keeps the lists above from naming what is gone.
func TestListsNameAttempts(t *testing.T) {
	names := attempts(t)
	lists := slices.Concat(allowed, alone)
	for name := range uncontrolled {
		lists = append(lists, name)
	}
	for name := range machine {
		lists = append(lists, name)
	}
	for _, name := range lists {
		if !slices.Contains(names, name) && name != "call-as-x32" && name != "call-as-32-bit" && name != "reach-the-ports" { // amd64 alone
			t.Errorf("%s is listed, and no attempt", name)
		}
	}
}

// TestWhatComesThroughIsDocumented holds docs/threat-model.md to name each attempt that is
// let through.
func TestWhatComesThroughIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/threat-model.md")
	must(t, err)
	for _, attempt := range allowed[2:] { // the first two are controls
		if !strings.Contains(string(doc), "`"+attempt+"`") {
			t.Errorf("docs/threat-model.md does not name %s", attempt)
		}
	}
}
