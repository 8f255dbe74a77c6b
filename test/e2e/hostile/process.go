//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Targets: victim is a process of the host with the mark in its arguments, environment and
// memory; helper is process 1 of the sandbox, and bare the victim; gateway is the gateway's
// process, with the mark in its environment; lock is a file in work; shm is the key of a segment
// of the host's.
var processes = map[string]attempt{
	"see-the-hosts-processes": func(t targets) error {
		found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, path := range found {
			line, err := os.ReadFile(path)
			if err == nil && !strings.Contains(string(line), "\x00try\x00") && marked(string(line), t) == nil {
				return nil // not one of ours, which have the mark as a target
			}
		}
		return fmt.Errorf("none of %d processes has the mark", len(found))
	},
	"read-the-gateways-environment": func(t targets) error { return holds("/proc/"+t["gateway"]+"/environ", t) },
	"read-the-helpers-memory": func(t targets) error {
		return anyOf(
			func() error { return readMemory(number(t["helper"]), 0x400000) },
			func() error { return nonEmpty("/proc/" + t["helper"] + "/maps") },
			func() error {
				f, err := os.Open("/proc/" + t["helper"] + "/mem")
				if err != nil {
					return err
				}
				defer f.Close()
				_, err = f.ReadAt(make([]byte, 16), 0x400000)
				return err
			})
	},
	"read-the-helpers-environment": func(t targets) error { return nonEmpty("/proc/" + t["helper"] + "/environ") },
	"take-the-helpers-descriptors": func(t targets) error {
		for fd := range 32 {
			if openFor(os.O_RDONLY|unix.O_NONBLOCK, fmt.Sprintf("/proc/%s/fd/%d", t["helper"], fd)) == nil {
				return nil
			}
		}
		return errors.New("none can be opened")
	},
	"see-the-helpers-program": func(t targets) error {
		_, err := os.Readlink("/proc/" + t["helper"] + "/exe")
		return err
	},
	"kill-a-process-of-the-host": func(t targets) error { return unix.Kill(number(t["victim"]), unix.SIGKILL) },
	"signal-the-gateway":         func(t targets) error { return unix.Kill(number(t["gateway"]), unix.SIGCONT) },
	"kill-its-parent": func(t targets) error {
		parent := os.Getppid()
		if err := unix.Kill(parent, unix.SIGKILL); err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
		if os.Getppid() == parent {
			return errors.New("the parent lives")
		}
		return nil
	},
	"kill-everything": func(t targets) error {
		// The test looks for what died; whoever is left here has not seen anything else.
		err := unix.Kill(-1, unix.SIGKILL)
		for pid := 2; pid < 1<<15; pid++ {
			if pid != os.Getpid() {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
		return errors.Join(errors.New("all that could be killed is"), err)
	},
	"trace-a-process-of-the-host": func(t targets) error { return seize(number(t["victim"])) },
	"trace-the-helper":            func(t targets) error { return seize(number(t["helper"])) },
	"trace-its-own-child": func(t targets) error {
		child := self("hold", "0")
		in, err := child.StdinPipe()
		if err != nil {
			return err
		}
		defer in.Close()
		if err := child.Start(); err != nil {
			return err
		}
		return seize(child.Process.Pid)
	},
	"read-memory-of-a-process-of-the-host": func(t targets) error {
		pid := number(t["victim"])
		maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
		if err != nil {
			return err
		}
		from, _, _ := strings.Cut(string(maps), "-")
		address, err := strconv.ParseUint(from, 16, 64)
		if err != nil {
			return err
		}
		return readMemory(pid, uintptr(address))
	},
	"take-a-descriptor": func(t targets) error {
		return anyOf(
			func() error { return takeDescriptor(number(t["victim"]), 0) },
			func() error { return takeDescriptor(number(t["helper"]), 3) })
	},
	"leave-a-process-behind": func(t targets) error {
		child := self("linger", t["lock"])
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		out, err := child.StdoutPipe()
		if err != nil {
			return err
		}
		if err := child.Start(); err != nil {
			return err
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			return fmt.Errorf("it did not start: %w", err)
		}
		_, err = fmt.Sscanf(line, "left %d", new(int))
		return err // the test looks whether the lock is still held after all this has ended
	},
	"be-spared-when-memory-ends": func(t targets) error {
		return os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0)
	},
	"take-the-processor": func(t targets) error {
		return unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: 1 /* SCHED_FIFO */, Priority: 50}, 0)
	},
	"share-memory-with-the-host": func(t targets) error {
		id, err := unix.SysvShmGet(number(t["shm"]), 4096, 0)
		if err != nil {
			return err
		}
		data, err := unix.SysvShmAttach(id, 0, unix.SHM_RDONLY)
		if err != nil {
			return err
		}
		return marked(string(data), t)
	},
	"use-a-setuid-program": func(t targets) error {
		out, err := self("whoami", t["setuid"]).Output()
		if err != nil {
			return err
		}
		if got := strings.TrimSpace(string(out)); got != "0" {
			return fmt.Errorf("the program runs as %s", got)
		}
		return nil
	},
	"leave-a-setuid-program": func(t targets) error {
		at := filepath.Join(t["work"], "setuid-"+strconv.Itoa(os.Getpid()))
		f, err := os.Create(at)
		if err != nil {
			return err
		}
		defer os.Remove(at)
		defer f.Close()
		return anyOf(
			func() error { return unix.Chmod(at, unix.S_ISUID|0o755) },
			func() error { return unix.Chmod(at, unix.S_ISGID|0o755) },
			func() error { return unix.Fchmod(int(f.Fd()), unix.S_ISUID|0o755) },
			func() error { return unix.Fchmodat(unix.AT_FDCWD, at, unix.S_ISUID|0o755, 0) },
			func() error { return unix.Fchmodat(unix.AT_FDCWD, at, unix.S_ISUID|0o755, unix.AT_SYMLINK_NOFOLLOW) }, // fchmodat2
			func() error { return closed(unix.Open(at+"-2", unix.O_CREAT|unix.O_WRONLY, unix.S_ISUID|0o755)) },
			func() error { return closed(unix.Creat(at+"-3", unix.S_ISUID|0o755)) },
			func() error {
				return closed(unix.Openat2(unix.AT_FDCWD, at+"-4", &unix.OpenHow{Flags: unix.O_CREAT | unix.O_WRONLY, Mode: unix.S_ISUID | 0o755}))
			},
			func() error { return unix.Mknod(at+"-5", unix.S_IFREG|unix.S_ISUID|0o755, 0) })
	},
	"become-root": func(t targets) error {
		if err := unix.Setresuid(0, 0, 0); err != nil {
			return err
		}
		return unix.Setgroups([]int{0})
	},
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 1<<22 + 1 // nobody
	}
	return n
}

func seize(pid int) error {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func nonEmpty(path string) error {
	data, err := os.ReadFile(path)
	if err == nil && len(data) == 0 {
		err = errors.New("it is empty")
	}
	return err
}

func readMemory(pid int, address uintptr) error {
	local := make([]byte, 16)
	n, err := unix.ProcessVMReadv(pid, []unix.Iovec{{Base: &local[0], Len: 16}}, []unix.RemoteIovec{{Base: address, Len: 16}}, 0)
	if err == nil && n == 0 {
		return errors.New("nothing was read")
	}
	return err
}

func takeDescriptor(pid, fd int) error {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(process)
	taken, err := unix.PidfdGetfd(process, fd, 0)
	if err != nil {
		return err
	}
	return unix.Close(taken)
}

// linger holds a lock for as long as it lives, which is half a minute unless it is killed.
func linger(args []string) error {
	f, err := os.OpenFile(args[0], os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	fmt.Println("left", os.Getpid())
	_ = os.Stdin.Close()
	_ = os.Stdout.Close()
	_ = os.Stderr.Close()
	time.Sleep(30 * time.Second)
	return f.Close()
}

// hold uses so many MiB, says so, says it again for each line of its input, and ends with it.
func hold(args []string) error {
	size, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	if err := touch(size); err != nil {
		return err
	}
	fmt.Println("held")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println("held")
	}
	return lines.Err()
}

// whoami becomes the program of the argument, or says who it is.
func whoami(args []string) error {
	if len(args) == 0 {
		fmt.Println(os.Geteuid())
		return nil
	}
	return unix.Exec(args[0], []string{"hostile", "whoami"}, nil)
}
