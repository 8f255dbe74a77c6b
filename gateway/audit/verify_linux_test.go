package audit

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Whoever may write to the directory must not make its auditor wait for ever, or use up its memory.
func TestVerifyEndsWhateverIsPutThere(t *testing.T) {
	for _, tt := range []struct{ name, at, want string }{
		{"a pipe for the checkpoint", newestName, "is no plain file"},
		{"a pipe for the tree", filepath.Join(treeName, hashesName), "is no plain file"},
		{"a pipe for a segment", segmentName(5000), "is no plain file"},
	} {
		dir := filepath.Join(t.TempDir(), "audit")
		record(t, dir, 10)
		_ = os.Remove(filepath.Join(dir, tt.at))
		if err := syscall.Mkfifo(filepath.Join(dir, tt.at), 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := VerifierKey(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = Verify(dir, VerifyOptions{Key: key}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want an error that says %q", tt.name, err, tt.want)
		}
	}
}

// A tree that is said to be huge holds no more than was signed.
func TestVerifyReadsNoMoreOfTheTreeThanWasSigned(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	r := record(t, dir, 10)
	segment := filepath.Join(dir, r.names[0])
	data, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(segment, []byte(strings.Replace(string(data), `"seq":1,`, `"seq":1 ,`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, treeName, hashesName), 200<<30); err != nil {
		t.Fatal(err)
	}
	key, err := VerifierKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	if report, err := Verify(dir, VerifyOptions{Key: key}); err != nil || len(report.Problems) == 0 {
		t.Errorf("%+v, %v; want the changed line found", report, err)
	}
}

type noNewline struct{}

func (noNewline) Read(p []byte) (int, error) { return len(p), nil }

// A small compressed file can be a line without end.
func TestALineHasABound(t *testing.T) {
	lines := newLineReader(noNewline{}, 1<<20)
	if _, err := lines.next(); err != errLongLine { // the reader's own, as it is
		t.Errorf("%v; want %v", err, errLongLine)
	}
	if cap(lines.buf) > 2*maxLine {
		t.Errorf("%d bytes were kept", cap(lines.buf))
	}
}

// Without the checkpoints of the directory, one that an auditor kept does not prove what came later.
func TestCheckpointsThatAreGoneAreAnAlarm(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	r := record(t, dir, 10)
	kept := Kept{Name: "kept", Note: []byte(r.last)}
	for _, name := range []string{newestName, historyName} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	key, err := VerifierKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	report, err := Verify(dir, VerifyOptions{Key: key, Checkpoints: []Kept{kept}})
	if err != nil || len(report.Problems) != 1 || !strings.Contains(report.Problems[0].String(), "the newest checkpoint is missing") {
		t.Errorf("%+v, %v; want the missing checkpoint told", report.Problems, err)
	}
}
