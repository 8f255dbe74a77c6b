package sallyport_test

import (
	"errors"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// No file that people write is as large as this; what a build leaves behind is.
const largest = 1 << 20

// TestWhatIsBuiltIsIgnored keeps programs and other results of a build out of the history, out of which
// they cannot be taken again.
func TestWhatIsBuiltIsIgnored(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another package's test has just taken it away
		}
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "node_modules" || path == "bin") {
				return fs.SkipDir
			}
			return nil
		}
		seen++
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if info.Size() > largest && exec.Command("git", "check-ignore", "-q", path).Run() != nil {
			t.Errorf("%s has %d bytes, more than %d, and .gitignore does not name it: was it built?", path, info.Size(), largest)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 1000 {
		t.Errorf("found %d files: too few to be true", seen)
	}
}
