package audit

import (
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// maxWindow bounds the lines that are compared one by one, from the first that differs.
const maxWindow = 1 << 20

// difference compares the lines that are there with the leaves that were signed.
type difference struct {
	report *Report
	index  []TreeStart
	files  map[uint64]bool // segments that are there, or are pruned
	before []tlog.Hash     // of the records before base
	want   []tlog.Hash     // from record base
	have   []lineHash
	base   int64
}

type lineHash struct {
	leaf tlog.Hash
	file string
	line int64
}

// compareLines names the lines that are not those that a checkpoint signed, by the stored hashes
// that it signed as well.
func (v *verification) compareLines(parts []part, signed *check) error {
	index, err := readIndex(v.dir)
	if err != nil {
		return err
	}
	want, err := v.storedLeaves(0, signed.Size)
	if err != nil {
		return err
	}
	d := &difference{report: &v.report, index: index, files: map[uint64]bool{}}
	for r := range v.read(parts) {
		d.files[r.part.first] = true
		for i, leaf := range r.leaves {
			if len(d.have) == 0 && d.base < signed.Size && leaf == want[d.base] {
				d.base++
			} else if len(d.have) < maxWindow {
				d.have = append(d.have, lineHash{leaf, r.part.name, int64(i) + 1})
			}
		}
	}
	d.before, d.want = want[:d.base], want[d.base:]
	if len(d.want) > maxWindow {
		d.want = d.want[:maxWindow]
		v.report.note("only %d records from the first that differs are compared one by one", maxWindow)
	}
	d.tell()
	return nil
}

// tell walks both side by side. Lines are known by their hashes, so one that stands elsewhere is
// found there.
func (d *difference) tell() {
	wanted, there := map[tlog.Hash]int{}, map[tlog.Hash]bool{}
	for i, h := range d.want {
		wanted[h] = i
	}
	for _, h := range d.have {
		there[h.leaf] = true
	}
	moved := map[tlog.Hash]bool{}
	i, j := 0, 0
	for i < len(d.want) {
		if moved[d.want[i]] {
			i++
			continue
		}
		if j == len(d.have) {
			i += d.missing(i, func(tlog.Hash) bool { return true })
			continue
		}
		h := d.have[j]
		at, known := wanted[h.leaf]
		switch {
		case h.leaf == d.want[i]:
			i, j = i+1, j+1
		case !known && !there[d.want[i]]:
			d.report.problem(h.file, h.line, "was changed: it is not record %d, which was signed", d.base+int64(i)+1)
			i, j = i+1, j+1
		case !there[d.want[i]]:
			i += d.missing(i, func(h tlog.Hash) bool { return !there[h] })
		case !known:
			d.added(h)
			j++
		case at < i || moved[h.leaf]:
			d.report.problem(h.file, h.line, "was added: it is a copy of record %d", d.base+int64(at)+1)
			j++
		default:
			d.report.problem(h.file, h.line, "is out of order: it is record %d, where record %d was signed", d.base+int64(at)+1, d.base+int64(i)+1)
			moved[h.leaf] = true
			j++
		}
	}
}

// added tells of a line that is none of those that are expected from the first difference on.
func (d *difference) added(h lineHash) {
	if n := slices.Index(d.before, h.leaf); n >= 0 {
		d.report.problem(h.file, h.line, "was added: it is a copy of record %d", n+1)
		return
	}
	d.report.problem(h.file, h.line, "was added: no record that was signed is this one")
}

// missing tells of the records from i on that are not there, as far as they are of one segment,
// and returns how many they are.
func (d *difference) missing(i int, gone func(tlog.Hash) bool) int {
	from := d.base + int64(i)
	n, found := slices.BinarySearchFunc(d.index, from, func(s TreeStart, leaf int64) int { return int(min(max(s.Leaf-leaf, -1), 1)) })
	if !found {
		n--
	}
	end := d.base + int64(len(d.want))
	if n >= 0 && n+1 < len(d.index) {
		end = min(end, d.index[n+1].Leaf)
	}
	count := 1
	for from+int64(count) < end && gone(d.want[i+count]) {
		count++
	}
	what := "records %[1]d to %[2]d, which were signed, are missing"
	if count == 1 {
		what = "record %[1]d, which was signed, is missing"
	}
	switch {
	case n < 0:
		d.report.problem(newestName, 0, what, from+1, from+int64(count))
	case !d.files[d.index[n].First]:
		d.report.problem(segmentName(d.index[n].First), 0, "the segment is missing: "+what, from+1, from+int64(count))
	default:
		d.report.problem(segmentName(d.index[n].First), from-d.index[n].Leaf+1, what, from+1, from+int64(count))
	}
	return count
}
