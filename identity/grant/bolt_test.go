package grant

import (
	"errors"
	"path/filepath"
	"testing"
)

func bolt(t testing.TB, path string) *Bolt {
	t.Helper()
	b, err := OpenBolt(path, BoltOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func TestRevokedGrantIsRevokedAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grants.db")
	b := bolt(t, path)
	r := open(t, b)
	dead, live := create(t, r, nil).Grant().ID, create(t, r, nil).Grant().ID
	if _, err := r.Revoke(t.Context(), Filter{ID: dead}, Revoked, "bob", "test"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	r = open(t, bolt(t, path))
	if _, err := r.Find(dead); !errors.Is(err, ErrRevoked) {
		t.Errorf("Find of the revoked grant: %v; want %v", err, ErrRevoked)
	}
	if _, err := r.Find(live); err != nil {
		t.Errorf("Find of the other grant: %v; want it", err)
	}
}
