package sandbox

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// entry is one thing of the machine that is visible inside.
type entry struct {
	At    string // where, in both
	Link  string `json:",omitempty"` // it is a link to this
	Real  string // what is there, with all links followed
	Dir   bool   // it is a directory
	Write bool
	Copy  bool `json:",omitempty"` // not it, but a copy
}

// plan lists what to show, outer directories first, so that an inner one with other rights lies
// on top. A path that is a link is shown as a link, with what it leads to. Links are followed here,
// once: the helper shows what they led to at this moment, or fails.
func (s Spec) plan() []entry {
	var plan []entry
	add := func(paths []string, write bool) {
		for _, path := range paths {
			real, err := filepath.EvalSymlinks(path)
			if err != nil {
				continue // of the base; Check has seen the others
			}
			if real != path {
				plan = append(plan, entry{At: path, Link: real})
			}
			plan = append(plan, entry{At: real, Real: real, Dir: isDir(real), Write: write})
		}
	}
	add(base, false)
	add(s.programPaths(), false)
	add(s.Read, false)
	add(s.Write, true)
	for _, path := range s.Copy {
		plan = append(plan, entry{At: path, Real: path, Copy: true})
	}
	slices.SortStableFunc(plan, func(a, b entry) int { return strings.Count(a.At, "/") - strings.Count(b.At, "/") })
	return plan
}

// kept lists what lies below something hidden and is shown all the same.
func (s Spec) kept() []entry {
	var own []entry
	for _, o := range s.Own {
		if real, err := filepath.EvalSymlinks(o.Path); err == nil {
			own = append(own, entry{At: real, Real: real, Dir: true, Write: o.Write})
		}
	}
	return own
}

// mostPrograms bounds how far a command is followed: a link to a script, whose interpreter is a
// link, is three.
const mostPrograms = 4

// programPaths is what the command itself needs beside the base: its file, what that is a link to,
// for a script its interpreter, and where each was installed with libraries beside it, as version
// managers and virtual environments do, that bin and lib. What the server could have arranged
// itself, in a folder that it may write, is not followed out of that folder.
func (s Spec) programPaths() []string {
	var out []string
	add := func(path string) {
		if !ofBase(path) && !slices.Contains(out, path) && s.astray(path) == nil {
			out = append(out, path)
		}
	}
	if s.Command == "" {
		return nil // of a trial
	}
	programs := []string{s.Command}
	for i := 0; i < len(programs) && i < mostPrograms; i++ {
		file := programs[i]
		add(file)
		for _, beside := range installedBeside(file) {
			add(beside)
		}
		real, err := filepath.EvalSymlinks(file)
		switch {
		case err != nil:
		case real != file:
			programs = append(programs, real)
		case !s.writable(real):
			if interpreter := interpreterOf(real); interpreter != "" {
				programs = append(programs, interpreter)
			}
		}
	}
	return out
}

// writable reports whether the server may change what is at path.
func (s Spec) writable(path string) bool {
	return slices.ContainsFunc(s.Write, func(dir string) bool {
		real, err := filepath.EvalSymlinks(dir)
		return within(path, dir) || err == nil && within(path, real)
	})
}

// installedBeside is what was installed together with the program at path.
func installedBeside(path string) (out []string) {
	dir := filepath.Dir(path)
	prefix := filepath.Dir(dir)
	if filepath.Base(dir) != "bin" || prefix == "/" || isHome(prefix) {
		return nil
	}
	for _, p := range []string{dir, prefix + "/lib", prefix + "/lib64", prefix + "/pyvenv.cfg"} {
		if _, err := os.Stat(p); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// isHome reports whether dir is some person's: its bin and lib are not a program's.
func isHome(dir string) bool {
	home, err := os.UserHomeDir()
	return err == nil && dir == home || dir == "/root" || filepath.Dir(dir) == "/home"
}

// interpreterOf is the absolute path on the first line of a script, or "".
func interpreterOf(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	line, _ := bufio.NewReader(io.LimitReader(f, 256)).ReadString('\n') // as much as the kernel reads
	rest, ok := strings.CutPrefix(line, "#!")
	if !ok {
		return ""
	}
	fields := strings.Fields(rest)
	if len(fields) == 0 || !filepath.IsAbs(fields[0]) {
		return ""
	}
	return filepath.Clean(fields[0])
}
