package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// file is what the writer needs of a segment; tests put a failing disk in its place.
type file interface {
	Write(p []byte) (int, error)
	Sync() error
	Truncate(size int64) error
	Close() error
}

// disk makes segments.
type disk interface {
	// Create makes a file that must not exist, and its directory entry durable. On failure it
	// leaves no file, as far as the disk lets it.
	Create(path string) (file, error)
}

type realDisk struct{}

func (realDisk) Create(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return realFile{f}, nil
}

type realFile struct{ *os.File }

// Sync waits for the data and for the metadata that is needed to read it.
func (f realFile) Sync() error { return dataSync(f.File) }

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// makeDir makes dir and its parents with mode 0700, and their entries durable: a power cut that
// took the directory would take every record in it.
func makeDir(dir string, sync func(dir string) error) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	var parents []string // of those that are made
	for p := dir; ; p = filepath.Dir(p) {
		if _, err := os.Stat(p); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		parents = append(parents, filepath.Dir(p))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, p := range parents {
		if err := sync(p); err != nil {
			return err
		}
	}
	return nil
}

// privateDir makes dir with mode 0700, or refuses one that is wider.
func privateDir(dir string) error {
	if err := makeDir(dir, syncDir); err != nil {
		return fmt.Errorf("make audit directory: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("open audit directory: %w", err)
	}
	return private(dir, info, 0o700)
}

// private refuses what others than the owner could read.
func private(path string, info fs.FileInfo, want fs.FileMode) error {
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o, so others could use what it holds; run: chmod %04o %s", path, mode, want, path)
	}
	return nil
}

const (
	segmentSuffix = ".jsonl"
	tornSuffix    = ".torn"    // what a crash left of lines that nobody was told of
	damagedSuffix = ".damaged" // an operator moved the segment aside
)

// segmentName names a segment by the seq of its first record, so that names sort.
func segmentName(first uint64) string { return fmt.Sprintf("%020d%s", first, segmentSuffix) }

// segment is a file of the directory that holds records, or held them.
type segment struct {
	path    string
	name    string
	first   uint64 // no record in it has a lower seq
	size    int64
	damaged bool
}

// segments lists the directory's segments, oldest first. It refuses one that others can read.
func segments(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list audit segments: %w", err)
	}
	var out []segment
	for _, e := range entries {
		name, damaged := strings.CutSuffix(e.Name(), damagedSuffix)
		digits, ok := strings.CutSuffix(name, segmentSuffix)
		if !ok || len(digits) != 20 {
			continue
		}
		first, err := strconv.ParseUint(digits, 10, 64)
		if err != nil {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, fmt.Errorf("list audit segments: %w", err)
		}
		s := segment{path: filepath.Join(dir, e.Name()), name: e.Name(), first: first, size: info.Size(), damaged: damaged}
		if err := private(s.path, info, 0o600); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b segment) int { return strings.Compare(a.name, b.name) })
	return out, nil
}
