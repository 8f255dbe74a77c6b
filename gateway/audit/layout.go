package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// layout is the directory's segments, each with the number from which its lines are no part of
// the record.
type layout []placed

type placed struct {
	segment
	// lost is the number from which on lines were acknowledged to nobody: their write failed, and
	// a power cut has undone the cut of the file. The repair that a later segment begins with
	// says so.
	lost uint64
}

// noneLost is the bound of a segment whose lines are all part of the record.
const noneLost = math.MaxUint64

// readLayout lists the segments and reads how each of them begins.
func readLayout(dir string) (layout, error) {
	list, err := segments(dir)
	if err != nil {
		return nil, err
	}
	out := make(layout, len(list))
	next, lost := uint64(noneLost), [2]uint64{}
	for i := len(list) - 1; i >= 0; i-- {
		s := list[i]
		out[i] = placed{s, noneLost}
		// Failures in a row: each repair names what all of them have left.
		if lost[1] != 0 && lost[1] >= s.first && lost[0] <= next {
			out[i].lost = max(lost[0], s.first)
		} else {
			lost = [2]uint64{}
		}
		named, err := s.names()
		if err != nil {
			return nil, err
		}
		if named[1] != 0 && (lost[1] == 0 || out[i].lost > s.first) {
			lost = named // not that of a repair which is lost itself
		}
		next = s.first
	}
	return out, nil
}

// names returns the lost numbers that the segment's first line names, if it is a repair.
func (s segment) names() (lost [2]uint64, err error) {
	r, err := s.open()
	if err != nil {
		if s.packed { // what is wrong with it is told when its lines are read
			return lost, nil
		}
		return lost, err
	}
	defer func() { _ = r.Close() }() // only read
	lines := newLineReader(r, 4<<10) // of most segments no more is read
	line, err := lines.next()
	if err != nil {
		return lost, nil //nolint:nilerr // an empty or unreadable one names nothing
	}
	var first struct {
		Phase string
		Lost  [2]uint64
	}
	if json.Unmarshal(line, &first) == nil && first.Phase == PhaseRepair {
		lost = first.Lost
	}
	return lost, nil
}

// extent is what of a segment are leaves.
type extent struct {
	leaves int64 // lines that are
	end    int64 // bytes up to the end of the last of them, uncompressed
	beyond int64 // whole lines after it
	rest   int64 // bytes after those, of a line that has no end
}

// whole says that nothing follows the leaves.
func (x extent) whole() bool { return x.beyond == 0 && x.rest == 0 }

// each calls f for all whole lines, and returns which of them are leaves: up to the last whose
// number is below the bound.
func (p placed) each(f func(line []byte)) (extent, error) {
	r, err := p.open()
	if err != nil {
		return extent{}, err
	}
	defer func() { _ = r.Close() }() // only read
	var out extent
	lines := newLineReader(r, p.size)
	for n := int64(1); ; n++ {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return extent{}, fmt.Errorf("read audit segment %s, after line %d: %w", p.name, n-1, err)
		}
		f(line)
		leaf := p.lost == noneLost
		if !leaf {
			seq, ok := startSeq(line)
			leaf = ok && seq < p.lost
		}
		if leaf {
			out.leaves, out.end, out.beyond = n, lines.offset, 0
		} else {
			out.beyond++
		}
	}
	out.rest = int64(len(lines.rest()))
	return out, nil
}
