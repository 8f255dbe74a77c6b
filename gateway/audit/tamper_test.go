package audit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// recorded is a log as bytes: lines of its segments, and the files beside them.
type recorded struct {
	names    []string
	segments [][][]byte
	beside   map[string][]byte
	key      string
	signer   note.Signer
	last     string // the newest checkpoint
}

// record writes a log of n records in some five segments, and reads it. It is closed in the middle
// once, so that there are checkpoints of several sizes.
func record(t testing.TB, dir string, n int) *recorded {
	t.Helper()
	for from := 0; from < n; from += n / 2 {
		l := open(t, dir, Options{SegmentBytes: int64(n) * 110})
		for i := from; i < from+n/2; i++ {
			if err := l.Decide(t.Context(), decision(fmt.Sprint("record ", i))); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return load(t, dir)
}

func load(t testing.TB, dir string) *recorded {
	t.Helper()
	r := &recorded{beside: map[string][]byte{}}
	list, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		data, err := os.ReadFile(s.path)
		if err != nil {
			t.Fatal(err)
		}
		r.names = append(r.names, s.name)
		lines := bytes.SplitAfter(data, []byte{'\n'})
		r.segments = append(r.segments, lines[:len(lines)-1])
	}
	for _, name := range []string{newestName, historyName, filepath.Join(treeName, hashesName), filepath.Join(treeName, indexName)} {
		if r.beside[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	r.last = string(r.beside[newestName])
	if r.key, err = VerifierKey(dir); err != nil {
		t.Fatal(err)
	}
	if r.signer, _, err = checkpointSigner(dir); err != nil {
		t.Fatal(err)
	}
	return r
}

// clone is a copy that can be changed down to the lines, which are replaced and not written to.
func (r *recorded) clone() *recorded {
	c := *r
	c.names = slices.Clone(r.names)
	c.segments = nil
	for _, s := range r.segments {
		c.segments = append(c.segments, slices.Clone(s))
	}
	c.beside = map[string][]byte{}
	for name, data := range r.beside {
		c.beside[name] = bytes.Clone(data)
	}
	return &c
}

func (r *recorded) put(t testing.TB, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// write makes what differs from before the content of dir.
func (r *recorded) write(t testing.TB, dir string, before *recorded) {
	t.Helper()
	for i, s := range r.segments {
		old := before.segments[i]
		if !slices.EqualFunc(s, old, bytes.Equal) {
			r.put(t, dir, r.names[i], bytes.Join(s, nil))
		}
	}
	for name, data := range r.beside {
		if !bytes.Equal(data, before.beside[name]) {
			r.put(t, dir, name, data)
		}
	}
}

// at is where the record of an index is.
func (r *recorded) at(i int) (segment, line int) {
	for s := range r.segments {
		if i < len(r.segments[s]) {
			return s, i
		}
		i -= len(r.segments[s])
	}
	panic("no such record")
}

func (r *recorded) size() (n int) {
	for _, s := range r.segments {
		n += len(s)
	}
	return n
}

// forge makes the tree, the index and the checkpoint those of the lines, as one can who has the
// key.
func (r *recorded) forge(t testing.TB) {
	t.Helper()
	var e edge
	var hashes, index []byte
	h := newLeafHasher()
	for s, lines := range r.segments {
		if len(lines) > 0 {
			var first uint64
			if _, err := fmt.Sscanf(r.names[s], "%d", &first); err != nil {
				t.Fatal(err)
			}
			index = append(index, TreeStart{first, e.size}.line()+"\n"...)
		}
		for _, line := range lines {
			hashes = e.add(h.leaf(bytes.TrimSuffix(line, []byte{'\n'})), hashes)
		}
	}
	c, err := Checkpoint{Origin: r.signer.Name(), Size: e.size, Root: e.root()}.sign(r.signer)
	if err != nil {
		t.Fatal(err)
	}
	r.beside[newestName] = c.Note
	r.beside[historyName] = append(bytes.Clone(c.Note), '\n')
	r.beside[filepath.Join(treeName, hashesName)], r.beside[filepath.Join(treeName, indexName)] = hashes, index
}

// changed is the line with another byte somewhere.
func changed(line []byte, i int) []byte {
	out := bytes.Clone(line)
	out[i%(len(out)-1)] ^= 1 << (i % 7)
	if at := i % (len(out) - 1); out[at] == '\n' {
		out[at] = 'n'
	}
	return out
}

// tampering changes a log at the record of an index. It returns a part of what Verify must say,
// with the file and the line of that record in it.
var tamperings = map[string]func(t testing.TB, r *recorded, i int) (want string){
	"flip": func(t testing.TB, r *recorded, i int) string {
		s, n := r.at(i)
		r.segments[s][n] = changed(r.segments[s][n], i)
		return fmt.Sprintf("%s:%d: was changed: it is not record %d, which was signed", r.names[s], n+1, i+1)
	},
	"drop": func(t testing.TB, r *recorded, i int) string {
		s, n := r.at(i)
		r.segments[s] = slices.Delete(r.segments[s], n, n+1)
		return fmt.Sprintf("%s:%d: record %d, which was signed, is missing", r.names[s], n+1, i+1)
	},
	"swap": func(t testing.TB, r *recorded, i int) string {
		i = min(i, r.size()-2)
		s, n := r.at(i)
		s2, n2 := r.at(i + 1)
		r.segments[s][n], r.segments[s2][n2] = r.segments[s2][n2], r.segments[s][n]
		return fmt.Sprintf("%s:%d: is out of order: it is record %d, where record %d was signed", r.names[s], n+1, i+2, i+1)
	},
	"truncate": func(t testing.TB, r *recorded, i int) string {
		s, n := r.at(i)
		r.segments[s] = r.segments[s][:n]
		for s++; s < len(r.segments); s++ {
			r.segments[s] = nil
		}
		return fmt.Sprintf("the record ends with %d records; this checkpoint signed ", i)
	},
	"duplicate": func(t testing.TB, r *recorded, i int) string {
		s, n := r.at(i)
		r.segments[s] = slices.Insert(r.segments[s], n+1, r.segments[s][n])
		if i == r.size()-2 { // what follows all that was signed has no record to be told from
			return fmt.Sprintf("%s:%d: after the newest checkpoint: no record, or not in order", r.names[s], n+2)
		}
		return fmt.Sprintf("%s:%d: was added: it is a copy of record %d", r.names[s], n+2, i+1)
	},
	"insert": func(t testing.TB, r *recorded, i int) string {
		s, n := r.at(i)
		r.segments[s] = slices.Insert(r.segments[s], n, changed(r.segments[s][n], i))
		return fmt.Sprintf("%s:%d: was added: no record that was signed is this one", r.names[s], n+1)
	},
	// Who has the key makes another end of the record, and signs it. An auditor has the checkpoint
	// that was signed before.
	"fork": func(t testing.TB, r *recorded, i int) string {
		for ; i < r.size(); i++ {
			s, n := r.at(i)
			r.segments[s][n] = changed(r.segments[s][n], i)
		}
		r.forge(t)
		return "kept: two forks: this checkpoint of 1000 records and the one of 1000 records in checkpoint"
	},
	// The same without the key: the tree is made anew, and the old checkpoints stay.
	"flip and make the tree anew": func(t testing.TB, r *recorded, i int) string {
		s, n := r.at(i)
		r.segments[s][n] = changed(r.segments[s][n], i)
		newest, history := r.beside[newestName], r.beside[historyName]
		r.forge(t)
		r.beside[newestName], r.beside[historyName] = newest, history
		return "which begin here, are not those that the checkpoint in checkpoint"
	},
	// An older state of everything is put back.
	"roll back": func(t testing.TB, r *recorded, i int) string {
		s, n := r.at(i)
		r.segments[s] = r.segments[s][:n]
		for s++; s < len(r.segments); s++ {
			r.segments[s] = nil
		}
		r.forge(t)
		return fmt.Sprintf("kept: the record ends with %d records; this checkpoint signed 1000", i)
	},
}

// Whatever is done to a log of a thousand records, and to whichever of them, is found, and named
// by file and line where that can be known.
func TestTamperingIsFoundAtEveryRecord(t *testing.T) {
	const n = 1000
	for name, tamper := range tamperings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "audit")
			good := record(t, dir, n)
			if got := good.size(); got != n || len(good.names) < 4 {
				t.Fatalf("%d records in %d segments", got, len(good.names))
			}
			o := VerifyOptions{Key: good.key, Checkpoints: []Kept{{"kept", []byte(good.last)}}}
			verifies(t, dir, o, n)
			for i := range n {
				bad := good.clone()
				want := tamper(t, bad, i)
				bad.write(t, dir, good)
				report, err := Verify(dir, o)
				if err != nil || !says(report, want) {
					t.Fatalf("record %d: Verify found %v, %v; want %q", i, report.Problems, err, want)
				}
				good.write(t, dir, bad)
			}
			verifies(t, dir, o, n)
		})
	}
}

func says(r Report, want string) bool {
	return slices.ContainsFunc(r.Problems, func(p Problem) bool { return strings.Contains(p.String(), want) })
}

// verifies says that the log is as it was written.
func verifies(t testing.TB, dir string, o VerifyOptions, records int64) Report {
	t.Helper()
	report, err := Verify(dir, o)
	if err != nil || len(report.Problems) > 0 || report.Records != records || report.Size != records || report.After != 0 {
		t.Fatalf("Verify = %+v, %v; want %d records and no problem", report, err, records)
	}
	return report
}

// Every hash of the tree counts, also those that no root is made of any more.
func TestTamperingWithTheTreeIsFoundAtEveryHash(t *testing.T) {
	const n = 200
	dir := filepath.Join(t.TempDir(), "audit")
	good := record(t, dir, n)
	o := VerifyOptions{Key: good.key}
	name := filepath.Join(treeName, hashesName)
	for i := range len(good.beside[name]) / 32 {
		bad := good.clone()
		bad.beside[name][i*32+i%32] ^= 1 << (i % 8)
		bad.write(t, dir, good)
		report, err := Verify(dir, o)
		if err != nil || !says(report, "the segments agree with the checkpoint, so the file can be made again from them") {
			t.Fatalf("hash %d: Verify found %v, %v", i, report.Problems, err)
		}
		good.write(t, dir, bad)
	}
	verifies(t, dir, o, n)
}

// Every byte of a checkpoint counts, but the two bits that base64 leaves over in a signature.
func TestTamperingWithACheckpointIsFoundAtEveryByte(t *testing.T) {
	const n = 20
	dir := filepath.Join(t.TempDir(), "audit")
	good := record(t, dir, n)
	o := VerifyOptions{Key: good.key}
	for i := range good.beside[newestName] {
		bad := good.clone()
		bad.beside[newestName][i] ^= 1
		if _, err := ParseCheckpoint(bad.beside[newestName], mustVerifier(t, good.key)); err == nil {
			if bytes.HasSuffix(good.beside[newestName][i:], []byte("=\n")) && len(good.beside[newestName][i:]) == 3 {
				continue
			}
			t.Errorf("byte %d: the checkpoint is accepted", i)
		}
		bad.write(t, dir, good)
		if report, err := Verify(dir, o); err != nil || len(report.Problems) == 0 || report.Problems[0].File != newestName {
			t.Fatalf("byte %d: Verify found %v, %v", i, report.Problems, err)
		}
		good.write(t, dir, bad)
	}
	verifies(t, dir, o, n)
}
