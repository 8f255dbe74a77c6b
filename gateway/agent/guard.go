package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"golang.org/x/sys/unix"
)

// guards are files of a working folder that programs outside the box obey without asking: who may
// write them has commands run later, as the person, with nothing around them. Those that exist can
// be read and not changed. Git takes its configuration from where commondir says, and that of a
// linked worktree or a submodule from within worktrees and modules.
var guards = []string{".git/config", ".git/hooks", ".git/commondir", ".git/config.worktree", ".git/worktrees", ".git/modules",
	".mcp.json", ".claude/settings.json", ".claude/settings.local.json", ".envrc"}

// itself is a commondir that changes nothing: the repository's own directory.
const itself = ".\n"

// prepareGit makes in a repository what is not there and would be obeyed if the agent made it, so
// that it can be guarded. It returns commondir, locked: other boxes of the folder count on it too.
func prepareGit(folder string) (*os.File, error) {
	git := filepath.Join(folder, ".git")
	if info, err := os.Lstat(git); err != nil || !info.IsDir() {
		return nil, nil // a file is guarded itself; what appears later is seen by Left
	}
	if err := os.Mkdir(filepath.Join(git, "hooks"), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("guard the hooks of git: %w", err)
	}
	if config, err := os.ReadFile(filepath.Join(git, "config")); err == nil && bytes.Contains(bytes.ToLower(config), []byte("worktreeconfig")) {
		if err := touch(filepath.Join(git, "config.worktree"), ""); err != nil {
			return nil, fmt.Errorf("guard the configuration of git: %w", err)
		}
	}
	marker, err := mark(filepath.Join(git, "commondir"))
	if err != nil {
		return nil, fmt.Errorf("guard the configuration of git: %w", err)
	}
	return marker, nil
}

// touch makes a file that is not there.
func touch(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // as git's own
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// mark makes the file at path where there is none, and takes a shared lock of the one that is there.
func mark(path string) (*os.File, error) {
	for {
		if err := touch(path, itself); err != nil {
			return nil, err
		}
		file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its last user has just removed it
		}
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(file.Fd()), unix.LOCK_SH); err != nil {
			return nil, errors.Join(err, file.Close())
		}
		if same(file, path) {
			return file, nil
		}
		_ = file.Close() // removed between open and lock
	}
}

func same(file *os.File, path string) bool {
	held, err1 := file.Stat()
	there, err2 := os.Lstat(path)
	return err1 == nil && err2 == nil && os.SameFile(held, there)
}

// Close takes away what NewBox has put into the repository, unless another box counts on it.
func (b *Box) Close() error {
	if b.marker == nil {
		return nil
	}
	defer func() { _ = b.marker.Close() }() // read only
	path := b.marker.Name()
	if unix.Flock(int(b.marker.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil || !same(b.marker, path) {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil || string(text) != itself {
		return err // it was there before
	}
	return os.Remove(path)
}

// guard returns what of the folder must not be changed, and the folders in it that must stay where
// they are, since what is in a folder can be changed by putting another in its place.
func guard(folder string, keep []string) (readOnly, fixed []string) {
	var paths []string
	git := filepath.Join(folder, ".git")
	if info, err := os.Lstat(git); err == nil && info.Mode().IsRegular() { // it names the repository of a worktree or submodule
		paths = append(paths, git)
	}
	for _, name := range guards {
		path := filepath.Join(folder, name)
		if real, err := filepath.EvalSymlinks(path); err == nil && real == path { // a link has no content of its own
			paths = append(paths, path)
		}
	}
	for _, path := range slices.Concat(obeyed(folder), keep) {
		if real, err := filepath.EvalSymlinks(path); err == nil && real != folder && within(real, folder) && !slices.Contains(paths, real) {
			paths = append(paths, real)
		}
	}
	for _, path := range paths {
		for parent := filepath.Dir(path); parent != folder; parent = filepath.Dir(parent) {
			if !slices.Contains(fixed, parent) && !slices.Contains(paths, parent) {
				fixed = append(fixed, parent)
			}
		}
	}
	return paths, fixed
}

// elsewhere finds where a configuration of git has more of it, and hooks.
var elsewhere = regexp.MustCompile(`(?im)^\s*(hookspath|path)\s*=\s*"?([^"\n]+?)"?\s*$`)

// obeyed are the paths that the repository's configuration names as hooks or as configuration.
func obeyed(folder string) (paths []string) {
	git := filepath.Join(folder, ".git")
	config, err := os.ReadFile(filepath.Join(git, "config"))
	if err != nil {
		return nil
	}
	for _, m := range elsewhere.FindAllSubmatch(config, -1) {
		path, from := string(m[2]), git
		if len(m[1]) == len("hookspath") {
			from = folder
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(from, path)
		}
		paths = append(paths, path)
	}
	return paths
}
