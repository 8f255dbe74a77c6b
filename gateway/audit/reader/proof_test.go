package reader

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/gateway/audit"
)

func verifier(t *testing.T, dir string) string {
	t.Helper()
	text, err := audit.VerifierKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func tree(t *testing.T, dir string) *audit.Tree {
	t.Helper()
	out, err := audit.OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	return out
}

func TestEachRecordIsProvedToWhoHasTheKey(t *testing.T) {
	dir := record(t, 33)
	at, key := tree(t, dir), verifier(t, dir)
	n := 0
	for e, err := range All(dir, Options{}) {
		if err != nil {
			t.Fatal(err)
		}
		p, err := Prove(at, e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := CheckProof(p.Marshal(), key)
		if err != nil || string(got.Line) != string(e.Raw) || got.Index != int64(n) {
			t.Errorf("record %d: %s at %d, %v; want %s", n, got.Line, got.Index, err, e.Raw)
		}
		if of, err := got.Entry(); err != nil || of.Record.ID != e.Record.ID {
			t.Errorf("record %d: %+v, %v", n, of, err)
		}
		n++
	}
	if n != 33 {
		t.Errorf("%d records; want 33", n)
	}
}

// A proof in which a byte was changed does not hold, or says the same: base64 has bits that nobody
// reads.
func TestAChangedProofIsRefused(t *testing.T) {
	dir := record(t, 9)
	at, key := tree(t, dir), verifier(t, dir)
	var good []byte
	for e := range All(dir, Options{}) {
		if p, err := Prove(at, e); err == nil && e.Record.Seq == 5 {
			good = p.Marshal()
		}
	}
	want, err := CheckProof(good, key)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 1
		p, err := CheckProof(bad, key)
		same := string(p.Line) == string(want.Line) && p.Index == want.Index && p.Checkpoint.Size == want.Checkpoint.Size && p.Checkpoint.Root == want.Checkpoint.Root
		if err == nil && !same {
			t.Errorf("byte %d of the proof flipped: taken, as %q", i, p.Line)
		}
	}
	other := verifier(t, record(t, 1))
	if _, err := CheckProof(good, other); !errors.Is(err, audit.ErrOtherKey) {
		t.Errorf("under another key: %v; want %v", err, audit.ErrOtherKey)
	}
	for _, tt := range []struct{ change, want string }{
		{"", "not a proof: it does not begin with"},
		{"x", "not a proof: it does not begin with"},
		{strings.Replace(string(good), "extra ", "other ", 1), "its second line is not the record"},
		{strings.Replace(string(good), "index 4", "index 04", 1), "its index is not a number"},
		{strings.Replace(string(good), "index 4", "index 3", 1), "the record is not the one that the log has as number 4 of 9"},
		{strings.Replace(string(good), "extra ", "extra "+base64.StdEncoding.EncodeToString([]byte("abc")), 1), "the record is not the one that the log has as number 5 of 9"},
	} {
		if _, err := CheckProof([]byte(tt.change), key); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40q: %v; want %q", tt.change, err, tt.want)
		}
	}
}

// Whoever changes a line cannot have it proved.
func TestAChangedLineHasNoProof(t *testing.T) {
	dir := record(t, 9)
	at := tree(t, dir)
	first := filepath.Join(dir, names(t, dir)[0])
	raw, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	put(t, first, []byte(strings.Replace(string(raw), `"decision":"allow"`, `"decision":"deny" `, 1)))
	refused := 0
	for e, err := range All(dir, Options{}) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Prove(at, e); errors.Is(err, ErrNotInTree) {
			refused++
		} else if err != nil {
			t.Error(err)
		}
	}
	if refused != 1 {
		t.Errorf("%d lines were refused; want the changed one", refused)
	}
}

func TestAnEntryBehindTheCheckpointSaysSo(t *testing.T) {
	dir := record(t, 9)
	at := tree(t, dir)
	l, err := audit.Open(dir, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, l, 9)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for e := range All(dir, Options{}) {
		if _, err := Prove(at, e); (e.Record.Seq == 10) != errors.Is(err, ErrUncovered) {
			t.Errorf("record %d: %v", e.Record.Seq, err)
		}
	}
}

// A power cut can bring back lines whose write had failed. They are no leaves, and no alarm.
func TestALineThatWasAcknowledgedToNobodyIsNoAlarm(t *testing.T) {
	dir := record(t, 9)
	first := filepath.Join(dir, names(t, dir)[0])
	raw, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	put(t, first, append(raw, `{"seq":6,"id":"back","phase":"decision"}`+"\n"...))
	at := tree(t, dir)
	for e := range All(dir, Options{}) {
		if _, err := Prove(at, e); (e.Record.ID == "back") != errors.Is(err, ErrNobodys) {
			t.Errorf("record %d %s: %v", e.Record.Seq, e.Record.ID, err)
		}
	}
}

func TestARecordIsProvedUnderAnOlderCheckpoint(t *testing.T) {
	dir := record(t, 9)
	older := tree(t, dir).Checkpoint
	l, err := audit.Open(dir, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, l, 9)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	at, key := tree(t, dir), verifier(t, dir)
	for e := range All(dir, Options{}) {
		p, err := ProveUnder(at, e, older)
		if e.Record.Seq == 10 {
			if !errors.Is(err, ErrUncovered) {
				t.Errorf("a record that came later: %v; want %v", err, ErrUncovered)
			}
			continue
		}
		if got, err := CheckProof(p.Marshal(), key); err != nil || got.Checkpoint.Size != 9 {
			t.Errorf("record %d: under %d records, %v", e.Record.Seq, got.Checkpoint.Size, err)
		}
	}
}
