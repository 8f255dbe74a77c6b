//go:build unix

package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// lock makes this process the only writer of the directory. Two writers would give one number
// to two records. The kernel drops the lock with the process.
func lock(dir string) (*os.File, error) { return lockFile(dir, "lock") }

func lockFile(dir, name string) (*os.File, error) {
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock audit directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(path)
		_ = f.Close() // the lock's error is the one that matters
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock audit directory %s: %w", dir, err)
		}
		return nil, fmt.Errorf("%w: %s (process %s): stop it, or use another state directory", ErrLocked, dir, strings.TrimSpace(string(holder)))
	}
	_ = f.Truncate(0)                                           // the number only helps a person
	_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0) // likewise
	return f, nil
}
