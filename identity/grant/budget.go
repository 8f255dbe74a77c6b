package grant

import (
	"maps"
	"strings"
	"sync/atomic"
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
	used   tally   // guarded by scope.mu
	spent  []int64 // guarded by scope.mu: of each of limits
	kept   tally   // guarded by Registry.journal.mu
}

type tally struct {
	calls  int64
	byTool map[string]int64 // made when first written
}

// add counts n more calls; a count never falls below nothing, whatever a damaged log says.
func (t *tally) add(name string, n int64) {
	t.calls = max(0, t.calls+n)
	if t.byTool == nil {
		t.byTool = map[string]int64{}
	}
	if sum := t.byTool[name] + n; sum > 0 {
		t.byTool[name] = sum
	} else {
		delete(t.byTool, name)
	}
}

func (t *tally) usage() Usage { return Usage{Calls: t.calls, ByTool: maps.Clone(t.byTool)} }

// take counts n calls in used and in the budgets. scope.mu is held.
func (c *counter) take(name string, n int64) {
	c.used.add(name, n)
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
	c.kept = tally{calls: u.Calls, byTool: maps.Clone(u.ByTool)}
	c.used = tally{calls: u.Calls, byTool: maps.Clone(u.ByTool)}
	for name, n := range u.ByTool {
		server, tool, _ := strings.Cut(name, ".")
		for i, b := range c.limits {
			if b.tools.Match(server, tool) {
				c.spent[i] += n
			}
		}
	}
}

// Bound is a limit that the policy puts on a call: that fewer than N calls have been made in
// the grant's whole tree, of all tools or of this one. For implicit grants it counts over all of
// the same subject, client and task.
type Bound struct {
	N       int64
	PerTool bool
}

// Reservation is one call that has been counted. A nil Reservation holds nothing.
type Reservation struct {
	live     *Live
	name     string
	refunded atomic.Bool
}

// Reserve counts one call of the tool at every level of the chain, or at none where one has no
// calls left; then the error is an *ExhaustedError that says which. It also refuses what Find
// would by now. With no tool, for what is not a call of one, it counts in all calls and in the
// budget of "*.*".
func (l *Live) Reserve(server, tool string, bounds ...Bound) (*Reservation, error) {
	if err := l.reg.fresh(); err != nil {
		return nil, err
	}
	if err := l.usable(l.reg.now()); err != nil {
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
	if err := l.root.within(name, bounds); err != nil {
		return nil, err
	}
	for _, c := range l.counters {
		c.take(name, 1)
	}
	return &Reservation{live: l, name: name}, nil
}

// room reports which bound of this level has no calls left. scope.mu is held.
func (l *Live) room(server, tool, name string) error {
	g, c := l.Grant(), l.counters[0]
	if g.MaxCalls > 0 && c.used.calls >= g.MaxCalls {
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
	if _, known := c.used.byTool[name]; !known && len(c.used.byTool) >= maxTools {
		return &ExhaustedError{Grant: g.ID, Limit: maxTools, Names: true}
	}
	return nil
}

// within holds a call against the bounds of the policy; l is a root. scope.mu is held.
func (l *Live) within(name string, bounds []Bound) error {
	c := l.scope.counter
	for _, b := range bounds {
		used, of := c.used.calls, ""
		if b.PerTool {
			used, of = c.used.byTool[name], name
		}
		if used >= b.N {
			return &ExhaustedError{Tools: of, Limit: b.N, Policy: true}
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
		c.take(res.name, -1)
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
		left := max(0, limit-n.counters[0].used.calls)
		if !bounded || left < least {
			least, bounded = left, true
		}
	}
	return least, bounded
}
