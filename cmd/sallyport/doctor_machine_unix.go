//go:build unix

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// limits reads how many files a process of this user may open, and the room under path for who is not root.
func limits(path string) (files, bytes uint64, err error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, 0, fmt.Errorf("limit of open files: %w", err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return 0, 0, fmt.Errorf("room under %s: %w", path, err)
	}
	return limit.Cur, fs.Bavail * uint64(fs.Bsize), nil // a block has a size
}
