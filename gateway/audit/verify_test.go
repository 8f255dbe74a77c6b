package audit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// noAlarm says that nothing looks changed, whatever is noted beside.
func noAlarm(t testing.TB, dir string) Report {
	t.Helper()
	key, err := VerifierKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	report, err := Verify(dir, VerifyOptions{Key: key})
	if err != nil || len(report.Problems) > 0 {
		t.Errorf("Verify found %v, %v; notes %v", report.Problems, err, report.Notes)
	}
	return report
}

// What an auditor is told of, in the words that are told.
func TestVerifySaysWhatIsWrong(t *testing.T) {
	const n = 100
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, dir string, r *recorded)
		want   []string // SEG1 and so on are the segments, in order
	}{
		{"a missing segment", func(t *testing.T, dir string, r *recorded) { remove1(t, dir, r.names[1]) },
			[]string{"checkpoint: the record ends with 7", "SEG2: the segment is missing: records 2"}},
		{"a checkpoint by another key", func(t *testing.T, dir string, r *recorded) {
			other := record(t, filepath.Join(t.TempDir(), "audit"), 10)
			r.put(t, dir, newestName, []byte(other.last))
		}, []string{"checkpoint: signed by another key: sallyport/audit/"}},
		{"two forks in one directory", func(t *testing.T, dir string, r *recorded) {
			fork := r.clone()
			fork.segments[0][0] = changed(fork.segments[0][0], 30)
			fork.forge(t)
			r.put(t, dir, newestName, fork.beside[newestName])
		}, []string{"two forks: the checkpoint of 100 records there and the one in ",
			"checkpoint: two forks: this checkpoint of 100 records and the one of 100 records in checkpoints (checkpoint "}},
		{"no newest checkpoint", func(t *testing.T, dir string, r *recorded) { remove1(t, dir, newestName) },
			[]string{"checkpoint: the newest checkpoint is missing"}},
		{"no checkpoint", func(t *testing.T, dir string, r *recorded) {
			remove1(t, dir, newestName)
			remove1(t, dir, historyName)
		}, []string{"checkpoint: there is no checkpoint of this key: nothing can be proved of 100 records"}},
		{"a line that is cut in the middle of the record", func(t *testing.T, dir string, r *recorded) {
			data := bytes.Join(r.segments[0], nil)
			r.put(t, dir, r.names[0], data[:len(data)-1])
		}, []string{"a line without end in a segment that others follow: what stood there was cut, or it was added", "checkpoint: the record ends with 99 records; this checkpoint signed 100"}},
		{"a change, and no tree that tells where", func(t *testing.T, dir string, r *recorded) {
			bad := r.clone()
			s, i := bad.at(70)
			bad.segments[s][i] = changed(bad.segments[s][i], 30)
			bad.write(t, dir, r)
			remove1(t, dir, filepath.Join(treeName, hashesName))
		}, []string{", which begin here, are not those that the checkpoint in checkpoint"}},
		{"lines after the checkpoint out of order", func(t *testing.T, dir string, r *recorded) {
			s, _ := r.at(n - 1)
			r.put(t, dir, r.names[s], append(bytes.Join(r.segments[s], nil), whole(1)...))
		}, []string{": after the newest checkpoint: no record, or not in order"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			r := record(t, dir, n)
			tt.change(t, dir, r)
			report, err := Verify(dir, VerifyOptions{Key: r.key})
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				for i, name := range r.names {
					want = strings.ReplaceAll(want, fmt.Sprint("SEG", i+1), name)
				}
				if !says(report, want) {
					t.Errorf("Verify found %v; want %q", report.Problems, want)
				}
			}
		})
	}
}

func remove1(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyOfWhatIsNoKey(t *testing.T) {
	if _, err := Verify(t.TempDir(), VerifyOptions{Key: "x"}); err == nil || err.Error() != "the key of checkpoints is not one: malformed verifier id" {
		t.Errorf("Verify = %v", err)
	}
}

// A crash can leave the end of a line, or a hole. It is told, and is no alarm.
func TestUnfinishedLineIsNoAlarm(t *testing.T) {
	for what, left := range map[string]string{"an unfinished line": `{"seq":11,"ti`, "a hole": "\x00\x00}\n" + whole(12)} {
		dir := filepath.Join(t.TempDir(), "audit")
		r := record(t, dir, 10)
		s := len(r.names) - 1
		r.put(t, dir, r.names[s], append(bytes.Join(r.segments[s], nil), left...))
		report := noAlarm(t, dir)
		if want := "the last line of " + r.names[s] + " is not finished (13 bytes): nobody was told of it, and the next start moves it aside"; what == "an unfinished line" && !slices.Contains(report.Notes, want) {
			t.Errorf("notes %q; want %q", report.Notes, want)
		}
		open(t, dir, Options{})
		noAlarm(t, dir)
	}
}

// What no checkpoint covers yet is counted, and not proved.
func TestRecordsAfterTheCheckpointAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "audit")
		l := open(t, dir, Options{})
		for i := range 5 { // the first is signed at once, the others within a second
			if err := l.Decide(t.Context(), decision(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if report := noAlarm(t, dir); report.Size != 1 || report.After != 4 || report.Records != 5 {
			t.Errorf("size %d, %d after it; want 1 and 4", report.Size, report.After)
		}
		time.Sleep(checkpointEvery)
		synctest.Wait()
		if report := noAlarm(t, dir); report.Size != 5 || report.After != 0 {
			t.Errorf("after a second: size %d, %d after it; want 5 and 0", report.Size, report.After)
		}
	})
}

// A log that is written needs no lock to be verified.
func TestVerifyGoesWithAWriter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := open(t, dir, Options{SegmentBytes: 20_000, packOver: 1})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 1000 {
			if err := l.Decide(t.Context(), decision(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		}
	}()
	for n := 0; ; n++ {
		noAlarm(t, dir)
		select {
		case <-done:
			if n == 0 {
				t.Error("never verified while it was written")
			}
			return
		default:
		}
	}
}
