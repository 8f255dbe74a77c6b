//go:build unix

package upstream

import "golang.org/x/sys/unix"

// silent reports whether the socket has neither bytes, nor an end, nor an error to give.
func silent(fd uintptr) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLPRI}} // descriptors are small
	n, err := unix.Poll(fds[:], 0)
	return n == 0 && err == nil
}
