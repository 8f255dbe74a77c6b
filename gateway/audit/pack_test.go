package audit

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// packedLog writes a log whose closed segments are compressed.
func packedLog(t *testing.T, dir string, n int) (o VerifyOptions) {
	t.Helper()
	l := open(t, dir, Options{SegmentBytes: 5000, packOver: 1})
	for i := range n {
		if err := l.Decide(t.Context(), decision(fmt.Sprint("record ", i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	pack(t, dir)
	key, err := VerifierKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	return VerifyOptions{Key: key}
}

func pack(t *testing.T, dir string) {
	t.Helper()
	p := &packer{dir: dir, o: &Options{disk: realDisk{}, packOver: 1}, left: map[string]bool{}}
	if err := p.all(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	list, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		out = append(out, s.name)
	}
	return out
}

// A running log compresses what it has closed, and no reader notices.
func TestClosedSegmentsAreCompressed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "audit")
		l := open(t, dir, Options{SegmentBytes: 5000, packOver: 1})
		for i := range 60 {
			r := decision(fmt.Sprint("record ", i))
			r.Grant, r.Calls = "g", 1
			if err := l.Decide(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * checkpointEvery)
		synctest.Wait() // the packer too
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		got := names(t, dir)
		if len(got) < 5 || slices.ContainsFunc(got[:len(got)-1], func(s string) bool { return !strings.HasSuffix(s, ".jsonl.gz") }) || strings.HasSuffix(got[len(got)-1], ".gz") {
			t.Errorf("segments %v; want all but the last compressed", got)
		}
		var charged int64
		if err := Replay(dir, 0, func(c Charge) { charged += c.Calls }); err != nil || charged != 60 {
			t.Errorf("Replay counts %d calls, %v; want 60", charged, err)
		}
		key, err := VerifierKey(dir)
		if err != nil {
			t.Fatal(err)
		}
		verifies(t, dir, VerifyOptions{Key: key}, 60)
		l = open(t, dir, Options{})
		if err := l.Decide(t.Context(), decision("after")); err != nil || l.Report() != "" {
			t.Fatalf("Decide = %v, report %q", err, l.Report())
		}
	})
}

// Even where nothing else is left, the numbers go on behind those of a compressed segment.
func TestNumbersGoOnBehindACompressedSegment(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	packedLog(t, dir, 20)
	list := names(t, dir)
	if err := os.Rename(filepath.Join(dir, list[len(list)-1]), filepath.Join(t.TempDir(), "away")); err != nil {
		t.Fatal(err)
	}
	l := open(t, dir, Options{})
	if err := l.Decide(t.Context(), decision("after")); err != nil {
		t.Fatal(err)
	}
	if want := list[len(list)-1] + " is missing: "; !strings.HasPrefix(l.Report(), want) {
		t.Errorf("report %q; want %q", l.Report(), want)
	}
	if got := names(t, dir); got[len(got)-1] < list[len(list)-1] {
		t.Errorf("segments %v; want the last to be no older than %s", got, list[len(list)-1])
	}
}

// A crash may come between any two steps. What is there twice is there once for a reader, and the
// next look ends what was begun.
func TestPackerEndsWhatACrashHasLeft(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	good := record(t, dir, 40)
	first := filepath.Join(dir, good.names[0])
	for _, left := range []string{".gz.new", ".gz"} {
		if err := os.WriteFile(first+left, []byte("not whole"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := VerifyOptions{Key: good.key}
	verifies(t, dir, o, 40)
	pack(t, dir)
	verifies(t, dir, o, 40)
	if _, err := os.Stat(first); err == nil {
		t.Errorf("%s is still there", first)
	}
}

// What was changed is evidence, and must not be compressed away or given the look of a whole; nor must
// what a failure has left behind the last record. It is said once.
func TestPackerLeavesWhatTheTreeDoesNotHave(t *testing.T) {
	for what, change := range map[string]func(lines [][]byte) [][]byte{
		"a line is changed": func(l [][]byte) [][]byte { l[1] = changed(l[1], 30); return l },
		"a line is gone":    func(l [][]byte) [][]byte { return slices.Delete(l, 1, 2) },
		"a line is more":    func(l [][]byte) [][]byte { return append(l, l[0]) },
		"a line has no end": func(l [][]byte) [][]byte { return append(l, []byte(`{"seq":`)) },
	} {
		t.Run(what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			good := record(t, dir, 40)
			bad := good.clone()
			bad.segments[0] = change(bad.segments[0])
			bad.write(t, dir, good)
			p := &packer{dir: dir, o: &Options{disk: realDisk{}, packOver: 1}, left: map[string]bool{}}
			want := good.names[0] + " does not agree with the tree: it is left as it is; run sallyport audit verify"
			err := p.all(t.Context())
			if what == "a line has no end" && err != nil || what != "a line has no end" && (err == nil || err.Error() != want) {
				t.Errorf("pack = %v; want %q", err, want)
			}
			if err := p.all(t.Context()); err != nil {
				t.Errorf("pack again = %v; want nothing said", err)
			}
			if data, err := os.ReadFile(filepath.Join(dir, good.names[0])); err != nil || !bytes.Equal(data, bytes.Join(bad.segments[0], nil)) {
				t.Errorf("the segment was changed, %v", err)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, good.names[0]+".*")); left != nil {
				t.Errorf("%v are left", left)
			}
			if after, err := os.Stat(filepath.Join(dir, good.names[1]+packedSuffix)); err != nil || after.Size() == 0 {
				t.Errorf("the next segment was not compressed: %v", err)
			}
		})
	}
}

// Every byte of a compressed segment counts that its lines depend on: not those of its header, nor
// what fills the last byte.
func TestTamperingWithACompressedSegmentIsFound(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	o := packedLog(t, dir, 20)
	list, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	path, want := list[0].path, unpack(list[0])
	data, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(path, ".gz") {
		t.Fatal(path, err)
	}
	for i := 10; i < len(data); i++ {
		bad := bytes.Clone(data)
		bad[i] ^= 1 << (i % 8)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := unpack(list[0]); bytes.Equal(got, want) {
			continue
		}
		report, err := Verify(dir, o)
		if err != nil || len(report.Problems) == 0 || !strings.HasPrefix(report.Problems[0].String(), filepath.Base(path)) {
			t.Fatalf("byte %d: Verify found %v, %v", i, report.Problems, err)
		}
	}
}

// unpack is what the segment holds, or nil where it cannot be read to its end.
func unpack(s segment) []byte {
	r, err := s.open()
	if err != nil {
		return nil
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return nil
	}
	return data
}
