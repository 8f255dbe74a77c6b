package grant

import (
	"maps"
	"strings"
	"sync/atomic"
	"time"
)

// maxTools is how many different tools one grant can have counted. Servers choose the names of
// tools, so there must be an end to what they can make the gateway remember.
const maxTools = 4096

// counter counts the calls of a grant, or of a scope of implicit ones, twice: used says what
// is taken at this moment, kept what the audit log holds. They differ by the calls whose record
// is being written.
type counter struct {
	key    string
	limits []budget
	used   usage   // guarded by scope.mu
	spent  []int64 // guarded by scope.mu: of each of limits
	kept   usage   // guarded by Registry.journal.mu
}

// usage counts calls, and the bytes of arguments where a bound made somebody count them.
type usage struct{ calls, bytes tally }

func (u *usage) add(name string, calls, bytes int64) {
	u.calls.add(name, calls)
	if bytes != 0 {
		u.bytes.add(name, bytes)
	}
}

func (u *usage) public() Usage {
	return Usage{Calls: u.calls.sum, ByTool: maps.Clone(u.calls.byTool), Bytes: u.bytes.sum, BytesByTool: maps.Clone(u.bytes.byTool)}
}

func usageOf(u Usage) usage {
	u = cloneUsage(u)
	return usage{calls: tally{u.Calls, u.ByTool}, bytes: tally{u.Bytes, u.BytesByTool}}
}

type tally struct {
	sum    int64
	byTool map[string]int64 // made when first written
}

// add counts n more; a count never falls below nothing, whatever a damaged log says.
func (t *tally) add(name string, n int64) {
	t.sum = max(0, t.sum+n)
	if t.byTool == nil {
		t.byTool = map[string]int64{}
	}
	if sum := t.byTool[name] + n; sum > 0 {
		t.byTool[name] = sum
	} else {
		delete(t.byTool, name)
	}
}

// take counts n calls and bytes of arguments in used, and the calls in the budgets. scope.mu is
// held.
func (c *counter) take(name string, n, bytes int64) {
	c.used.add(name, n, bytes)
	if len(c.limits) == 0 {
		return
	}
	server, tool, _ := strings.Cut(name, ".")
	for i, b := range c.limits {
		if b.tools.Match(server, tool) {
			c.spent[i] = max(0, c.spent[i]+n)
		}
	}
}

// restore sets both counts to what was kept. It is for the time before anybody else has c.
func (c *counter) restore(u Usage) {
	c.kept, c.used = usageOf(u), usageOf(u)
	for name, n := range u.ByTool {
		server, tool, _ := strings.Cut(name, ".")
		for i, b := range c.limits {
			if b.tools.Match(server, tool) {
				c.spent[i] += n
			}
		}
	}
}

// Kind is what a bound counts.
type Kind uint8

// The things that are counted.
const (
	Calls   Kind = iota
	Bytes        // of arguments, from the first call on that has such a bound
	Repeats      // of the same call; kept in memory, so a restart of the gateway forgets them
)

// Bound is a limit that the policy puts on a call: that fewer than N calls have been made in
// the grant's whole tree, of all tools or of this one, that their arguments have no more than N
// bytes together, or that the same call has been made fewer than N times. For implicit grants it
// counts over all of the same subject, client and task.
type Bound struct {
	Kind    Kind
	N       int64
	PerTool bool          // of calls and bytes
	Within  time.Duration // of repeats; 0: ever
}

// Cost is what a call would use up beside one call.
type Cost struct {
	Bytes  int64  // of its arguments
	Digest string // equal for calls that are the same, word for word
}

// Reservation is one call that has been counted. A nil Reservation holds nothing.
type Reservation struct {
	live     *Live
	name     string
	bytes    int64
	digest   string    // "": not counted among the repeats
	at       time.Time // where digest is set
	refunded atomic.Bool
}

// Bytes are those that have been counted; 0 where nothing bounds them.
func (res *Reservation) Bytes() int64 { return res.bytes }

// Reserve counts one call of the tool at every level of the chain, or at none where one has no
// calls left; then the error is an *ExhaustedError that says which. It also refuses what Find
// would by now. With no tool, for what is not a call of one, it counts in all calls and in the
// budget of "*.*".
func (l *Live) Reserve(server, tool string, cost Cost, bounds ...Bound) (*Reservation, error) {
	if err := l.reg.fresh(); err != nil {
		return nil, err
	}
	now := l.reg.now()
	if err := l.usable(now); err != nil {
		return nil, err
	}
	l.reg.replaying.Store(false)
	name := server + "." + tool
	if tool == "" { // a resource or a prompt, which the journal names no tool for
		server, name = "", ""
	}
	l.scope.mu.Lock()
	defer l.scope.mu.Unlock()
	for n := l; n != nil; n = n.parent {
		if err := n.room(server, tool, name); err != nil {
			return nil, err
		}
	}
	if err := l.root.within(name, cost, bounds); err != nil {
		return nil, err
	}
	res := &Reservation{live: l, name: name}
	for _, b := range bounds {
		switch {
		case b.Kind == Bytes:
			res.bytes = cost.Bytes
		case b.Kind == Repeats && res.digest == "": // counted once, whatever the bounds on it
			if err := l.scope.repeats.take(cost.Digest, now); err != nil {
				return nil, err
			}
			res.digest, res.at = cost.Digest, now
		}
	}
	for _, c := range l.counters {
		c.take(name, 1, res.bytes)
	}
	return res, nil
}

// room reports which bound of this level has no calls left. scope.mu is held.
func (l *Live) room(server, tool, name string) error {
	g, c := l.Grant(), l.counters[0]
	if g.MaxCalls > 0 && c.used.calls.sum >= g.MaxCalls {
		return &ExhaustedError{Grant: g.ID, Limit: g.MaxCalls}
	}
	for i, b := range c.limits {
		if c.spent[i] >= b.calls && b.tools.Match(server, tool) {
			return &ExhaustedError{Grant: g.ID, Tools: b.tools.String(), Limit: b.calls}
		}
	}
	return c.named(name, g)
}

// named refuses the name of one more tool than can be counted.
func (c *counter) named(name string, g *Grant) error {
	if _, known := c.used.calls.byTool[name]; !known && len(c.used.calls.byTool) >= maxTools {
		return &ExhaustedError{Grant: g.ID, Limit: maxTools, Names: true}
	}
	return nil
}

// within holds a call against the bounds of the policy; l is a root. scope.mu is held.
func (l *Live) within(name string, cost Cost, bounds []Bound) error {
	c := l.scope.counter
	for _, b := range bounds {
		counted, more := &c.used.calls, int64(1)
		switch b.Kind {
		case Repeats:
			if l.scope.repeats.count(cost.Digest, b.Within, l.reg.now()) >= b.N {
				return &ExhaustedError{Limit: b.N, Policy: true, Kind: Repeats, Within: b.Within}
			}
			continue
		case Bytes:
			counted, more = &c.used.bytes, cost.Bytes
		}
		used, of := counted.sum, ""
		if b.PerTool {
			used, of = counted.byTool[name], name
		}
		if used > b.N-more {
			return &ExhaustedError{Tools: of, Limit: b.N, Policy: true, Kind: b.Kind}
		}
	}
	return c.named(name, l.Grant())
}

// Refund takes the call back, once; further refunds do nothing. It is for a call whose upstream
// was surely not contacted, or whose record could not be written.
func (res *Reservation) Refund() {
	if res == nil || res.refunded.Swap(true) {
		return
	}
	s := res.live.scope
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range res.live.counters {
		c.take(res.name, -1, -res.bytes)
	}
	if res.digest != "" {
		s.repeats.giveBack(res.digest, res.at)
	}
}

// CallsLeft returns how many calls the chain allows yet, and whether it bounds them at all.
// Budgets of single tools are not in it.
func (l *Live) CallsLeft() (int64, bool) {
	l.scope.mu.Lock()
	defer l.scope.mu.Unlock()
	return l.callsLeft()
}

func (l *Live) callsLeft() (least int64, bounded bool) {
	for n := l; n != nil; n = n.parent {
		limit := n.Grant().MaxCalls
		if limit == 0 {
			continue
		}
		left := max(0, limit-n.counters[0].used.calls.sum)
		if !bounded || left < least {
			least, bounded = left, true
		}
	}
	return least, bounded
}
