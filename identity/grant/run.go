package grant

import (
	"context"
	"errors"
	"slices"
	"time"
)

// sweepAfter is how long an ended grant is known, and how long labels of implicit grants outlive
// the last of them. sweepEvery is how often that is looked at.
const (
	sweepAfter = 24 * time.Hour
	sweepEvery = 10 * time.Minute
)

// run takes what the store tells and ends what expires, until life ends. When the store dies,
// grants expire as before.
func (r *Registry) run(life context.Context, events <-chan Event) {
	chores := make(chan struct{}, 1)
	r.work.Go(func() { r.chores(life, chores) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-life.Done():
			return
		case e, ok := <-events:
			if !ok {
				events = nil
				if life.Err() == nil {
					r.die(errors.New("their store died"))
					r.log.Error("the store of grants died; every request is refused until the gateway is started anew")
				}
				continue
			}
			r.alive()
			r.take(e)
			if e.Kind != Heartbeat {
				continue
			}
			select {
			case chores <- struct{}{}:
			default:
			}
		case <-timer.C:
		case <-r.kick:
		}
		// A heartbeat gets here, too: the clock may have been set.
		timer.Reset(r.expire())
	}
}

// take applies one event of the store.
func (r *Registry) take(e Event) {
	var ended []*Live
	switch e.Kind {
	case Put:
		ended = r.put(e.Grant)
	case Deleted:
		r.mu.Lock()
		if l := r.load(e.Grant.ID); l != nil {
			r.finish(l, ending{cause: ErrUnknown, state: Revoked, at: r.now().UTC().Round(0), why: "deleted"}, &ended)
		}
		r.mu.Unlock()
	}
	r.later(ended)
}

// later announces ends that nobody here waits for.
func (r *Registry) later(ended []*Live) {
	if len(ended) > 0 {
		// Of its own, since functions of OnEnd must not keep the heartbeats waiting.
		r.work.Go(func() { r.announce(ended) })
	}
}

// put applies what the store says of a grant and returns what has ended by it.
func (r *Registry) put(g Grant) (ended []*Live) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.load(g.ID)
	if l == nil {
		r.adopt(&g, &ended)
		return ended
	}
	if g.Rev <= l.Grant().Rev {
		return nil // told already, or our own
	}
	if g.State != Active {
		r.finish(l, endingOf(&g), &ended)
	}
	r.renew(l, g)
	return ended
}

// endingOf says how a grant ended that the store has as ended. A state that is not known is an
// end, too.
func endingOf(g *Grant) ending {
	e := ending{cause: causeOf(g.State), state: g.State, at: g.Ended, by: g.EndedBy, why: g.EndedWhy}
	if e.cause == nil {
		e.cause, e.state = ErrRevoked, Revoked
	}
	return e
}

// adopt takes over a grant that another process has made. What cannot be read, or has no parent
// where it should, is not usable. r.mu is held.
func (r *Registry) adopt(g *Grant, ended *[]*Live) {
	own, err := compile(g)
	if err != nil {
		r.log.Error("a grant in the store is not usable", "grant", g.ID, "err", err)
		return
	}
	var parent *Live
	if g.Parent != "" {
		if parent = r.load(g.Parent); parent == nil {
			r.log.Error("a grant in the store has no parent and is not usable", "grant", g.ID, "parent", g.Parent)
			r.orphans = append(r.orphans, g.ID)
			return
		}
	}
	l := r.attach(g, own, parent)
	switch {
	case g.State != Active:
		e := endingOf(g)
		l.end.Store(&e)
		r.unschedule(l)
	case !r.now().Before(l.until):
		l.end.Store(&ending{cause: ErrExpired, state: Expired, at: l.until})
		r.unschedule(l)
	case parent != nil && parent.end.Load() != nil:
		r.finish(l, *parent.end.Load(), ended)
	}
}

// expire ends what is over and returns how long until the next end.
func (r *Registry) expire() time.Duration {
	var ended []*Live
	r.mu.Lock()
	now, next := r.now(), time.Hour
	for len(r.ends) > 0 {
		l := r.ends[0]
		if left := l.until.Sub(now); left > 0 {
			next = min(next, max(left, time.Millisecond))
			break
		}
		r.finish(l, ending{cause: ErrExpired, state: Expired, at: l.until}, &ended)
	}
	r.mu.Unlock()
	r.later(ended)
	return next
}

// chores does what takes a while: it tells the store what it could not be told, and forgets what
// ended long ago.
func (r *Registry) chores(life context.Context, wake <-chan struct{}) {
	for {
		select {
		case <-life.Done():
			return
		case <-wake:
		}
		r.mu.Lock()
		unsaved := make([]*Live, 0, len(r.unsaved))
		for l := range r.unsaved {
			unsaved = append(unsaved, l)
		}
		due := r.now().Sub(r.swept) >= sweepEvery
		r.mu.Unlock()
		if err := r.persist(life, unsaved); err != nil {
			r.log.Warn("cannot make the end of grants durable; trying again", "grants", len(unsaved), "err", err)
		}
		if !due {
			continue
		}
		if err := r.sweep(life); err != nil {
			r.log.Warn("cannot forget ended grants; trying again", "err", err)
		}
	}
}

// sweep forgets grants that ended sweepAfter ago, here and in the store.
func (r *Registry) sweep(ctx context.Context) error {
	r.journal.saving.Lock()
	defer r.journal.saving.Unlock()
	// First, so that what is deleted is never an ancestor's part that no checkpoint has.
	if err := r.checkpoint(ctx); err != nil {
		return err
	}
	ids, scopes := r.reap()
	return r.store.Delete(ctx, ids, scopes)
}

// reap takes from memory what is to be deleted.
func (r *Registry) reap() (ids, keys []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.swept = r.now()
	ids, r.orphans = r.orphans, nil
	var old []*Live
	r.each(func(l *Live) {
		if _, unsaved := r.unsaved[l]; !unsaved && !l.pending && r.swept.Sub(l.endTime()) >= sweepAfter {
			old = append(old, l)
		}
	})
	slices.SortFunc(old, func(a, b *Live) int { return b.Grant().Depth - a.Grant().Depth })
	var counters []*counter
	var scopes []*scope
	for _, l := range old {
		if len(l.children) > 0 {
			continue
		}
		ids, counters = append(ids, l.Grant().ID), append(counters, l.counters[0])
		if s := r.detach(l); s != nil {
			keys, scopes, counters = append(keys, s.key), append(scopes, s), append(counters, s.counter)
		}
	}
	r.journal.forget(counters, scopes)
	return ids, keys
}

func (l *Live) endTime() time.Time {
	if e := l.end.Load(); e != nil {
		return e.at
	}
	return l.until
}
