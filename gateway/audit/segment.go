package audit

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	segmentSuffix = ".jsonl"
	packedSuffix  = ".gz"      // compressed once nothing more came
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
	size    int64  // of the file
	damaged bool
	packed  bool
}

// segments lists the directory's segments, oldest first. It refuses one that others can read.
// Where a segment stands there both plain and compressed, the plain one is it: the other may not
// be whole.
func segments(dir string) ([]segment, error) {
	entries, err := steadyDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list audit segments: %w", err)
	}
	var out []segment
	for _, e := range entries {
		name, damaged := strings.CutSuffix(e.Name(), damagedSuffix)
		name, packed := strings.CutSuffix(name, packedSuffix)
		digits, ok := strings.CutSuffix(name, segmentSuffix)
		if !ok || len(digits) != 20 {
			continue
		}
		first, err := strconv.ParseUint(digits, 10, 64)
		if err != nil {
			continue
		}
		s := segment{path: filepath.Join(dir, e.Name()), name: e.Name(), first: first, size: e.Size(), damaged: damaged, packed: packed}
		if err := plain(s.path, e); err != nil {
			return nil, err
		}
		if err := private(s.path, e, 0o600); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b segment) int { return strings.Compare(a.name, b.name) })
	plain := ""
	return slices.DeleteFunc(out, func(s segment) bool {
		if !s.packed && !s.damaged {
			plain = s.name
		}
		return s.packed && s.name == plain+packedSuffix // which sorts behind
	}), nil
}

// plain refuses what is no file of its own: reading a pipe would wait for ever, and what a link leads to
// is not in the directory that is looked at.
func plain(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no plain file (%s): somebody has put it there; move it away", path, info.Mode().Type())
	}
	return nil
}

// openPlain opens a plain file to be read.
func openPlain(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if err := plain(path, info); err != nil {
		return nil, err
	}
	return os.Open(path)
}

// readPlain reads a plain file.
func readPlain(path string) ([]byte, error) {
	f, err := openPlain(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(f)
	return data, errors.Join(err, f.Close())
}

// steadyDir lists a directory until two lists agree: one alone may have neither the old nor the
// new name of a file that is compressed just then.
func steadyDir(dir string) (list []fs.FileInfo, err error) {
	names := func(list []fs.FileInfo) (out []string) {
		for _, e := range list {
			out = append(out, e.Name())
		}
		return out
	}
	const tries = 100
	for range tries {
		before := names(list)
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		list = list[:0]
		for _, e := range entries {
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // and is in no other list
			}
			if err != nil {
				return nil, err
			}
			list = append(list, info)
		}
		if len(list) == 0 || slices.Equal(names(list), before) {
			return list, nil
		}
	}
	return nil, fmt.Errorf("%s does not come to rest", dir)
}

func (s segment) open() (io.ReadCloser, error) { return OpenSegment(s.path, s.packed) }

// OpenSegment opens a segment of a log to be read from its first line; packed says that it is compressed.
// A plain one that was compressed since it was listed is found under its other name. The error wraps
// fs.ErrNotExist where the segment has neither.
func OpenSegment(path string, packed bool) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && !packed {
		if g, e := os.Open(path + packedSuffix); e == nil {
			f, err, packed = g, nil, true
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read audit segment: %w", err)
	}
	if !packed {
		return f, nil
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read audit segment %s: %w", filepath.Base(path), err), f.Close())
	}
	return unpacked{z, f}, nil
}

// unpacked is a compressed segment that is read.
type unpacked struct {
	*gzip.Reader
	f *os.File
}

func (u unpacked) Close() error { return errors.Join(u.Reader.Close(), u.f.Close()) }
