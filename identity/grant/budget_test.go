package grant

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// reserve counts n calls that must be there.
func reserve(t testing.TB, l *Live, server, tool string, n int) (last *Reservation) {
	t.Helper()
	for range n {
		res, err := l.Reserve(server, tool, Cost{})
		if err != nil {
			t.Fatalf("Reserve %s.%s: %v; want a call", server, tool, err)
		}
		last = res
	}
	return last
}

func wantExhausted(t *testing.T, err error, want string) {
	t.Helper()
	if e, ok := errors.AsType[*ExhaustedError](err); !ok || e.Error() != want {
		t.Errorf("Reserve says %v\nwant %s", err, want)
	}
}

// The children race each other and their parent for its calls; who loses takes none of anybody's.
func TestCallsOfATreeAreExactUnderAThousandRacingCalls(t *testing.T) {
	const limit, racers = 500, 1000
	r := open(t, memory(t))
	root := create(t, r, func(g *Grant) { g.MaxCalls = limit })
	var lives []*Live
	for range 3 {
		lives = append(lives, create(t, r, childOf(root, func(g *Grant) { g.MaxCalls = 400 })))
	}
	lives = append(lives, root)
	var won, refunded atomic.Int64
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			res, err := lives[i%len(lives)].Reserve("files", fmt.Sprintf("t%d", i%5), Cost{})
			if err != nil {
				if _, ok := errors.AsType[*ExhaustedError](err); !ok {
					t.Errorf("Reserve: %v; want a call or *ExhaustedError", err)
				}
				return
			}
			won.Add(1)
			if i%10 == 0 {
				res.Refund()
				res.Refund()
				refunded.Add(1)
			}
		})
	}
	wg.Wait()
	for range 2 * limit { // what was refunded late may be had now
		if _, err := root.Reserve("files", "t0", Cost{}); err != nil {
			break
		}
		won.Add(1)
	}
	if got := won.Load() - refunded.Load(); got != limit {
		t.Errorf("%d calls were had and kept; want exactly %d", got, limit)
	}
	sum := int64(0)
	for _, l := range lives[:3] {
		s, _ := r.Get(l.Grant().ID)
		sum += s.Usage.Calls
	}
	s, _ := r.Get(root.Grant().ID)
	byTool := int64(0)
	for _, n := range s.Usage.ByTool {
		byTool += n
	}
	if s.Usage.Calls != limit || byTool != limit || sum > limit || *s.CallsLeft != 0 || s.State != Exhausted {
		t.Errorf("root: %d calls, %d by tool, %d of children, %d left, %s; want %d, as many, no more, 0, exhausted", s.Usage.Calls, byTool, sum, *s.CallsLeft, s.State, limit)
	}
}

func TestBoundsWithoutCallsLeftSayWhich(t *testing.T) {
	r := open(t, memory(t))
	root := create(t, r, func(g *Grant) {
		g.MaxCalls, g.Budgets = 4, []Budget{{"files.write_*", 1}, {"files.*", 3}}
	})
	id := root.Grant().ID
	child := create(t, r, childOf(root, func(g *Grant) { g.MaxCalls = 3 }))
	reserve(t, child, "files", "write_file", 1)
	_, err := child.Reserve("files", "write_all", Cost{})
	wantExhausted(t, err, "grant "+id+" allows 1 call of files.write_* and all are used; ask for a new grant")
	reserve(t, child, "files", "read_file", 2)
	_, err = root.Reserve("files", "read_file", Cost{})
	wantExhausted(t, err, "grant "+id+" allows 3 calls of files.* and all are used; ask for a new grant")
	_, err = child.Reserve("tickets", "get", Cost{})
	wantExhausted(t, err, "grant "+child.Grant().ID+" allows 3 calls and all are used; ask for a new grant")
	last := reserve(t, root, "tickets", "get", 1)
	_, err = root.Reserve("tickets", "get", Cost{})
	wantExhausted(t, err, "grant "+id+" allows 4 calls and all are used; ask for a new grant")

	last.Refund()
	last.Refund()
	if left, bounded := root.CallsLeft(); left != 1 || !bounded {
		t.Errorf("after a refund: %d calls left, bounded %t; want 1: a second refund gives nothing", left, bounded)
	}
	if left, bounded := child.CallsLeft(); left != 0 || !bounded {
		t.Errorf("the child: %d calls left, bounded %t; want 0, its own bound", left, bounded)
	}
	s, _ := r.Get(id)
	want := Usage{Calls: 3, ByTool: map[string]int64{"files.write_file": 1, "files.read_file": 2}}
	if diff := cmp.Diff(want, s.Usage); diff != "" {
		t.Errorf("usage of the root (-want +got):\n%s", diff)
	}
	if _, bounded := create(t, r, nil).CallsLeft(); bounded {
		t.Error("a grant without max_calls is bounded; want not")
	}
	(*Reservation)(nil).Refund() // holds nothing
}

// Were the policy's bound each child's own, a task could have as many calls as it makes children.
func TestPolicyBoundsCountTheWholeTree(t *testing.T) {
	r := open(t, memory(t))
	root := create(t, r, nil)
	for i := range 3 {
		child := create(t, r, childOf(root, nil))
		if _, err := child.Reserve("files", fmt.Sprintf("t%d", i), Cost{}, Bound{N: 3}, Bound{N: 1, PerTool: true}); err != nil {
			t.Fatalf("call %d of 3: %v", i+1, err)
		}
	}
	fresh := create(t, r, childOf(root, nil))
	_, err := fresh.Reserve("files", "t9", Cost{}, Bound{N: 3})
	wantExhausted(t, err, "the policy allows 3 calls and all are used; ask for a new grant")
	_, err = fresh.Reserve("files", "t0", Cost{}, Bound{N: 1, PerTool: true})
	wantExhausted(t, err, "the policy allows 1 call of files.t0 and all are used; ask for a new grant")
	_, err = fresh.Reserve("files", "t9", Cost{}, Bound{})
	wantExhausted(t, err, "the policy allows 0 calls and all are used; ask for a new grant")
	if s, _ := r.Get(fresh.Grant().ID); s.Usage.Calls != 0 {
		t.Errorf("%d calls are counted after refusals alone; want 0", s.Usage.Calls)
	}
}

// A client that connects again has a new implicit grant, but neither new calls nor a clean past.
func TestImplicitGrantsShareLabelsAndPolicyBounds(t *testing.T) {
	r := open(t, memory(t))
	implicit := func(task string) *Live {
		return create(t, r, func(g *Grant) { g.Implicit, g.Task = true, task })
	}
	one, two, other, named := implicit("T"), implicit("T"), implicit("U"), create(t, r, func(g *Grant) { g.Task = "T" })
	if _, err := one.Reserve("files", "read", Cost{}, Bound{N: 1}); err != nil {
		t.Fatal(err)
	}
	_, err := two.Reserve("files", "read", Cost{}, Bound{N: 1})
	wantExhausted(t, err, "the policy allows 1 call and all are used; ask for a new grant")
	if s, _ := r.Get(two.Grant().ID); s.Usage.Calls != 0 {
		t.Errorf("the second grant has %d calls itself; want 0", s.Usage.Calls)
	}
	after, _ := one.AddLabels([]string{"source:private", "a", "a"})
	if diff := cmp.Diff([]string{"a", "source:private"}, after); diff != "" {
		t.Errorf("labels after adding (-want +got):\n%s", diff)
	}
	child := create(t, r, childOf(two, nil))
	if diff := cmp.Diff(after, child.Labels()); diff != "" {
		t.Errorf("labels of the second grant's child (-want +got):\n%s", diff)
	}
	for _, l := range []*Live{other, named} {
		if got := l.Labels(); len(got) != 0 {
			t.Errorf("labels of task %s, implicit %t: %q; want none", l.Grant().Task, l.Grant().Implicit, got)
		}
		if _, err := l.Reserve("files", "read", Cost{}, Bound{N: 1}); err != nil {
			t.Errorf("task %s, implicit %t: %v; want a call", l.Grant().Task, l.Grant().Implicit, err)
		}
	}
}

func TestOneTreeHasSoManyCallsUnderWay(t *testing.T) {
	r := open(t, memory(t))
	root := create(t, r, nil)
	child := create(t, r, childOf(root, nil))
	leave, ok := root.Enter(2)
	if !ok {
		t.Fatal("the first call may not enter")
	}
	if _, ok := child.Enter(2); !ok {
		t.Fatal("the second call may not enter")
	}
	refused, ok := child.Enter(2)
	if ok {
		t.Error("a third of 2 calls entered")
	}
	refused()
	leave()
	leave()
	if _, ok := root.Enter(2); !ok {
		t.Error("after one left, no other may enter")
	}
	if _, ok := root.Enter(2); ok {
		t.Error("leaving twice, or leaving where none entered, made room for a third")
	}
}

func TestToolsThatAreCountedAreBounded(t *testing.T) {
	r := open(t, memory(t))
	l := create(t, r, nil)
	for i := range maxTools {
		reserve(t, l, "files", fmt.Sprintf("t%d", i), 1)
	}
	_, err := l.Reserve("files", "one_more", Cost{})
	wantExhausted(t, err, "grant "+l.Grant().ID+" has used 4096 different tools, the most that are counted; ask for a new grant")
	reserve(t, l, "files", "t0", 1)
}

func TestEndedGrantHasNoCalls(t *testing.T) {
	r := open(t, memory(t))
	l := create(t, r, nil)
	if _, err := r.Revoke(t.Context(), Filter{ID: l.Grant().ID}, Revoked, "", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Reserve("files", "read", Cost{}); !errors.Is(err, ErrRevoked) {
		t.Errorf("Reserve of a grant that was revoked since it was found: %v; want %v", err, ErrRevoked)
	}
}

// What is no call of a tool counts the same before a restart and after it.
func TestReadsOfResourcesAreCountedAlikeAfterARestart(t *testing.T) {
	s := memory(t)
	r := open(t, s)
	l := create(t, r, func(g *Grant) {
		g.MaxCalls, g.Budgets = 3, []Budget{{Tools: "files.*", Calls: 1}, {Tools: "*.*", Calls: 2}}
	})
	id := l.Grant().ID
	for i := range 2 {
		if _, err := l.Reserve("files", "", Cost{}); err != nil {
			t.Fatalf("read %d: %v; want it in no budget but that of everything", i+1, err)
		}
		r.Journal(uint64(i+1), Entry{Grant: id, Calls: 1})
	}
	if _, err := l.Reserve("files", "", Cost{}); err == nil {
		t.Error("the budget of everything is not used up")
	}
	if err := errors.Join(r.Checkpoint(t.Context()), r.Close()); err != nil {
		t.Fatal(err)
	}
	again, err := open(t, s).Find(id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Reserve("files", "", Cost{}); err == nil {
		t.Error("after a restart the budget has calls left again")
	}
}
