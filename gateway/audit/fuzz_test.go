package audit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Whatever a segment's bytes have become: it is found, or the lines that were written are there, whole and
// first.
func FuzzVerify(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "audit")
	l, err := Open(dir, Options{})
	if err != nil {
		f.Fatal(err)
	}
	for i := range 4 {
		r := Record{ID: fmt.Sprintf("01JABCDEFGHJKMNPQRSTVWX%03d", i), Time: time.Date(2026, 1, 1, 0, i, 0, 0, time.UTC), Phase: PhaseDecision, Method: "tools/call", Server: "files", Tool: "read_file", Subject: "ann", Decision: "allow"}
		if err := l.Decide(f.Context(), &r); err != nil {
			f.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		f.Fatal(err)
	}
	key, err := VerifierKey(dir)
	if err != nil {
		f.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(names) != 1 {
		f.Fatalf("segments %v, %v", names, err)
	}
	whole, err := os.ReadFile(names[0])
	if err != nil {
		f.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	f.Add(whole)
	f.Add([]byte{})
	f.Add(bytes.Replace(whole, []byte("ann"), []byte("amn"), 1))
	f.Add(bytes.Replace(whole, []byte("\n"), []byte("\r\n"), 1))
	f.Add(bytes.Join([][]byte{lines[1], lines[0], lines[2], lines[3]}, nil))
	f.Add(bytes.Join([][]byte{whole, lines[3]}, nil))
	f.Add(whole[:len(whole)-1])
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(names[0], data, 0o600); err != nil {
			t.Fatal(err)
		}
		report, err := Verify(dir, VerifyOptions{Key: key})
		if err != nil || len(report.Problems) > 0 {
			if bytes.Equal(data, whole) {
				t.Fatalf("what was written is not found to be so: %+v, %v", report, err)
			}
			return
		}
		if !bytes.HasPrefix(data, whole) {
			t.Fatalf("this is taken for what was written: %q\n%+v", data, report)
		}
	})
}
