package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// faultyDisk fails on demand and counts.
type faultyDisk struct {
	writeErr, syncErr, createErr, truncateErr atomic.Pointer[error]
	short                                     atomic.Bool
	syncs                                     atomic.Int64
	gate                                      chan struct{} // when not nil, a sync takes one value from it
}

func set(p *atomic.Pointer[error], err error) {
	if err == nil {
		p.Store(nil)
		return
	}
	p.Store(&err)
}

func get(p *atomic.Pointer[error]) error {
	if e := p.Load(); e != nil {
		return *e
	}
	return nil
}

func (d *faultyDisk) Create(path string) (file, error) {
	if err := get(&d.createErr); err != nil {
		return nil, err
	}
	f, err := realDisk{}.Create(path)
	return &faultyFile{f, d}, err
}

type faultyFile struct {
	file
	d *faultyDisk
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if f.d.short.Load() {
		return f.file.Write(p[:len(p)/2])
	}
	if err := get(&f.d.writeErr); err != nil {
		_, _ = f.file.Write(p[:len(p)/3])
		return len(p) / 3, err
	}
	return f.file.Write(p)
}

func (f *faultyFile) Sync() error {
	f.d.syncs.Add(1)
	if f.d.gate != nil {
		<-f.d.gate
	}
	if err := get(&f.d.syncErr); err != nil {
		return err
	}
	return f.file.Sync()
}

func (f *faultyFile) Truncate(n int64) error {
	if err := get(&f.d.truncateErr); err != nil {
		return err
	}
	return f.file.Truncate(n)
}

// Whatever the disk does, a decision that was not acknowledged is refused, the log says that it
// is not well, and it recovers by itself.
func TestDiskTroubleRefusesAndRecovers(t *testing.T) {
	for name, fail := range map[string]func(d *faultyDisk, err error){
		"no space": func(d *faultyDisk, err error) { set(&d.writeErr, err) },
		"sync":     func(d *faultyDisk, err error) { set(&d.syncErr, err) },
		"short":    func(d *faultyDisk, err error) { d.short.Store(err != nil) },
		"sync and new segments": func(d *faultyDisk, err error) {
			set(&d.syncErr, err)
			set(&d.createErr, err)
		},
		"sync and truncate": func(d *faultyDisk, err error) {
			set(&d.syncErr, err)
			set(&d.truncateErr, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, d := filepath.Join(t.TempDir(), "audit"), &faultyDisk{}
			l := open(t, dir, Options{disk: d})
			if err := l.Decide(t.Context(), decision("before")); err != nil {
				t.Fatal(err)
			}
			fail(d, syscall.ENOSPC)
			for range 3 {
				err := l.Decide(t.Context(), decision("refused"))
				if !errors.Is(err, ErrUnaudited) || !strings.HasPrefix(err.Error(), "the record cannot be written: ") {
					t.Errorf("Decide = %v; want ErrUnaudited", err)
				}
			}
			if l.Healthy() == nil {
				t.Error("the log says that it is well")
			}
			_ = l.Note(&Record{ID: "kept", Phase: PhaseOutcome})
			fail(d, nil)
			var err error
			for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
				if err = l.Decide(t.Context(), decision("after")); err == nil {
					break
				}
			}
			if err != nil || l.Healthy() != nil {
				t.Fatalf("after the disk is well: Decide = %v, Healthy = %v", err, l.Healthy())
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			seen := map[string]int{}
			var last uint64
			for _, r := range linesLoose(t, dir) {
				seen[r.ID]++
				if r.Phase == PhaseRepair {
					seen["repair"]++
				}
				if r.Seq <= last {
					t.Errorf("seq %d follows %d", r.Seq, last)
				}
				last = r.Seq
			}
			if seen["before"] != 1 || seen["after"] != 1 || seen["kept"] != 1 || seen["repair"] == 0 {
				t.Errorf("the log has %v; want before, after and kept once each, and a repair", seen)
			}
			if name != "sync and truncate" && seen["refused"] != 0 {
				t.Errorf("%d refused decisions are in the log as decided", seen["refused"])
			}
		})
	}
}

// linesLoose is lines for a directory whose older segments may have a torn end or a gap.
func linesLoose(t *testing.T, dir string) []Record {
	t.Helper()
	names, _ := segments(dir)
	var out []Record
	for _, name := range names {
		out = append(out, readLoose(t, filepath.Join(dir, name))...)
	}
	return out
}

func readLoose(t *testing.T, path string) []Record {
	t.Helper()
	sub := t.TempDir()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole := data[:strings.LastIndexByte(string(data), '\n')+1]
	if err := os.WriteFile(filepath.Join(sub, filepath.Base(path)), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	return lines(t, sub)
}

// Many callers wait for one sync together.
func TestGroupCommit(t *testing.T) {
	d := &faultyDisk{gate: make(chan struct{})}
	l := open(t, filepath.Join(t.TempDir(), "audit"), Options{disk: d})
	const callers = 100
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			if err := l.Decide(context.Background(), decision(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	for waiting := 0; waiting < callers-1; { // the first may be in the batch that syncs now
		l.mu.Lock()
		waiting = len(l.decisions)
		l.mu.Unlock()
		if d.syncs.Load() == 0 {
			waiting = 0
		}
		if n := d.syncs.Load(); n == 1 && waiting > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	close(d.gate)
	wg.Wait()
	if n := d.syncs.Load(); n > callers/4 {
		t.Errorf("%d syncs for %d decisions", n, callers)
	}
}

func TestDecideDoesNotOutliveItsContext(t *testing.T) {
	d := &faultyDisk{gate: make(chan struct{})}
	l := open(t, filepath.Join(t.TempDir(), "audit"), Options{disk: d})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := l.Decide(ctx, decision("x")); !errors.Is(err, ErrUnaudited) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Decide with a disk that hangs = %v", err)
	}
	close(d.gate)
}

func TestNotesThatFindNoRoomAreCounted(t *testing.T) {
	dir, d := filepath.Join(t.TempDir(), "audit"), &faultyDisk{gate: make(chan struct{})}
	l := open(t, dir, Options{disk: d, Queue: 10})
	go func() { _ = l.Decide(context.Background(), decision("holds the writer")) }()
	for d.syncs.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	full := 0
	for range 15 {
		if errors.Is(l.Note(&Record{ID: "n", Phase: PhaseOutcome}), ErrFull) {
			full++
		}
	}
	close(d.gate)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dropped := int64(0)
	for _, r := range lines(t, dir) {
		if r.Code == "dropped" {
			dropped += r.Count
		}
	}
	if full != 5 || dropped != 5 {
		t.Errorf("%d notes found no room, %d are counted in the log; want 5", full, dropped)
	}
}

// TestKilledWriterLosesNothing is also its own child: it decides until it is killed, and says
// on stdout what was acknowledged.
func TestKilledWriterLosesNothing(t *testing.T) {
	if dir := os.Getenv("SALLYPORT_TEST_AUDIT_DIR"); dir != "" {
		decideForever(dir)
	}
	dir := filepath.Join(t.TempDir(), "audit")
	for round := range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWriterLosesNothing$")
		cmd.Env = append(os.Environ(), "SALLYPORT_TEST_AUDIT_DIR="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var acknowledged []string
		sc := bufio.NewScanner(out)
		for sc.Scan() {
			acknowledged = append(acknowledged, sc.Text())
			if len(acknowledged) == 200*(round+1) {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait() // killed
		l := open(t, dir, Options{})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		count := map[string]int{}
		for _, r := range lines(t, dir) {
			count[r.ID]++
		}
		for _, id := range acknowledged {
			if id != "" && count[id] != 1 {
				t.Errorf("round %d: acknowledged decision %s is in the log %d times", round, id, count[id])
			}
		}
		if len(acknowledged) < 200 {
			t.Fatalf("round %d: only %d decisions were acknowledged", round, len(acknowledged))
		}
	}
}

func decideForever(dir string) {
	l, err := Open(dir, Options{SegmentBytes: 20_000})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var mu sync.Mutex
	for range 49 {
		go decideLoop(l, &mu)
	}
	decideLoop(l, &mu)
}

func decideLoop(l *Log, mu *sync.Mutex) {
	for {
		id := NewID()
		if err := l.Decide(context.Background(), decision(id)); err != nil {
			os.Exit(1)
		}
		mu.Lock()
		_, _ = os.Stdout.WriteString(id + "\n")
		mu.Unlock()
	}
}

func BenchmarkDecide(b *testing.B) {
	l := open(b, filepath.Join(b.TempDir(), "audit"), Options{})
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		r := decision("01JABCDEFGHJKMNPQRSTVWXYZ0")
		for pb.Next() {
			if err := l.Decide(context.Background(), r); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	r := decision("01JABCDEFGHJKMNPQRSTVWXYZ0")
	r.Roles, r.Rules = []string{"reader"}, []string{"authz.rego:10"}
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = appendTail(buf[:0], r)
	}
}
