package audit

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
)

func TestDigesterMakesTheDigestsOfTheRecord(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	if _, err := Digester(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Digester without a key: %v; want fs.ErrNotExist", err)
	}
	l, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	digest, err := Digester(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := digest([]byte(`{"a":1}`)), l.Digest([]byte(`{"a":1}`)); got != want {
		t.Errorf("digest %s; want %s", got, want)
	}
}
