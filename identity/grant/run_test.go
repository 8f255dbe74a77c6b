package grant

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSilentStoreMakesGrantsStaleWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(t)
		r := open(t, m)
		l := create(t, r, nil)
		id := l.Grant().ID
		time.Sleep(time.Minute + heartbeat/2) // between two heartbeats
		if err := r.Healthy(); err != nil {
			t.Errorf("Healthy with heartbeats: %v; want nil", err)
		}
		m.Pause(true)
		time.Sleep(staleAfter - heartbeat/2)
		if _, err := r.Find(id); err != nil {
			t.Errorf("Find before a second of silence: %v; want the grant", err)
		}
		time.Sleep(time.Millisecond)
		_, found := r.Find(id)
		_, reserved := l.Reserve("files", "read", Cost{})
		_, created := r.Create(t.Context(), ask(nil))
		for name, err := range map[string]error{"Find": found, "Reserve": reserved, "Create": created, "Healthy": r.Healthy()} {
			if want := "grants are stale: their store has been silent for 1.001s"; err == nil || err.Error() != want || !errors.Is(err, ErrStale) {
				t.Errorf("%s after a second of silence: %v; want %s", name, err, want)
			}
		}
		m.Pause(false)
		time.Sleep(2 * heartbeat)
		synctest.Wait()
		if _, err := r.Find(id); err != nil {
			t.Errorf("Find once the store is back: %v; want the grant", err)
		}
	})
}

func TestDeadStoreMakesGrantsStaleForGoodButTheyExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(t)
		r := open(t, m)
		l := create(t, r, nil)
		ctx, done := l.Bind(t.Context())
		defer done()
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := r.Find(l.Grant().ID); err == nil || err.Error() != "grants are stale: their store died" || !errors.Is(err, ErrStale) {
			t.Errorf("Find: %v; want that the store died", err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if !errors.Is(context.Cause(ctx), ErrExpired) {
			t.Errorf("context at the end of the grant: %v; want %v", context.Cause(ctx), ErrExpired)
		}
		if _, err := NewRegistry(t.Context(), m, Options{}); err == nil || err.Error() != "read grants: the store of grants is closed" {
			t.Errorf("NewRegistry on a closed store: %v; want the reason", err)
		}
	})
}

func TestGrantIsUsableFromItsBeginningToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, memory(t))
		var ended atomic.Int64
		r.OnEnd(func(ids []string) { ended.Add(int64(len(ids))) })
		now := time.Now()
		g, err := r.Create(t.Context(), ask(func(g *Grant) { g.NotBefore, g.Expires = now.Add(time.Minute), now.Add(2*time.Minute) }))
		if err != nil {
			t.Fatal(err)
		}
		later := create(t, r, func(g *Grant) { g.Expires = now.Add(time.Hour) })
		if _, err := r.Find(g.ID); !errors.Is(err, ErrNotYet) {
			t.Errorf("Find before its beginning: %v; want %v", err, ErrNotYet)
		}
		time.Sleep(time.Minute)
		l, err := r.Find(g.ID)
		if err != nil {
			t.Fatalf("Find at its beginning: %v", err)
		}
		ctx, done := l.Bind(t.Context())
		defer done()
		time.Sleep(time.Minute - time.Nanosecond)
		if _, err := r.Find(g.ID); err != nil || ctx.Err() != nil {
			t.Errorf("just before its end: Find %v, context %v; want both alive", err, ctx.Err())
		}
		time.Sleep(time.Nanosecond)
		if _, err := r.Find(g.ID); !errors.Is(err, ErrExpired) {
			t.Errorf("Find at its end: %v; want %v", err, ErrExpired)
		}
		if s, _ := r.Get(g.ID); s.State != Expired || !s.Ended.Equal(g.Expires) {
			t.Errorf("at its end it is %s since %v; want expired since its end", s.State, s.Ended)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if !errors.Is(context.Cause(ctx), ErrExpired) || ended.Load() != 1 {
			t.Errorf("after its end: context %v, %d told to OnEnd; want %v, 1", context.Cause(ctx), ended.Load(), ErrExpired)
		}
		late, drop := l.Bind(t.Context())
		defer drop()
		if !errors.Is(context.Cause(late), ErrExpired) {
			t.Errorf("a context bound after the end: %v; want it ended with %v", context.Cause(late), ErrExpired)
		}
		if _, err := r.Find(later.Grant().ID); err != nil {
			t.Errorf("the grant that ends later: %v; want it alive", err)
		}
		if gs, err := r.Revoke(t.Context(), Filter{ID: g.ID}, Revoked, "", ""); err != nil || len(gs) != 0 {
			t.Errorf("Revoke of an expired grant: %d, %v; want nothing to end", len(gs), err)
		}
	})
}

func TestReleasedContextIsForgottenAndLateOnesEndAtOnce(t *testing.T) {
	r := open(t, memory(t))
	l := create(t, r, nil)
	ctx, done := l.Bind(t.Context())
	done()
	if len(l.bound) != 0 || !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("after release %d contexts are held, this one is %v; want 0, canceled", len(l.bound), ctx.Err())
	}
	outer, cancel := context.WithCancel(t.Context())
	ctx, done = l.Bind(outer)
	defer done()
	cancel()
	if <-ctx.Done(); !errors.Is(context.Cause(ctx), context.Canceled) {
		t.Errorf("context whose parent is cancelled: %v", context.Cause(ctx))
	}
	if _, err := r.Revoke(t.Context(), Filter{All: true}, Completed, "", ""); err != nil {
		t.Fatal(err)
	}
	ctx, done = l.Bind(t.Context())
	defer done()
	if !errors.Is(context.Cause(ctx), ErrCompleted) {
		t.Errorf("a context bound after the end: %v; want it ended with %v", context.Cause(ctx), ErrCompleted)
	}
}

func TestClosedRegistryFindsNothingAndEndsWhatIsBound(t *testing.T) {
	r := open(t, memory(t))
	l := create(t, r, nil)
	ctx, done := l.Bind(t.Context())
	defer done()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Find(l.Grant().ID); err == nil || err.Error() != "grants are stale: the registry is closed" {
		t.Errorf("Find: %v; want that the registry is closed", err)
	}
	if !errors.Is(context.Cause(ctx), ErrStale) {
		t.Errorf("a bound context: %v; want %v", context.Cause(ctx), ErrStale)
	}
}

// clock is a wall clock that tests set.
type clock struct{ atomic.Pointer[time.Time] }

func (c *clock) set(t time.Time) { c.Store(&t) }
func (c *clock) now() time.Time  { return *c.Load() }

func TestEndedGrantsAreForgottenAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clock
		c.set(time.Now())
		m := memory(t)
		r, err := NewRegistry(t.Context(), m, Options{Now: c.now})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		old := create(t, r, func(g *Grant) { g.Implicit = true })
		child := create(t, r, childOf(old, nil))
		old.AddLabels([]string{"private"})
		reserve(t, child, "files", "read", 1)
		r.Journal(1, Entry{Grant: child.Grant().ID, Tool: "files.read", Calls: 1, Labels: []string{"private"}})
		next := func(by time.Duration) { // the clock moves on, and a heartbeat comes
			c.set(c.now().Add(by))
			time.Sleep(2 * heartbeat)
			synctest.Wait()
		}
		next(23 * time.Hour) // expired, since 22 hours
		young := create(t, r, func(g *Grant) { g.Expires = c.now().Add(time.Hour) })
		if got := len(r.List(Filter{All: true})); got != 3 {
			t.Fatalf("%d grants are known; want 3", got)
		}
		_, usage, labels, _ := m.Restore(t.Context())
		if len(usage) != 3 || len(labels) != 1 {
			t.Errorf("the store has %d counters and %d sets of labels; want 3 (both grants, the scope) and 1", len(usage), len(labels))
		}

		next(2 * time.Hour)
		var left []string
		for _, s := range r.List(Filter{All: true}) {
			left = append(left, s.ID)
		}
		if diff := cmp.Diff([]string{young.Grant().ID}, left); diff != "" {
			t.Errorf("known after a day (-want +got):\n%s", diff)
		}
		if _, err := m.Get(t.Context(), old.Grant().ID); !errors.Is(err, ErrUnknown) {
			t.Errorf("the store has the old grant: %v; want %v", err, ErrUnknown)
		}
		if _, usage, labels, _ = m.Restore(t.Context()); len(usage) != 0 || len(labels) != 0 {
			t.Errorf("the store has %d counters and %d sets of labels left; want none", len(usage), len(labels))
		}
	})
}

// What a damaged or foreign store holds is not worth a grant.
func TestUnusableGrantsOfAStoreAreNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(t)
		var log strings.Builder
		good := ask(func(g *Grant) { g.ID, g.State, g.Depth = NewID(), Active, 1 })
		keep := func(change func(*Grant)) string {
			g := good
			g.ID = NewID()
			change(&g)
			if err := m.Create(t.Context(), g); err != nil {
				t.Fatal(err)
			}
			return g.ID
		}
		orphan := keep(func(g *Grant) { g.Parent, g.Depth = "gr_nobody", 2 })
		dead := keep(func(g *Grant) { g.State = Revoked })
		bad := map[string]error{
			keep(func(g *Grant) { g.Tools = []string{"*"} }): ErrUnknown,
			orphan:                                ErrUnknown,
			keep(func(g *Grant) { g.State = "" }): ErrRevoked,
			keep(func(g *Grant) { g.State = "frozen" }):                                            ErrRevoked,
			keep(func(g *Grant) { g.Parent, g.Depth = dead, 2 }):                                   ErrRevoked,
			keep(func(g *Grant) { g.Expires = time.Now() }):                                        ErrExpired,
			keep(func(g *Grant) { g.State, g.Expires = Completed, time.Now().Add(-48*time.Hour) }): ErrCompleted,
			dead: ErrRevoked,
		}
		fine := keep(func(*Grant) {})
		child := keep(func(g *Grant) { g.Parent, g.Depth, g.Expires = fine, 2, g.Expires.Add(time.Hour) })
		r, err := NewRegistry(t.Context(), m, Options{Log: logTo(&log)})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		for id, want := range bad {
			if _, err := r.Find(id); !errors.Is(err, want) {
				g, _ := m.Get(t.Context(), id)
				t.Errorf("Find of %+v: %v; want %v", g, err, want)
			}
		}
		if _, err := r.Find(fine); err != nil {
			t.Errorf("Find of the one that is fine: %v", err)
		}
		time.Sleep(time.Hour) // the child says that it has one more
		if _, err := r.Find(child); !errors.Is(err, ErrExpired) {
			t.Errorf("Find of a child after the end of its parent: %v; want %v", err, ErrExpired)
		}
		for _, want := range []string{"a grant in the store is not usable", "a grant in the store has no parent"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log has %s\nwant %q in it", log.String(), want)
			}
		}
		synctest.Wait()
		if _, err := m.Get(t.Context(), orphan); !errors.Is(err, ErrUnknown) {
			t.Errorf("the store has the orphan after a sweep: %v; want %v", err, ErrUnknown)
		}
	})
}

func TestGrantDeletedElsewhereEndsHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(t)
		r := open(t, m)
		l := create(t, r, nil)
		ctx, done := l.Bind(t.Context())
		defer done()
		if err := m.Delete(t.Context(), []string{l.Grant().ID}, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !errors.Is(context.Cause(ctx), ErrUnknown) {
			t.Errorf("a bound context: %v; want %v", context.Cause(ctx), ErrUnknown)
		}
		if _, err := r.Find(l.Grant().ID); !errors.Is(err, ErrUnknown) {
			t.Errorf("Find: %v; want %v", err, ErrUnknown)
		}
	})
}
