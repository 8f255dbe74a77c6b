//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Targets: processes, megabytes, fill, descriptors and seconds say how much more than its limit an
// attempt asks for.
var limits = map[string]attempt{
	"fork-bomb":               func(t targets) error { return forks(number(t["processes"])) },
	"memory-bomb":             func(t targets) error { return touch(number(t["megabytes"])) },
	"memory-bomb-of-children": memoryOfChildren,
	"memory-bomb-without-a-process": func(t targets) error {
		fd, err := unix.MemfdCreate("hostile", 0)
		if err != nil {
			return err
		}
		return fill(fd, number(t["megabytes"]))
	},
	"fill-tmp":                      func(t targets) error { return fillDir(os.TempDir(), t) },
	"fill-home":                     func(t targets) error { return fillDir(os.Getenv("HOME"), t) },
	"fill-shm":                      func(t targets) error { return fillDir("/dev/shm", t) },
	"fill-the-disk-with-one-file":   func(t targets) error { return fillDir(t["work"], t) },
	"fill-the-root":                 func(t targets) error { return fillDir("/", t) },
	"descriptor-bomb":               descriptors,
	"use-the-processor-without-end": func(t targets) error { return burn(time.Duration(number(t["seconds"])) * time.Second) },
	// Let through, and told in docs/threat-model.md.
	"use-the-processor-in-turns": func(t targets) error {
		for range 2 * number(t["seconds"]) {
			if err := self("burn").Run(); err != nil {
				return err
			}
		}
		return nil
	},
	"fill-the-disk-with-many-files": func(t targets) error {
		for i := 0; i < number(t["fill"]); i += 16 {
			f, err := os.Create(filepath.Join(t["work"], "many-"+strconv.Itoa(i)))
			if err != nil {
				return err
			}
			defer os.Remove(f.Name())
			defer f.Close()
			if err := fill(int(f.Fd()), 16); err != nil {
				return err
			}
		}
		return nil
	},
	"raise-its-limits": func(t targets) error {
		for _, limit := range []int{unix.RLIMIT_NOFILE, unix.RLIMIT_NPROC, unix.RLIMIT_AS, unix.RLIMIT_DATA, unix.RLIMIT_FSIZE, unix.RLIMIT_CPU} {
			var now unix.Rlimit
			if err := unix.Getrlimit(limit, &now); err != nil {
				return err
			}
			if now.Max == unix.RLIM_INFINITY {
				continue
			}
			if err := unix.Setrlimit(limit, &unix.Rlimit{Cur: now.Max + 1, Max: now.Max + 1}); err == nil {
				return nil
			}
		}
		return fmt.Errorf("no limit was raised")
	},
}

// forks makes so many processes that do nothing, and ends them again.
func forks(want int) error {
	var children []int
	defer func() {
		for _, pid := range children {
			_ = unix.Kill(pid, unix.SIGKILL)
			_, _ = unix.Wait4(pid, nil, 0, nil)
		}
	}()
	for i := range want {
		pid, errno := fork()
		if errno != 0 {
			return fmt.Errorf("after %d: %w", i, errno)
		}
		children = append(children, pid)
	}
	return nil
}

// fork makes a child that waits for ever in system calls alone: nothing of the runtime is
// there for it.
//
//go:norace
//go:nosplit
func fork() (int, syscall.Errno) {
	pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		for {
			_, _, _ = syscall.RawSyscall6(syscall.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
		}
	}
	return int(pid), errno
}

// burn uses so much time of the processor.
func burn(enough time.Duration) error {
	for {
		var used unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
			return err
		}
		if time.Duration(used.Utime.Nano()+used.Stime.Nano()) >= enough {
			return nil
		}
	}
}

// touch uses memory, page by page.
func touch(megabytes int) error {
	for i := range megabytes {
		block, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return fmt.Errorf("after %d MiB: %w", i, err)
		}
		for page := 0; page < len(block); page += 4096 {
			block[page] = 1
		}
	}
	return nil
}

// memoryOfChildren uses the same amount in eight processes, each of which is within bounds. It
// comes through when all live at once: some systems end an earlier one for a later.
func memoryOfChildren(t targets) error {
	var ask []io.Writer
	var answer []*bufio.Reader
	for i := range 8 {
		child := self("hold", strconv.Itoa(number(t["megabytes"])/8))
		in, err := child.StdinPipe()
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := child.StdoutPipe()
		if err != nil {
			return err
		}
		if err := child.Start(); err != nil {
			return err
		}
		ask, answer = append(ask, in), append(answer, bufio.NewReader(out))
		if _, err := answer[i].ReadString('\n'); err != nil {
			return fmt.Errorf("child %d: %w", i+1, err)
		}
	}
	for i := range ask {
		if _, err := fmt.Fprintln(ask[i]); err != nil {
			return fmt.Errorf("child %d is gone: %w", i+1, err)
		}
		if _, err := answer[i].ReadString('\n'); err != nil {
			return fmt.Errorf("child %d is gone: %w", i+1, err)
		}
	}
	return nil
}

func fillDir(dir string, t targets) error {
	path := filepath.Join(dir, "fill-"+strconv.Itoa(os.Getpid()))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(path)
	defer f.Close()
	return fill(int(f.Fd()), number(t["fill"]))
}

func fill(fd, megabytes int) error {
	block := make([]byte, 1<<20)
	for i := range megabytes {
		for rest := block; len(rest) > 0; {
			n, err := unix.Write(fd, rest)
			if err != nil {
				return fmt.Errorf("after %d MiB: %w", i, err)
			}
			rest = rest[n:]
		}
	}
	return nil
}
