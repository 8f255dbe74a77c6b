package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// A log from before there was a tree is taken in at the first start.
func TestLogWithoutATreeIsTakenIn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	write(t, dir, map[string]string{segmentName(1): whole(1) + whole(2), segmentName(3): whole(3), segmentName(4): ""})
	l := open(t, dir, Options{})
	if err := errors.Join(l.Decide(t.Context(), decision("new")), l.Close()); err != nil {
		t.Fatal(err)
	}
	if report := noAlarm(t, dir); report.Size != 4 {
		t.Errorf("%d records are signed; want 4", report.Size)
	}
}

// The stored hashes can be made again, the index too, from the segments and under the checkpoints
// that were signed before.
func TestTreeIsMadeAgain(t *testing.T) {
	for _, lost := range []string{hashesName, indexName, "both", "half of the hashes", "half of the index"} {
		t.Run(lost, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			r := record(t, dir, 60)
			switch lost {
			case "both":
				if err := os.RemoveAll(filepath.Join(dir, treeName)); err != nil {
					t.Fatal(err)
				}
			case "half of the hashes":
				name := filepath.Join(treeName, hashesName)
				r.put(t, dir, name, r.beside[name][:len(r.beside[name])/2])
			case "half of the index":
				name := filepath.Join(treeName, indexName)
				r.put(t, dir, name, r.beside[name][:len(r.beside[name])/2])
			default:
				remove1(t, dir, filepath.Join(treeName, lost))
			}
			l := open(t, dir, Options{})
			if l.Report() != "" {
				t.Errorf("report %q", l.Report())
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			verifies(t, dir, VerifyOptions{Key: r.key}, 60)
			for name, data := range r.beside {
				got, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%s is not what it was, %v", name, err)
				}
			}
		})
	}
}

// What is missing of a record that a checkpoint signed is told, and goes on being an alarm: the
// tree goes on with what was signed.
func TestStartTellsWhatIsMissing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	r := record(t, dir, 10)
	s := len(r.names) - 1
	r.put(t, dir, r.names[s], r.segments[s][0])
	l := open(t, dir, Options{})
	want := fmt.Sprintf("%s has %d records fewer than a checkpoint signed", r.names[s], len(r.segments[s])-1)
	if l.Report() != want {
		t.Errorf("report %q; want %q", l.Report(), want)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := Verify(dir, VerifyOptions{Key: r.key, Checkpoints: []Kept{{"kept", []byte(r.last)}}})
	if want := r.names[s] + ":2: record 10, which was signed, is missing"; err != nil || !says(report, want) || says(report, "two forks") {
		t.Errorf("Verify found %v, %v", report.Problems, err)
	}
}

func TestStartRefusesToForkWithAMessage(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, dir string, r *recorded)
		want   string
	}{
		{"another key", func(t *testing.T, dir string, r *recorded) {
			other := filepath.Join(t.TempDir(), "audit")
			record(t, other, 10)
			for _, path := range []func(string) string{CheckpointKey, publicPath} {
				if err := os.Rename(path(other), path(dir)); err != nil {
					t.Fatal(err)
				}
			}
		}, "put back the key that signed it, or move DIR aside and begin a new record"},
		{"no key", func(t *testing.T, dir string, r *recorded) {
			if err := os.Remove(CheckpointKey(dir)); err != nil {
				t.Fatal(err)
			}
		}, "DIR has checkpoints, but KEY, which signed them, is missing: put it back, or move the directory aside and begin a new record"},
		{"not a key", func(t *testing.T, dir string, r *recorded) {
			if err := os.WriteFile(CheckpointKey(dir), []byte("PRIVATE+KEY+x+00000000+AAAA\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "KEY is no key of checkpoints"},
		{"changed lines and no tree", func(t *testing.T, dir string, r *recorded) {
			r.put(t, dir, r.names[0], bytes.Join(append([][]byte{changed(r.segments[0][0], 30)}, r.segments[0][1:]...), nil))
			remove1(t, dir, filepath.Join(treeName, hashesName))
		}, "the record in DIR is not the one whose first 5 lines a checkpoint signed, and the tree that could tell is damaged: " +
			"run sallyport audit verify, keep the directory, and begin a new record by moving it aside"},
		{"a checkpoint that is none", func(t *testing.T, dir string, r *recorded) { r.put(t, dir, newestName, nil) },
			"DIR/checkpoint: not a checkpoint signed by sallyport/audit/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			r := record(t, dir, 10)
			tt.change(t, dir, r)
			want := strings.NewReplacer("DIR", dir, "KEY", CheckpointKey(dir)).Replace(tt.want)
			if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Open = %v; want %q", err, want)
			}
			if _, err := os.Stat(filepath.Join(dir, newestName)); err != nil {
				t.Error(err)
			}
		})
	}
}

// The tree is the one of the library, whose proofs others verify.
func TestTreeIsThatOfTlog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	r := record(t, dir, 100)
	tree, err := OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	var stored []tlog.Hash
	for i := range r.size() {
		s, n := r.at(i)
		line := bytes.TrimSuffix(r.segments[s][n], []byte{'\n'})
		more, err := tlog.StoredHashes(int64(i), line, tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
			for _, x := range indexes {
				out = append(out, stored[x])
			}
			return out, nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
		proof, err := tlog.ProveRecord(tree.Checkpoint.Size, int64(i), tree)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckRecord(proof, tree.Checkpoint.Size, tree.Checkpoint.Root, int64(i), tlog.RecordHash(line)); err != nil {
			t.Errorf("record %d: %v", i, err)
		}
		var first uint64
		if _, err := fmt.Sscanf(r.names[s], "%d", &first); err != nil {
			t.Fatal(err)
		}
		if leaf, ok := tree.Leaf(first, int64(n)+1); !ok || leaf != int64(i) {
			t.Errorf("Leaf of %s:%d = %d, %v; want %d", r.names[s], n+1, leaf, ok, i)
		}
	}
	var bytes []byte
	for _, h := range stored {
		bytes = append(bytes, h[:]...)
	}
	if got := r.beside[filepath.Join(treeName, hashesName)]; string(got) != string(bytes) {
		t.Errorf("%d bytes of hashes are not the %d that tlog stores", len(got), len(bytes))
	}
}

// A start goes on with the edge of the tree of any size, not only of those that it was closed at.
func TestEdgeIsReadAtEverySize(t *testing.T) {
	var e edge
	var stored []byte
	for size := range int64(40) {
		got, err := readEdge(size, tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
			for _, i := range indexes {
				out = append(out, tlog.Hash(stored[i*tlog.HashSize:][:tlog.HashSize]))
			}
			return out, nil
		}))
		if err != nil || got.size != size || got.root() != e.root() {
			t.Errorf("the edge of %d leaves is of %d, root %s, %v; want %s", size, got.size, got.root(), err, e.root())
		}
		stored = e.add(tlog.RecordHash([]byte{byte(size)}), stored)
	}
}

// An index that is out of order ends before what is.
func TestIndexEndsWhereItIsOutOfOrder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, treeName), 0o700); err != nil {
		t.Fatal(err)
	}
	good := []TreeStart{{1, 0}, {4, 3}}
	for next, want := range map[TreeStart]int{{9, 5}: 3, {4, 5}: 2, {3, 5}: 2, {9, 3}: 2, {9, 2}: 2} {
		var text string
		for _, s := range append(good[:2:2], next) {
			text += s.line() + "\n"
		}
		if err := os.WriteFile(filepath.Join(dir, treeName, indexName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readIndex(dir); err != nil || len(got) != want {
			t.Errorf("%+v after %+v: %+v, %v; want %d", next, good[1], got, err, want)
		}
	}
}
