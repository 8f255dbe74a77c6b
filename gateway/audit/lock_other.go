//go:build !unix

package audit

import (
	"os"
	"path/filepath"
)

// lock cannot keep a second process out on this system.
func lock(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
}
