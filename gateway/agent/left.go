package agent

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// survey holds the files of a folder that run by themselves, and what they hold.
type survey map[string]string

// Bounds of a survey.
const (
	maxSurveyed = 200_000 // entries of the folder
	maxHashed   = 1 << 20 // bytes of each file
	maxLeft     = 20      // lines that Left returns
)

var errTooMany = fmt.Errorf("the folder holds more than %d files", maxSurveyed)

// alone are files that a program obeys because of their names.
var alone = map[string]string{".envrc": "direnv", ".mcp.json": "MCP clients", ".claude/settings.json": "Claude Code",
	".claude/settings.local.json": "Claude Code", ".vscode/tasks.json": "VS Code"}

// Left says, one line each, which files that run by themselves have appeared or changed in the
// working folder since the box was made: what cannot be guarded, since it was not there. It is to be
// asked when the agent has ended.
func (b *Box) Left() []string {
	if b.unseen != nil {
		return []string{fmt.Sprintf("what the agent left that runs by itself was not looked for: %v; look for .git, .envrc, .mcp.json and .claude yourself", b.unseen)}
	}
	after, err := look(b.folder)
	var lines []string
	if err != nil {
		lines = append(lines, fmt.Sprintf("what the agent left that runs by itself was looked for in vain, or in part: %v", err))
	}
	more := 0
	for _, name := range slices.Sorted(maps.Keys(after)) {
		switch {
		case b.before[name] == after[name]:
		case len(lines) >= maxLeft:
			more++
		default:
			who := reader(name)
			lines = append(lines, fmt.Sprintf("the agent left %q, which %s obeys; look at it before you use %s here", name, who, who))
		}
	}
	if more > 0 {
		lines = append(lines, fmt.Sprintf("the agent left %d more files of this kind", more))
	}
	return lines
}

// reader is the program that obeys the file.
func reader(name string) string {
	for end, who := range alone {
		if name == end || strings.HasSuffix(name, "/"+end) {
			return who
		}
	}
	return "git"
}

// look surveys a folder. No link is followed.
func look(folder string) (survey, error) {
	found, entries := survey{}, 0
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			return nil // what cannot be read here is not run from here
		}
		if err != nil {
			return err
		}
		if entries++; entries > maxSurveyed {
			return errTooMany
		}
		rel, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		switch {
		case d.Name() == ".git" && d.IsDir():
			found.repository(folder, rel)
			return fs.SkipDir
		case d.Name() == ".git", reader(rel) != "git":
			found.add(folder, rel)
		case d.Name() == "HEAD" && bare(filepath.Dir(path)):
			found.repository(folder, filepath.Dir(rel))
		}
		return nil
	})
	return found, err
}

// bare reports whether git takes a directory with a HEAD for a repository.
func bare(dir string) bool {
	for _, name := range []string{"objects", "commondir"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// repository adds what git obeys of a repository.
func (s survey) repository(folder, rel string) {
	for _, name := range []string{"config", "commondir", "config.worktree", "rebase-merge/git-rebase-todo", "rebase-apply", "sequencer/todo"} {
		s.add(folder, filepath.Join(rel, name))
	}
	hooks, _ := os.ReadDir(filepath.Join(folder, rel, "hooks")) // none where it cannot be read
	for _, h := range hooks {
		if !strings.HasSuffix(h.Name(), ".sample") {
			s.add(folder, filepath.Join(rel, "hooks", h.Name()))
		}
	}
}

// add notes what a file holds, where there is one.
func (s survey) add(folder, rel string) {
	path := filepath.Join(folder, rel)
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return
	case info.Mode().IsRegular():
		s[rel] = fmt.Sprint(info.Mode(), info.Size(), digest(path))
	case info.Mode().Type() == fs.ModeSymlink:
		to, _ := os.Readlink(path) // "" is as good as any
		s[rel] = "-> " + to
	default:
		s[rel] = info.Mode().Type().String()
	}
}

// digest is of the beginning of a file; its size is compared besides.
func digest(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = file.Close() }() // read only
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(file, maxHashed)); err != nil {
		return err.Error()
	}
	return string(h.Sum(nil))
}
