package grant

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
)

// Revoke ends the grants that f selects and all below them, and returns those that it ended. to
// is Revoked or Completed; by and why are kept with them. In memory they have ended, the contexts
// bound to them are cancelled and the functions of OnEnd were called before the store is asked;
// they stay ended here even where it fails. An error then says that the end is not durable yet:
// it is tried again with each heartbeat, and by Revoke.
func (r *Registry) Revoke(ctx context.Context, f Filter, to State, by, why string) ([]Grant, error) {
	e := ending{cause: causeOf(to), state: to, at: r.now().UTC().Round(0), by: printable(by), why: printable(why)}
	if to != Revoked && to != Completed {
		return nil, fmt.Errorf("a grant cannot be made %q; end it as %s or %s", to, Revoked, Completed)
	}
	var ended, again, found []*Live
	r.mu.Lock()
	r.candidates(f, func(l *Live) { found = append(found, l) })
	for _, l := range found { // before any of them ends: the end of a parent is its children's
		if _, ok := r.unsaved[l]; ok {
			again = append(again, l)
		}
	}
	for _, l := range found {
		if _, ok := r.unsaved[l]; !ok && e.at.Before(l.until) {
			r.finish(l, e, &ended)
		}
	}
	r.mu.Unlock()
	r.announce(ended)
	all := append(ended, again...)
	err := r.persist(ctx, all)
	out := make([]Grant, len(all))
	for i, l := range all {
		out[i] = *l.Grant()
	}
	return out, err
}

// candidates calls do for the grants that f selects. r.mu is held.
func (r *Registry) candidates(f Filter, do func(*Live)) {
	visit := func(l *Live) {
		if f.Match(l.Grant()) {
			do(l)
		}
	}
	if f.ID == "" {
		r.each(visit)
		return
	}
	if l := r.load(f.ID); l != nil {
		visit(l)
	}
}

// causeOf returns what contexts of a grant in this state end with, nil for one that lives.
func causeOf(s State) error {
	switch s {
	case Revoked:
		return ErrRevoked
	case Completed:
		return ErrCompleted
	case Expired:
		return ErrExpired
	}
	return nil
}

func printable(s string) string {
	s = strings.Map(func(c rune) rune {
		if unprintable(c) {
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, ""))
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}

// finish ends a grant and those below it in memory and adds them to ended, which the caller
// announces when it has let go of r.mu. One that has ended before stays as it is.
func (r *Registry) finish(l *Live, e ending, ended *[]*Live) {
	if !l.end.CompareAndSwap(nil, &e) {
		return
	}
	r.unschedule(l)
	*ended = append(*ended, l)
	if e.state != Expired { // that follows from the clock for whoever reads the store
		l.grant.Store(e.of(l.Grant()))
		r.unsaved[l] = struct{}{}
	}
	for _, child := range l.children {
		below := e
		below.why = printable("its parent ended: " + cmp.Or(e.why, string(e.state)))
		if strings.HasPrefix(e.why, "its parent ended: ") {
			below.why = e.why
		}
		r.finish(child, below, ended)
	}
}

// of returns g as ended.
func (e *ending) of(g *Grant) *Grant {
	c := *g
	c.State, c.Ended, c.EndedBy, c.EndedWhy = e.state, e.at, e.by, e.why
	return &c
}

// announce cancels what is bound to grants that have ended, then tells the functions of OnEnd.
func (r *Registry) announce(ended []*Live) {
	ids := make([]string, len(ended))
	for i, l := range ended {
		l.cancel(l.end.Load().cause)
		ids[i] = l.Grant().ID
	}
	r.tell(ids)
}

// persist makes the end of grants durable, in one transaction. Those that are being created are
// left to confirm. Where another has changed one meanwhile, its end counts for more.
func (r *Registry) persist(ctx context.Context, ls []*Live) error {
	const tries = 8
	var err error
	for range tries {
		r.mu.Lock()
		var todo []*Live
		var gs []Grant
		for _, l := range ls {
			if _, ok := r.unsaved[l]; ok && !l.pending {
				todo, gs = append(todo, l), append(gs, *l.Grant())
			}
		}
		r.mu.Unlock()
		if len(gs) == 0 {
			return nil
		}
		var saved []Grant
		if saved, err = r.store.UpdateAll(ctx, gs); err == nil {
			r.saved(todo, saved)
			return nil
		}
		if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrUnknown) {
			break
		}
		if err = r.reread(ctx, todo); err != nil {
			break
		}
		err = ErrConflict
	}
	return fmt.Errorf("the grants have ended here, but the store does not know and a restart would forget it: %w", err)
}

// saved notes what the store has kept.
func (r *Registry) saved(ls []*Live, as []Grant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, l := range ls {
		delete(r.unsaved, l)
		if as[i].Rev > l.Grant().Rev {
			l.grant.Store(&as[i])
		}
	}
}

// reread takes the revisions that the store has.
func (r *Registry) reread(ctx context.Context, ls []*Live) error {
	for _, l := range ls {
		g, err := r.store.Get(ctx, l.Grant().ID)
		if err != nil && !errors.Is(err, ErrUnknown) {
			return err
		}
		r.mu.Lock()
		if err != nil {
			delete(r.unsaved, l) // gone is as good as ended
		} else {
			r.renew(l, g)
		}
		r.mu.Unlock()
	}
	return nil
}

// renew takes over what the store has of a grant, but for its end where that is known here
// alone. r.mu is held.
func (r *Registry) renew(l *Live, g Grant) {
	e := l.end.Load()
	switch {
	case g.State != Active:
		delete(r.unsaved, l)
	case e != nil && e.state != Expired:
		g = *e.of(&g)
		r.unsaved[l] = struct{}{}
	}
	if g.Rev > l.Grant().Rev {
		l.grant.Store(&g)
	}
}
