package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A log that is opened for each record goes on in one segment until that is full.
func TestContinueGoesOnInTheNewestSegment(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	for i := range 12 {
		l := open(t, dir, Options{Continue: true, SegmentBytes: 3000})
		if err := l.Decide(t.Context(), decision(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	list, err := segments(dir)
	if err != nil || len(list) < 2 || len(list) > 6 {
		t.Errorf("%d segments, %v; want a few", len(list), err)
	}
	data, err := os.ReadFile(filepath.Join(dir, historyName))
	if kept, _ := splitNotes(data); err != nil || len(kept) > len(list)+1 {
		t.Errorf("%d checkpoints are kept, %v; want about one for each of %d segments", len(kept), err, len(list))
	}
	noAlarm(t, dir)
	if got := lines(t, dir); len(got) != 12 || got[11].Seq != 12 || got[11].ID != "11" {
		t.Errorf("%d records, the last %+v", len(got), got[len(got)-1])
	}
}
