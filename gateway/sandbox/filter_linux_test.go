package sandbox

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// calls makes system calls and says what came of each.
func calls() {
	for _, c := range []struct {
		name string
		nr   uintptr
		args [3]uintptr
	}{
		{"new", newest + 1, [3]uintptr{}},
		{"newer", 0x3fffffff, [3]uintptr{}},
		{"clone3", unix.SYS_CLONE3, [3]uintptr{}},
		{"ask personality", unix.SYS_PERSONALITY, [3]uintptr{askPersonality}},
		{"set personality", unix.SYS_PERSONALITY, [3]uintptr{0x0400000}}, // READ_IMPLIES_EXEC
		{"set personality in the high half", unix.SYS_PERSONALITY, [3]uintptr{1<<32 | askPersonality}},
		{"socket tcp", unix.SYS_SOCKET, [3]uintptr{unix.AF_INET, unix.SOCK_STREAM}},
		{"socket seqpacket", unix.SYS_SOCKET, [3]uintptr{unix.AF_INET, unix.SOCK_SEQPACKET}},
		{"socket rdm", unix.SYS_SOCKET, [3]uintptr{unix.AF_INET, unix.SOCK_RDM}},
		{"socket mptcp", unix.SYS_SOCKET, [3]uintptr{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP}},
		{"socket unix", unix.SYS_SOCKET, [3]uintptr{unix.AF_UNIX, unix.SOCK_STREAM}},
		{"socket unix in the high half", unix.SYS_SOCKET, [3]uintptr{1<<32 | unix.AF_UNIX, unix.SOCK_STREAM}},
	} {
		_, _, errno := unix.RawSyscall(c.nr, c.args[0], c.args[1], c.args[2])
		fmt.Printf("%s: %s\n", c.name, unix.ErrnoName(errno))
	}
}

func TestCallsThatAServerDoesNotNeedAreRefused(t *testing.T) {
	want := map[string]string{
		"new": "ENOSYS", "newer": "ENOSYS", "clone3": "ENOSYS", "ask personality": "", "set personality": "EPERM",
		"set personality in the high half": "EPERM", "socket tcp": "", "socket seqpacket": "EPERM", "socket rdm": "EPERM", "socket mptcp": "EPERM",
		"socket unix": "EPERM", "socket unix in the high half": "EPERM",
	}
	s := self(t, "calls")
	s.Egress = true
	got := runs(t, s, "")
	if n := strings.Count(got.out, "\n"); n != len(want) {
		t.Fatalf("%d answers; want %d: %q, %v", n, len(want), got.out, got.err)
	}
	for line := range strings.Lines(got.out) {
		name, errno, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if errno != want[name] {
			t.Errorf("%s: %q; want %q", name, errno, want[name])
		}
	}
}

// The lists of the filter were made with the calls that the library knew; when it learns more,
// somebody looks at those and raises newest.
func TestNewestCallIsTheLibrarys(t *testing.T) {
	for _, info := range []*arch.Info{arch.X86_64, arch.AARCH64} {
		most := 0
		for nr := range info.SyscallNumbers {
			most = max(most, nr)
		}
		if most != newest {
			t.Errorf("%s: the newest call is %d, %s; look at those above %d and raise newest", info.Name, most, info.SyscallNumbers[most], newest)
		}
	}
}

// Names that the library does not know on an architecture are left out of its filter. These are
// the ones that exist there under no name.
func TestNamesOfRefusedCallsAreKnown(t *testing.T) {
	elsewhere := map[string]string{
		"umount": "umount2", "vm86": "386", "vm86old": "386", "stime": "386", "clock_settime64": "386", "clock_adjtime64": "386",
	}
	for _, name := range append(append([]string{}, told...), absent...) {
		if _, ok := arch.X86_64.SyscallNames[name]; !ok && elsewhere[name] == "" {
			t.Errorf("%s is no call of %s; its name is wrong, and it is not refused", name, arch.X86_64.Name)
		}
	}
}

func TestPaceBoundsWhatAProgramCostsTheGateway(t *testing.T) {
	var p pace
	now := time.Unix(1000, 0)
	looks, waits := 0, 0
	for range mostCalls + 10 {
		look, wait := p.next(now)
		if look {
			looks++
		}
		if wait > 0 {
			waits++
		}
		if wait > time.Second {
			t.Fatalf("waits %v; want at most to the end of the second", wait)
		}
	}
	if looks != mostLooks || waits != 10 {
		t.Errorf("%d looks and %d waits; want %d and 10", looks, waits, mostLooks)
	}
	if look, wait := p.next(now.Add(time.Second)); !look || wait != 0 {
		t.Errorf("the next second: look %v, wait %v; want true, 0", look, wait)
	}
}
