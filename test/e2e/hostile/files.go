//go:build linux

package main

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Targets: secret is a marked file outside; folder may be read and has a symbolic link "out"
// to it, a file "given", and below it the hidden folder "state"; work may be written; home is
// the person's home; program is a copy of this program that may be read.
var files = map[string]attempt{
	"read-outside": func(t targets) error { return holds(t["secret"], t) },
	"read-dotdot": func(t targets) error {
		return holds(t["folder"]+"/../"+filepath.Base(filepath.Dir(t["secret"]))+"/"+filepath.Base(t["secret"]), t)
	},
	"read-by-a-link-that-is-there": func(t targets) error { return holds(t["folder"]+"/out", t) },
	"read-by-a-link-of-our-own": func(t targets) error {
		link := filepath.Join(t["work"], "link-"+strconv.Itoa(os.Getpid()))
		defer os.Remove(link)
		return errors.Join(os.Symlink(t["secret"], link), holds(link, t))
	},
	"read-by-proc-self-root":   func(t targets) error { return holds("/proc/self/root"+t["secret"], t) },
	"read-by-the-helpers-root": func(t targets) error { return holds("/proc/"+t["helper"]+"/root"+t["secret"], t) },
	"read-by-proc-self-cwd": func(t targets) error {
		return holds("/proc/self/cwd/../../../../../../../../../.."+t["secret"], t)
	},
	"read-by-the-gateways-root": func(t targets) error {
		return anyOf(
			func() error { return holds("/proc/"+t["gateway"]+"/root"+t["secret"], t) },
			func() error { return holds("/proc/"+t["gateway"]+"/cwd/"+t["secret"], t) })
	},
	"read-beside-a-folders-descriptor": func(t targets) error {
		dir, err := os.Open(t["folder"])
		if err != nil {
			return err
		}
		defer dir.Close()
		up := "../" + filepath.Base(filepath.Dir(t["secret"])) + "/" + filepath.Base(t["secret"])
		return anyOf(
			func() error { return holds(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), up), t) },
			func() error {
				fd, err := unix.Openat(int(dir.Fd()), up, unix.O_RDONLY|unix.O_CLOEXEC, 0)
				if err != nil {
					return err
				}
				f := os.NewFile(uintptr(fd), up)
				defer f.Close()
				return holds("/proc/self/fd/"+strconv.Itoa(fd), t)
			})
	},
	"read-by-a-hard-link": func(t targets) error {
		link := filepath.Join(t["work"], "hard-"+strconv.Itoa(os.Getpid()))
		if err := os.Link(t["secret"], link); err != nil {
			return err
		}
		defer os.Remove(link)
		return holds(link, t)
	},
	"read-by-a-handle": byHandle,
	"move-in": func(t targets) error {
		in := filepath.Join(t["work"], "moved-"+strconv.Itoa(os.Getpid()))
		if err := os.Rename(t["secret"], in); err != nil {
			return err
		}
		return errors.Join(holds(in, t), os.Rename(in, t["secret"]))
	},
	"read-what-is-hidden-below-a-folder": func(t targets) error { return holds(t["folder"]+"/state/key", t) },
	"read-ssh-key":                       func(t targets) error { return readHome(".ssh/id_ed25519", t) },
	"read-aws-credentials":               func(t targets) error { return readHome(".aws/credentials", t) },
	"read-an-inherited-descriptor": func(t targets) error {
		buffer := make([]byte, 4096)
		for fd := 3; fd < 1024; fd++ {
			if n, err := unix.Pread(fd, buffer, 0); err == nil && marked(string(buffer[:n]), t) == nil {
				return nil
			}
		}
		return errors.New("no open descriptor leads to the mark")
	},
	"read-the-environment": func(t targets) error {
		for _, line := range os.Environ() {
			if marked(line, t) == nil {
				return nil
			}
		}
		return errors.New("the mark is not in the environment")
	},
	"write-a-read-folder": func(t targets) error { return writeAndRemove(filepath.Join(t["folder"], "new")) },
	"change-a-read-file": func(t targets) error {
		given := filepath.Join(t["folder"], "given")
		return anyOf(
			func() error { return os.Truncate(given, 5) },
			func() error { return appendTo(given) },
			func() error { return os.Chmod(given, 0o666) },
			func() error { return unix.Utime(given, nil) },
			func() error { return unix.Setxattr(given, "user.x", []byte("x"), 0) },
			func() error { return os.Link(given, given+"-2") },
			func() error { return os.Rename(given, given+"-3") })
	},
	"write-usr": func(t targets) error { return writeAndRemove("/usr/lib/hostile-was-here") },
	"write-etc": func(t targets) error { return writeAndRemove("/etc/hostile-was-here") },
	"write-passwd": func(t targets) error {
		f, err := os.OpenFile("/etc/passwd", os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		// Made up inside: a file that can be opened is an escape only when it is the host's.
		return holds("/etc/passwd", targets{"mark": t["passwd"]})
	},
	"replace-its-own-program": func(t targets) error {
		copied := t["program"] + ".new"
		if err := os.WriteFile(copied, []byte("#!/bin/sh\n"), 0o755); err != nil {
			return err
		}
		return os.Rename(copied, t["program"])
	},
}

func readHome(path string, t targets) error {
	ways := []func() error{
		func() error { return holds(filepath.Join(t["home"], path), t) },
		func() error { return holds(filepath.Join(os.Getenv("HOME"), path), t) },
	}
	if u, err := user.Current(); err == nil {
		ways = append(ways, func() error { return holds(filepath.Join(u.HomeDir, path), t) })
	}
	return anyOf(ways...)
}

func writeAndRemove(path string) error {
	if err := os.WriteFile(path, []byte("hostile"), 0o600); err != nil {
		return err
	}
	return os.Remove(path)
}

func appendTo(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString("hostile")
	return err
}

// byHandle opens the secret by its number on the file system, which no mount can hide: the
// way out of containers that kept CAP_DAC_READ_SEARCH.
func byHandle(t targets) error {
	handle, err := hex.DecodeString(t["handle"])
	if err != nil || len(handle) < 4 {
		return errors.New("no handle was given")
	}
	mount, err := os.Open(t["folder"])
	if err != nil {
		return err
	}
	defer mount.Close()
	fd, err := unix.OpenByHandleAt(int(mount.Fd()), unix.NewFileHandle(int32(binary.LittleEndian.Uint32(handle)), handle[4:]), unix.O_RDONLY)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "handle")
	defer f.Close()
	return holds("/proc/self/fd/"+strconv.Itoa(fd), t)
}

var devices = map[string]attempt{
	"make-a-device": func(t targets) error {
		node := filepath.Join(t["work"], "node-"+strconv.Itoa(os.Getpid()))
		if err := unix.Mknod(node, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 11))); err != nil { // kmsg
			return err
		}
		defer os.Remove(node)
		return openFor(os.O_RDONLY, node)
	},
	"open-memory": func(t targets) error {
		return anyOf(
			func() error { return openFor(os.O_RDONLY, "/dev/mem") },
			func() error { return openFor(os.O_RDONLY, "/dev/kmem") },
			func() error { return openFor(os.O_RDONLY, "/dev/port") },
			func() error { return openFor(os.O_RDONLY, "/proc/kcore") })
	},
	"open-kernel-log": func(t targets) error {
		return anyOf(
			func() error { return openFor(os.O_RDONLY, "/dev/kmsg") },
			func() error { return considered(unix.Syscall(unix.SYS_SYSLOG, 10, 0, 0)) })
	},
	"open-kvm": func(t targets) error { return openFor(os.O_RDWR, "/dev/kvm") },
	"open-a-disk": func(t targets) error {
		for _, disk := range []string{"/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/loop0", "/dev/loop-control", "/dev/fuse"} {
			if openFor(os.O_RDONLY, disk) == nil {
				return nil
			}
		}
		return errors.New("no disk can be opened")
	},
	"type-into-a-terminal": func(t targets) error {
		for _, tty := range []string{"/dev/tty", "/dev/console", "/dev/tty0", "/dev/tty1", "/dev/ptmx", "/dev/pts/0", "/dev/pts/ptmx"} {
			fd, err := unix.Open(tty, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
			if err != nil {
				continue
			}
			// Not one byte: a terminal that can be opened can be typed into.
			return unix.Close(fd)
		}
		return errors.New("no terminal can be opened")
	},
	"write-core-pattern": func(t targets) error { return openFor(os.O_WRONLY, "/proc/sys/kernel/core_pattern") },
	"write-sysrq":        func(t targets) error { return openFor(os.O_WRONLY, "/proc/sysrq-trigger") },
	"write-modprobe":     func(t targets) error { return openFor(os.O_WRONLY, "/proc/sys/kernel/modprobe") },
	"write-release-agent": func(t targets) error {
		return anyOf(
			func() error { return openFor(os.O_WRONLY, "/sys/fs/cgroup/pids/release_agent") },
			func() error { return openFor(os.O_WRONLY, "/sys/fs/cgroup/cgroup.subtree_control") },
			func() error { return openFor(os.O_WRONLY, "/sys/kernel/uevent_helper") },
			func() error { return openFor(os.O_WRONLY, "/sys/power/state") })
	},
	"leave-its-cgroup": func(t targets) error {
		me := []byte(strconv.Itoa(os.Getpid()))
		return anyOf(
			func() error { return os.WriteFile("/sys/fs/cgroup/pids/cgroup.procs", me, 0) },
			func() error { return os.WriteFile("/sys/fs/cgroup/cgroup.procs", me, 0) })
	},
	// Let through, and told in docs/threat-model.md.
	"see-the-machine": func(t targets) error { return nonEmpty("/proc/meminfo") },
	"see-the-hosts-sys": func(t targets) error {
		_, err := os.ReadDir("/sys/class")
		return err
	},
}

func openFor(flag int, path string) error {
	f, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return err
	}
	return f.Close()
}
