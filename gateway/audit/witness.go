package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// cosignature is the type of a witness's key (C2SP tlog-cosignature/v1). What it signs is a
// checkpoint with a time, and says that it has seen none that contradicts it.
const cosignature = 4

// witnessKey verifies the cosignatures of a witness. It is a [note.Verifier].
type witnessKey struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func newWitnessKey(text string) (*witnessKey, error) {
	parts := strings.SplitN(strings.TrimSpace(text), "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("want name+hash+key")
	}
	hash, err := strconv.ParseUint(parts[1], 16, 32)
	if err != nil || len(parts[1]) != 8 {
		return nil, errors.New("its hash is not eight hexadecimal digits")
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 1+ed25519.PublicKeySize || key[0] != cosignature {
		return nil, errors.New("not a key of a witness (C2SP tlog-cosignature/v1, type 4)")
	}
	w := &witnessKey{name: parts[0], hash: uint32(hash), key: key[1:]}
	if want := witnessHash(w.name, w.key); w.name == "" || w.hash != want {
		return nil, fmt.Errorf("its hash is %08x; that of the key is %08x", w.hash, want)
	}
	return w, nil
}

func witnessHash(name string, key ed25519.PublicKey) uint32 {
	h := sha256.New()
	_, _ = h.Write([]byte(name + "\n\x04")) // never fails
	_, _ = h.Write(key)
	return binary.BigEndian.Uint32(h.Sum(nil))
}

func (w *witnessKey) Name() string    { return w.name }
func (w *witnessKey) KeyHash() uint32 { return w.hash }

func (w *witnessKey) Verify(text, sig []byte) bool {
	return len(sig) == 8+ed25519.SignatureSize && ed25519.Verify(w.key, cosigned(binary.BigEndian.Uint64(sig), text), sig[8:])
}

func cosigned(seconds uint64, text []byte) []byte {
	return append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", seconds), text...)
}

// signedBy says whether and when the witness has signed a note.
func (w *witnessKey) signedBy(signed []byte) (at time.Time, ok bool) {
	n, err := note.Open(signed, note.VerifierList(w))
	if err != nil {
		return at, false
	}
	raw, err := base64.StdEncoding.DecodeString(n.Sigs[0].Base64)
	if err != nil || len(raw) < 12 {
		return at, false
	}
	return time.Unix(int64(binary.BigEndian.Uint64(raw[4:])), 0).UTC(), true
}

// witnesses finds the newest checkpoint that each witness has signed.
func (v *verification) witnesses(keys []string) error {
	for _, text := range keys {
		w, err := newWitnessKey(text)
		if err != nil {
			return fmt.Errorf("the key of a witness is not one: %w", err)
		}
		best := Witness{Name: w.name, Size: -1}
		for _, k := range v.notes {
			c, err := ParseCheckpoint(k.Note, v.key)
			if err != nil || c.Size <= best.Size {
				continue
			}
			if at, ok := w.signedBy(k.Note); ok {
				best.Size, best.Time = c.Size, at
			}
		}
		if best.Size < 0 {
			v.report.problem(witnessName, 0, "no checkpoint is signed by the witness %s", w.name)
			continue
		}
		v.report.Witnessed = append(v.report.Witnessed, best)
	}
	return nil
}

// WitnessCheckpoint takes a checkpoint of the log that witnesses have signed, and keeps it in the
// directory, for each witness the newest. It refuses one that is not of this log, that the tree
// does not have, or that nobody but the log has signed. With keys of witnesses, one of them must
// have signed it.
func WitnessCheckpoint(dir string, signed []byte, keys ...string) (Checkpoint, error) {
	free, err := tidyLock(dir)
	if err != nil {
		return Checkpoint{}, err
	}
	defer free()
	t, err := OpenTree(dir)
	if err != nil {
		return Checkpoint{}, err
	}
	defer func() { _ = t.Close() }() // only read
	c, err := ParseCheckpoint(signed, t.key)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Size > t.Checkpoint.Size {
		return Checkpoint{}, fmt.Errorf("the checkpoint signed %d records; this record has %d", c.Size, t.Checkpoint.Size)
	}
	if root, err := tlog.TreeHash(c.Size, t); err != nil {
		return Checkpoint{}, err
	} else if root != c.Root {
		return Checkpoint{}, fmt.Errorf("two forks: the checkpoint of %d records is signed by this record's key and has another root than this record", c.Size)
	}
	for _, text := range keys {
		w, err := newWitnessKey(text)
		if err != nil {
			return Checkpoint{}, fmt.Errorf("the key of a witness is not one: %w", err)
		}
		if _, ok := w.signedBy(signed); ok {
			return c, keepWitnessed(dir, c)
		}
	}
	if len(keys) > 0 {
		return Checkpoint{}, errors.New("none of the witnesses given has signed the checkpoint")
	}
	if len(signers(signed, t.key)) == 0 {
		return Checkpoint{}, errors.New("no witness has signed the checkpoint")
	}
	return c, keepWitnessed(dir, c)
}

// signers names who has signed a note, other than the log.
func signers(signed []byte, log note.Verifier) (names []string) {
	n, err := note.Open(signed, note.VerifierList(log))
	if err != nil {
		return nil
	}
	for _, s := range n.UnverifiedSigs {
		names = append(names, fmt.Sprintf("%s+%08x", s.Name, s.Hash))
	}
	return names
}

// keepWitnessed drops what is no witness's newest any more.
func keepWitnessed(dir string, c Checkpoint) error {
	path := filepath.Join(dir, witnessName)
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read checkpoints of witnesses: %w", err)
	}
	key, err := dirVerifier(dir)
	if err != nil {
		return err
	}
	list, _ := splitNotes(data)
	list = append(list, c.Note)
	newest := map[string]int64{}
	size := func(signed []byte) int64 {
		if c, err := ParseCheckpoint(signed, key); err == nil {
			return c.Size
		}
		return -1
	}
	for _, signed := range list {
		for _, name := range signers(signed, key) {
			newest[name] = max(newest[name], size(signed))
		}
	}
	var out []byte
	for i, signed := range list {
		keep := false
		for _, name := range signers(signed, key) {
			keep = keep || size(signed) == newest[name]
		}
		for _, later := range list[i+1:] {
			keep = keep && !bytes.Equal(signed, later)
		}
		if keep {
			out = append(append(out, signed...), '\n')
		}
	}
	if err := replaceFile(realDisk{}, path, out); err != nil {
		return fmt.Errorf("keep checkpoint of witnesses: %w", err)
	}
	return syncDir(dir)
}
