package audit

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func preamble() []*Record { return []*Record{{ID: "preamble", Phase: "key"}} }

// Whatever began a segment, a start, a size or a failure, its preamble stands before all records
// that came after.
func TestEverySegmentBeginsWithThePreamble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, d := filepath.Join(t.TempDir(), "audit"), &faultyDisk{}
		for start := range 3 {
			l := open(t, dir, Options{disk: d, Preamble: preamble, SegmentBytes: 1200})
			for i := range 4 {
				if err := l.Decide(t.Context(), decision(fmt.Sprint(start, i))); err != nil {
					t.Fatal(err)
				}
			}
			d.syncErr.set(syscall.EIO)
			if err := l.Decide(t.Context(), decision("refused")); err == nil {
				t.Fatal("decided on a disk that fails")
			}
			d.syncErr.set(nil)
			time.Sleep(2 * retryEvery)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		list, err := segments(dir)
		if err != nil || len(list) < 9 {
			t.Fatalf("%d segments, %v; want some of each kind", len(list), err)
		}
		first := map[uint64]bool{}
		for _, s := range list {
			first[s.first] = true
		}
		repairs := 0
		for i, r := range linesLoose(t, dir) {
			switch {
			case r.Phase == PhaseRepair:
				repairs++
				if !first[r.Seq] {
					t.Errorf("record %d is a repair and begins no segment", i)
				}
			case first[r.Seq] != (r.Phase == "key") && !first[r.Seq-1]:
				t.Errorf("record %d has number %d and phase %q", i, r.Seq, r.Phase)
			}
		}
		if repairs != 3 {
			t.Errorf("%d repairs; want 3", repairs)
		}
	})
}

// A preamble that is larger than a segment may be must not let each turn begin another.
func TestPreambleAloneFillsNoSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "audit")
		large := func() []*Record { return []*Record{{ID: "preamble", Detail: strings.Repeat("x", 5000)}} }
		l := open(t, dir, Options{Preamble: large, SegmentBytes: 1000})
		time.Sleep(10 * summaryEvery)
		if err := l.Decide(t.Context(), decision("one")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * summaryEvery)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if list, err := segments(dir); err != nil || len(list) != 2 {
			t.Errorf("%d segments, %v; want the full one and the next", len(list), err)
		}
	})
}
