package audit

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// fakeWitness signs what it is given (C2SP tlog-cosignature/v1).
type fakeWitness struct {
	witnessKey
	private ed25519.PrivateKey
	now     int64
}

func newFakeWitness(name string, seed byte) *fakeWitness {
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('a'+seed)), 32)))
	public := private.Public().(ed25519.PublicKey)
	return &fakeWitness{witnessKey{name, witnessHash(name, public), public}, private, 1_800_000_000}
}

func (w *fakeWitness) vkey() string {
	return fmt.Sprintf("%s+%08x+%s", w.name, w.hash, base64.StdEncoding.EncodeToString(append([]byte{cosignature}, w.key...)))
}

func (w *fakeWitness) Sign(text []byte) ([]byte, error) {
	sig := binary.BigEndian.AppendUint64(nil, uint64(w.now))
	return append(sig, ed25519.Sign(w.private, cosigned(uint64(w.now), text))...), nil
}

// cosign adds the witness's signature to a checkpoint.
func (w *fakeWitness) cosign(t *testing.T, signed []byte, key string) []byte {
	t.Helper()
	v, err := note.NewVerifier(key)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	out, err := note.Sign(n, w)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWitnessesOfACheckpoint(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	good := record(t, dir, 20)
	a, b := newFakeWitness("witness.example/a", 0), newFakeWitness("witness.example/b", 1)
	o := VerifyOptions{Key: good.key, Witnesses: []string{a.vkey(), b.vkey()}}
	report, err := Verify(dir, o)
	if err != nil || !says(report, "no checkpoint is signed by the witness witness.example/a") || !says(report, "witness.example/b") {
		t.Errorf("without witnesses: %v, %v", report.Problems, err)
	}
	history, _ := splitNotes(good.beside[historyName])
	older := history[1]
	newest := []byte(good.last)
	for _, signed := range [][]byte{a.cosign(t, older, good.key), b.cosign(t, older, good.key), a.cosign(t, newest, good.key)} {
		if _, err := WitnessCheckpoint(dir, signed, a.vkey(), b.vkey()); err != nil {
			t.Fatal(err)
		}
	}
	report = verifies(t, dir, o, 20)
	at := time.Unix(a.now, 0).UTC()
	c, err := ParseCheckpoint(older, mustVerifier(t, good.key))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Witness{a.name, 20, at}); report.Witnessed[0] != want || report.Witnessed[1] != (Witness{b.name, c.Size, at}) {
		t.Errorf("witnessed %+v; want the newest of each", report.Witnessed)
	}
	data, err := os.ReadFile(filepath.Join(dir, witnessName))
	if list, rest := splitNotes(data); err != nil || len(list) != 2 || len(rest) > 0 {
		t.Errorf("%d checkpoints of witnesses are kept, %v; want one for each", len(list), err)
	}
}

func mustVerifier(t *testing.T, key string) note.Verifier {
	t.Helper()
	v, err := note.NewVerifier(key)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestWitnessRefusesWithAMessage(t *testing.T) {
	dir, elsewhere := filepath.Join(t.TempDir(), "audit"), filepath.Join(t.TempDir(), "audit")
	good, other := record(t, dir, 20), record(t, elsewhere, 20)
	a := newFakeWitness("witness.example/a", 0)
	fork := good.clone()
	fork.segments[0][0] = changed(fork.segments[0][0], 30)
	fork.forge(t)
	longer := Checkpoint{Origin: good.signer.Name(), Size: 21}
	longer, err := longer.sign(good.signer)
	if err != nil {
		t.Fatal(err)
	}
	broken := (&fakeWitness{a.witnessKey, newFakeWitness("", 1).private, a.now}).cosign(t, []byte(good.last), good.key)
	for _, tt := range []struct {
		name   string
		signed []byte
		keys   []string
		want   string
	}{
		{"of another log", a.cosign(t, []byte(other.last), other.key), nil, "signed by another key: " + other.signer.Name()},
		{"of nobody", []byte(good.last), nil, "no witness has signed the checkpoint"},
		{"of another witness", a.cosign(t, []byte(good.last), good.key), []string{newFakeWitness("b", 1).vkey()}, "none of the witnesses given has signed the checkpoint"},
		{"broken", broken, []string{a.vkey()}, "none of the witnesses given has signed the checkpoint"},
		{"of a fork", a.cosign(t, fork.beside[newestName], good.key), nil, "two forks: the checkpoint of 20 records is signed by this record's key and has another root than this record"},
		{"longer", a.cosign(t, longer.Note, good.key), nil, "the checkpoint signed 21 records; this record has 20"},
		{"not a key", a.cosign(t, []byte(good.last), good.key), []string{good.key}, "the key of a witness is not one: not a key of a witness (C2SP tlog-cosignature/v1, type 4)"},
	} {
		if _, err := WitnessCheckpoint(dir, tt.signed, tt.keys...); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, witnessName)); err == nil {
		t.Error("one that was refused is kept")
	}
}
