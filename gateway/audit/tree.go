package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Tree reads the Merkle tree over the lines of a log. Its leaves are the whole lines of the
// segments, each without its newline, in their order. It is a [tlog.HashReader].
type Tree struct {
	Checkpoint Checkpoint  // the newest, verified by the key in the state directory
	Segments   []TreeStart // in their order; also those that were pruned
	hashes     *os.File
	key        note.Verifier
}

// TreeStart says where the leaves of a segment begin.
type TreeStart struct {
	First uint64 // number of the segment's first record, which names it
	Leaf  int64  // index of its first line
}

// OpenTree opens the tree of a directory at its newest checkpoint. It changes nothing, and goes
// with a gateway that writes.
func OpenTree(dir string) (*Tree, error) {
	key, err := dirVerifier(dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, newestName)
	signed, err := readPlain(path)
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	t := &Tree{key: key}
	if t.Checkpoint, err = ParseCheckpoint(signed, key); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if t.Segments, err = readIndex(dir); err != nil {
		return nil, err
	}
	if t.hashes, err = openPlain(filepath.Join(dir, treeName, hashesName)); err != nil {
		return nil, fmt.Errorf("open tree: %w", err)
	}
	return t, nil
}

// Close closes the tree's file.
func (t *Tree) Close() error { return t.hashes.Close() }

// ReadHashes reads stored hashes. They prove nothing by themselves: what is made of them is
// compared with a checkpoint.
func (t *Tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	return hashFile{t.hashes}.ReadHashes(indexes)
}

// Leaf is the index of a line, given the segment's first record and the line's number from 1. It
// is false for a segment that the tree has no line of.
func (t *Tree) Leaf(first uint64, line int64) (int64, bool) {
	for _, s := range t.Segments {
		if s.First == first {
			return s.Leaf + line - 1, true
		}
	}
	return 0, false
}

// hashFile reads the file of stored hashes.
type hashFile struct{ f *os.File }

func (h hashFile) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if _, err := h.f.ReadAt(out[i][:], x*tlog.HashSize); err != nil {
			return nil, fmt.Errorf("read hash %d of %s: %w", x, h.f.Name(), err)
		}
	}
	return out, nil
}

// readIndex reads where the leaves of each segment begin. A line that a crash has cut, and what
// follows it, does not count: the start that comes next writes it anew.
func readIndex(dir string) ([]TreeStart, error) {
	data, err := readPlain(filepath.Join(dir, treeName, indexName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open tree: %w", err)
	}
	var out []TreeStart
	for sc := bufio.NewScanner(bytes.NewReader(data[:bytes.LastIndexByte(data, '\n')+1])); sc.Scan(); {
		var s TreeStart
		if n, err := fmt.Sscanf(sc.Text(), "%d %d", &s.First, &s.Leaf); n != 2 || err != nil || sc.Text() != s.line() {
			break
		}
		if n := len(out); n > 0 && (s.First <= out[n-1].First || s.Leaf <= out[n-1].Leaf) || n == 0 && s.Leaf != 0 {
			break
		}
		out = append(out, s)
	}
	return out, nil
}

func (s TreeStart) line() string { return fmt.Sprintf("%020d %d", s.First, s.Leaf) }
