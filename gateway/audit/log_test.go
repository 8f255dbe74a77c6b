package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// lines reads every record of a directory and checks that their numbers rise by one.
func lines(t testing.TB, dir string) []Record {
	t.Helper()
	out := linesLoose(t, dir)
	for i, r := range out {
		if i > 0 && r.Seq != out[i-1].Seq+1 {
			t.Errorf("seq %d follows %d", r.Seq, out[i-1].Seq)
		}
	}
	return out
}

// linesLoose is lines for a directory where a failure has left gaps.
func linesLoose(t testing.TB, dir string) []Record {
	t.Helper()
	list, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []Record
	for _, s := range list {
		data, err := os.ReadFile(s.path)
		if err != nil {
			t.Fatal(err)
		}
		sc := bufio.NewScanner(bytes.NewReader(data[:bytes.LastIndexByte(data, '\n')+1]))
		sc.Buffer(nil, 1<<27)
		for sc.Scan() {
			var r Record
			if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
				t.Fatalf("%s: %s: %v", s.name, sc.Bytes(), err)
			}
			out = append(out, r)
		}
	}
	return out
}

func open(t testing.TB, dir string, o Options) *Log {
	t.Helper()
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func decision(id string) *Record {
	return &Record{ID: id, Time: time.Unix(1, 0), Phase: PhaseDecision, Decision: "allow"}
}

func TestDecideIsOnDiskWhenItReturns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := open(t, dir, Options{})
	if err := l.Decide(t.Context(), decision("one")); err != nil {
		t.Fatal(err)
	}
	got := lines(t, dir)
	if len(got) != 1 || got[0].ID != "one" || got[0].Seq != 1 {
		t.Errorf("records %+v", got)
	}
}

func TestLogGoesOnWhereItEnded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	for i := range 3 {
		l := open(t, dir, Options{SegmentBytes: 600})
		if l.Report() != "" {
			t.Errorf("report %q of a log that was closed", l.Report())
		}
		for j := range 4 {
			if err := l.Decide(t.Context(), decision(fmt.Sprint(i, j))); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := lines(t, dir); len(got) != 12 || got[11].Seq != 12 {
		t.Errorf("%d records, the last %+v; want 12", len(got), got[len(got)-1])
	}
	if list, _ := segments(dir); len(list) < 6 {
		t.Errorf("%d segments; want one for each two records", len(list))
	}
}

func TestOthersCanReadNothing(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	l := open(t, filepath.Join(state, "audit"), Options{})
	if err := l.Decide(t.Context(), decision("one")); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(state, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		} else {
			files++
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %04o; want %04o", path, got, want)
		}
		return nil
	})
	if err != nil || files != 9 { // segment, lock, two of the tree and two of checkpoints; three keys
		t.Errorf("%d files, %v; want 9", files, err)
	}
}

func TestEveryDirectoryThatIsMadeIsDurable(t *testing.T) {
	root := t.TempDir()
	var synced []string
	note := func(dir string) error { synced = append(synced, dir); return nil }
	dir := filepath.Join(root, "state", "audit")
	for _, want := range [][]string{{filepath.Join(root, "state"), root}, nil} {
		synced = nil
		if err := makeDir(dir, note); err != nil || !slices.Equal(synced, want) {
			t.Errorf("makeDir synced %v, %v; want %v", synced, err, want)
		}
	}
	err := makeDir(filepath.Join(root, "other"), func(string) error { return syscall.EIO })
	if !errors.Is(err, syscall.EIO) {
		t.Errorf("makeDir whose sync fails = %v; want EIO", err)
	}
}

func TestOpenRefusesWithAMessage(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(dir string) error
		o    Options
		want string
	}{
		{"in the way", func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, Options{}, "make audit directory: "},
		{"wider", func(dir string) error { return os.Mkdir(dir, 0o755) }, Options{},
			"DIR has mode 0755, so others could use what it holds; run: chmod 0700 DIR"},
		{"segment is wider", func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, segmentName(1)), nil, 0o640))
		}, Options{}, "DIR/00000000000000000001.jsonl has mode 0640, so others could use what it holds; run: chmod 0600 DIR/00000000000000000001.jsonl"},
		{"key is wider", func(dir string) error { return keyFile(dir, 32, 0o644) }, Options{},
			"/keys/audit-digest.key has mode 0644, so others could use what it holds; run: chmod 0600 "},
		{"short key", func(dir string) error { return keyFile(dir, 1, 0o600) }, Options{}, "/keys/audit-digest.key has 1 bytes; want 32"},
		{"long key", func(dir string) error { return keyFile(dir, 33, 0o600) }, Options{}, "/keys/audit-digest.key has 33 bytes; want 32"},
		{"short key given", func(string) error { return nil }, Options{Key: []byte("x")}, "the key of digests has 1 bytes; want 32"},
		{"nothing can be made in it", func(string) error { return nil }, Options{disk: refusing(&fs.PathError{Op: "open", Path: "segment", Err: syscall.EACCES})},
			"begin checkpoints: open tree: open segment: permission denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			if err := tt.make(dir); err != nil {
				t.Fatal(err)
			}
			l, err := Open(dir, tt.o)
			if want := strings.ReplaceAll(tt.want, "DIR", dir); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Open = %v, %v; want %q", l, err, want)
			}
		})
	}
}

func keyFile(dir string, size int, mode fs.FileMode) error {
	path := keyPath(dir)
	return errors.Join(os.Mkdir(filepath.Dir(path), 0o700), os.WriteFile(path, make([]byte, size), mode))
}

func refusing(err error) disk {
	d := &faultyDisk{}
	d.createErr.set(err)
	return d
}

func TestSecondProcessIsRefusedUntilTheFirstEnds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := open(t, dir, Options{})
	_, err := Open(dir, Options{})
	want := fmt.Sprintf("the audit directory is in use by another process: %s (process %d): stop it, or use another state directory", dir, os.Getpid())
	if !errors.Is(err, ErrLocked) || err.Error() != want {
		t.Errorf("second Open = %v; want %q", err, want)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir, Options{})
}

func TestDigestIsKeyedAndStable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := open(t, dir, Options{})
	a := l.Digest([]byte("x"))
	_ = l.Close()
	again := open(t, dir, Options{})
	other := open(t, filepath.Join(t.TempDir(), "audit"), Options{})
	if a != again.Digest([]byte("x")) || a == other.Digest([]byte("x")) || a == l.Digest([]byte("y")) || !strings.HasPrefix(a, "hmac-sha256:") || len(a) != len("hmac-sha256:")+64 {
		t.Errorf("digest %s, again %s, elsewhere %s", a, again.Digest([]byte("x")), other.Digest([]byte("x")))
	}
	// RFC 4231 has no case with a key of 32 bytes; this one is from openssl dgst -mac HMAC.
	given := open(t, filepath.Join(t.TempDir(), "audit"), Options{Key: bytes.Repeat([]byte{7}, 32)})
	if got, want := given.Digest([]byte("{}")), "hmac-sha256:7204813b88da3469d9b37525eab7411cea611dd13401dd13e609fb07d86ac348"; got != want {
		t.Errorf("Digest = %s; want %s", got, want)
	}
}

func TestClosedLogRefuses(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "audit"), Options{})
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Fatal(err)
	}
	if err := l.Decide(context.Background(), decision("x")); !errors.Is(err, ErrUnaudited) || err.Error() != "the record cannot be written: the log is closed" {
		t.Errorf("Decide = %v", err)
	}
	if err := l.Note(decision("x")); !errors.Is(err, ErrUnaudited) {
		t.Errorf("Note = %v", err)
	}
	l.Refused("x", "y")
}

func TestCloseWritesWhatWaits(t *testing.T) {
	dir, d := filepath.Join(t.TempDir(), "audit"), &faultyDisk{}
	l := open(t, dir, Options{disk: d})
	for i := range 100 {
		if err := l.Note(&Record{ID: fmt.Sprint(i), Phase: PhaseOutcome}); err != nil {
			t.Fatal(err)
		}
	}
	l.Refused("10.0.0.1", "unauthenticated")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, dir); len(got) != 101 || d.syncs.Load() == 0 {
		t.Errorf("%d records and %d syncs; want 101 and one", len(got), d.syncs.Load())
	}
}

// The last chance of what waits is not lost to the pause between two tries.
func TestCloseTriesTheDiskOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, d := filepath.Join(t.TempDir(), "audit"), &faultyDisk{}
		l := open(t, dir, Options{disk: d})
		d.syncErr.set(syscall.EIO)
		if err := l.Decide(t.Context(), decision("refused")); err == nil {
			t.Fatal("decided on a disk that fails")
		}
		_ = l.Note(decision("kept"))
		synctest.Wait()
		d.syncErr.set(nil)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if got := lines(t, dir); len(got) != 2 || got[1].ID != "kept" {
			t.Errorf("records %+v; want a repair and the note", got)
		}
	})
}

func TestCloseSaysWhatIsLost(t *testing.T) {
	d := &faultyDisk{}
	l := open(t, filepath.Join(t.TempDir(), "audit"), Options{disk: d})
	d.syncErr.set(syscall.EIO)
	d.createErr.set(syscall.EIO)
	for range 3 {
		_ = l.Note(decision("n"))
	}
	if err := l.Close(); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "close audit log: 3 records are lost") {
		t.Errorf("Close = %v; want 3 records lost", err)
	}
}
