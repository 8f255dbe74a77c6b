package grant

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"
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

func TestStoreOfOneProcessSaysWhoMayHoldIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grants.db")
	b := bolt(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v; want 0600", info.Mode(), err)
	}
	_, err := OpenBolt(path, BoltOptions{LockTimeout: time.Millisecond})
	want := "open grants: another process holds " + path + ": a server that runs with this state directory, or a command that is not done; ask it, or end it and try again"
	if err == nil || err.Error() != want {
		t.Errorf("a second opener: %v\nwant %s", err, want)
	}
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		t.Errorf("Close, twice: %v", err)
	}
	if _, err := b.Watch(t.Context()); err == nil {
		t.Error("Watch of a closed store: no error; want one")
	}
	if err := b.Create(t.Context(), full()); err == nil {
		t.Error("Create in a closed store: no error; want one")
	}
	bolt(t, path) // free again
}

func mode(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().String()
}

func TestFilesThatAreNoStoreAreRefusedInWords(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	loose, junk := write("loose", "", 0o640), write("junk", longName(10000), 0o600)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(junk, link); err != nil {
		t.Fatal(err)
	}
	future := filepath.Join(dir, "future")
	b := bolt(t, future)
	err := b.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(metaFormat, []byte("2")) })
	if err = errors.Join(err, b.Close()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		loose:  "open grants: " + loose + " must be a file that nobody else can read or write; it is " + mode(t, loose),
		dir:    "open grants: " + dir + " must be a file that nobody else can read or write; it is " + mode(t, dir),
		link:   "open grants: " + link + " must be a file that nobody else can read or write; it is " + mode(t, link),
		junk:   "open grants " + junk + ": invalid database: bring it back from a backup, or move it aside; then no grant is left, and each must be asked for again",
		future: "open grants " + future + `: its format is "2", and this version reads "1"`,
		filepath.Join(dir, "no", "file"): "open grants " + filepath.Join(dir, "no", "file") + ": open " +
			filepath.Join(dir, "no", "file") + ": no such file or directory",
	} {
		if b, err := OpenBolt(path, BoltOptions{}); err == nil || err.Error() != want {
			t.Errorf("OpenBolt: %v\nwant %s", err, want)
			if err == nil {
				_ = b.Close()
			}
		}
	}
}

func TestDamagedValuesAreReadAsNothingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grants.db")
	b := bolt(t, path)
	id := NewID()
	put := func(bucket []byte, value string) {
		if err := b.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put([]byte(id), []byte(value)) }); err != nil {
			t.Fatal(err)
		}
	}
	for value, want := range map[string]string{
		`{"id":"a","id":"b"}`: "damaged: the same member name twice in one object, at byte 10",
		`{"id":1}`:            "damaged: a value of another type",
	} {
		put(bucketGrants, value)
		if _, err := b.Get(t.Context(), id); err == nil || err.Error() != want {
			t.Errorf("Get of %s: %v; want %s", value, err, want)
		}
		if _, err := NewRegistry(t.Context(), b, Options{}); err == nil || err.Error() != "read grants: "+want {
			t.Errorf("NewRegistry with %s: %v; want read grants: %s", value, err, want)
		}
	}
	put(bucketGrants, `{}`)
	for _, value := range []string{`{`, `{"key":"another"}`} {
		put(bucketUsage, value)
		want := `counters of "` + id + `" are damaged`
		if _, _, _, err := b.Restore(t.Context()); err == nil || err.Error() != want {
			t.Errorf("Restore with %s: %v; want %s", value, err, want)
		}
	}
}

// What is written to a file that was replaced, no restart would see.
func TestReplacedFileMakesGrantsStale(t *testing.T) {
	for name, replace := range map[string]func(path string) error{
		"removed": os.Remove,
		"replaced": func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, nil, 0o600))
		},
	} {
		path := filepath.Join(t.TempDir(), "grants.db")
		b := bolt(t, path)
		r := open(t, b)
		id := create(t, r, nil).Grant().ID
		if err := replace(path); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); r.Healthy() == nil; time.Sleep(heartbeat / 10) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: still healthy", name)
			}
		}
		if _, err := r.Find(id); !errors.Is(err, ErrStale) {
			t.Errorf("%s: Find: %v; want %v", name, err, ErrStale)
		}
	}
}
