package audit

import (
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"
)

// diagnose says where the lines leave what was signed. The stored hashes tell it to the line,
// where they are those that a checkpoint signed; otherwise two checkpoints tell between which
// lines it is.
func (v *verification) diagnose(parts []part) error {
	trusted, err := v.trust()
	if err != nil {
		return err
	}
	changed, unexplained := false, false
	for i := range v.checks {
		c := &v.checks[i]
		if c.met {
			continue
		}
		told := v.contradict(c, trusted)
		changed = changed || c.storeMet
		unexplained = unexplained || !c.storeMet && !told
	}
	if changed {
		return v.compareLines(parts, trusted)
	}
	if unexplained {
		v.interval(parts)
	}
	return nil
}

// trust finds which checkpoints the stored hashes of leaves meet, and returns the newest of them,
// or nil.
func (v *verification) trust() (trusted *check, err error) {
	if v.store == nil {
		return nil, nil
	}
	info, err := v.store.Stat()
	if err != nil {
		return nil, err
	}
	var e edge
	var out []byte
	next := 0
	const step = 1 << 16
	for from, size := int64(0), min(leavesIn(info.Size()), v.newest()); from < size; from += step {
		leaves, err := v.storedLeaves(from, min(from+step, size))
		if err != nil {
			return nil, err
		}
		for _, leaf := range leaves {
			out = e.add(leaf, out[:0])
			for ; next < len(v.checks) && v.checks[next].Size <= e.size; next++ {
				if c := &v.checks[next]; c.Size == e.size && c.Root == e.root() {
					c.storeMet, trusted = true, c
				}
			}
		}
	}
	return trusted, nil
}

// leavesIn is for how many leaves a file of stored hashes has all of them.
func leavesIn(bytes int64) int64 {
	n := bytes / tlog.HashSize / 2 // the tree of n leaves has fewer than 2n hashes
	for storedBytes(n+1) <= bytes {
		n++
	}
	return n
}

// contradict tells of a checkpoint that the lines do not meet, where that is all that there is to
// say.
func (v *verification) contradict(c, trusted *check) (told bool) {
	other := trusted
	for i := range v.checks {
		if v.checks[i].met {
			other = &v.checks[i] // what the lines meet tells more than what the store does
		}
	}
	switch {
	case c.Size > v.report.Records:
		v.report.problem(c.from, 0, "the record ends with %d records; this checkpoint signed %d", v.report.Records, c.Size)
		return true
	case other != nil && other.Size >= c.Size && (other.met || !c.storeMet):
		v.report.problem(c.from, 0, "two forks: this checkpoint of %d records and the one of %d records in %s are signed by one key, and no record has both", c.Size, other.Size, other.from)
		return true
	}
	return false
}

// interval tells between which checkpoints the lines were changed.
func (v *verification) interval(parts []part) {
	var from int64
	for i := range v.checks {
		c := &v.checks[i]
		if c.met {
			from = c.Size
		} else if c.Size <= v.report.Records {
			file, line := v.place(parts, from)
			v.report.problem(file, line, "records %d to %d, which begin here, are not those that the checkpoint in %s signed", from+1, c.Size, c.from)
			return
		}
	}
}

// place is the file and line of a leaf, by the lines that are there.
func (v *verification) place(parts []part, leaf int64) (file string, line int64) {
	for r := range v.read(parts) {
		n := int64(len(r.leaves))
		if leaf < n {
			if r.part.pruned != nil {
				return filepath.Join(treeName, hashesName), 0
			}
			return r.part.name, leaf + 1
		}
		leaf -= n
	}
	return newestName, 0
}
