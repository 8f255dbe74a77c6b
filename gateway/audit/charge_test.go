package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// charged is a decision that costs its grant n calls.
func charged(id, grant string, n int64) *Record {
	r := decision(id)
	r.Grant, r.Server, r.Tool, r.Calls = grant, "files", "read_file", n
	return r
}

// ledger is what a journal has been told, and what it found on disk when it was.
type ledger struct {
	mu   sync.Mutex
	told []Charge
}

func (j *ledger) write(c Charge) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.told = append(j.told, c)
}

func (j *ledger) all() []Charge {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Charge(nil), j.told...)
}

func TestJournalKnowsAChargeWhenDecideReturns(t *testing.T) {
	var j ledger
	l := open(t, filepath.Join(t.TempDir(), "audit"), Options{Journal: j.write})
	var racing sync.WaitGroup
	for i := range 50 {
		racing.Go(func() {
			id := fmt.Sprintf("gr_%d", i)
			if err := l.Decide(t.Context(), charged("d", id, 1)); err != nil {
				t.Error(err)
			}
			found := 0
			for _, c := range j.all() {
				if c.Grant == id {
					found++
				}
			}
			if found != 1 {
				t.Errorf("%s was told %d times when its Decide returned; want once", id, found)
			}
		})
	}
	racing.Wait()
	for i, c := range j.all() {
		if c.Seq != uint64(i)+1 {
			t.Fatalf("charge %d has number %d; want them in order", i, c.Seq)
		}
	}
}

func TestJournalHearsNothingOfWhatChargesNothing(t *testing.T) {
	var j ledger
	l := open(t, filepath.Join(t.TempDir(), "audit"), Options{Journal: j.write})
	if err := l.Decide(t.Context(), decision("free")); err != nil {
		t.Fatal(err)
	}
	if got := j.all(); len(got) != 0 {
		t.Errorf("told %+v; want nothing", got)
	}
}

// The record that added a label may never have come to the disk; the call that finds it there says
// it again.
func TestJournalHearsOfLabelsThatWereThereBefore(t *testing.T) {
	var j ledger
	l := open(t, filepath.Join(t.TempDir(), "audit"), Options{Journal: j.write})
	r := decision("free")
	r.LabelsBefore, r.LabelsAfter = []string{"source:private"}, []string{"source:private"}
	if err := l.Decide(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if got := j.all(); len(got) != 1 || !slices.Equal(got[0].Labels, r.LabelsAfter) {
		t.Errorf("told %+v; want the label", got)
	}
}

// A sync that fails has made nothing durable: the journal must not count it, and a note that is
// written again counts once.
func TestAChargeThatIsNotOnDiskIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j ledger
		dir, d := filepath.Join(t.TempDir(), "audit"), &faultyDisk{}
		l := open(t, dir, Options{disk: d, Journal: j.write})
		back := charged("back", "gr_a", -1)
		back.Phase = PhaseOutcome
		_ = l.Note(back)
		synctest.Wait()
		d.syncErr.set(syscall.EIO)
		if err := l.Decide(t.Context(), charged("lost", "gr_a", 1)); err == nil {
			t.Fatal("a decision was acknowledged whose sync failed")
		}
		if got := j.all(); len(got) != 0 {
			t.Fatalf("told %+v while the disk fails; want nothing", got)
		}
		d.syncErr.set(nil)
		time.Sleep(2 * summaryEvery)
		var calls []int64
		for _, c := range j.all() {
			calls = append(calls, c.Calls)
		}
		if diff := cmp.Diff([]int64{-1}, calls); diff != "" {
			t.Errorf("charges told (-want +got):\n%s", diff)
		}
	})
}

// What the journal was told of before a crash, and what a replay tells after it, is the same.
func TestReplayTellsWhatTheJournalWasTold(t *testing.T) {
	var j ledger
	dir := filepath.Join(t.TempDir(), "audit")
	l := open(t, dir, Options{Journal: j.write, SegmentBytes: 1500})
	for i := range 12 {
		r := charged(fmt.Sprint(i), "gr_a", int64(i%3)) // every third is free
		if i == 6 {
			r.LabelsAfter = []string{"source:private"}
		}
		if err := l.Decide(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, after := range []uint64{0, 5, 12, 99} {
		var want, got []Charge
		for _, c := range j.all() {
			if c.Seq > after {
				want = append(want, c)
			}
		}
		if err := Replay(dir, after, func(c Charge) { got = append(got, c) }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("after %d (-journal +replay):\n%s", after, diff)
		}
	}
	if n := len(j.all()); n != 9 { // 8 that cost something, and the one whose labels are new
		t.Errorf("the journal was told %d times; want 9", n)
	}
}

func TestReplayNamesASegmentThatCannotBeRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := open(t, dir, Options{})
	if err := l.Decide(t.Context(), charged("one", "gr_a", 1)); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	name := segmentName(1)
	if err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, name+damagedSuffix)); err != nil {
		t.Fatal(err)
	}
	err := Replay(dir, 0, func(c Charge) { t.Errorf("told %+v of a damaged segment", c) })
	if want := name + damagedSuffix + " is damaged: what it charged is not counted"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Replay = %v; want %q", err, want)
	}
}

// Others that can be read are told all the same.
func TestReplayNamesAPackedSegmentThatIsNotWhole(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := open(t, dir, Options{})
	if err := l.Decide(t.Context(), charged("one", "gr_a", 1)); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	bad := segmentName(2) + ".gz"
	if err := os.WriteFile(filepath.Join(dir, bad), []byte("not whole"), 0o600); err != nil {
		t.Fatal(err)
	}
	told := 0
	if err := Replay(dir, 0, func(Charge) { told++ }); err == nil || told != 1 {
		t.Errorf("Replay = %v, %d charges told; want an error and 1", err, told)
	}
}
