package grant

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Find returns the grant if it can be used now: ErrUnknown, ErrNotYet, ErrExpired, ErrRevoked or
// ErrCompleted where it cannot, and an error wrapping ErrStale where nobody can know. A grant
// without calls is found; Reserve says that none are left.
func (r *Registry) Find(id string) (*Live, error) {
	if err := r.fresh(); err != nil {
		return nil, err
	}
	l := r.load(id)
	if l == nil || l.Grant().Rev == 0 { // Rev 0: the store does not have it yet
		return nil, ErrUnknown
	}
	if err := l.usable(r.now()); err != nil {
		return nil, err
	}
	return l, nil
}

// Healthy returns nil while the store gives signs of life, and an error wrapping ErrStale that
// says what is wrong from one second after the last.
func (r *Registry) Healthy() error { return r.fresh() }

func (r *Registry) fresh() error {
	if err := r.dead.Load(); err != nil {
		return *err
	}
	if silent := time.Since(r.start) - time.Duration(r.beat.Load()); silent > staleAfter {
		return fmt.Errorf("%w: their store has been silent for %s", ErrStale, silent.Round(time.Millisecond))
	}
	return nil
}

// Live is how many grants can be used now. It looks at all of them.
func (r *Registry) Live() (n int) {
	r.lives.Range(func(_, l any) bool {
		if l.(*Live).end.Load() == nil {
			n++
		}
		return true
	})
	return n
}

// alive notes a sign of life of the store.
func (r *Registry) alive() { r.beat.Store(int64(time.Since(r.start))) }

// die makes the registry stale for good. The first reason stays.
func (r *Registry) die(why error) {
	err := fmt.Errorf("%w: %w", ErrStale, why)
	r.dead.CompareAndSwap(nil, &err)
}

// Get returns a grant that is known, usable or not, as it stands now.
func (r *Registry) Get(id string) (Status, bool) {
	l := r.load(id)
	if l == nil || l.Grant().Rev == 0 {
		return Status{}, false
	}
	return l.status(r.now()), true
}

// List returns the grants that f selects, the newest first. Ended ones are known for 24 hours.
func (r *Registry) List(f Filter) []Status {
	out, now := []Status{}, r.now()
	look := func(l *Live) {
		if g := l.Grant(); g.Rev != 0 && f.Match(g) {
			out = append(out, l.status(now))
		}
	}
	if f.ID != "" { // one, whatever else is asked of it
		if l := r.load(f.ID); l != nil {
			look(l)
		}
		return out
	}
	r.each(look)
	slices.SortFunc(out, func(a, b Status) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	})
	return out
}

func (l *Live) status(now time.Time) Status {
	s := Status{Grant: l.Grant().clone()}
	l.scope.mu.Lock()
	s.Usage = l.counters[0].used.public()
	left, bounded := l.callsLeft()
	l.scope.mu.Unlock()
	if bounded {
		s.CallsLeft = &left
	}
	switch e := l.end.Load(); {
	case s.State != Active:
	case e != nil && e.state == Expired, !now.Before(l.until):
		s.State, s.Ended = Expired, l.until
	case bounded && left == 0:
		s.State = Exhausted
	}
	return s
}

// Create makes a grant durable and then usable, and returns it with what it has filled in: ID
// (unless there is one, of NewID), Root, Depth, Created and State, and for a child the parent's
// Issuer, and Task where it has none. The error is an *InvalidError where the grant cannot be,
// and wraps ErrExists or ErrStale where that is it.
func (r *Registry) Create(ctx context.Context, g Grant) (Grant, error) {
	if err := r.fresh(); err != nil {
		return Grant{}, err
	}
	now := r.now()
	g = g.clone()
	if g.ID == "" {
		g.ID = NewID()
	}
	g.Created, g.State = now.UTC().Round(0), Active
	g.Expires, g.NotBefore = g.Expires.UTC().Round(0), g.NotBefore.UTC().Round(0)
	g.Ended, g.EndedBy, g.EndedWhy, g.Rev = time.Time{}, "", "", 0
	l, err := r.propose(&g, now)
	if err != nil {
		return Grant{}, err
	}
	if err := r.store.Create(ctx, *l.Grant()); err != nil {
		r.withdraw(l)
		return Grant{}, fmt.Errorf("create grant: %w", err)
	}
	return r.confirm(ctx, l)
}

// propose puts a grant in its place that nobody finds until it is confirmed, but that ends with
// its parent from now on.
func (r *Registry) propose(g *Grant, now time.Time) (*Live, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g.Root, g.Depth = g.ID, 1
	var parent *Live
	if g.Parent != "" {
		if parent = r.load(g.Parent); parent == nil || parent.pending {
			return nil, &InvalidError{"parent", g.Parent + " is not a grant that is known; see `sallyport grant list`", ErrUnknown}
		}
		if err := parent.usable(now); err != nil {
			return nil, &InvalidError{"parent", fmt.Sprintf("%s cannot be used: %v", g.Parent, err), err}
		}
		p := parent.Grant()
		g.Root, g.Depth, g.Issuer = p.Root, p.Depth+1, p.Issuer
		g.Task = cmp.Or(g.Task, p.Task)
	}
	own, err := check(g, now)
	if err != nil {
		return nil, err
	}
	if parent != nil {
		if err := narrower(g, own, parent); err != nil {
			return nil, err
		}
	}
	if r.load(g.ID) != nil {
		return nil, ErrExists
	}
	l := r.attach(g, own, parent)
	l.pending = true
	return l, nil
}

// withdraw takes back what the store did not take.
func (r *Registry) withdraw(l *Live) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.detach(l)
}

// confirm makes a proposed grant usable, unless it has ended meanwhile.
func (r *Registry) confirm(ctx context.Context, l *Live) (Grant, error) {
	r.mu.Lock()
	g := *l.Grant()
	g.Rev = max(g.Rev, 1)
	l.grant.Store(&g)
	l.pending = false
	e := l.end.Load()
	r.mu.Unlock()
	if e == nil {
		return g, nil
	}
	if err := r.persist(ctx, []*Live{l}); err != nil {
		r.log.Error("a grant ended while it was made, and the store does not know", "grant", g.ID, "err", err)
	}
	return Grant{}, &InvalidError{"parent", "it ended while the grant was made", e.cause}
}
