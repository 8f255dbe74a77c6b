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
	lines := bytes.Split(bytes.TrimSuffix(whole, []byte("\n")), []byte("\n"))
	if len(lines) != 4 {
		f.Fatalf("%d lines", len(lines))
	}
	end := uint(len(whole))
	f.Add("a\nb\nc\nd\n", end, "")
	f.Add("", uint(0), "")
	f.Add("a\nb\nc\nd\n", uint(bytes.Index(whole, []byte("ann"))), "amn")
	f.Add("a\r\nb\nc\nd\n", end, "")
	f.Add("b\na\nc\nd\n", end, "")
	f.Add("a\nb\nc\nd\nd\n", end, "")
	f.Add("a\nb\nc\nd", end, "")
	// Each process has a record of its own, so the input is what is done to it: its lines are a, b, c and d,
	// and then text is put over what is at a place.
	f.Fuzz(func(t *testing.T, form string, at uint, text string) {
		var data []byte
		for _, c := range []byte(form) {
			if 'a' <= c && c <= 'd' {
				data = append(data, lines[c-'a']...)
			} else {
				data = append(data, c)
			}
		}
		at %= uint(len(data)) + 1
		data = append(data, make([]byte, max(0, int(at)+len(text)-len(data)))...)
		copy(data[at:], text)
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
