package grant

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Live is a grant that a Registry holds. It stays the same value while the grant lives; what is
// asked of it after its end is refused. A nil Live allows nothing.
type Live struct {
	reg    *Registry
	parent *Live // nil for a root
	root   *Live
	scope  *scope

	rules       rules
	narrow      bool      // some level of the chain has tools
	constrained bool      // some level of the chain has args
	from, until time.Time // over the whole chain

	grant atomic.Pointer[Grant]  // replaced when the grant has ended, or has a new Rev
	end   atomic.Pointer[ending] // nil while it lives; set once

	underWay atomic.Int64  // a root's: calls of its tree at this moment
	turns    chan struct{} // a root's: requests of its tree that are being read and decided

	tree     int     // guarded by reg.mu: of a root, how many grants its tree has
	children []*Live // guarded by reg.mu
	pending  bool    // guarded by reg.mu: the store is about to keep it; nobody finds it
	place    int     // guarded by reg.mu: in its schedule; -1 for none

	counters []*counter // self, its ancestors, then the scope where that counts for itself

	mu    sync.Mutex // guards bound
	bound map[*binding]struct{}
}

// ending is how a grant ended.
type ending struct {
	cause error // one of ErrRevoked, ErrCompleted, ErrExpired, ErrUnknown
	state State
	at    time.Time
	by    string
	why   string
}

// binding is a context that ends with a grant.
type binding struct{ cancel context.CancelCauseFunc }

// Grant returns the grant. It and its slices must not be changed.
func (l *Live) Grant() *Grant { return l.grant.Load() }

// usable returns why the grant is not usable at the time now.
func (l *Live) usable(now time.Time) error {
	if e := l.end.Load(); e != nil {
		return e.cause
	}
	if !now.Before(l.until) {
		return ErrExpired
	}
	if now.Before(l.from) {
		return ErrNotYet
	}
	return nil
}

// Bind returns a context that also ends when the grant or an ancestor ends, with the reason as
// its cause: ErrRevoked, ErrCompleted or ErrExpired. The function releases what it holds and
// must be called.
func (l *Live) Bind(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := l.BindCause(ctx)
	return ctx, func() { end(nil) }
}

// BindCause is [Live.Bind] for one who may end the context with a cause of its own. The first
// cause stays, whosever it is.
func (l *Live) BindCause(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	b := &binding{cancel}
	if !l.attach(b) {
		return ctx, cancel
	}
	return ctx, func(cause error) {
		l.detach(b)
		cancel(cause)
	}
}

// OnEnd calls end when the grant or an ancestor ends, with the cause that Bind's context would have,
// and at once where that was before. It is for what is held for long without a context: end must not
// block, and bears to be called again. The function releases what is held and must be called.
func (l *Live) OnEnd(end func(cause error)) (release func()) {
	b := &binding{end}
	l.attach(b)
	return func() { l.detach(b) }
}

// attach returns false where the grant has ended, which b is told.
func (l *Live) attach(b *binding) bool {
	if !l.reg.now().Before(l.until) {
		b.cancel(ErrExpired)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// end is set before bound is taken, so one of the two sees the other.
	if e := l.end.Load(); e != nil {
		b.cancel(e.cause)
		return false
	}
	if l.bound == nil {
		l.bound = map[*binding]struct{}{}
	}
	l.bound[b] = struct{}{}
	return true
}

func (l *Live) detach(b *binding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.bound, b)
}

// cancel ends the contexts that are bound to the grant.
func (l *Live) cancel(cause error) {
	l.mu.Lock()
	bound := l.bound
	l.bound = nil
	l.mu.Unlock()
	for b := range bound {
		b.cancel(cause)
	}
}

// Allows reports whether every level of the chain that names tools names this one.
func (l *Live) Allows(server, tool string) bool {
	if l == nil {
		return false
	}
	if !l.narrow {
		return true
	}
	for n := l; n != nil; n = n.parent {
		if len(n.rules.tools) > 0 && !matchAny(n.rules.tools, server, tool) {
			return false
		}
	}
	return true
}

func matchAny(patterns []Pattern, server, tool string) bool {
	for _, p := range patterns {
		if p.Match(server, tool) {
			return true
		}
	}
	return false
}

// Constraints returns what the arguments of the tool must hold, of every level of the chain. All
// of them apply.
func (l *Live) Constraints(server, tool string) []Constraint {
	if !l.constrained {
		return nil
	}
	var out []Constraint
	for n := l; n != nil; n = n.parent {
		for _, c := range n.rules.args {
			if c.tools.Match(server, tool) {
				out = append(out, c.by)
			}
		}
	}
	return out
}

// Narrow reports whether some level of the chain names tools. Then calls of those tools are all
// that can be done: prompts and resources are not among what was named.
func (l *Live) Narrow() bool { return l == nil || l.narrow }

// MostTurns is how many requests of a grant's tree are read and decided at once. It bounds the memory and
// the processors that one token can take, however slow it sends and whatever it has decided.
const MostTurns = 16

// Turn waits until fewer than MostTurns requests of the grant's tree are being read and decided, and takes
// one of the places, which EndTurn gives back. It returns ctx's cause where that ends first, and ErrBusy after
// most.
func (l *Live) Turn(ctx context.Context, most time.Duration) error {
	select {
	case l.root.turns <- struct{}{}:
		return nil
	default:
	}
	late := time.NewTimer(most)
	defer late.Stop()
	select {
	case l.root.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-late.C:
		return ErrBusy
	}
}

// EndTurn gives a place back that Turn has taken.
func (l *Live) EndTurn() { <-l.root.turns }

// Enter notes that a call begins, and refuses where max calls of the grant's tree are under way:
// children do not multiply what a task may do at once. leave notes the end of the call; it must
// be called, and more than once is as once.
func (l *Live) Enter(max int) (leave func(), ok bool) {
	n := &l.root.underWay
	if n.Add(1) > int64(max) {
		n.Add(-1)
		return func() {}, false
	}
	var left atomic.Bool
	return func() {
		if !left.Swap(true) {
			n.Add(-1)
		}
	}, true
}
