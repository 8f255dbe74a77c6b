package audit

import (
	"bytes"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/mod/sumdb/tlog"
)

// part is a segment, or what is known of one that was pruned.
type part struct {
	placed
	pruned *Range
}

// parts lists what makes up the record, in order.
func (v *verification) parts() ([]part, error) {
	list, err := readLayout(v.dir)
	if err != nil {
		return nil, err
	}
	gone, err := v.prunes()
	if err != nil {
		return nil, err
	}
	var out []part
	for _, p := range list {
		for len(gone) > 0 && gone[0].first <= p.first {
			if gone[0].first < p.first { // else it is still there
				out = append(out, gone[0].part())
			}
			gone = gone[1:]
		}
		out = append(out, part{placed: p})
	}
	for i := range gone {
		out = append(out, gone[i].part())
	}
	return out, nil
}

// reading is what was read of a part.
type reading struct {
	part *part
	extent
	leaves []tlog.Hash
	odd    int64 // the last line that is no record or not in order; 0 for none
	err    error
}

// read hashes all parts, several at once, and yields them in order.
func (v *verification) read(parts []part) iter.Seq[reading] {
	return func(yield func(reading) bool) {
		workers := runtime.GOMAXPROCS(0)
		results := make(chan chan reading, workers) // bounds what is held in memory
		stop := make(chan struct{})
		defer close(stop)
		go func() {
			defer close(results)
			for i := range parts {
				one := make(chan reading, 1)
				select {
				case results <- one:
				case <-stop:
					return
				}
				go func() { one <- v.readPart(&parts[i]) }()
			}
		}()
		for one := range results {
			if !yield(<-one) {
				return
			}
		}
	}
}

func (v *verification) readPart(p *part) reading {
	out := reading{part: p}
	if p.pruned != nil {
		out.leaves, out.err = v.storedLeaves(p.pruned.From, p.pruned.To)
		return out
	}
	h := newLeafHasher()
	if !p.packed {
		out.leaves = make([]tlog.Hash, 0, p.size/512+1)
	}
	var last uint64
	out.extent, out.err = p.each(func(line []byte) {
		out.leaves = append(out.leaves, h.leaf(line))
		seq, ok := startSeq(line)
		if hole := bytes.IndexByte(line, 0) >= 0; hole { // of a power cut; the next start moves it aside
			return
		}
		if !ok || seq <= last || seq < p.first {
			out.odd = int64(len(out.leaves))
		} else {
			last = seq
		}
	})
	if out.err == nil {
		out.leaves = out.leaves[:out.extent.leaves]
	}
	return out
}

// storedLeaves reads the stored hashes of leaves.
func (v *verification) storedLeaves(from, to int64) ([]tlog.Hash, error) {
	f, err := openPlain(filepath.Join(v.dir, treeName, hashesName))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return readLeaves(f, from, to)
}

func readLeaves(f *os.File, from, to int64) ([]tlog.Hash, error) {
	if from < 0 || to < from {
		return nil, fmt.Errorf("records %d to %d are none", from, to)
	}
	begin, end := tlog.StoredHashIndex(0, from)*tlog.HashSize, storedBytes(to)
	if info, err := f.Stat(); err != nil || info.Size() < end {
		return nil, fmt.Errorf("%s ends before record %d", hashesName, to)
	}
	data := make([]byte, max(end-begin, 0))
	if _, err := f.ReadAt(data, begin); err != nil {
		return nil, err
	}
	out := make([]tlog.Hash, 0, to-from)
	for n := from; n < to; n++ {
		at := tlog.StoredHashIndex(0, n)*tlog.HashSize - begin
		out = append(out, tlog.Hash(data[at:at+tlog.HashSize]))
	}
	return out, nil
}
