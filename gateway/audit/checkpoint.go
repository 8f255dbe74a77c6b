package audit

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Files of the directory beside the segments.
const (
	newestName  = "checkpoint"  // the newest checkpoint, replaced as a whole
	historyName = "checkpoints" // those of starts, ends and full segments, and one an hour; only added to
	witnessName = "witnessed"   // the newest that each witness has signed
	treeName    = "tree"        // directory of the two below
	hashesName  = "hashes"      // stored hashes, in the order of tlog.StoredHashIndex
	indexName   = "segments"    // of each segment the number of its first record and the index of its first leaf
)

// Checkpoint says, signed, what the first Size lines of a log are (C2SP tlog-checkpoint). Two of
// one log that no tree can hold prove that somebody was shown another record than others.
type Checkpoint struct {
	Origin string    // of the log that it is about
	Size   int64     // lines
	Root   tlog.Hash // of the tree that they are the leaves of
	Note   []byte    // the signed note as it was read, with the signatures of witnesses if it has any
}

// text is what is signed.
func (c Checkpoint) text() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + c.Root.String() + "\n"
}

func (c Checkpoint) sign(s note.Signer) (Checkpoint, error) {
	var err error
	c.Note, err = note.Sign(&note.Note{Text: c.text()}, s)
	return c, err
}

// ErrOtherKey is wrapped by the error about a checkpoint that is not signed by the key asked for.
var ErrOtherKey = errors.New("signed by another key")

// ParseCheckpoint reads a signed checkpoint. It returns an error that wraps ErrOtherKey where the
// key did not sign it; signatures of others are left alone.
func ParseCheckpoint(signed []byte, key note.Verifier) (Checkpoint, error) {
	n, err := note.Open(signed, note.VerifierList(key))
	var unverified *note.UnverifiedNoteError
	if errors.As(err, &unverified) {
		var by []string
		for _, s := range unverified.Note.UnverifiedSigs {
			by = append(by, fmt.Sprintf("%s+%08x", s.Name, s.Hash))
		}
		return Checkpoint{}, fmt.Errorf("%w: %s, not %s+%08x", ErrOtherKey, strings.Join(by, ", "), key.Name(), key.KeyHash())
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("not a checkpoint signed by %s: %w", key.Name(), err)
	}
	c := Checkpoint{Note: bytes.Clone(signed)}
	lines := strings.SplitN(n.Text, "\n", 4) // what follows the third is for others
	if len(lines) < 4 {
		return Checkpoint{}, errors.New("not a checkpoint: it lacks origin, size or root")
	}
	c.Origin = lines[0]
	if c.Size, err = strconv.ParseInt(lines[1], 10, 64); err != nil || c.Size < 0 || lines[1] != strconv.FormatInt(c.Size, 10) {
		return Checkpoint{}, errors.New("not a checkpoint: its size is not a number")
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Checkpoint{}, errors.New("not a checkpoint: its root is not a hash")
	}
	copy(c.Root[:], root)
	if c.Origin != key.Name() {
		return Checkpoint{}, fmt.Errorf("a checkpoint of %s, not of %s", c.Origin, key.Name())
	}
	return c, nil
}

// splitNotes cuts a file of signed notes into them. What is left at its end is not whole.
func splitNotes(data []byte) (list [][]byte, rest []byte) {
	for len(data) > 0 {
		head := bytes.Index(data, []byte("\n\n"))
		if head < 0 {
			return list, data
		}
		end := head + 2
		for bytes.HasPrefix(data[end:], []byte("— ")) {
			n := bytes.IndexByte(data[end:], '\n')
			if n < 0 {
				return list, data
			}
			end += n + 1
		}
		if len(data) == end || data[end] != '\n' { // each is followed by an empty line
			return list, data
		}
		list, data = append(list, data[:end]), data[end+1:]
	}
	return list, nil
}

// CheckpointKey is where the key that signs the checkpoints of dir is. Beside it, with ".pub" for
// ".key", is what verifies them. Each log has a key of its own, so that no checkpoint of the one
// passes for one of the other.
func CheckpointKey(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return filepath.Join(filepath.Dir(dir), "keys", filepath.Base(dir)+"-checkpoint.key")
}

func publicPath(dir string) string { return strings.TrimSuffix(CheckpointKey(dir), ".key") + ".pub" }

// VerifierKey reads the key that verifies the checkpoints of dir, in the form of
// [note.NewVerifier].
func VerifierKey(dir string) (string, error) {
	data, err := os.ReadFile(publicPath(dir))
	if err != nil {
		return "", fmt.Errorf("read checkpoint key: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

func dirVerifier(dir string) (note.Verifier, error) {
	public, err := VerifierKey(dir)
	if err != nil {
		return nil, err
	}
	key, err := note.NewVerifier(public)
	if err != nil {
		return nil, fmt.Errorf("read checkpoint key %s: %w", publicPath(dir), err)
	}
	return key, nil
}

// CheckKeys says what is wrong with the keys of the record in dir. Of one that has not begun nothing is:
// they are made with it.
func CheckKeys(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, newestName)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	_, _, err := checkpointSigner(dir)
	digest := keyPath(dir)
	if _, missing := os.Stat(digest); errors.Is(missing, fs.ErrNotExist) {
		return errors.Join(err, fmt.Errorf("%s is missing: put it back, or no arguments can be held against the digests that are on record", digest))
	}
	_, bad := digestKey(digest)
	return errors.Join(err, bad)
}

// checkpointSigner reads the key that signs, or makes it for a log that has no checkpoint.
func checkpointSigner(dir string) (note.Signer, note.Verifier, error) {
	path := CheckpointKey(dir)
	text, err := readSecret(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(filepath.Join(dir, newestName)); err == nil {
			return nil, nil, fmt.Errorf("%s has checkpoints, but %s, which signed them, is missing: put it back, or move the directory aside and begin a new record", dir, path)
		}
		if text, err = makeCheckpointKey(dir); err != nil {
			return nil, nil, fmt.Errorf("make checkpoint key: %w", err)
		}
	case err != nil:
		return nil, nil, err
	}
	signer, err := note.NewSigner(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, nil, fmt.Errorf("%s is no key of checkpoints", path) // the cause could quote the key
	}
	public, err := publicOf(string(text))
	if err != nil {
		return nil, nil, fmt.Errorf("%s is no key of checkpoints", path)
	}
	if have, err := VerifierKey(dir); err != nil || have != public { // a crash between the two files
		if err := writeKey(publicPath(dir), []byte(public+"\n")); err != nil {
			return nil, nil, err
		}
	}
	verifier, err := note.NewVerifier(public)
	return signer, verifier, err
}
