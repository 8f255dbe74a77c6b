package audit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// under puts checkpoints of these sizes, over the lines as they are, in the place of all others.
func (r *recorded) under(t *testing.T, sizes ...int64) {
	t.Helper()
	var e edge
	h := newLeafHasher()
	var history []byte
	for _, line := range slices.Concat(r.segments...) {
		e.add(h.leaf(bytes.TrimSuffix(line, []byte{'\n'})), nil)
		for _, size := range sizes {
			if size != e.size {
				continue
			}
			c, err := Checkpoint{Origin: r.signer.Name(), Size: e.size, Root: e.root()}.sign(r.signer)
			if err != nil {
				t.Fatal(err)
			}
			r.beside[newestName] = c.Note
			history = append(append(history, c.Note...), '\n')
		}
	}
	r.beside[historyName] = history
}

// What is said of a record is what is wrong with it, where that is, and nothing else.
func TestVerifySaysNoMoreThanIsWrong(t *testing.T) {
	tree := filepath.Join(treeName, hashesName)
	for _, tt := range []struct {
		name     string
		change   func(t *testing.T, dir string, r *recorded)
		problems []string // how they begin; SEG1 and so on are the segments, in order
		notes    []string
	}{
		{"nothing", func(t *testing.T, dir string, r *recorded) { r.under(t, 5, 10) }, nil, nil},
		{"a history that a crash has cut", func(t *testing.T, dir string, r *recorded) {
			r.under(t, 5, 10)
			r.beside[historyName] = append(r.beside[historyName], "sallyport/audit/"...)
		}, nil, []string{"the last checkpoint of checkpoints is not whole"}},
		{"a segment moved aside", func(t *testing.T, dir string, r *recorded) { r.moveAside(t, dir, 0, "") },
			nil, []string{"SEG1.damaged was moved aside"}},
		{"one whose end is missing", func(t *testing.T, dir string, r *recorded) { r.moveAside(t, dir, 0, `{"seq":`) },
			nil, []string{"SEG1.damaged was moved aside", "the last line of SEG1.damaged is not finished (7 bytes): nobody was told of it"}},
		{"segments after the newest checkpoint", func(t *testing.T, dir string, r *recorded) { r.under(t, 5) }, nil, nil},
		{"a last signed line that is no record", func(t *testing.T, dir string, r *recorded) {
			r.last1([]byte("x\n"))
			r.forge(t)
			r.under(t, 10)
		}, nil, nil},
		{"a line after it that is none", func(t *testing.T, dir string, r *recorded) {
			r.last1([]byte("x\n"))
			r.forge(t)
			r.under(t, 9)
		}, []string{"SEG4:2: after the newest checkpoint: no record, or not in order"}, nil},
		{"a checkpoint by another key in the history", func(t *testing.T, dir string, r *recorded) {
			r.under(t, 5, 10)
			other := record(t, filepath.Join(t.TempDir(), "audit"), 10)
			r.beside[historyName] = append(append(r.beside[historyName], other.last...), '\n')
		}, []string{"checkpoints (checkpoint 3): signed by another key: "}, nil},
		{"a change, and no tree that tells where", func(t *testing.T, dir string, r *recorded) {
			r.under(t, 5, 10)
			r.change(7)
			delete(r.beside, tree)
			remove1(t, dir, tree)
		}, []string{"SEG3:1: records 6 to 10, which begin here, are not those that the checkpoint in checkpoint signed"}, nil},
		{"a change before the first checkpoint, and no tree", func(t *testing.T, dir string, r *recorded) {
			r.under(t, 8, 10)
			r.change(7)
			delete(r.beside, tree)
			remove1(t, dir, tree)
		}, []string{"SEG1:1: records 1 to 8, which begin here, are not those that the checkpoint in checkpoints (checkpoint 1) signed"}, nil},
		{"a change, and half of the tree", func(t *testing.T, dir string, r *recorded) {
			r.under(t, 5, 10)
			r.change(2)
			r.beside[tree] = r.beside[tree][:storedBytes(5)]
		}, []string{"SEG1:3: was changed: it is not record 3, which was signed"}, nil},
		{"half of the tree", func(t *testing.T, dir string, r *recorded) { r.beside[tree] = r.beside[tree][:storedBytes(5)] }, nil, nil},
		{"a stored hash behind the checkpoint", func(t *testing.T, dir string, r *recorded) {
			r.under(t, 5)
			r.beside[tree][storedBytes(5)] ^= 1
		}, nil, nil},
		{"a line behind the checkpoint twice", func(t *testing.T, dir string, r *recorded) {
			r.under(t, 5)
			r.segments[3] = append(r.segments[3], r.segments[3][1])
		}, []string{"SEG4:3: after the newest checkpoint: no record, or not in order"}, nil},
		{"a copy of the first record", func(t *testing.T, dir string, r *recorded) {
			r.segments[0] = append(r.segments[0], r.segments[0][0])
		}, []string{"SEG1:4: was added: it is a copy of record 1"}, nil},
		{"two records in each other's place", func(t *testing.T, dir string, r *recorded) {
			s := r.segments[0]
			s[0], s[1] = s[1], s[0]
		}, []string{"SEG1:1: is out of order: it is record 2, where record 1 was signed"}, nil},
		{"a line without its end", func(t *testing.T, dir string, r *recorded) {
			r.segments[0][2] = bytes.TrimSuffix(r.segments[0][2], []byte("\n"))
		}, []string{"SEG1:3: a line without end in a segment that others follow", "checkpoint: the record ends with 9 records", "checkpoints: the record ends with 9 records",
			"SEG1:3: record 3, which was signed, is missing"}, nil},
		{"the first stored hash", func(t *testing.T, dir string, r *recorded) { r.beside[tree][0] ^= 1 },
			[]string{tree + ": the stored hash of record 1, or one made of it, was changed; "}, nil},
		{"the segments up to the second gone", func(t *testing.T, dir string, r *recorded) {
			r.under(t, 10)
			remove1(t, dir, r.names[0])
			remove1(t, dir, r.names[1])
		}, []string{"checkpoint: the record ends with 5 records", "checkpoints: the record ends with 5 records",
			"SEG1: the segment is missing: records 1 to 3, which were signed, are missing",
			"SEG2: the segment is missing: records 4 to 5, which were signed, are missing"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			good := record(t, dir, 10)
			good.under(t, 10)
			good.put(t, dir, historyName, good.beside[historyName])
			bad := good.clone()
			tt.change(t, dir, bad)
			bad.write(t, dir, good)
			report, err := Verify(dir, VerifyOptions{Key: good.key})
			if err != nil {
				t.Fatal(err)
			}
			var problems []string
			for _, p := range report.Problems {
				problems = append(problems, p.String())
			}
			begins(t, "problems", good, problems, tt.problems)
			begins(t, "notes", good, report.Notes, tt.notes)
		})
	}
}

func begins(t *testing.T, what string, r *recorded, got, want []string) {
	t.Helper()
	ok := len(got) == len(want)
	for i := range want {
		for n, name := range r.names {
			want[i] = strings.ReplaceAll(want[i], fmt.Sprint("SEG", n+1), name)
		}
		ok = ok && strings.HasPrefix(got[i], want[i])
	}
	if !ok {
		t.Errorf("%s %q; want %q", what, got, want)
	}
}

// change changes the record of an index.
func (r *recorded) change(i int) {
	s, n := r.at(i)
	r.segments[s][n] = changed(r.segments[s][n], 30)
}

// last1 puts a line in the place of the last.
func (r *recorded) last1(line []byte) {
	s, n := r.at(r.size() - 1)
	r.segments[s][n] = line
}

// moveAside does what a start tells to do with a segment whose numbers are unknown.
func (r *recorded) moveAside(t *testing.T, dir string, i int, more string) {
	t.Helper()
	path := filepath.Join(dir, r.names[i])
	r.put(t, dir, r.names[i]+damagedSuffix, append(bytes.Join(r.segments[i], nil), more...))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// Where there is nothing, nothing is missing; an auditor may even hold a checkpoint of it.
func TestVerifyOfNoRecord(t *testing.T) {
	r := record(t, filepath.Join(t.TempDir(), "audit"), 10)
	dir := t.TempDir()
	report, err := Verify(dir, VerifyOptions{Key: r.key})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"there is no record and no checkpoint yet"}; len(report.Problems) > 0 || !slices.Equal(report.Notes, want) {
		t.Errorf("problems %v, notes %q; want none, and %q", report.Problems, report.Notes, want)
	}
	c, err := Checkpoint{Origin: r.signer.Name(), Root: new(edge).root()}.sign(r.signer)
	if err != nil {
		t.Fatal(err)
	}
	report, err = Verify(dir, VerifyOptions{Key: r.key, Checkpoints: []Kept{{"kept", c.Note}}})
	if err != nil || len(report.Problems) > 0 || report.Checkpoints != 1 {
		t.Errorf("under a checkpoint of nothing: %+v, %v; want no problem", report, err)
	}
	report, err = Verify(dir, VerifyOptions{Key: r.key, Checkpoints: []Kept{{"kept", []byte("x")}}})
	if err != nil || len(report.Problems) != 2 {
		t.Errorf("under what is no checkpoint: %v, %v; want that, and that nothing is proved", report.Problems, err)
	}
}
