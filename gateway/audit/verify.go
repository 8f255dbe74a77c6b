package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/mod/sumdb/note"
)

// VerifyOptions says against what a record is held.
type VerifyOptions struct {
	Key         string   // verifies checkpoints; in the form of [note.NewVerifier]
	Checkpoints []Kept   // what an auditor has kept elsewhere: nobody who has the directory can take these back
	Witnesses   []string // keys of witnesses that must have signed a checkpoint (C2SP tlog-cosignature)
}

// Kept is a signed checkpoint and where it is from, for messages.
type Kept struct {
	Name string
	Note []byte
}

// Verify says whether the lines of a directory are those that were written, whole and in their
// order, for all that a checkpoint covers. It needs the directory and the key, and changes
// nothing. A gateway may write meanwhile. The error is for what could not be looked at; what was
// found is in the report.
func Verify(dir string, o VerifyOptions) (Report, error) {
	key, err := note.NewVerifier(o.Key)
	if err != nil {
		return Report{}, fmt.Errorf("the key of checkpoints is not one: %w", err)
	}
	v := &verification{dir: dir, key: key}
	v.report.Origin = key.Name()
	if err := v.gather(o); err != nil {
		return v.report, err
	}
	parts, err := v.parts()
	if err != nil {
		return v.report, err
	}
	if err := v.witnesses(o.Witnesses); err != nil {
		return v.report, err
	}
	if err := v.openStore(); err != nil {
		return v.report, err
	}
	defer v.closeStore()
	if err := v.walk(parts); err != nil {
		return v.report, err
	}
	return v.report, v.judge(parts)
}

type verification struct {
	dir    string
	key    note.Verifier
	report Report
	checks []check // by size
	notes  []Kept  // all of them, also those that no key of ours has signed
	store  *os.File
	stored *bufio.Reader // nil once it has differed
	differ int64         // the leaf with which it began to, or -1

	unfinished []reading // of parts whose last line has no end, with no whole line after them so far
}

// check is a checkpoint that the lines are held against.
type check struct {
	Checkpoint
	from string
	own  bool // of the directory
	met  bool // the lines had this root

	storeMet bool // the stored hashes of leaves have it; told by trust
}

// gather reads the checkpoints of the directory and takes those that were given.
func (v *verification) gather(o VerifyOptions) error {
	for _, name := range []string{newestName, historyName, witnessName} {
		data, err := readPlain(filepath.Join(v.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read checkpoint: %w", err)
		}
		list, rest := [][]byte{data}, []byte(nil)
		if name != newestName {
			list, rest = splitNotes(data)
		}
		if len(rest) > 0 {
			v.report.note("the last checkpoint of %s is not whole", name)
		}
		for i, signed := range list {
			v.check(Kept{place(name, i, len(list)), signed}, true)
		}
	}
	for _, k := range o.Checkpoints {
		v.check(k, false)
	}
	slices.SortStableFunc(v.checks, func(a, b check) int { return int(min(max(a.Size-b.Size, -1), 1)) })
	v.report.Checkpoints = len(v.checks)
	for i := 1; i < len(v.checks); i++ {
		if a, b := v.checks[i-1], v.checks[i]; a.Size == b.Size && a.Root != b.Root {
			v.report.problem(b.from, 0, "two forks: the checkpoint of %d records there and the one in %s are signed by one key and have different roots", b.Size, a.from)
		}
	}
	return nil
}

func place(name string, i, n int) string {
	if n == 1 {
		return name
	}
	return fmt.Sprintf("%s (checkpoint %d)", name, i+1)
}

func (v *verification) check(k Kept, own bool) {
	v.notes = append(v.notes, k)
	c, err := ParseCheckpoint(k.Note, v.key)
	if err != nil {
		v.report.problem(k.Name, 0, "%v", err)
		return
	}
	v.checks = append(v.checks, check{Checkpoint: c, from: k.Name, own: own})
}

func (v *verification) openStore() error {
	v.differ = -1
	f, err := openPlain(filepath.Join(v.dir, treeName, hashesName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open tree: %w", err)
	}
	v.store, v.stored = f, bufio.NewReaderSize(f, 64<<10)
	return nil
}

func (v *verification) closeStore() {
	if v.store != nil {
		_ = v.store.Close() // only read
	}
}

// walk adds all lines to a tree, in their order, and compares it with the checkpoints and with
// what is stored of it.
func (v *verification) walk(parts []part) error {
	var e edge
	var out []byte
	next := 0
	met := func() {
		for ; next < len(v.checks) && v.checks[next].Size == e.size; next++ {
			if c := &v.checks[next]; c.Root == e.root() {
				c.met = true
				v.report.Size, v.report.Root = c.Size, c.Root.String()
			}
		}
	}
	met()
	for read := range v.read(parts) {
		if p := read.part.pruned; p != nil && p.From != e.size {
			v.report.problem(prunedName, 0, "%s, which is pruned, began with record %d; there are %d before it", p.Segment, p.From+1, e.size)
		}
		for _, leaf := range read.leaves {
			out = e.add(leaf, out[:0])
			v.compare(e.size-1, out)
			if next < len(v.checks) && v.checks[next].Size == e.size {
				met()
			}
		}
		if err := v.tell(read, e.size); err != nil {
			return err
		}
	}
	for _, u := range v.unfinished {
		v.report.note("the last line of %s is not finished (%d bytes): nobody was told of it, and the next start moves it aside", u.part.name, u.rest)
	}
	v.report.Records = e.size
	v.report.After = e.size - v.report.Size
	return nil
}

// compare compares what a leaf adds to the tree with what is stored.
func (v *verification) compare(leaf int64, want []byte) {
	if v.stored == nil {
		return
	}
	have, err := v.stored.Peek(len(want))
	if err == nil && bytes.Equal(have, want) {
		_, _ = v.stored.Discard(len(want)) // what was peeked at
		return
	}
	v.stored = nil
	if err == nil || !errors.Is(err, io.EOF) {
		v.differ = leaf
	}
}

// tell notes what of a segment are no leaves.
func (v *verification) tell(r reading, size int64) error {
	p := r.part
	if p.pruned != nil {
		if r.err != nil {
			v.report.problem(filepath.Join(treeName, hashesName), 0, "the hashes of %s, which is pruned, cannot be read: %v", p.pruned.Segment, r.err)
			return nil
		}
		v.report.Pruned = append(v.report.Pruned, *p.pruned)
		return nil
	}
	v.report.Segments++
	if p.damaged {
		v.report.note("%s was moved aside: its lines are verified here, and `audit search`, `show`, `tail` and `policy replay` do not read them", p.name)
	}
	if r.err != nil {
		v.report.problem(p.name, int64(len(r.leaves))+1, "cannot be read: %v", r.err)
		return nil
	}
	if r.beyond > 0 {
		v.report.note("%d lines at the end of %s were acknowledged to nobody, as a repair after it says; they are no part of the record", r.beyond, p.name)
	}
	if len(r.leaves) > 0 { // whole lines follow what had no end
		for _, u := range v.unfinished {
			v.report.problem(u.part.name, u.extent.leaves+u.beyond+1, "a line without end in a segment that others follow: what stood there was cut, or it was added")
		}
		v.unfinished = nil
	}
	switch {
	case r.rest > 0 && (p.damaged || p.lost != noneLost):
		v.report.note("the last line of %s is not finished (%d bytes): nobody was told of it", p.name, r.rest)
	case r.rest > 0:
		v.unfinished = append(v.unfinished, reading{part: p, extent: r.extent})
	}
	// Before the newest checkpoint the roots tell.
	if from := size - int64(len(r.leaves)); r.odd > 0 && from+r.odd > v.newest() {
		v.report.problem(p.name, r.odd, "after the newest checkpoint: no record, or not in order")
	}
	return nil
}

// newest is the size of the largest checkpoint.
func (v *verification) newest() int64 {
	if len(v.checks) == 0 {
		return 0
	}
	return v.checks[len(v.checks)-1].Size
}

// ownNewest is that of the largest checkpoint in the directory.
func (v *verification) ownNewest() (size int64) {
	for _, c := range v.checks {
		if c.own {
			size = c.Size
		}
	}
	return size
}

// judge says what the comparison means.
func (v *verification) judge(parts []part) error {
	if len(v.checks) == 0 {
		if v.report.Records > 0 || len(v.report.Problems) > 0 {
			v.report.problem(newestName, 0, "there is no checkpoint of this key: nothing can be proved of %d records", v.report.Records)
		} else {
			v.report.note("there is no record and no checkpoint yet")
		}
		return nil
	}
	if _, err := os.Stat(filepath.Join(v.dir, newestName)); err != nil && v.report.Records > 0 {
		v.report.problem(newestName, 0, "the newest checkpoint is missing")
	}
	failed := slices.ContainsFunc(v.checks, func(c check) bool { return !c.met })
	if !failed {
		// Beyond the directory's own checkpoints, a power cut may have left holes that the next start
		// fills; an auditor can have seen a checkpoint that the same power cut took.
		if v.differ >= 0 && v.differ < v.ownNewest() {
			v.report.problem(filepath.Join(treeName, hashesName), 0,
				"the stored hash of record %d, or one made of it, was changed; the segments agree with the checkpoint, so the file can be made again from them: move it away and start", v.differ+1)
		}
		return nil
	}
	return v.diagnose(parts)
}
