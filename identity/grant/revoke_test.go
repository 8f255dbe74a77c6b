package grant

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFilterSelectsByEveryFieldThatIsSet(t *testing.T) {
	r := open(t, memory(t))
	a := create(t, r, func(g *Grant) { g.Task, g.JKT, g.Issuer = "A", "key-1", "https://a.example" }).Grant().ID
	b := create(t, r, func(g *Grant) { g.Task, g.X5T, g.Subject = "B", "cert-1", "bob" }).Grant().ID
	c := create(t, r, func(g *Grant) { g.Task, g.ClientID = "A", "other" }).Grant().ID
	for _, tt := range []struct {
		name string
		f    Filter
		want []string
	}{
		{"zero", Filter{}, nil},
		{"all", Filter{All: true}, []string{a, b, c}},
		{"id", Filter{ID: b}, []string{b}},
		{"task", Filter{Task: "A"}, []string{a, c}},
		{"subject", Filter{Subject: "bob"}, []string{b}},
		{"client", Filter{ClientID: "other"}, []string{c}},
		{"key", Filter{Key: "key-1"}, []string{a}},
		{"certificate", Filter{Key: "cert-1"}, []string{b}},
		{"issuer", Filter{Issuer: "https://a.example"}, []string{a}},
		{"two fields", Filter{Task: "A", ClientID: "other"}, []string{c}},
		{"all with a field", Filter{All: true, Task: "B"}, []string{b}},
		{"nobody's", Filter{Subject: "mallory"}, nil},
	} {
		var got []string
		for _, s := range r.List(tt.f) {
			got = append(got, s.ID)
		}
		slices.Sort(got)
		slices.Sort(tt.want)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("List by %s (-want +got):\n%s", tt.name, diff)
		}
	}
	if gs, err := r.Revoke(t.Context(), Filter{}, Revoked, "", ""); err != nil || len(gs) != 0 {
		t.Errorf("Revoke of a zero filter: %d ended, %v; want none", len(gs), err)
	}
	if gs, err := r.Revoke(t.Context(), Filter{Task: "A"}, Revoked, "", ""); err != nil || len(gs) != 2 {
		t.Errorf("Revoke by task: %d ended, %v; want 2", len(gs), err)
	}
	if _, err := r.Find(b); err != nil {
		t.Errorf("the grant of another task: %v; want it alive", err)
	}
	if gs, err := r.Revoke(t.Context(), Filter{All: true}, Revoked, "", ""); err != nil || len(gs) != 1 {
		t.Errorf("Revoke of all: %d ended, %v; want the one that was left", len(gs), err)
	}
}

func TestRevokeTakesOnlyEnds(t *testing.T) {
	r := open(t, memory(t))
	id := create(t, r, nil).Grant().ID
	for _, to := range []State{"", Active, Expired, Exhausted, "frozen"} {
		_, err := r.Revoke(t.Context(), Filter{ID: id}, to, "", "")
		if want := `a grant cannot be made "` + string(to) + `"; end it as revoked or completed`; err == nil || err.Error() != want {
			t.Errorf("Revoke to %q: %v; want %s", to, err, want)
		}
	}
	if _, err := r.Find(id); err != nil {
		t.Errorf("after refusals alone the grant is gone: %v", err)
	}
}

func TestEndIsKeptWithWhoAndWhy(t *testing.T) {
	r := open(t, memory(t))
	root := create(t, r, nil)
	middle := create(t, r, childOf(root, nil))
	leaf := create(t, r, childOf(middle, nil))
	if _, err := r.Revoke(t.Context(), Filter{ID: root.Grant().ID}, Revoked, "bob\x1b[2K", "stolen\n"+longName(2000)); err != nil {
		t.Fatal(err)
	}
	why := "stolen" + longName(maxText-6)
	for _, tt := range []struct {
		l   *Live
		why string
	}{{root, why}, {middle, ("its parent ended: " + why)[:maxText]}, {leaf, ("its parent ended: " + why)[:maxText]}} {
		s, _ := r.Get(tt.l.Grant().ID)
		if s.State != Revoked || s.EndedBy != "bob[2K" || s.EndedWhy != tt.why || s.Ended.IsZero() || s.Rev != 2 {
			t.Errorf("depth %d: %s by %q because %.40q, revision %d; want revoked by bob, why, revision 2", s.Depth, s.State, s.EndedBy, s.EndedWhy, s.Rev)
		}
	}
	if gs, err := r.Revoke(t.Context(), Filter{ID: root.Grant().ID}, Completed, "alice", "done"); err != nil || len(gs) != 0 {
		t.Errorf("ending it again: %d ended, %v; want none: the first end stays", len(gs), err)
	}
}

// A store that cannot write must not keep alive what somebody has just revoked.
func TestRevocationCountsAtOnceWhereTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(t)
		r := open(t, m)
		l := create(t, r, nil)
		id := l.Grant().ID
		ctx, done := l.Bind(t.Context())
		defer done()
		var told []string
		r.OnEnd(func(ids []string) {
			told = append(told, ids...)
			if !errors.Is(context.Cause(ctx), ErrRevoked) {
				t.Errorf("OnEnd was called while a bound context goes on: %v", context.Cause(ctx))
			}
		})
		m.Fail(errors.New("disk full"))
		gs, err := r.Revoke(t.Context(), Filter{ID: id}, Revoked, "bob", "stolen")
		want := "the grants have ended here, but the store does not know and a restart would forget it: disk full"
		if err == nil || err.Error() != want || len(gs) != 1 {
			t.Errorf("Revoke: %d ended, %v\nwant 1, %s", len(gs), err, want)
		}
		if _, err := r.Find(id); !errors.Is(err, ErrRevoked) {
			t.Errorf("Find: %v; want %v", err, ErrRevoked)
		}
		if diff := cmp.Diff([]string{id}, told); diff != "" {
			t.Errorf("OnEnd was told (-want +got):\n%s", diff)
		}
		if gs, err := r.Revoke(t.Context(), Filter{ID: id}, Revoked, "bob", "stolen"); err == nil || len(gs) != 1 {
			t.Errorf("Revoke again: %d, %v; want the error again, for it is not durable yet", len(gs), err)
		}

		m.Fail(nil)
		time.Sleep(2 * heartbeat)
		synctest.Wait()
		if g, err := m.Get(t.Context(), id); err != nil || g.State != Revoked {
			t.Errorf("after the next heartbeats the store has %q, %v; want %q", g.State, err, Revoked)
		}
		if gs, err := r.Revoke(t.Context(), Filter{ID: id}, Revoked, "bob", "stolen"); err != nil || len(gs) != 0 {
			t.Errorf("Revoke once it is durable: %d, %v; want nothing to do", len(gs), err)
		}
	})
}

// hooked is a store in which something happens while it creates.
type hooked struct {
	*Memory
	during func()
}

// Create implements Store.
func (h *hooked) Create(ctx context.Context, g Grant) error {
	if h.during != nil {
		h.during()
	}
	return h.Memory.Create(ctx, g)
}

func TestChildMadeWhileItsParentIsRevokedIsRevoked(t *testing.T) {
	h := &hooked{Memory: memory(t)}
	r := open(t, h)
	parent := create(t, r, nil)
	h.during = func() {
		if _, err := r.Revoke(t.Context(), Filter{ID: parent.Grant().ID}, Revoked, "bob", ""); err != nil {
			t.Errorf("Revoke: %v", err)
		}
	}
	g := ask(childOf(parent, nil))
	g.ID = NewID()
	_, err := r.Create(t.Context(), g)
	if want := "parent: it ended while the grant was made"; err == nil || err.Error() != want || !errors.Is(err, ErrRevoked) {
		t.Errorf("Create: %v; want %s", err, want)
	}
	if _, err := r.Find(g.ID); !errors.Is(err, ErrRevoked) {
		t.Errorf("Find of the child: %v; want %v", err, ErrRevoked)
	}
	if kept, err := h.Get(t.Context(), g.ID); err != nil || kept.State != Revoked {
		t.Errorf("the store has the child as %q, %v; want %q", kept.State, err, Revoked)
	}
}

func TestGrantThatTheStoreDoesNotTakeIsNotThere(t *testing.T) {
	h := &hooked{Memory: memory(t)}
	r := open(t, h)
	g := ask(nil)
	g.ID = NewID()
	h.during = func() {
		if _, err := r.Find(g.ID); !errors.Is(err, ErrUnknown) {
			t.Errorf("Find before the store has it: %v; want %v", err, ErrUnknown)
		}
		h.Fail(errors.New("disk full"))
	}
	if _, err := r.Create(t.Context(), g); err == nil || err.Error() != "create grant: disk full" {
		t.Errorf("Create: %v; want the store's reason", err)
	}
	h.during = nil
	h.Fail(nil)
	if _, err := r.Find(g.ID); !errors.Is(err, ErrUnknown) {
		t.Errorf("Find: %v; want %v", err, ErrUnknown)
	}
	if _, err := r.Create(t.Context(), g); err != nil {
		t.Errorf("Create once the store works: %v", err)
	}
	if _, err := r.Create(t.Context(), g); !errors.Is(err, ErrExists) {
		t.Errorf("Create of an ID that is there: %v; want %v", err, ErrExists)
	}
}

// Two gateways share a store: what one ends has ended in the other, and both may end the same.
func TestEndReachesAnotherRegistryOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(t)
		one, two := open(t, m), open(t, m)
		parent := create(t, one, nil)
		child := create(t, one, childOf(parent, nil))
		synctest.Wait()
		there, err := two.Find(child.Grant().ID)
		if err != nil {
			t.Fatalf("Find in the other registry: %v", err)
		}
		ctx, done := there.Bind(t.Context())
		defer done()
		var mu sync.Mutex
		var told []string
		two.OnEnd(func(ids []string) { mu.Lock(); defer mu.Unlock(); told = append(told, ids...) })
		if _, err := one.Revoke(t.Context(), Filter{ID: parent.Grant().ID}, Revoked, "bob", ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !errors.Is(context.Cause(ctx), ErrRevoked) {
			t.Errorf("context bound there: %v; want %v", context.Cause(ctx), ErrRevoked)
		}
		mu.Lock()
		slices.Sort(told)
		want := []string{parent.Grant().ID, child.Grant().ID}
		slices.Sort(want)
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("OnEnd there was told (-want +got):\n%s", diff)
		}
		mu.Unlock()
		if gs, err := two.Revoke(t.Context(), Filter{All: true}, Completed, "", ""); err != nil || len(gs) != 0 {
			t.Errorf("Revoke there: %d, %v; want nothing left to end", len(gs), err)
		}
	})
}

func TestBothEndingAtOnceConflictsWithNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(t)
		one, two := open(t, m), open(t, m)
		var ids []string
		for range 20 {
			ids = append(ids, create(t, one, nil).Grant().ID)
		}
		synctest.Wait()
		var wg sync.WaitGroup
		for _, r := range []*Registry{one, two} {
			wg.Go(func() {
				if _, err := r.Revoke(t.Context(), Filter{All: true}, Revoked, "", ""); err != nil {
					t.Errorf("Revoke: %v", err)
				}
			})
		}
		wg.Wait()
		for _, id := range ids {
			if g, err := m.Get(t.Context(), id); err != nil || g.State != Revoked || g.Rev != 2 {
				t.Errorf("the store has %s as %q, revision %d, %v; want revoked once", id, g.State, g.Rev, err)
			}
		}
	})
}

func TestListShowsNewestFirstAndNoSharedMemory(t *testing.T) {
	start := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	var minutes atomic.Int64 // the registry reads its clock beside us
	clock := func() time.Time { return start.Add(time.Duration(minutes.Load()) * time.Minute) }
	r, err := NewRegistry(t.Context(), memory(t), Options{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for _, task := range []string{"old", "new"} {
		minutes.Add(1)
		if _, err := r.Create(t.Context(), ask(func(g *Grant) { g.Task, g.Expires = task, clock().Add(time.Hour) })); err != nil {
			t.Fatal(err)
		}
	}
	list := r.List(Filter{All: true})
	if got := list[0].Task + " " + list[1].Task; got != "new old" {
		t.Errorf("List: %s; want new old", got)
	}
	list[0].Roles[0] = "admin"
	if got := strings.Join(r.List(Filter{Task: "new"})[0].Roles, " "); got != "reader" {
		t.Errorf("after a change of what List returned the role is %s; want reader", got)
	}
}

// A tree that a filter names as a whole ends once, in memory and on disk.
func TestRevokingATreeByAFilterEndsEachOnce(t *testing.T) {
	for range 10 { // the order in which grants are visited is any
		s := bolt(t, t.TempDir()+"/g.db")
		r := open(t, s)
		root := create(t, r, nil)
		for range 3 {
			create(t, r, childOf(root, nil))
		}
		gs, err := r.Revoke(t.Context(), Filter{All: true}, Revoked, "", "")
		if err != nil || len(gs) != 4 {
			t.Fatalf("%d ended, %v; want 4", len(gs), err)
		}
		for _, g := range gs {
			if kept, err := s.Get(t.Context(), g.ID); err != nil || kept.State != Revoked {
				t.Errorf("the store has %s as %q, %v; want revoked", g.ID, kept.State, err)
			}
		}
	}
}
