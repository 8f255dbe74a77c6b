package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of what is measured. Beyond them nothing is, so that no file goes unseen.
const (
	MaxFiles    = 10_000
	MaxFileSize = 64 << 20 // bytes
	maxEntries  = 200_000  // that are looked at to find the files
	maxPatterns = 64
)

// File is one file that was measured.
type File struct {
	Path   string `json:"path"`   // below the folder, or below HOME where it starts with "~/"; with slashes
	Digest string `json:"sha256"` // of its content, in hexadecimal
}

// Manifest is what a measurement found: the files that match the patterns, sorted by path.
type Manifest struct {
	Folder   string   `json:"folder"`
	Patterns []string `json:"patterns"`
	Digest   string   `json:"digest"` // "sha256:…" of paths and digests of all files
	Files    []File   `json:"files"`
}

// Measurer measures the files below a folder that match patterns. It is immutable.
type Measurer struct {
	folder, home string
	patterns     [][]string // elements; the first is "~" where it stands for HOME
	given        []string
}

// NewMeasurer returns a measurer of folder, which is absolute. A pattern is a path below folder,
// or below home where it starts with "~/": "*", "?" and "[…]" match within one name, and "**" any
// number of folders. The error says which pattern is wrong, and how.
func NewMeasurer(folder, home string, patterns []string) (*Measurer, error) {
	if !filepath.IsAbs(folder) {
		return nil, fmt.Errorf("measure: folder %q is not an absolute path", folder)
	}
	if len(patterns) > maxPatterns {
		return nil, fmt.Errorf("measure: %d patterns; at most %d", len(patterns), maxPatterns)
	}
	m := &Measurer{folder: filepath.Clean(folder), home: home, given: slices.Clone(patterns)}
	var errs []error
	for _, p := range patterns {
		elements, err := splitPattern(p, home)
		if err != nil {
			errs = append(errs, fmt.Errorf("measure %q: %w", p, err))
		}
		m.patterns = append(m.patterns, elements)
	}
	return m, errors.Join(errs...)
}

func splitPattern(p, home string) ([]string, error) {
	switch {
	case p == "":
		return nil, errors.New("an empty pattern matches nothing; name files, as in 'AGENTS.md' or '.claude/**'")
	case strings.HasPrefix(p, "/"):
		return nil, errors.New("an absolute path; name files below the working folder, or below HOME as in '~/.claude/CLAUDE.md'")
	case strings.HasPrefix(p, "~/") && home == "":
		return nil, errors.New("HOME is not set, so '~/' stands for nothing")
	}
	elements := strings.Split(strings.TrimPrefix(p, "./"), "/")
	for i, e := range elements {
		switch {
		case e == "" || e == ".":
			return nil, errors.New("it has an empty part; write it in its shortest form")
		case e == "..":
			return nil, errors.New("it leads out of the folder; run the command in the folder that holds the files")
		case e == "~" && i == 0 && len(elements) > 1:
			continue
		}
		if _, err := path.Match(e, ""); err != nil {
			return nil, fmt.Errorf("%q is no pattern: a '[' needs its ']'", e)
		}
	}
	return elements, nil
}

// Measure reads the files as they are now. Links are not followed out of the folder, and what
// cannot be read, or is more than the bounds, is an error that says what to do.
func (m *Measurer) Measure() (*Manifest, error) {
	w := &walk{digests: map[string]string{}}
	for i, elements := range m.patterns {
		dir, prefix := m.folder, ""
		if elements[0] == "~" {
			dir, prefix, elements = m.home, "~/", elements[1:]
		}
		if err := w.root(dir, prefix, elements); err != nil {
			return nil, fmt.Errorf("measure %q: %w", m.given[i], err)
		}
	}
	out := &Manifest{Folder: m.folder, Patterns: m.given, Files: make([]File, 0, len(w.digests))}
	for name, digest := range w.digests {
		out.Files = append(out.Files, File{Path: name, Digest: digest})
	}
	slices.SortFunc(out.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	out.Digest = digestOf(out.Files)
	return out, nil
}

// Digest is the digest of what [Measurer.Measure] finds now.
func (m *Measurer) Digest() (string, error) {
	found, err := m.Measure()
	if err != nil {
		return "", err
	}
	return found.Digest, nil
}

// Unmatched returns the patterns that match none of the files of a manifest of this measurer.
func (m *Measurer) Unmatched(found *Manifest) []string {
	var out []string
	for i, elements := range m.patterns {
		if !slices.ContainsFunc(found.Files, func(f File) bool { return matches(elements, strings.Split(f.Path, "/")) }) {
			out = append(out, m.given[i])
		}
	}
	return out
}

func matches(pattern, name []string) bool {
	switch {
	case len(pattern) == 0:
		return len(name) == 0
	case pattern[0] == "**":
		return matches(pattern[1:], name) || len(name) > 0 && matches(pattern, name[1:])
	case len(name) == 0:
		return false
	}
	ok, _ := path.Match(pattern[0], name[0]) // NewMeasurer has seen each
	return ok && matches(pattern[1:], name[1:])
}

// digestOf is the digest of a sorted list. A path holds no NUL and no digest another length, so
// no two lists are written alike.
func digestOf(files []File) string {
	h := sha256.New()
	for _, f := range files {
		_, _ = fmt.Fprintf(h, "%s\x00%s\n", f.Path, f.Digest) // a hash takes everything
	}
	return sum(h)
}

func sum(h hash.Hash) string { return "sha256:" + hex.EncodeToString(h.Sum(nil)) }

// walk is one measurement under way.
type walk struct {
	dir     *os.Root
	prefix  string
	digests map[string]string // by path as it stands in the manifest
	looked  int
}

func (w *walk) root(dir, prefix string, elements []string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer func() { _ = root.Close() }()
	w.dir, w.prefix = root, prefix
	return w.expand(".", elements)
}

// expand measures what is below at and matches.
func (w *walk) expand(at string, elements []string) error {
	if len(elements) == 0 {
		return w.file(at)
	}
	e, rest := elements[0], elements[1:]
	if e != "**" && !strings.ContainsAny(e, `*?[\`) {
		return w.enter(path.Join(at, e), rest)
	}
	if e == "**" && len(rest) > 0 {
		if err := w.expand(at, rest); err != nil {
			return err
		}
	}
	entries, err := w.list(at)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := path.Join(at, entry.Name())
		switch ok, _ := path.Match(e, entry.Name()); {
		case e == "**" && entry.IsDir():
			err = w.expand(name, elements)
		case e == "**" && len(rest) == 0:
			err = w.file(name)
		case e != "**" && ok:
			err = w.enter(name, rest)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// enter goes on at name, which matches so far.
func (w *walk) enter(name string, rest []string) error {
	info, err := w.dir.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(rest) == 0:
		if info.IsDir() {
			return nil // a pattern names files
		}
		return w.file(name)
	case info.IsDir():
		return w.expand(name, rest)
	case info.Mode()&fs.ModeSymlink != 0:
		return linked(name)
	}
	return nil
}

func linked(name string) error {
	return fmt.Errorf("%s is a link that is not followed; name what it leads to, or put a copy in its place", name)
}

func (w *walk) list(at string) ([]fs.DirEntry, error) {
	d, err := w.dir.Open(at)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	entries, err := d.ReadDir(maxEntries - w.looked + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("list %s: %w", at, err)
	}
	if w.looked += len(entries); w.looked > maxEntries {
		return nil, fmt.Errorf("more than %d files and folders would have to be looked at; give narrower patterns", maxEntries)
	}
	return entries, nil
}

// file measures one file. A link inside the folder to a file stands for that file.
func (w *walk) file(name string) error {
	if _, ok := w.digests[w.prefix+name]; ok {
		return nil
	}
	if len(w.digests) >= MaxFiles {
		return fmt.Errorf("more than %d files match; give narrower patterns", MaxFiles)
	}
	info, err := w.dir.Stat(name)
	if err != nil {
		if link, lerr := w.dir.Lstat(name); lerr == nil && link.Mode()&fs.ModeSymlink != 0 {
			return linked(name) // out of the folder, or nowhere
		}
		return err
	}
	switch {
	case info.IsDir():
		return linked(name)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is neither a file nor a folder; it cannot be measured", name)
	case info.Size() > MaxFileSize:
		return fmt.Errorf("%s has more than %d MiB; give patterns that leave it out", name, MaxFileSize>>20)
	}
	f, err := w.dir.Open(name)
	if err != nil {
		return fmt.Errorf("%w; files that are measured must be readable", err)
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, MaxFileSize+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if n > MaxFileSize {
		return fmt.Errorf("%s has more than %d MiB; give patterns that leave it out", name, MaxFileSize>>20)
	}
	w.digests[w.prefix+name] = hex.EncodeToString(h.Sum(nil))
	return nil
}
