package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// openKeeper brings the tree up to what the segments hold: after a crash the last second, for a
// log that had no tree all of it. It reports what the segments lack of what a checkpoint signed.
func openKeeper(dir string, o *Options) (k *keeper, report string, err error) {
	if err := makeDir(filepath.Join(dir, treeName), syncDir); err != nil {
		return nil, "", fmt.Errorf("make tree directory: %w", err)
	}
	signer, key, err := checkpointSigner(dir)
	if err != nil {
		return nil, "", err
	}
	k = &keeper{dir: dir, o: o, signer: signer, origin: key.Name(), hasher: newLeafHasher(),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{})}
	known, err := k.ownCheckpoints(key)
	if err != nil {
		return nil, "", err
	}
	if err := k.base(known); err != nil {
		return nil, "", err
	}
	if report, err = k.locate(); err != nil {
		return nil, "", err
	}
	k.at = k.good
	k.at.edge = k.good.edge.clone()
	if err := k.absorb(); err != nil {
		k.closeFiles()
		return nil, "", err
	}
	if k.at.edge.size < k.signed.Size {
		k.closeFiles()
		return nil, "", disagree(dir, k.signed)
	}
	return k, report, nil
}

// ownCheckpoints reads those of the directory, the newest first, and not all of a long history. One that another key has signed
// refuses the start: what this key would sign could contradict it.
func (k *keeper) ownCheckpoints(key note.Verifier) ([]Checkpoint, error) {
	var out []Checkpoint
	for _, name := range []string{newestName, historyName} {
		path := filepath.Join(k.dir, name)
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read checkpoint: %w", err)
		}
		list := [][]byte{data}
		if name == historyName {
			var rest []byte
			list, rest = splitNotes(data)
			k.history = data[:len(data)-len(rest)]
			list = list[max(0, len(list)-baseTries):] // what the newest is of, all before it are of
		}
		for _, signed := range list {
			c, err := ParseCheckpoint(signed, key)
			if err != nil {
				return nil, fmt.Errorf("%s: %w: put back the key that signed it, or move %s aside and begin a new record", path, err, k.dir)
			}
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b Checkpoint) int { return int(b.Size - a.Size) })
	return out, nil
}

// baseTries bounds how many checkpoints are tried before all is hashed anew.
const baseTries = 3

// base finds the newest checkpoint that the stored hashes agree with. Newer ones have still to be
// met by what is hashed anew.
func (k *keeper) base(known []Checkpoint) error {
	if len(known) == 0 {
		return nil
	}
	k.signed = known[0]
	f, err := os.Open(filepath.Join(k.dir, treeName, hashesName))
	if err == nil {
		defer func() { _ = f.Close() }() // only read
		for i, c := range known[:min(len(known), baseTries)] {
			e, err := readEdge(c.Size, hashFile{f})
			if err != nil || e.root() != c.Root {
				continue
			}
			k.good.edge = e
			k.expect = slices.Clone(known[:i])
			slices.Reverse(k.expect)
			return nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open tree: %w", err)
	}
	k.expect = slices.Clone(known)
	slices.Reverse(k.expect)
	k.expect = slices.DeleteFunc(k.expect, func(c Checkpoint) bool { return c.Size == 0 })
	return nil
}

// locate finds the line after those of the base, and notes what of the segments is to be read.
func (k *keeper) locate() (report string, err error) {
	list, err := readLayout(k.dir)
	if err != nil {
		return "", err
	}
	index, err := readIndex(k.dir)
	if err != nil {
		return "", err
	}
	// What the index has beyond the base is made anew.
	n, _ := slices.BinarySearchFunc(index, k.good.edge.size, func(s TreeStart, size int64) int { return int(min(max(s.Leaf-size, -1), 1)) })
	index = index[:n]
	if k.good.edge.size > 0 && len(index) == 0 { // the index is lost: all is hashed anew
		k.good.edge = edge{}
		k.expect = []Checkpoint{k.signed}
	}
	from := TreeStart{}
	if len(index) > 0 {
		from = index[len(index)-1]
	}
	for _, s := range index {
		k.good.index += int64(len(s.line())) + 1
	}
	skip := k.good.edge.size - from.Leaf // lines of that segment that are leaves already
	list = slices.DeleteFunc(list, func(p placed) bool { return p.first < from.First })
	if skip > 0 && (len(list) == 0 || list[0].first != from.First) {
		report = fmt.Sprintf("%s is missing: %d records that a checkpoint signed", segmentName(from.First), skip)
		skip = 0
	}
	for i, p := range list {
		var offset, n int64
		x, err := p.each(func(line []byte) {
			if n++; n <= skip {
				offset += int64(len(line)) + 1
			}
		})
		if err != nil {
			return "", err
		}
		if i == 0 && skip > 0 {
			if x.leaves < skip && len(list) > 1 && k.good.edge.size > 0 && list[1].size > 0 {
				// The index lacks what follows: all is hashed anew, and must give what was signed.
				k.good, k.spans, k.expect = position{}, nil, []Checkpoint{k.signed}
				return k.locate()
			}
			if x.leaves < skip {
				report = fmt.Sprintf("%s has %d records fewer than a checkpoint signed", p.name, skip-x.leaves)
				offset = x.end
			}
			k.good.offset, k.good.begun = offset, true
		}
		if x.end == 0 {
			continue
		}
		k.spans = append(k.spans, span{p.segment, x.end})
	}
	return report, k.settle(list)
}

// settle writes what a checkpoint does not cover of the newest segment once more, and waits for
// the disk. Whoever wrote it may have died before its sync, or have been told that the sync
// failed; then the kernel shows lines that are not on disk, and a sync alone would not put them
// there. They are leaves from now on, so they must not go. Neither must come back what was cut
// off, also of a segment that is empty since: its numbers are given again.
func (k *keeper) settle(list layout) error {
	for _, p := range slices.Backward(list) {
		if p.packed {
			return nil // on disk, with all before it
		}
		var from, to int64
		if n := len(k.spans); n > 0 && k.spans[n-1].path == p.path {
			to = k.spans[n-1].end
			if n == 1 {
				from = min(k.good.offset, to)
			}
		}
		if err := k.o.disk.Settle(p.path, from, to); err != nil {
			return fmt.Errorf("settle audit segment: %w", err)
		}
		if to > 0 {
			return nil
		}
	}
	return nil
}

// storedBytes is the size of the file of stored hashes for a tree.
func storedBytes(size int64) int64 { return tlog.StoredHashCount(size) * tlog.HashSize }
