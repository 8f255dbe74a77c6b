package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lives is a log over many openings, and what somebody outside knows of it.
type lives struct {
	t            *testing.T
	dir          string
	w            *world
	mu           sync.Mutex
	acknowledged map[string]bool
	kept         []Kept // checkpoints that an auditor has taken
	n            int
}

func newLives(t *testing.T, seed uint64) *lives {
	dir := filepath.Join(t.TempDir(), "audit")
	w := &world{rand: rand.New(rand.NewPCG(seed, 0)), files: map[string]*state{}}
	return &lives{t: t, dir: dir, w: w, acknowledged: map[string]bool{}}
}

var digestKeyForTests = make([]byte, keyBytes)

// live opens the log, lets callers decide and note, and closes it. The process may die at any
// step, which is an error of whatever comes after.
func (l *lives) live(o Options, callers, each int) error {
	o.disk, o.Key = l.w, digestKeyForTests
	log, err := Open(l.dir, o)
	l.w.mended()
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range each {
				l.mu.Lock()
				l.n++
				id, pause := fmt.Sprint("record ", l.n), time.Duration(l.w.pause())
				l.mu.Unlock()
				if log.Decide(context.Background(), decision(id)) == nil {
					l.mu.Lock()
					l.acknowledged[id] = true
					l.mu.Unlock()
				}
				_ = log.Note(&Record{ID: "note", Phase: PhaseOutcome})
				time.Sleep(pause)
				l.audit()
			}
		})
	}
	all.Wait()
	err = log.Close()
	l.audit()
	return err
}

// pause is how long a caller rests: seldom so long that a checkpoint is written meanwhile.
func (w *world) pause() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int64(w.rand.IntN(3)) * int64(w.rand.IntN(3)) * w.rand.Int64N(int64(checkpointEvery))
}

// audit takes the checkpoint that the directory shows.
func (l *lives) audit() {
	signed, err := os.ReadFile(filepath.Join(l.dir, newestName))
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.kept); n == 0 || string(l.kept[n-1].Note) != string(signed) {
		l.kept = append(l.kept, Kept{fmt.Sprint("kept ", n), signed})
	}
}

// check says that all that was acknowledged is there, and that nobody is alarmed.
func (l *lives) check(when string) bool {
	l.t.Helper()
	key, err := VerifierKey(l.dir)
	if err != nil {
		if len(l.acknowledged) > 0 {
			l.t.Errorf("%s: %v", when, err)
		}
		return true // it died before there was one
	}
	ok := true
	report, err := Verify(l.dir, VerifyOptions{Key: key, Checkpoints: l.kept})
	if err != nil || len(report.Problems) > 0 {
		l.t.Errorf("%s: Verify found %v, %v; notes %v\n%s", when, report.Problems, err, report.Notes, dump(l.t, l.dir))
		ok = false
	}
	list, err := readLayout(l.dir)
	if err != nil {
		l.t.Fatal(err)
	}
	count := map[string]int{}
	for _, p := range list {
		if _, err := p.each(func(line []byte) {
			var r Record
			if json.Unmarshal(line, &r) == nil {
				count[r.ID]++
			}
		}); err != nil {
			l.t.Fatal(err)
		}
	}
	for id := range l.acknowledged {
		if count[id] != 1 {
			l.t.Errorf("%s: acknowledged %s is there %d times", when, id, count[id])
			ok = false
		}
	}
	return ok
}

// TestKillAtEveryStep lets the process die at each write, sync, truncation, creation, renaming and
// removal of a log that is opened twice, rotates and compresses; and the power go with it.
func TestKillAtEveryStep(t *testing.T) {
	for _, power := range []bool{false, true} {
		t.Run(fmt.Sprint("power cut ", power), func(t *testing.T) {
			t.Parallel()
			steps := 0
			for at, alive := 1, false; !alive; at++ {
				synctest.Test(t, func(t *testing.T) {
					l := newLives(t, uint64(at))
					l.w.killAt = at
					o := Options{SegmentBytes: 1500, packOver: 1, Preamble: preamble}
					for range 2 {
						_ = l.live(o, 2, 4)
					}
					alive, steps = !l.w.dead, at
					if power {
						if err := l.w.cutPower(); err != nil {
							t.Fatal(err)
						}
					}
					if !l.check(fmt.Sprintf("killed at step %d", at)) {
						alive = true
					}
					l.w.restart()
					if err := l.live(o, 1, 3); err != nil {
						t.Errorf("started after step %d: %v", at, err)
						alive = true
					}
					if !l.check(fmt.Sprintf("started after step %d", at)) {
						alive = true
					}
				})
			}
			if steps < 100 {
				t.Errorf("only %d steps", steps)
			}
			t.Logf("%d steps", steps)
		})
	}
}

// TestTroubleRaisesNoFalseAlarm mixes at random what can befall a log: operations that fail,
// deaths, power cuts, and starts in between.
func TestTroubleRaisesNoFalseAlarm(t *testing.T) {
	for seed := range uint64(seeds()) {
		synctest.Test(t, func(t *testing.T) {
			l := newLives(t, seed)
			r := rand.New(rand.NewPCG(seed, 1))
			for round := range 2 + r.IntN(5) {
				l.w.restart()
				l.w.fail = []int{0, 0, 5, 20, 100}[r.IntN(5)]
				if r.IntN(2) == 0 {
					l.w.killAt = 1 + r.IntN(150)
				}
				o := Options{SegmentBytes: 500 + r.Int64N(3000), packOver: 1 + r.Int64N(3000), Continue: r.IntN(3) == 0}
				if r.IntN(2) == 0 {
					o.Preamble = preamble
				}
				_ = l.live(o, 1+r.IntN(4), 1+r.IntN(6))
				if r.IntN(2) == 0 {
					if err := l.w.cutPower(); err != nil {
						t.Fatal(err)
					}
				}
				if !l.check(fmt.Sprintf("seed %d, round %d", seed, round)) {
					return
				}
			}
			l.w.restart()
			l.w.fail = 0
			if err := l.live(Options{}, 1, 1); err != nil {
				t.Errorf("seed %d: a start on a good disk: %v", seed, err)
			}
			l.check(fmt.Sprintf("seed %d, at the end", seed))
		})
		if t.Failed() {
			return
		}
	}
}

// seeds is how many random histories are tried: more where somebody asks for more.
func seeds() int {
	if n, err := strconv.Atoi(os.Getenv("SALLYPORT_TEST_SEEDS")); err == nil {
		return n
	}
	return 60
}
