//go:build unix

package pin

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock makes this process the only one that writes the file. The kernel drops the lock with the
// process.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock pins: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrLocked
	}
	if err != nil {
		_ = f.Close() // the lock's error is the one that matters
		return nil, fmt.Errorf("lock pins %s: %w", path, err)
	}
	return f, nil
}
