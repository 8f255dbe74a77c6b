package sandbox

import (
	"fmt"
	"slices"
	"unsafe"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// told are the system calls that a server has no use for, and that reach the kernel where it was
// most often broken. They fail with EPERM, and the gateway is told.
var told = []string{
	// other processes
	"ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "process_madvise", "process_mrelease",
	// mounts and namespaces
	"mount", "umount", "umount2", "pivot_root", "chroot", "setns", "unshare", "fsopen", "fsconfig", "fsmount", "fspick",
	"move_mount", "open_tree", "open_tree_attr", "mount_setattr", "statmount", "listmount",
	// the kernel itself
	"bpf", "init_module", "finit_module", "delete_module", "create_module", "kexec_load", "kexec_file_load", "reboot", "syslog",
	"perf_event_open", "userfaultfd", "lookup_dcookie", "iopl", "ioperm", "modify_ldt", "vm86", "vm86old", "uselib", "_sysctl",
	// keys, quotas, swap, accounting, time
	"add_key", "request_key", "keyctl", "quotactl", "quotactl_fd", "swapon", "swapoff", "acct", "settimeofday", "stime",
	"clock_settime", "clock_settime64", "clock_adjtime", "clock_adjtime64", "adjtimex", "sethostname", "setdomainname", "nfsservctl",
	// files by handle, events on whole file systems
	"open_by_handle_at", "name_to_handle_at", "fanotify_init", "fanotify_mark",
	// memory that can be moved between nodes, other landlocks
	"move_pages", "migrate_pages", "mbind", "set_mempolicy", "vhangup", "lsm_set_self_attr",
}

// absent are calls for which programs have another way: they are told that this kernel lacks them.
// openat2 has its flags in memory, where a filter cannot read them; every libc falls back to openat.
var absent = []string{"clone3", "openat2", "io_uring_setup", "io_uring_enter", "io_uring_register", "memfd_secret"}

// newest is the highest number of a system call that the lists above were made with, on every
// architecture. What came later does not exist for a program, until somebody has looked at it.
const newest = 467

// seen are calls that go on as they are, and that the gateway is told of, so that it can log what a
// program tried to open or to execute.
var seen = []string{"open", "openat", "creat", "execve", "execveat"}

// Namespaces that clone must not make.
const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER |
	unix.CLONE_NEWPID | unix.CLONE_NEWNET

// askPersonality changes nothing. Others make addresses guessable, or memory executable.
const askPersonality = 0xffffffff

func when(name string, conditions ...seccomp.Condition) seccomp.NameWithConditions {
	return seccomp.NameWithConditions{Name: name, Conditions: conditions}
}

func is(argument uint32, op seccomp.Operation, value uint64) seccomp.Condition {
	return seccomp.Condition{Argument: argument, Operation: op, Value: value}
}

const (
	// notPair is the bit that SOCK_DGRAM and SOCK_RAW have and SOCK_STREAM and SOCK_SEQPACKET do
	// not.
	notPair = 2
	// notTCP are the bits of a type that SOCK_STREAM does not have.
	notTCP = 0xf &^ unix.SOCK_STREAM
)

// sockets are the calls that make one. A pair stays allowed, as programs talk to their children
// over it, but for datagrams: such a socket can send to any path.
func sockets(egress bool) []seccomp.NameWithConditions {
	out := []seccomp.NameWithConditions{
		when("socketpair", is(0, seccomp.NotEqual, unix.AF_UNIX)),
		when("socketpair", is(1, seccomp.BitsSet, notPair)),
	}
	if !egress {
		return append(out, when("socket", is(0, seccomp.GreaterOrEqual, 0)))
	}
	return append(out,
		when("socket", is(0, seccomp.NotEqual, unix.AF_INET), is(0, seccomp.NotEqual, unix.AF_INET6)),
		when("socket", is(1, seccomp.BitsSet, notTCP)),
		when("socket", is(2, seccomp.NotEqual, 0), is(2, seccomp.NotEqual, unix.IPPROTO_TCP)))
}

// setID are the mode bits that make a program run as its owner. In a folder outside, that a server
// may write, such a program would be everybody's on the machine.
const setID = unix.S_ISUID | unix.S_ISGID

// modes are the calls that give a file its mode, but for those that open one: [watcher.judge]
// refuses there.
func modes(has func([]string) []string) []seccomp.NameWithConditions {
	var out []seccomp.NameWithConditions
	for name, argument := range map[string]uint32{"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "mknod": 1, "mknodat": 2, "mkdir": 1, "mkdirat": 2} {
		if len(has([]string{name})) > 0 {
			out = append(out, when(name, is(argument, seccomp.BitsSet, setID)))
		}
	}
	return out
}

// preamble stands before the assembled filter. Calls of another architecture have other numbers,
// which the filter would take for its own; and the kernel reads 32 bits of an ioctl's request, of
// which a comparison of 64 would miss the rest.
func preamble(info *arch.Info) []bpf.Instruction {
	const offsetNr, offsetArch, offsetArg1 = 0, 4, 16 + 8 // of struct seccomp_data, little endian
	const x32 = 0x40000000
	kill, notify, lacks := bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS}, bpf.RetConstant{Val: retNotify}, bpf.RetConstant{Val: retAbsent}
	out := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(info.ID), SkipTrue: 1},
		kill,
		bpf.LoadAbsolute{Off: offsetNr, Size: 4},
	}
	if info.ID == arch.X86_64.ID {
		out = append(out, bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: x32, SkipTrue: 1}, kill)
	}
	return append(out,
		bpf.JumpIf{Cond: bpf.JumpLessOrEqual, Val: newest, SkipTrue: 1}, lacks,
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(info.SyscallNames["ioctl"]), SkipTrue: 4},
		bpf.LoadAbsolute{Off: offsetArg1, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.TIOCSTI, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.TIOCLINUX, SkipTrue: 1},
		notify)
}

// Return values of a filter that the library has no name for.
const (
	retNotify = 0x7fc00000
	retAbsent = uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.ENOSYS)
)

// program assembles the filter. The library knows two ways of refusing that stand here for the two
// it does not know.
func program(egress bool) ([]bpf.RawInstruction, error) {
	info, err := arch.GetInfo("")
	if err != nil {
		return nil, err
	}
	has := func(names []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			_, ok := info.SyscallNames[name]
			return !ok
		})
	}
	const asNotify, asAbsent = seccomp.ActionTrace, seccomp.ActionTrap
	policy := seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{
		{Action: asNotify, Names: has(slices.Concat(told, seen)), NamesWithCondtions: append(slices.Concat(sockets(egress), modes(has)),
			when("clone", is(0, seccomp.BitsSet, newNamespaces)),
			when("personality", is(0, seccomp.NotEqual, 0), is(0, seccomp.NotEqual, askPersonality)))},
		{Action: asAbsent, Names: has(absent)},
	}}
	instructions, err := policy.Assemble()
	if err != nil {
		return nil, err
	}
	for i, in := range instructions {
		if ret, ok := in.(bpf.RetConstant); ok {
			switch seccomp.Action(ret.Val) {
			case asNotify:
				instructions[i] = bpf.RetConstant{Val: retNotify}
			case asAbsent:
				instructions[i] = bpf.RetConstant{Val: retAbsent}
			}
		}
	}
	return bpf.Assemble(append(preamble(info), instructions...))
}

// filter installs the filter on this thread, and returns the descriptor over which the gateway
// hears of what it stops.
func filter(egress bool) (int, error) {
	raw, err := program(egress)
	if err != nil {
		return -1, fmt.Errorf("assemble filter: %w", err)
	}
	prog := unix.SockFprog{Len: uint16(len(raw)), Filter: (*unix.SockFilter)(unsafe.Pointer(&raw[0]))}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return -1, fmt.Errorf("install filter: %w", errno)
	}
	return int(fd), nil
}
