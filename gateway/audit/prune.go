package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// prunedName is the file of signed notes about what was pruned; prunedTitle is the first line of
// each, which no checkpoint has.
const (
	prunedName  = "pruned"
	prunedTitle = "sallyport pruned segment v1"
)

// prunedSegment is a segment that an operator has removed, as the note says that was signed then.
type prunedSegment struct {
	first uint64
	Range
}

func (p prunedSegment) text(origin string) string {
	return fmt.Sprintf("%s\n%s\n%d %d %d\n", prunedTitle, origin, p.first, p.From, p.To)
}

func (p *prunedSegment) part() part {
	return part{placed: placed{segment: segment{name: p.Segment, first: p.first}}, pruned: &p.Range}
}

// prunes reads what was pruned, in order. Without the signature of the log's key, a missing
// segment is missing.
func (v *verification) prunes() ([]prunedSegment, error) {
	data, err := readPlain(filepath.Join(v.dir, prunedName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what was pruned: %w", err)
	}
	list, rest := splitNotes(data)
	if len(rest) > 0 {
		v.report.note("the last note of %s is not whole", prunedName)
	}
	var out []prunedSegment
	for i, signed := range list {
		p, err := parsePruned(signed, v.key)
		if err != nil {
			v.report.problem(place(prunedName, i, len(list)), 0, "%v", err)
			continue
		}
		out = append(out, p)
	}
	slices.SortStableFunc(out, func(a, b prunedSegment) int { return int(min(max(a.From-b.From, -1), 1)) })
	return slices.CompactFunc(out, func(a, b prunedSegment) bool { return a.first == b.first }), nil
}

func parsePruned(signed []byte, key note.Verifier) (prunedSegment, error) {
	n, err := note.Open(signed, note.VerifierList(key))
	if err != nil {
		return prunedSegment{}, fmt.Errorf("not a note about a pruned segment signed by %s: %w", key.Name(), err)
	}
	var p prunedSegment
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[0] != prunedTitle || lines[1] != key.Name() {
		return prunedSegment{}, errors.New("not a note about a pruned segment of this record")
	}
	if _, err := fmt.Sscanf(lines[2], "%d %d %d", &p.first, &p.From, &p.To); err != nil {
		return prunedSegment{}, errors.New("not a note about a pruned segment: " + strconv.Quote(lines[2]))
	}
	p.Segment = segmentName(p.first)
	return p, nil
}

// PruneOptions says what may go. A segment goes as a whole, where all that is given allows it.
type PruneOptions struct {
	Before int64     // records from the beginning of the log, as the size of a checkpoint that is kept elsewhere
	Until  time.Time // segments whose records are all older; zero: of any age
	Try    bool      // only say what would go
}

// Prune removes the oldest segments and keeps their hashes in the tree, so that the rest can be
// proved still, and that what was shipped away is what was removed. It refuses what is newer than
// the newest checkpoint and what the tree does not agree with. It never removes the segment with
// the newest record. A gateway may run meanwhile.
func Prune(dir string, o PruneOptions) ([]Range, error) {
	free, err := tidyLock(dir)
	if err != nil {
		return nil, err
	}
	defer free()
	t, err := OpenTree(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = t.Close() }() // only read
	if o.Before > t.Checkpoint.Size {
		return nil, fmt.Errorf("prune %d records: the newest checkpoint signed %d; what no checkpoint has signed stays", o.Before, t.Checkpoint.Size)
	}
	list, err := readLayout(dir)
	if err != nil {
		return nil, err
	}
	var gone []prunedSegment
	var paths []string
	for i, p := range list {
		n := slices.IndexFunc(t.Segments, func(s TreeStart) bool { return s.First == p.first })
		if n < 0 || n+1 == len(t.Segments) || i+1 == len(list) {
			break
		}
		s := prunedSegment{p.first, Range{segmentName(p.first), t.Segments[n].Leaf, t.Segments[n+1].Leaf}}
		old, err := olderThan(list[i+1], o.Until)
		if err != nil {
			return nil, err
		}
		if s.To > o.Before || !old {
			break
		}
		if _, err := p.agrees(t, s.From, s.To); err != nil {
			return nil, fmt.Errorf("prune: %w", err)
		}
		gone, paths = append(gone, s), append(paths, p.path)
	}
	var out []Range
	for _, s := range gone {
		out = append(out, s.Range)
	}
	if o.Try || len(gone) == 0 {
		return out, nil
	}
	return out, remove(dir, gone, paths)
}

// remove signs that the segments go, and when that is on disk removes them.
func remove(dir string, gone []prunedSegment, paths []string) error {
	signer, _, err := checkpointSigner(dir)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, prunedName)
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read what was pruned: %w", err)
	}
	_, rest := splitNotes(data)
	data = data[:len(data)-len(rest)]
	for _, s := range gone {
		signed, err := note.Sign(&note.Note{Text: s.text(signer.Name())}, signer)
		if err != nil {
			return fmt.Errorf("sign what is pruned: %w", err)
		}
		data = append(append(data, signed...), '\n')
	}
	if err := errors.Join(replaceFile(realDisk{}, path, data), syncDir(dir)); err != nil {
		return fmt.Errorf("sign what is pruned: %w", err)
	}
	for _, p := range paths {
		if err := os.Remove(p); err != nil {
			return fmt.Errorf("prune: %w", err)
		}
	}
	return syncDir(dir)
}

// olderThan says whether the segment before p has only records from before a time: p begins
// before it too.
func olderThan(p placed, t time.Time) (bool, error) {
	if t.IsZero() {
		return true, nil
	}
	r, err := p.open()
	if err != nil {
		return false, err
	}
	defer func() { _ = r.Close() }() // only read
	line, err := newLineReader(r, 4<<10).next()
	if err != nil {
		return false, nil //nolint:nilerr // nothing tells how old it is
	}
	var rec struct{ Time time.Time }
	return json.Unmarshal(line, &rec) == nil && !rec.Time.IsZero() && rec.Time.Before(t), nil
}

// agrees reads the segment, and fails where its lines are not these leaves of the tree.
func (p placed) agrees(t *Tree, from, to int64) (extent, error) {
	want, err := readLeaves(t.hashes, from, to)
	if err != nil {
		return extent{}, fmt.Errorf("read the tree: %w", err)
	}
	var have []tlog.Hash
	h := newLeafHasher()
	x, err := p.each(func(line []byte) { have = append(have, h.leaf(line)) })
	if err != nil {
		return x, err
	}
	if !slices.Equal(have[:x.leaves], want) {
		return x, fmt.Errorf("%s does not agree with the tree: it is left as it is; run sallyport audit verify", p.name)
	}
	return x, nil
}
