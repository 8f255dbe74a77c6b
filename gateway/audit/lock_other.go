//go:build !unix

package audit

import (
	"os"
	"path/filepath"
)

// lock cannot keep a second process out on this system.
func lock(dir string) (*os.File, error) { return lockFile(dir, "lock") }

func lockFile(dir, name string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, 0o600)
}
