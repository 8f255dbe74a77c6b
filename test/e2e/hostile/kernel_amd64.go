//go:build linux

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

var archSpecific = map[string]attempt{
	"reach-the-ports": func(t targets) error {
		return anyOf(
			func() error { return errnoAs(unix.Syscall(unix.SYS_IOPL, 3, 0, 0)) },
			func() error { return errnoAs(unix.Syscall(unix.SYS_IOPERM, 0x80, 1, 1)) })
	},
	"call-as-32-bit": func(t targets) error {
		// Numbers differ there: a filter that forgets the architecture lets ptrace (26) pass
		// for msync. getpid is 20.
		if pid := int80(20); pid <= 0 {
			return fmt.Errorf("int 0x80 answers %d", pid)
		}
		return nil
	},
	"call-as-x32": func(t targets) error {
		// getpid with the bit of x32. Kernels without x32 answer ENOSYS.
		return errnoAs(unix.Syscall(unix.SYS_GETPID|0x40000000, 0, 0, 0))
	},
	"change-its-segments": func(t targets) error {
		return considered(unix.Syscall(unix.SYS_MODIFY_LDT, 9, 0, 0))
	},
}

// int80 makes a system call by the door of 32-bit programs.
func int80(number uint32) int32
