package audit

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// faultyDisk fails on demand and counts.
type faultyDisk struct {
	writeErr, syncErr, createErr, truncateErr fault
	short                                     atomic.Bool
	creates, syncs                            atomic.Int64
	resynced                                  atomic.Int64  // syncs of a file whose sync had failed
	gate                                      chan struct{} // when not nil, a sync takes one value from it
}

type fault struct{ p atomic.Pointer[error] }

func (f *fault) set(err error) { f.p.Store(&err) }

func (f *fault) err() error {
	if e := f.p.Load(); e != nil {
		return *e
	}
	return nil
}

// What the tree and its checkpoints are kept in meets the same troubles, and is not counted.
func (d *faultyDisk) Append(path string) (file, error) { return d.beside(realDisk{}.Append(path)) }

func (d *faultyDisk) Overwrite(path string) (file, error) {
	return d.beside(realDisk{}.Overwrite(path))
}

func (d *faultyDisk) beside(f file, err error) (file, error) {
	if err != nil {
		return nil, err
	}
	if err := d.createErr.err(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &faultyBeside{f, d}, nil
}

func (d *faultyDisk) Rename(from, to string) error { return realDisk{}.Rename(from, to) }
func (d *faultyDisk) Remove(path string) error     { return realDisk{}.Remove(path) }
func (d *faultyDisk) SyncDir(dir string) error     { return realDisk{}.SyncDir(dir) }
func (d *faultyDisk) Settle(path string, from, to int64) error {
	return realDisk{}.Settle(path, from, to)
}

type faultyBeside struct {
	file
	d *faultyDisk
}

func (f *faultyBeside) Write(p []byte) (int, error) {
	if f.d.short.Load() {
		return f.file.Write(p[:len(p)/2])
	}
	if err := f.d.writeErr.err(); err != nil {
		return 0, err
	}
	return f.file.Write(p)
}

func (f *faultyBeside) Sync() error {
	if err := f.d.syncErr.err(); err != nil {
		return err
	}
	return f.file.Sync()
}

func (d *faultyDisk) Create(path string) (file, error) {
	d.creates.Add(1)
	if err := d.createErr.err(); err != nil {
		return nil, err
	}
	f, err := realDisk{}.Create(path)
	return &faultyFile{file: f, d: d}, err
}

type faultyFile struct {
	file
	d      *faultyDisk
	failed bool
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if f.d.short.Load() {
		return f.file.Write(p[:len(p)/2])
	}
	if err := f.d.writeErr.err(); err != nil {
		_, _ = f.file.Write(p[:len(p)/3])
		return len(p) / 3, err
	}
	return f.file.Write(p)
}

func (f *faultyFile) Sync() error {
	f.d.syncs.Add(1)
	if f.failed {
		f.d.resynced.Add(1)
	}
	if f.d.gate != nil {
		<-f.d.gate
	}
	if err := f.d.syncErr.err(); err != nil {
		f.failed = true
		return err
	}
	return f.file.Sync()
}

func (f *faultyFile) Truncate(n int64) error {
	if err := f.d.truncateErr.err(); err != nil {
		return err
	}
	return f.file.Truncate(n)
}

var diskTroubles = map[string]func(d *faultyDisk, err error){
	"no space": func(d *faultyDisk, err error) { d.writeErr.set(err) },
	"sync":     func(d *faultyDisk, err error) { d.syncErr.set(err) },
	"short":    func(d *faultyDisk, err error) { d.short.Store(err != nil) },
	"sync and new segments": func(d *faultyDisk, err error) {
		d.syncErr.set(err)
		d.createErr.set(err)
	},
	"sync and truncate": func(d *faultyDisk, err error) {
		d.syncErr.set(err)
		d.truncateErr.set(err)
	},
}

// Whatever the disk does, a decision that was not acknowledged is refused, the log says that it
// is not well, and it recovers by itself when the disk does.
func TestDiskTroubleRefusesAndRecovers(t *testing.T) {
	for name, fail := range diskTroubles {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, d := filepath.Join(t.TempDir(), "audit"), &faultyDisk{}
				l := open(t, dir, Options{disk: d})
				if err := l.Decide(t.Context(), decision("before")); err != nil {
					t.Fatal(err)
				}
				_ = l.Note(&Record{ID: "loose", Phase: PhaseOutcome}) // written, and not yet synced
				synctest.Wait()
				fail(d, syscall.ENOSPC)
				for range 3 {
					err := l.Decide(t.Context(), decision("refused"))
					if !errors.Is(err, ErrUnaudited) || !strings.HasPrefix(err.Error(), "the record cannot be written: ") {
						t.Errorf("Decide = %v; want ErrUnaudited", err)
					}
				}
				_ = l.Note(&Record{ID: "kept", Phase: PhaseOutcome})
				for range 20 { // Creating an empty file, which a full disk lets us, is not recovery.
					time.Sleep(retryEvery / 3)
					if l.Healthy() == nil {
						t.Fatal("the log says that it is well while the disk fails")
					}
				}
				fail(d, nil)
				time.Sleep(2 * summaryEvery) // nobody calls, and it recovers
				if err := l.Healthy(); err != nil {
					t.Fatalf("after the disk is well: Healthy = %v", err)
				}
				if err := l.Decide(t.Context(), decision("after")); err != nil {
					t.Fatalf("after the disk is well: Decide = %v", err)
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				if n := d.resynced.Load(); n > 0 {
					t.Errorf("a file whose sync had failed was synced again %d times", n)
				}
				checkTrouble(t, dir, name == "sync and truncate")
				noAlarm(t, dir)
			})
		})
	}
}

func checkTrouble(t *testing.T, dir string, uncut bool) {
	t.Helper()
	seen := map[string]int{}
	var last uint64
	repair := Record{}
	for _, r := range linesLoose(t, dir) {
		seen[r.ID]++
		if r.Phase == PhaseRepair {
			repair = r
		}
		if r.Seq <= last {
			t.Errorf("seq %d follows %d", r.Seq, last)
		}
		last = r.Seq
	}
	if seen["before"] != 1 || seen["after"] != 1 || seen["kept"] != 1 || seen["loose"] != 1 && !uncut {
		t.Errorf("the log has %v; want before, after, loose and kept once each", seen)
	}
	if repair.Count != 3 || !strings.Contains(repair.Detail, "the numbers 2 to ") {
		t.Errorf("repair %+v; want 3 refused calls counted and the numbers named", repair)
	}
	if !uncut && seen["refused"] != 0 {
		t.Errorf("%d refused decisions are in the log as decided", seen["refused"])
	}
	if uncut && seen["loose"] == 0 {
		t.Error("a note was lost")
	}
}

// A cut of a failed segment is not synced, so a power cut can undo it. Its numbers must not
// have been given to other records meanwhile.
func TestNumbersOfAFailedWriteAreNotGivenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, d := filepath.Join(t.TempDir(), "audit"), &faultyDisk{}
		l := open(t, dir, Options{disk: d})
		if err := l.Decide(t.Context(), decision("one")); err != nil {
			t.Fatal(err)
		}
		d.syncErr.set(syscall.EIO)
		if err := l.Decide(t.Context(), decision("two")); !errors.Is(err, syscall.EIO) {
			t.Fatalf("Decide = %v; want EIO", err)
		}
		d.syncErr.set(nil)
		time.Sleep(retryEvery)
		if err := l.Decide(t.Context(), decision("three")); err != nil {
			t.Fatal(err)
		}
		got := linesLoose(t, dir)
		if len(got) != 3 || got[0].Seq != 1 || got[1].Seq != 3 || got[2].Seq != 4 || got[2].ID != "three" {
			t.Errorf("records %+v; want seq 1, then repair 3 and three 4", got)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		noAlarm(t, dir)
		if want := "the record could be written again; the calls counted here were refused; the numbers 2 to 2 were acknowledged to nobody"; len(got) > 1 && got[1].Detail != want {
			t.Errorf("repair says %q; want %q", got[1].Detail, want)
		}
	})
}

// The segment grows on where the next cannot be made, and rotates when it can.
func TestRotationThatFailsRefusesNobody(t *testing.T) {
	dir, d := filepath.Join(t.TempDir(), "audit"), &faultyDisk{}
	l := open(t, dir, Options{disk: d, SegmentBytes: 1})
	d.createErr.set(syscall.EACCES)
	for i := range 5 {
		if err := l.Decide(t.Context(), decision(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if list, _ := segments(dir); len(list) != 1 {
		t.Errorf("%d segments; want 1", len(list))
	}
	d.createErr.set(nil)
	for i := range 3 {
		if err := l.Decide(t.Context(), decision(fmt.Sprint(i+5))); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if list, _ := segments(dir); len(list) < 2 {
		t.Errorf("%d segments after the directory is well; want more", len(list))
	}
	if got := lines(t, dir); len(got) != 8 {
		t.Errorf("%d records; want 8", len(got))
	}
}

// Many callers wait for one sync together.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &faultyDisk{gate: make(chan struct{})}
		l := open(t, filepath.Join(t.TempDir(), "audit"), Options{disk: d})
		const callers = 100
		var done atomic.Int64
		for i := range callers {
			go func() {
				if err := l.Decide(context.Background(), decision(fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
				done.Add(1)
			}()
		}
		synctest.Wait() // the writer is in its first sync, all others wait for it
		if n := done.Load(); n != 0 {
			t.Errorf("%d decisions returned before a sync did", n)
		}
		close(d.gate)
		time.Sleep(2 * gather) // of the fake clock
		synctest.Wait()
		if n, s := done.Load(), d.syncs.Load(); n != callers || s > 2 {
			t.Errorf("%d syncs for %d decisions; want 2 for %d", s, n, callers)
		}
	})
}

func TestDecideDoesNotOutliveItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, d := filepath.Join(t.TempDir(), "audit"), &faultyDisk{gate: make(chan struct{})}
		l := open(t, dir, Options{disk: d})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		for _, id := range []string{"waits", "comes late"} {
			if err := l.Decide(ctx, decision(id)); !errors.Is(err, ErrUnaudited) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Decide %s with a disk that hangs = %v", id, err)
			}
		}
		if err := l.Healthy(); err != nil {
			t.Errorf("Healthy at once = %v", err)
		}
		time.Sleep(hangs + time.Second)
		if err := l.Healthy(); err == nil || !strings.HasSuffix(err.Error(), "audit has not answered for 11s") {
			t.Errorf("Healthy of a disk that hangs = %v", err)
		}
		close(d.gate)
		synctest.Wait()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if got := lines(t, dir); len(got) != 1 || got[0].ID != "waits" {
			t.Errorf("records %+v; want only the one that was on its way", got)
		}
	})
}

// Who waits for a disk that hangs is refused in the end, and who comes later is at once. When the
// disk answers again, decisions are recorded again.
func TestDecideDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &faultyDisk{gate: make(chan struct{})}
		l := open(t, filepath.Join(t.TempDir(), "audit"), Options{disk: d})
		began := time.Now()
		var waiting sync.WaitGroup
		for _, id := range []string{"first", "second"} {
			waiting.Go(func() {
				if err := l.Decide(t.Context(), decision(id)); !errors.Is(err, ErrLate) || !errors.Is(err, ErrUnaudited) || time.Since(began) != hangs {
					t.Errorf("Decide %s with a disk that hangs = %v after %v; want %v after %v", id, err, time.Since(began), ErrLate, hangs)
				}
			})
			synctest.Wait()
		}
		waiting.Wait()
		time.Sleep(time.Second)
		if err := l.Decide(t.Context(), decision("late comer")); !errors.Is(err, ErrUnaudited) || time.Since(began) != hangs+time.Second {
			t.Errorf("Decide later = %v after %v; want a refusal at once", err, time.Since(began)-hangs-time.Second)
		}
		close(d.gate)
		synctest.Wait()
		if err := l.Decide(t.Context(), decision("afterwards")); err != nil {
			t.Errorf("Decide when the disk answers again = %v", err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// A disk that hangs does not let the callers' patience fill the memory.
func TestDecisionsThatWaitAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &faultyDisk{gate: make(chan struct{})}
		l := open(t, filepath.Join(t.TempDir(), "audit"), Options{disk: d, noteBytes: 1, decisionBytes: 40_000}) // no matter how few notes
		large := &Record{ID: "large", Detail: strings.Repeat("x", 10_000)}
		var refused atomic.Int64
		for range 8 {
			go func() {
				if err := l.Decide(context.Background(), large); errors.Is(err, ErrUnaudited) {
					refused.Add(1)
				}
			}()
			synctest.Wait()
		}
		if n := refused.Load(); n != 4 { // one is written, three wait
			t.Errorf("%d of 8 refused; want 4", n)
		}
		err := l.Decide(t.Context(), large)
		if want := "the record cannot be written: 3 decisions wait for the disk"; err == nil || err.Error() != want {
			t.Errorf("Decide = %v; want %q", err, want)
		}
		close(d.gate)
		synctest.Wait()
	})
}
