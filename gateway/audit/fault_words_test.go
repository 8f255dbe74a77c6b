package audit

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// said is what a log has written to its logger.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.text.String(), what)
}

func (s *said) logger() *slog.Logger { return slog.New(slog.NewTextHandler(s, nil)) }

// A failure before anything was written has given no numbers, so the repair names none.
func TestRepairNamesNoNumbersWhereNoneWereGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, d, s := filepath.Join(t.TempDir(), "audit"), &faultyDisk{}, &said{}
		l := open(t, dir, Options{disk: d, Logger: s.logger()})
		d.writeErr.set(syscall.ENOSPC)
		for range 3 {
			if err := l.Decide(t.Context(), decision("refused")); !errors.Is(err, ErrUnaudited) {
				t.Fatalf("Decide = %v; want ErrUnaudited", err)
			}
			time.Sleep(retryEvery)
		}
		d.writeErr.set(nil)
		time.Sleep(2 * summaryEvery)
		if err := l.Decide(t.Context(), decision("after")); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		got := lines(t, dir)
		if len(got) != 2 || got[0].Seq != 1 || got[0].Lost != [2]uint64{} || got[0].Count != 3 ||
			got[0].Detail != "the record could be written again; the calls counted here were refused" {
			t.Errorf("records %+v; want a repair of 3 calls that names no numbers, and one more", got)
		}
		if n := s.count("audit log cannot be written"); n != 1 {
			t.Errorf("told %d times that the log cannot be written; want once", n)
		}
	})
}

// A log that rotates tells nothing, and one that cannot tells it once a second.
func TestRotationThatFailsIsToldOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := &faultyDisk{}, &said{}
		l := open(t, filepath.Join(t.TempDir(), "audit"), Options{disk: d, SegmentBytes: 1, Logger: s.logger()})
		decide := func(n int) {
			for range n {
				if err := l.Decide(t.Context(), decision("d")); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		decide(3)
		if n := s.count("WARN"); n != 0 || d.creates.Load() < 3 {
			t.Errorf("%d warnings over %d segments; want none", n, d.creates.Load())
		}
		time.Sleep(summaryEvery)
		d.createErr.set(syscall.EACCES)
		decide(3)
		if n := s.count("audit segment not rotated"); n != 1 {
			t.Errorf("told %d times in the first second; want once", n)
		}
		time.Sleep(summaryEvery)
		synctest.Wait()
		if n := s.count("audit segment not rotated"); n != 2 {
			t.Errorf("told %d times after a second; want twice", n)
		}
	})
}

// A note waits for company, and not for long; with half of the queue it waits no more.
func TestNoteIsWrittenSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "audit")
		l := open(t, dir, Options{Queue: 8})
		note := func(n int) {
			for range n {
				if err := l.Note(&Record{ID: "n", Phase: PhaseOutcome}); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		note(1)
		if got := lines(t, dir); len(got) != 0 {
			t.Errorf("%d records at once; want none", len(got))
		}
		time.Sleep(noteDelay)
		synctest.Wait()
		if got := lines(t, dir); len(got) != 1 {
			t.Errorf("%d records after %v; want 1", len(got), noteDelay)
		}
		note(4)
		if got := lines(t, dir); len(got) != 1 {
			t.Errorf("%d records with half of the queue; want 1", len(got))
		}
		note(1)
		if got := lines(t, dir); len(got) != 6 {
			t.Errorf("%d records with more than half of the queue; want 6", len(got))
		}
	})
}

// A checkpoint is written where there is something new under it.
func TestCheckpointIsNotSignedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "audit")
		l := open(t, dir, Options{})
		if err := l.Decide(t.Context(), decision("one")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * checkpointEvery)
		synctest.Wait()
		remove1(t, dir, newestName)
		time.Sleep(5 * checkpointEvery)
		synctest.Wait()
		if data := content(filepath.Join(dir, newestName)); data != nil {
			t.Errorf("a checkpoint of nothing new: %q", data)
		}
		if err := l.Decide(t.Context(), decision("two")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * checkpointEvery)
		synctest.Wait()
		if data := content(filepath.Join(dir, newestName)); data == nil {
			t.Error("no checkpoint of two records")
		}
	})
}
