package reader

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sallyport/gateway/audit"
)

// Endings of a segment's name behind the number of its first record.
const (
	plainSuffix   = ".jsonl"
	packedSuffix  = ".jsonl.gz"
	damagedSuffix = ".damaged"
)

// segment is one file of a log.
type segment struct {
	dir, name string
	first     uint64 // no record in it has a lower number
	packed    bool
	damaged   bool // an operator moved it aside
}

// segments lists the segments of a directory, oldest first. Of a segment that is there plain and
// compressed it takes the plain one, which is removed only when the other is whole. It looks twice:
// a listing of many files is no snapshot, and could miss both names of a segment that is compressed
// meanwhile.
func segments(dir string) ([]segment, error) {
	var out []segment
	for range 2 {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("list the segments of the record: %w", err)
		}
		for _, e := range entries {
			if s, ok := parse(e.Name()); ok {
				if !e.Type().IsRegular() { // a pipe would never end
					return nil, fmt.Errorf("%s is no plain file (%s): somebody has put it there; move it away", filepath.Join(dir, s.name), e.Type())
				}
				s.dir = dir
				out = append(out, s)
			}
		}
	}
	slices.SortFunc(out, func(a, b segment) int {
		return cmp.Or(cmp.Compare(a.first, b.first), strings.Compare(a.name, b.name))
	})
	out = slices.Compact(out)
	return slices.CompactFunc(out, func(s, before segment) bool { return s.first == before.first && s.packed && !before.damaged }), nil
}

func parse(name string) (segment, bool) {
	s := segment{name: name}
	name, s.damaged = strings.CutSuffix(name, damagedSuffix)
	digits, ok := strings.CutSuffix(name, packedSuffix)
	if s.packed = ok; !ok {
		digits, ok = strings.CutSuffix(name, plainSuffix)
	}
	if !ok || len(digits) != 20 {
		return segment{}, false
	}
	var err error
	s.first, err = strconv.ParseUint(digits, 10, 64)
	return s, err == nil
}

// open opens the segment to be read from its first line.
func (s segment) open() (io.ReadCloser, error) {
	return audit.OpenSegment(filepath.Join(s.dir, s.name), s.packed)
}
