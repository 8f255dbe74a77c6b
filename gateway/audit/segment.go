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
	entries, err := os.ReadDir(dir)
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
		info, err := e.Info()
		if err != nil {
			return nil, fmt.Errorf("list audit segments: %w", err)
		}
		s := segment{path: filepath.Join(dir, e.Name()), name: e.Name(), first: first, size: info.Size(), damaged: damaged, packed: packed}
		if err := private(s.path, info, 0o600); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b segment) int { return strings.Compare(a.name, b.name) })
	return slices.DeleteFunc(out, func(s segment) bool {
		return s.packed && slices.ContainsFunc(out, func(o segment) bool { return o.first == s.first && !o.packed && !o.damaged })
	}), nil
}

// open reads the segment's lines, compressed or not. One that was compressed since it was listed
// is found as well.
func (s segment) open() (io.ReadCloser, error) {
	f, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) && !s.packed {
		if g, e := os.Open(s.path + packedSuffix); e == nil {
			f, err, s.packed = g, nil, true
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read audit segment: %w", err)
	}
	if !s.packed {
		return f, nil
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read audit segment %s: %w", s.name, err), f.Close())
	}
	return unpacked{z, f}, nil
}

type unpacked struct {
	*gzip.Reader
	f *os.File
}

func (u unpacked) Close() error { return errors.Join(u.Reader.Close(), u.f.Close()) }
