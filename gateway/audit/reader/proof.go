package reader

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"sallyport/gateway/audit"
)

// What a record may lack that a proof needs.
var (
	ErrUncovered = errors.New("the checkpoint does not cover the record yet")
	ErrNotInTree = errors.New("the line is not the one that the tree has at its place")
	ErrNobodys   = errors.New("the line was acknowledged to nobody: its write failed, nothing was done on it, and a crash has brought it back")
)

// Proof says that a line is in a log: the hashes between it and the root of the tree that a signed
// checkpoint is about. It is all that another machine needs, beside the log's public key.
type Proof struct {
	Line       []byte           // of the record
	Index      int64            // of the leaf, from 0
	Hashes     tlog.RecordProof // from the leaf's sibling to the root's child
	Checkpoint audit.Checkpoint
}

// Prove makes the proof of an entry by the newest checkpoint of the tree. It returns an error that
// wraps ErrUncovered where that is older than the entry, and ErrNotInTree where somebody has changed
// the line or the tree.
func Prove(t *audit.Tree, e Entry) (Proof, error) { return ProveUnder(t, e, t.Checkpoint) }

// ProveUnder is [Prove] by another checkpoint of the tree: an older one that witnesses have signed.
func ProveUnder(t *audit.Tree, e Entry, c audit.Checkpoint) (Proof, error) {
	s, ok := parse(e.File)
	if !ok {
		return Proof{}, fmt.Errorf("%s is no segment of a record", e.File)
	}
	p := Proof{Line: e.Raw, Checkpoint: c}
	p.Index, ok = t.Leaf(s.first, int64(e.Line))
	if ok && slices.ContainsFunc(t.Segments, func(n audit.TreeStart) bool { return n.First > s.first && n.Leaf <= p.Index }) {
		return p, fmt.Errorf("%s: %w", e.At(), ErrNobodys)
	}
	if size := c.Size; !ok || p.Index >= size {
		return p, fmt.Errorf("%s: %w: it is about the first %d records; a gateway that runs, or its next start, signs one that does", e.At(), ErrUncovered, size)
	}
	var err error
	if p.Hashes, err = tlog.ProveRecord(c.Size, p.Index, t); err != nil {
		return p, fmt.Errorf("prove %s: %w", e.At(), err)
	}
	if p.check() != nil {
		return p, fmt.Errorf("%s: %w; `sallyport audit verify` says where the record was changed", e.At(), ErrNotInTree)
	}
	return p, nil
}

func (p Proof) check() error {
	return tlog.CheckRecord(p.Hashes, p.Checkpoint.Size, p.Checkpoint.Root, p.Index, tlog.RecordHash(p.Line))
}

// proofTitle is the first line of a proof (C2SP tlog-proof).
const proofTitle = "c2sp.org/tlog-proof@v1"

// Marshal writes the proof in the form of C2SP tlog-proof, with the line as its extra data.
func (p Proof) Marshal() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nextra %s\nindex %d\n", proofTitle, base64.StdEncoding.EncodeToString(p.Line), p.Index)
	for _, h := range p.Hashes {
		fmt.Fprintf(&b, "%s\n", h)
	}
	b.WriteByte('\n')
	b.Write(p.Checkpoint.Note)
	return b.Bytes()
}

// CheckProof reads a proof and returns it where it holds under the key, which is in the form of
// [note.NewVerifier]: the line is in the log whose checkpoint the key has signed.
func CheckProof(data []byte, key string) (Proof, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return Proof{}, fmt.Errorf("the key of checkpoints is not one: %w", err)
	}
	p, err := parseProof(data, verifier)
	if err != nil {
		return Proof{}, err
	}
	if p.check() != nil {
		return Proof{}, fmt.Errorf("the record is not the one that the log has as number %d of %d: the record, its place or the proof was changed", p.Index+1, p.Checkpoint.Size)
	}
	return p, nil
}

func parseProof(data []byte, key note.Verifier) (Proof, error) {
	var p Proof
	head, signed, ok := strings.Cut(string(data), "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || len(lines) < 3 || lines[0] != proofTitle {
		return p, fmt.Errorf("not a proof: it does not begin with %s, or has no checkpoint", proofTitle)
	}
	extra, ok := strings.CutPrefix(lines[1], "extra ")
	index, ok2 := strings.CutPrefix(lines[2], "index ")
	if !ok || !ok2 {
		return p, errors.New("not a proof of a record: its second line is not the record, or its third not the index")
	}
	var err error
	if p.Line, err = base64.StdEncoding.Strict().DecodeString(extra); err != nil {
		return p, errors.New("not a proof: its record is not base64")
	}
	if p.Index, err = strconv.ParseInt(index, 10, 64); err != nil || p.Index < 0 || strconv.FormatInt(p.Index, 10) != index {
		return p, errors.New("not a proof: its index is not a number")
	}
	for i, line := range lines[3:] {
		raw, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(raw) != tlog.HashSize {
			return p, fmt.Errorf("not a proof: line %d is not a hash", i+4)
		}
		p.Hashes = append(p.Hashes, tlog.Hash(raw))
	}
	p.Checkpoint, err = audit.ParseCheckpoint([]byte(signed), key)
	return p, err
}

// Entry is the record that is proved.
func (p Proof) Entry() (Entry, error) {
	e := Entry{Raw: p.Line}
	return e, e.decode()
}

// ReadCheckpoint reads a checkpoint of the log in dir, as its key has signed it.
func ReadCheckpoint(dir string, signed []byte) (audit.Checkpoint, error) {
	text, err := audit.VerifierKey(dir)
	if err != nil {
		return audit.Checkpoint{}, err
	}
	key, err := note.NewVerifier(text)
	if err != nil {
		return audit.Checkpoint{}, fmt.Errorf("the key of checkpoints is not one: %w", err)
	}
	return audit.ParseCheckpoint(signed, key)
}
