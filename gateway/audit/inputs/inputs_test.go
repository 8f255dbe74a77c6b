package inputs

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"sallyport/gateway/audit"
)

const doc = `{"action":"tools/call","arguments":{"pin":"hunter2"}}`

func identity(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func seal(t *testing.T, to ...*age.X25519Identity) *Sealed {
	t.Helper()
	var recipients []string
	for _, id := range to {
		recipients = append(recipients, id.Recipient().String())
	}
	s, err := Seal(recipients)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealedInputIsOpenedByEachRecipientAndNobodyElse(t *testing.T) {
	ann, bob, eve := identity(t), identity(t), identity(t)
	s := seal(t, ann, bob)
	rec := &audit.Record{ID: "d1"}
	s.Keep(rec, []byte(doc))
	line, err := json.Marshal([]*audit.Record{rec, s.Record()})
	if err != nil || bytes.Contains(line, []byte("hunter2")) || bytes.Contains(line, []byte(base64.StdEncoding.EncodeToString([]byte("hunter2")))) {
		t.Fatalf("the record shows the input: %s, %v", line, err)
	}
	for _, tt := range []struct {
		who  string
		with []age.Identity
		want error
	}{{"ann", []age.Identity{ann}, nil}, {"bob", []age.Identity{eve, bob}, nil}, {"eve", []age.Identity{eve}, ErrSealed}, {"nobody", nil, ErrSealed}} {
		o := NewOpener(tt.with...)
		if _, err := o.Input(rec); !errors.Is(err, ErrNoKey) {
			t.Errorf("%s before the key: %v; want ErrNoKey", tt.who, err)
		}
		if err := o.Learn(s.Record()); err != nil {
			t.Errorf("%s learns the key: %v", tt.who, err)
		}
		got, err := o.Input(rec)
		if !errors.Is(err, tt.want) || tt.want == nil && string(got) != doc {
			t.Errorf("%s: %s, %v; want %v", tt.who, got, err, tt.want)
		}
	}
}

func TestSealedInputBelongsToItsRecord(t *testing.T) {
	ann := identity(t)
	s, other := seal(t, ann), seal(t, ann)
	rec := &audit.Record{ID: "d1"}
	s.Keep(rec, []byte(doc))
	o := NewOpener(ann)
	for _, key := range []*audit.Record{s.Record(), other.Record(), {Phase: audit.PhaseDecision, InputKey: "x"}} {
		if err := o.Learn(key); err != nil {
			t.Fatal(err)
		}
	}
	raw, _ := base64.StdEncoding.DecodeString(rec.InputSealed)
	for i := range raw {
		flipped := bytes.Clone(raw)
		flipped[i] ^= 1
		if _, err := o.Input(&audit.Record{ID: "d1", InputKey: rec.InputKey, InputSealed: base64.StdEncoding.EncodeToString(flipped)}); !errors.Is(err, ErrAltered) {
			t.Errorf("byte %d flipped: %v; want ErrAltered", i, err)
		}
	}
	for what, moved := range map[string]*audit.Record{
		"another record": {ID: "d2", InputKey: rec.InputKey, InputSealed: rec.InputSealed},
		"another key":    {ID: "d1", InputKey: other.Record().InputKey, InputSealed: rec.InputSealed},
		"no base64":      {ID: "d1", InputKey: rec.InputKey, InputSealed: "!"},
		"too short":      {ID: "d1", InputKey: rec.InputKey, InputSealed: "AA=="},
	} {
		if _, err := o.Input(moved); !errors.Is(err, ErrAltered) {
			t.Errorf("%s: %v; want ErrAltered", what, err)
		}
	}
}

func TestNoTwoInputsShareANonce(t *testing.T) {
	s := seal(t, identity(t))
	seen := map[string]bool{}
	for range 1000 {
		rec := &audit.Record{ID: "same"}
		s.Keep(rec, []byte(doc))
		raw, err := base64.StdEncoding.DecodeString(rec.InputSealed)
		if err != nil || seen[string(raw[:12])] {
			t.Fatalf("nonce %x again, or %v", raw[:12], err)
		}
		seen[string(raw[:12])] = true
	}
}

func TestClearInputNeedsNoIdentity(t *testing.T) {
	rec := &audit.Record{ID: "d1"}
	Clear{}.Keep(rec, []byte(doc))
	if got, err := NewOpener().Input(rec); err != nil || string(got) != doc {
		t.Errorf("input %s, %v", got, err)
	}
	if _, err := NewOpener().Input(&audit.Record{}); !errors.Is(err, ErrNotRecorded) {
		t.Errorf("without one: %v; want ErrNotRecorded", err)
	}
}

func TestIdentitiesAreReadAndNeverQuoted(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	for path, text := range map[string]string{good: "# created: 2026\n" + identity(t).String() + "\n", bad: "AGE-SECRET-KEY-1HUNTER2\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := ReadIdentities(good); err != nil || len(list) != 1 {
		t.Errorf("good file: %d identities, %v", len(list), err)
	}
	_, err := ReadIdentities(bad)
	if want := "identities " + bad + ": this is no file of age identities; `age-keygen -o FILE` makes one"; err == nil || err.Error() != want {
		t.Errorf("bad file: %v\nwant %s", err, want)
	}
	_, err = ReadIdentities(filepath.Join(dir, "none"))
	if err == nil || !strings.HasSuffix(err.Error(), ": no such file or directory") {
		t.Errorf("no file: %v", err)
	}
}

func TestABrokenKeyRecordIsSaid(t *testing.T) {
	o := NewOpener(identity(t))
	for _, wrapped := range []string{"!", "", base64.StdEncoding.EncodeToString([]byte("no age file"))} {
		rec := &audit.Record{Phase: audit.PhaseKey, InputKey: "k" + wrapped, WrappedKey: wrapped}
		if err := o.Learn(rec); err == nil {
			t.Errorf("wrapped key %q is taken", wrapped)
		}
	}
}
