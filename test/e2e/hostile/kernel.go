//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls that a server has no use for, and through which kernels were broken into. Where a
// call that succeeds would change the machine, it is made wrong on purpose (see considered).
var kernel = map[string]attempt{
	"make-a-user-namespace":    clone(syscall.CLONE_NEWUSER),
	"make-a-mount-namespace":   clone(syscall.CLONE_NEWNS),
	"make-a-pid-namespace":     clone(syscall.CLONE_NEWPID),
	"make-a-network-namespace": clone(syscall.CLONE_NEWNET),
	"make-an-ipc-namespace":    clone(syscall.CLONE_NEWIPC),
	"unshare": func(t targets) error {
		return considered(unix.Syscall(unix.SYS_UNSHARE, unix.CLONE_NEWUTS, 0, 0))
	},
	"clone3-into-a-namespace": func(t targets) error {
		// Wrong size on purpose: a clone3 that works is one whose flags no filter can see.
		return considered(unix.Syscall(unix.SYS_CLONE3, 0, 1, 0))
	},
	"enter-a-namespace": func(t targets) error {
		ways := []func() error{func() error { return considered(unix.Syscall(unix.SYS_SETNS, ^uintptr(0), unix.CLONE_NEWNET, 0)) }}
		for _, pid := range []string{t["helper"], t["gateway"], t["victim"]} {
			ways = append(ways, func() error {
				f, err := os.Open("/proc/" + pid + "/ns/net")
				if err != nil {
					return err
				}
				defer f.Close()
				return unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
			})
		}
		return anyOf(ways...)
	},
	"mount-a-file-system": func(t targets) error { return mounted(t, "tmpfs", "tmpfs", 0) },
	"mount-proc":          func(t targets) error { return mounted(t, "proc", "proc", 0) },
	"bind-the-root":       func(t targets) error { return mounted(t, "/", "", unix.MS_BIND|unix.MS_REC) },
	"make-a-mount-writable": func(t targets) error {
		return considered(unix.Syscall6(unix.SYS_MOUNT, 0, uintptr(unsafe.Pointer(pointer("/nowhere"))), 0, unix.MS_REMOUNT|unix.MS_BIND, 0, 0))
	},
	"unmount": func(t targets) error {
		return considered(unix.Syscall(unix.SYS_UMOUNT2, uintptr(unsafe.Pointer(pointer("/nowhere"))), 0, 0))
	},
	"mount-anew":    func(t targets) error { return closed(unix.Fsopen("tmpfs", 0)) },
	"clone-a-mount": func(t targets) error { return closed(unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE)) },
	"move-a-mount": func(t targets) error {
		return considered(unix.Syscall6(unix.SYS_MOVE_MOUNT, ^uintptr(0), 0, ^uintptr(0), 0, 0, 0))
	},
	"change-a-mount": func(t targets) error {
		return considered(unix.Syscall6(unix.SYS_MOUNT_SETATTR, ^uintptr(0), 0, 0, 0, 0, 0))
	},
	"pivot-root": func(t targets) error { return considered(unix.Syscall(unix.SYS_PIVOT_ROOT, 0, 0, 0)) },
	"leave-by-chroot": func(t targets) error {
		inner := filepath.Join(t["work"], "chroot-"+strconv.Itoa(os.Getpid()))
		if err := os.Mkdir(inner, 0o700); err != nil {
			return err
		}
		defer os.Remove(inner)
		outside, err := os.Open("/")
		if err != nil {
			return err
		}
		defer outside.Close()
		if err := unix.Chroot(inner); err != nil {
			return err
		}
		if err := outside.Chdir(); err != nil {
			return err
		}
		return holds("."+t["secret"], t)
	},
	"add-a-key": func(t targets) error {
		_, err := unix.AddKey("user", "hostile", []byte("x"), unix.KEY_SPEC_PROCESS_KEYRING)
		return err
	},
	"read-the-keyring": func(t targets) error {
		_, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, true)
		return err
	},
	"request-a-key": func(t targets) error { return considered(unix.Syscall6(unix.SYS_REQUEST_KEY, 0, 0, 0, 0, 0, 0)) },
	"load-bpf":      func(t targets) error { return considered(unix.Syscall(unix.SYS_BPF, 0, 0, 0)) },
	"watch-the-processor": func(t targets) error {
		return closed(unix.PerfEventOpen(&unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Size: unix.PERF_ATTR_SIZE_VER0}, 0, -1, -1, 0))
	},
	"use-io-uring": func(t targets) error {
		params := make([]byte, 256)
		fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 4, uintptr(unsafe.Pointer(&params[0])), 0)
		return closed(int(fd), errnoOf(errno))
	},
	"hold-page-faults": func(t targets) error {
		fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|1 /* user faults only */, 0, 0)
		return closed(int(fd), errnoOf(errno))
	},
	"load-a-module": func(t targets) error {
		return anyOf(
			func() error { return considered(unix.Syscall(unix.SYS_INIT_MODULE, 0, 0, 0)) },
			func() error { return considered(unix.Syscall(unix.SYS_FINIT_MODULE, ^uintptr(0), 0, 0)) },
			func() error { return considered(unix.Syscall(unix.SYS_DELETE_MODULE, 0, 0, 0)) })
	},
	"load-a-kernel": func(t targets) error {
		return considered(unix.Syscall6(unix.SYS_KEXEC_LOAD, 0, ^uintptr(0), 0, 0, 0, 0))
	},
	"reboot":          func(t targets) error { return considered(unix.Syscall6(unix.SYS_REBOOT, 0, 0, 0, 0, 0, 0)) },
	"change-the-swap": func(t targets) error { return considered(unix.Syscall(unix.SYS_SWAPON, 0, 0, 0)) },
	"change-quotas":   func(t targets) error { return considered(unix.Syscall6(unix.SYS_QUOTACTL, 0, 0, 0, 0, 0, 0)) },
	"change-accounting": func(t targets) error {
		return considered(unix.Syscall(unix.SYS_ACCT, uintptr(unsafe.Pointer(pointer("/nowhere"))), 0, 0))
	},
	"name-a-file-by-handle": func(t targets) error {
		_, _, err := unix.NameToHandleAt(unix.AT_FDCWD, t["folder"], 0)
		return err
	},
	"set-the-clock": func(t targets) error {
		now := unix.NsecToTimespec(time.Now().UnixNano())
		return errnoAs(unix.Syscall(unix.SYS_CLOCK_SETTIME, unix.CLOCK_REALTIME, uintptr(unsafe.Pointer(&now)), 0))
	},
	"slow-the-clock": func(t targets) error {
		_, err := unix.Adjtimex(&unix.Timex{Modes: unix.ADJ_TICK, Tick: 10000})
		return err
	},
	"type-with-high-bits": func(t targets) error {
		// The kernel looks at 32 bits of the number, a filter may look at 64.
		return considered(unix.Syscall(unix.SYS_IOCTL, 0, unix.TIOCSTI|1<<32, uintptr(unsafe.Pointer(pointer("x")))))
	},
	"rename-the-host": func(t targets) error {
		name, err := os.Hostname()
		if err != nil {
			return err
		}
		return unix.Sethostname([]byte(name))
	},
	"dump-core": func(t targets) error {
		return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20})
	},
	"watch-the-whole-file-system": func(t targets) error { return closed(unix.FanotifyInit(0, 0)) },
	"move-the-pages-of-another": func(t targets) error {
		return considered(unix.Syscall6(unix.SYS_MIGRATE_PAGES, uintptr(os.Getpid()), 0, 0, 0, 0, 0))
	},
	// Let through, and told in docs/threat-model.md: what runs so runs under the same filter.
	"run-a-program-without-a-file": func(t targets) error {
		fd, err := unix.MemfdCreate("hostile", 0)
		if err != nil {
			return err
		}
		program, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			return err
		}
		if _, err := unix.Write(fd, program); err != nil {
			return err
		}
		return exec.Command("/proc/self/fd/"+strconv.Itoa(fd), "whoami").Run()
	},
	"run-a-program-of-its-own-making": func(t targets) error {
		program, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			return err
		}
		made := filepath.Join(t["work"], "made")
		if err := os.WriteFile(made, program, 0o700); err != nil {
			return err
		}
		return exec.Command(made, "whoami").Run()
	},
}

// clone makes a child in a new namespace. The maps of a user namespace are left alone.
func clone(flag uintptr) attempt {
	return func(targets) error {
		child := self("whoami")
		child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flag}
		return child.Run()
	}
}

func mounted(t targets, source, kind string, flags uintptr) error {
	at := filepath.Join(t["work"], "mount-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(at, 0o700); err != nil {
		return err
	}
	defer os.Remove(at)
	if err := unix.Mount(source, at, kind, flags, ""); err != nil {
		return err
	}
	return unix.Unmount(at, unix.MNT_DETACH)
}

func pointer(s string) *byte {
	p, err := unix.BytePtrFromString(s)
	if err != nil {
		panic(err)
	}
	return p
}

func closed(fd int, err error) error {
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func errnoOf(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

func errnoAs(_, _ uintptr, errno unix.Errno) error { return errnoOf(errno) }
