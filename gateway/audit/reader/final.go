package reader

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"sallyport/gateway/audit"
)

// finals says which lines are under the newest checkpoint.
type finals struct {
	any    bool // there is no tree, or nobody asks
	starts []audit.TreeStart
	size   int64
}

// bound is how many lines of a segment are final, and whether no more can become so.
type bound struct {
	lines int
	all   bool
}

func readFinal(dir string, all bool) (finals, error) {
	if _, err := os.Stat(filepath.Join(dir, "checkpoint")); all || errors.Is(err, fs.ErrNotExist) {
		return finals{any: true}, nil // of a version that had no tree
	}
	t, err := audit.OpenTree(dir)
	if err != nil {
		return finals{}, err
	}
	return finals{starts: t.Segments, size: t.Checkpoint.Size}, t.Close()
}

// of is the bound of the segment that begins with this number.
func (f finals) of(first uint64) bound {
	if f.any {
		return bound{lines: math.MaxInt}
	}
	for i, s := range f.starts {
		if s.First != first {
			continue
		}
		end, closed := f.size, i+1 < len(f.starts) && f.starts[i+1].Leaf <= f.size
		if closed {
			end = f.starts[i+1].Leaf
		}
		return bound{lines: int(max(0, end-s.Leaf)), all: closed}
	}
	return bound{}
}
