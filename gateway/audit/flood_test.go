package audit

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestNotesThatFindNoRoomAreCounted(t *testing.T) {
	for _, tt := range []struct {
		name  string
		queue int
		note  Record
		fit   int
	}{
		{"by number", 10, Record{ID: "n", Phase: PhaseOutcome}, 10},
		{"by bytes", 0, Record{ID: "n", Phase: PhaseOutcome, Detail: strings.Repeat("x", 10_000)}, 9},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, d := filepath.Join(t.TempDir(), "audit"), &faultyDisk{gate: make(chan struct{})}
				l := open(t, dir, Options{disk: d, Queue: tt.queue, noteBytes: 100_000, decisionBytes: 1})
				go func() { _ = l.Decide(context.Background(), decision("holds the writer")) }()
				synctest.Wait()
				for i := range tt.fit + 5 {
					if err := l.Note(&tt.note); (i >= tt.fit) != errors.Is(err, ErrFull) {
						t.Errorf("note %d of %d: %v", i, tt.fit, err)
					}
				}
				close(d.gate)
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				notes, dropped := 0, int64(0)
				for _, r := range lines(t, dir) {
					if r.ID == "n" {
						notes++
					}
					if r.Code == "dropped" {
						dropped += r.Count
					}
				}
				if notes != tt.fit || dropped != 5 {
					t.Errorf("%d notes written and %d counted as dropped; want %d and 5", notes, dropped, tt.fit)
				}
			})
		})
	}
}

// Notes that fill their queue take nothing from decisions.
func TestFullQueueOfNotesRefusesNoDecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &faultyDisk{gate: make(chan struct{})}
		l := open(t, filepath.Join(t.TempDir(), "audit"), Options{disk: d, Queue: 1})
		result := make(chan error, 2)
		for range 2 {
			go func() { result <- l.Decide(context.Background(), decision("d")) }()
			synctest.Wait()
			for l.Note(decision("n")) == nil {
			}
		}
		close(d.gate)
		for range 2 {
			if err := <-result; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestRefusalsOfNobodyAreOneRecordASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, d := filepath.Join(t.TempDir(), "audit"), &faultyDisk{}
		l := open(t, dir, Options{disk: d})
		time.Sleep(summaryEvery / 2) // between two summaries
		for range 3 {
			for i := range 1000 {
				l.Refused(fmt.Sprintf("10.0.0.%d", i%50), "unauthenticated")
			}
			l.Refused("10.9.9.9", "malformed")
			synctest.Wait()
			if n := d.syncs.Load(); n > 2 {
				t.Errorf("%d syncs; a refusal of nobody must not reach the disk by itself", n)
			}
			time.Sleep(summaryEvery)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		got := lines(t, dir)
		if len(got) != 6 {
			t.Fatalf("%d records %+v; want 2 for each of 3 seconds", len(got), got)
		}
		for i, r := range got {
			want := Record{Phase: PhaseSummary, Code: "malformed", Count: 1, Source: "10.9.9.9"}
			if i%2 == 1 {
				want.Code, want.Count, want.Source = "unauthenticated", 1000, "10.0.0.0 10.0.0.1 10.0.0.2 10.0.0.3"
			}
			if r.Phase != want.Phase || r.Code != want.Code || r.Count != want.Count || r.Source != want.Source || r.ID == "" {
				t.Errorf("record %d = %+v; want %+v", i, r, want)
			}
		}
	})
}

// Whatever a flood says of itself, it takes up bounded memory, also while the disk hangs, and
// no refusal waits for the disk.
func TestFloodOfNobodyIsBoundedWhileTheDiskHangs(t *testing.T) {
	dir, d := filepath.Join(t.TempDir(), "audit"), &faultyDisk{gate: make(chan struct{})}
	l := open(t, dir, Options{disk: d})
	held := make(chan error)
	go func() { held <- l.Decide(context.Background(), decision("d")) }()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var wg sync.WaitGroup
	long := strings.Repeat("x", 10_000)
	for i := range 8 {
		wg.Go(func() {
			for j := range 2000 {
				l.Refused(fmt.Sprint(i, j, long), fmt.Sprint("code", j))
			}
		})
	}
	wg.Wait()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("the flood holds %d bytes", grown)
	}
	close(d.gate)
	if err := <-held; err != nil {
		t.Errorf("the decision behind the flood: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	total, other := int64(0), int64(0)
	got := lines(t, dir)
	for _, r := range got {
		total += r.Count
		if r.Code == "other" {
			other += r.Count
		}
		if n := len(r.Source); n > maxRefusalSources*(maxRefusalName+1) {
			t.Errorf("summary with %d bytes of sources", n)
		}
	}
	if total != 16_000 || other == 0 {
		t.Errorf("counted %d of 16000, %d under other, in %d records", total, other, len(got))
	}
}

// Decisions go on beside a flood: what they wait for is the disk alone.
func TestFloodOfNobodyDelaysNoDecision(t *testing.T) {
	dir, d := filepath.Join(t.TempDir(), "audit"), &faultyDisk{}
	l := open(t, dir, Options{disk: d})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					l.Refused(fmt.Sprint(i), "unauthenticated")
				}
			}
		})
	}
	start, n := d.syncs.Load(), 200
	for range n {
		if err := l.Decide(t.Context(), decision("d")); err != nil {
			t.Fatal(err)
		}
	}
	syncs := d.syncs.Load() - start
	close(stop)
	wg.Wait()
	// One sync for each decision, and one a second for the summaries.
	if syncs > int64(n)+60 {
		t.Errorf("%d syncs for %d decisions beside a flood", syncs, n)
	}
}

func TestSummariesWaitOutADiskThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, d := filepath.Join(t.TempDir(), "audit"), &faultyDisk{}
		l := open(t, dir, Options{disk: d})
		d.syncErr.set(errors.New("broken"))
		for range 10 {
			l.Refused("a", "unauthenticated")
			time.Sleep(summaryEvery)
		}
		d.syncErr.set(nil)
		time.Sleep(2 * summaryEvery)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		var total int64
		n := 0
		for _, r := range linesLoose(t, dir) {
			if r.Code == "unauthenticated" {
				total += r.Count
				n++
			}
		}
		if total != 10 || n > 3 {
			t.Errorf("counted %d of 10 in %d records", total, n)
		}
	})
}
