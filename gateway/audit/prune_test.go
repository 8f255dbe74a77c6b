package audit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPrunedSegmentsKeepTheirPlaceInTheTree(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	good := record(t, dir, 100)
	o := VerifyOptions{Key: good.key, Checkpoints: []Kept{{"kept", []byte(good.last)}}}
	gone, err := Prune(dir, PruneOptions{Before: 60, Try: true})
	if err != nil || len(gone) < 2 || len(names(t, dir)) != len(good.names) {
		t.Fatalf("Prune, tried = %v, %v", gone, err)
	}
	again, err := Prune(dir, PruneOptions{Before: 60})
	if err != nil || len(again) != len(gone) || len(names(t, dir)) != len(good.names)-len(gone) {
		t.Fatalf("Prune = %v, %v; want %v", again, err, gone)
	}
	report := verifies(t, dir, o, 100)
	if len(report.Pruned) != len(gone) {
		t.Errorf("Verify says that %v are pruned; want %v", report.Pruned, gone)
	}
	if got, want := report.Pruned[0].String(), "records 1–"; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "are pruned; their hashes are in the tree") {
		t.Errorf("told as %q", got)
	}
	l := open(t, dir, Options{}) // the log goes on
	if err := l.Decide(t.Context(), decision("after")); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	verifies(t, dir, o, 101)

	// What is left is still under the same signatures.
	for i, name := range names(t, dir) {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if err != nil || len(data) == 0 {
			t.Fatal(name, err)
		}
		if err := os.WriteFile(path, changed(data, 40+i), 0o600); err != nil {
			t.Fatal(err)
		}
		if report, err := Verify(dir, o); err != nil || !says(report, name+":1: was changed") {
			t.Errorf("%s: Verify found %v, %v", name, report.Problems, err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	// So are the hashes that stand for what is gone.
	hashes := filepath.Join(dir, treeName, hashesName)
	data, err := os.ReadFile(hashes)
	if err != nil {
		t.Fatal(err)
	}
	data[100] ^= 1
	if err := os.WriteFile(hashes, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if report, err := Verify(dir, o); err != nil || len(report.Problems) == 0 {
		t.Errorf("a changed hash of a pruned segment: Verify found %v, %v", report.Problems, err)
	}
	if err := os.Remove(hashes); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "is not the one whose first ") {
		t.Errorf("Open = %v; want a refusal, since nothing can tell any more what was signed", err)
	}
}

// Who removes a segment without the key leaves a gap that is told.
func TestPruneNeedsTheKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	good := record(t, dir, 100)
	if err := os.Remove(filepath.Join(dir, good.names[0])); err != nil {
		t.Fatal(err)
	}
	o := VerifyOptions{Key: good.key}
	want := good.names[0] + ": the segment is missing: records 1 to "
	if report, err := Verify(dir, o); err != nil || !says(report, want) {
		t.Errorf("Verify found %v, %v; want %q", report.Problems, err, want)
	}
	note := "sallyport pruned segment v1\n" + good.signer.Name() + "\n1 0 10\n\n— " + good.signer.Name() + " c2lnbmF0dXJl\n\n"
	if err := os.WriteFile(filepath.Join(dir, prunedName), []byte(note), 0o600); err != nil {
		t.Fatal(err)
	}
	want = "pruned: not a note about a pruned segment signed by "
	if report, err := Verify(dir, o); err != nil || !says(report, want) {
		t.Errorf("Verify found %v, %v; want %q", report.Problems, err, want)
	}
}

func TestPruneRefusesWithAMessage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	good := record(t, dir, 100)
	if gone, err := Prune(dir, PruneOptions{Before: 101}); err == nil ||
		err.Error() != "prune 101 records: the newest checkpoint signed 100; what no checkpoint has signed stays" {
		t.Errorf("Prune beyond the checkpoint = %v, %v", gone, err)
	}
	if gone, err := Prune(dir, PruneOptions{Before: 100, Until: time.Unix(0, 0), Try: true}); err != nil || len(gone) != 0 {
		t.Errorf("Prune of what is older than all = %v, %v", gone, err)
	}
	if gone, err := Prune(dir, PruneOptions{Before: 100, Try: true}); err != nil || len(gone) != len(good.names)-1 {
		t.Errorf("Prune of all = %v, %v; want all but the segment with the newest record", gone, err)
	}
	bad := good.clone()
	bad.segments[0][1] = changed(bad.segments[0][1], 30)
	bad.write(t, dir, good)
	want := "prune: " + good.names[0] + " does not agree with the tree: it is left as it is; run sallyport audit verify"
	if gone, err := Prune(dir, PruneOptions{Before: 100}); err == nil || err.Error() != want {
		t.Errorf("Prune of what was changed = %v, %v; want %q", gone, err, want)
	}
	if got := names(t, dir); len(got) != len(good.names) {
		t.Errorf("segments %v; want all", got)
	}
}
