package grant

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options are what a Registry needs from outside. The zero Options are fine.
type Options struct {
	Now func() time.Time // default time.Now; staleness is measured by the real clock
	Log *slog.Logger     // default: none
}

// Registry holds in memory every grant of a store, and ends what they allow when they end. It is
// safe for concurrent use.
type Registry struct {
	store Store
	now   func() time.Time
	log   *slog.Logger
	start time.Time

	lives sync.Map     // ID → *Live; of ended ones, too, until they are swept
	beat  atomic.Int64 // nanoseconds from start to the store's last sign of life
	dead  atomic.Pointer[error]

	replaying atomic.Bool // until the first Reserve
	journal   journal

	mu      sync.Mutex // guards what follows, and the fields of Lives that say so
	scopes  map[string]*scope
	held    map[owner]Holding
	ends    schedule
	unsaved map[*Live]struct{} // ended here, and the store may not know
	orphans []string           // in the store without a parent
	swept   time.Time

	onEndMu sync.Mutex
	onEnd   []func([]string)

	kick chan struct{} // holds one: the schedule has an earlier end
	stop context.CancelFunc
	work sync.WaitGroup
}

// NewRegistry returns a Registry of the grants in s once it has read all of them and their
// counters. ctx bounds the reading alone. The registry does not close the store.
func NewRegistry(ctx context.Context, s Store, o Options) (*Registry, error) {
	r := &Registry{
		store: s, now: o.Now, log: o.Log, start: time.Now(), kick: make(chan struct{}, 1),
		scopes: map[string]*scope{}, held: map[owner]Holding{}, unsaved: map[*Live]struct{}{},
	}
	r.journal.dirty, r.journal.marked = map[*counter]struct{}{}, map[*scope]struct{}{}
	if r.now == nil {
		r.now = time.Now
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.replaying.Store(true)
	r.swept = r.now()
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stop = stop
	events, err := s.Watch(life)
	if err == nil {
		err = r.sync(ctx, events)
	}
	if err == nil {
		err = r.restore(ctx)
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("read grants: %w", err)
	}
	r.work.Go(func() { r.run(life, events) })
	return r, nil
}

// sync takes the snapshot with which a watch begins.
func (r *Registry) sync(ctx context.Context, events <-chan Event) error {
	var all []Grant
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case e, ok := <-events:
			switch {
			case !ok:
				return errors.New("the store died")
			case e.Kind == Put:
				all = append(all, e.Grant)
			case e.Kind == Synced:
				r.alive()
				// Stores know no order, and a child is nothing without its parent.
				slices.SortStableFunc(all, func(a, b Grant) int { return a.Depth - b.Depth })
				for i := range all {
					r.put(all[i])
				}
				return nil
			}
		}
	}
}

// restore sets the counters to the store's checkpoint.
func (r *Registry) restore(ctx context.Context) error {
	seq, usage, labels, err := r.store.Restore(ctx)
	if err != nil {
		return err
	}
	r.journal.seq, r.journal.saved = seq, seq
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.scopes {
		s.add(labels[s.key])
		s.counter.restore(usage[s.key])
	}
	r.each(func(l *Live) {
		if c := l.counters[0]; c != l.scope.counter {
			c.restore(usage[c.key])
		}
	})
	return nil
}

// Close ends the registry: it finds nothing any more, and all bound contexts end. What was not
// in a checkpoint is in the audit log.
func (r *Registry) Close() error {
	r.die(errors.New("the registry is closed"))
	r.stop()
	r.work.Wait()
	r.each(func(l *Live) { l.cancel(ErrStale) })
	return nil
}

// OnEnd registers f, which is called with the IDs of grants after they have ended in any way:
// revoked, completed or expired, here or by another node. When Revoke returns, f has been called;
// it should not take long.
func (r *Registry) OnEnd(f func(ids []string)) {
	r.onEndMu.Lock()
	defer r.onEndMu.Unlock()
	r.onEnd = append(r.onEnd, f)
}

func (r *Registry) tell(ids []string) {
	if len(ids) == 0 {
		return
	}
	r.onEndMu.Lock()
	fs := slices.Clone(r.onEnd)
	r.onEndMu.Unlock()
	for _, f := range fs {
		f(ids)
	}
}

func (r *Registry) load(id string) *Live {
	l, _ := r.lives.Load(id)
	live, _ := l.(*Live)
	return live
}

func (r *Registry) each(f func(*Live)) {
	r.lives.Range(func(_, l any) bool {
		f(l.(*Live))
		return true
	})
}
