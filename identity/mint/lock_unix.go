//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package mint

import (
	"os"
	"path/filepath"
	"syscall"
)

// lockDir keeps two processes from both making the first key of a directory, each signing with
// one that the other does not know. The kernel drops the lock with the process.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close() // the lock's error is the one that matters
		return nil, err
	}
	return func() { _ = f.Close() }, nil // closing unlocks
}
