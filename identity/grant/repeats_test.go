package grant

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func again(n int64, within time.Duration) Bound { return Bound{Kind: Repeats, N: n, Within: within} }

// The bytes that leave by a tool are one budget for the whole tree, whoever of it sends them.
func TestBytesAreBoundedOverTheWholeTree(t *testing.T) {
	r := open(t, memory(t))
	root := create(t, r, nil)
	child := create(t, r, childOf(root, nil))
	out := Bound{Kind: Bytes, N: 100, PerTool: true}
	first, err := root.Reserve("web", "post", Cost{Bytes: 60}, out)
	if err != nil || first.Bytes() != 60 {
		t.Fatalf("60 of 100 bytes: %v, %d counted", err, first.Bytes())
	}
	_, err = child.Reserve("web", "post", Cost{Bytes: 41}, out)
	wantExhausted(t, err, "the policy allows 100 bytes of arguments of web.post, and this call would be beyond; ask for a new grant")
	if _, err := child.Reserve("web", "other", Cost{Bytes: 100}, out); err != nil {
		t.Errorf("another tool: %v", err)
	}
	_, err = child.Reserve("web", "third", Cost{Bytes: 1}, Bound{Kind: Bytes, N: 160})
	wantExhausted(t, err, "the policy allows 160 bytes of arguments, and this call would be beyond; ask for a new grant")
	first.Refund()
	if _, err := child.Reserve("web", "post", Cost{Bytes: 100}, out); err != nil {
		t.Errorf("after a refund: %v", err)
	}
	free, err := root.Reserve("web", "post", Cost{Bytes: 1000})
	if err != nil || free.Bytes() != 0 {
		t.Errorf("a call that nothing bounds: %v, %d bytes counted", err, free.Bytes())
	}
}

func TestBytesThatLeftAreCountedAfterACrash(t *testing.T) {
	store := memory(t)
	r := open(t, store)
	l := create(t, r, nil)
	id := l.Grant().ID
	r.Journal(1, Entry{Grant: id, Tool: "web.post", Calls: 1, Bytes: 60})
	if err := r.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Journal(2, Entry{Grant: id, Tool: "web.post", Calls: 1, Bytes: 30})
	r.Journal(3, Entry{Grant: id, Tool: "web.post", Calls: -1, Bytes: -10})
	r = crash(t, r, store, []logged{{1, Entry{Grant: id, Tool: "web.post", Calls: 1, Bytes: 60}},
		{2, Entry{Grant: id, Tool: "web.post", Calls: 1, Bytes: 30}}, {3, Entry{Grant: id, Tool: "web.post", Calls: -1, Bytes: -10}}})
	t.Cleanup(func() { _ = r.Close() })
	s, _ := r.Get(id)
	want := Usage{Calls: 1, ByTool: map[string]int64{"web.post": 1}, Bytes: 80, BytesByTool: map[string]int64{"web.post": 80}}
	if diff := cmp.Diff(want, s.Usage); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
	found, err := r.Find(id)
	if err != nil {
		t.Fatal(err)
	}
	_, err = found.Reserve("web", "post", Cost{Bytes: 21}, Bound{Kind: Bytes, N: 100})
	wantExhausted(t, err, "the policy allows 100 bytes of arguments, and this call would be beyond; ask for a new grant")
}

func TestALoopIsBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, memory(t))
		root := create(t, r, nil)
		child := create(t, r, childOf(root, nil))
		same := Cost{Digest: "a"}
		for _, l := range []*Live{root, child} {
			if _, err := l.Reserve("web", "get", same, again(2, time.Minute)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
		}
		_, err := child.Reserve("web", "get", same, again(2, time.Minute))
		wantExhausted(t, err, "this very call has been made 2 times within 1m0s already, and the policy allows no more; do something else than repeat it")
		if _, err := child.Reserve("web", "get", Cost{Digest: "b"}, again(2, time.Minute)); err != nil {
			t.Errorf("another call: %v", err)
		}
		time.Sleep(50 * time.Second) // the first of the two is a minute old
		res, err := child.Reserve("web", "get", same, again(2, time.Minute))
		if err != nil {
			t.Fatalf("when the first is long ago: %v", err)
		}
		res.Refund()
		if _, err := child.Reserve("web", "get", same, again(2, time.Minute), again(3, 0)); err != nil {
			t.Errorf("after a refund: %v", err)
		}
		_, err = child.Reserve("web", "get", same, again(1, 0))
		wantExhausted(t, err, "this very call has been made once already, and the policy allows no more; do something else than repeat it")
		r.Close()
	})
}

// What is remembered is bounded, and nothing that a task does makes the gateway forget its calls.
func TestRepeatsAreNotForgottenForOthers(t *testing.T) {
	r := open(t, memory(t))
	l := create(t, r, nil)
	loop := Cost{Digest: "loop"}
	if _, err := l.Reserve("web", "get", loop, again(1, 0)); err != nil {
		t.Fatal(err)
	}
	var err error
	for i := 0; err == nil; i++ {
		_, err = l.Reserve("web", "get", Cost{Digest: time.Duration(i).String()}, again(1, 0))
	}
	wantExhausted(t, err, "more calls are under a bound on repeats than can be remembered; ask for a new grant")
	_, err = l.Reserve("web", "get", loop, again(1, 0))
	wantExhausted(t, err, "this very call has been made once already, and the policy allows no more; do something else than repeat it")
}

func TestRacingRepeatsAreCountedExactly(t *testing.T) {
	r := open(t, memory(t))
	l := create(t, r, nil)
	var made atomic.Int64
	var wait sync.WaitGroup
	for range 100 {
		wait.Go(func() {
			if _, err := l.Reserve("web", "get", Cost{Digest: "a"}, again(7, time.Hour)); err == nil {
				made.Add(1)
			}
		})
	}
	wait.Wait()
	if n := made.Load(); n != 7 {
		t.Errorf("%d of 100 racing calls were made; want 7", n)
	}
}

// A grant that lives long under a bound with a time is not refused for what no bound looks at any more.
func TestWhatNoBoundLooksAtIsForgotten(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		within time.Duration
		later  time.Duration
		full   bool
	}{{time.Minute, 2 * time.Minute, false}, {time.Minute, 30 * time.Second, true}, {0, 24 * time.Hour, true}} {
		var r repeats
		for i := range maxRepeats {
			digest := strconv.Itoa(i)
			r.count(digest, tt.within, start)
			if err := r.take(digest, start); err != nil {
				t.Fatal(err)
			}
		}
		err := r.take("another", start.Add(tt.later))
		if (err != nil) != tt.full {
			t.Errorf("within %s, %s later: %v; want refused: %v", tt.within, tt.later, err, tt.full)
		}
		if err == nil && (r.size != 1 || len(r.made) != 1) {
			t.Errorf("within %s: %d times of %d calls are kept; want 1 of 1", tt.within, r.size, len(r.made))
		}
	}
}
