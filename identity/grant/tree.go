package grant

import (
	"container/heap"
	"slices"
)

// attach puts a grant in its place. r.mu is held.
func (r *Registry) attach(g *Grant, own rules, parent *Live) *Live {
	l := &Live{reg: r, parent: parent, rules: own, from: g.NotBefore, until: g.Expires}
	l.grant.Store(g)
	l.narrow, l.constrained = len(own.tools) > 0, len(own.args) > 0
	c := &counter{key: g.ID, limits: own.budgets, spent: make([]int64, len(own.budgets))}
	l.counters = []*counter{c}
	if parent == nil {
		l.root, l.scope = l, r.scopeOf(g, c)
		l.turns = make(chan struct{}, MostTurns)
		l.scope.roots++
		if l.scope.counter != c {
			l.counters = append(l.counters, l.scope.counter)
		}
	} else {
		l.root, l.scope = parent.root, parent.scope
		l.counters = append(l.counters, parent.counters...)
		l.narrow, l.constrained = l.narrow || parent.narrow, l.constrained || parent.constrained
		// Creation has seen to this; a store that was written by others has not.
		if parent.until.Before(l.until) {
			l.until = parent.until
		}
		if parent.from.After(l.from) {
			l.from = parent.from
		}
		parent.children = append(parent.children, l)
	}
	l.root.tree++
	r.weigh(g, 1)
	r.lives.Store(g.ID, l)
	r.schedule(l)
	return l
}

// scopeOf returns the scope of a root. r.mu is held.
func (r *Registry) scopeOf(root *Grant, own *counter) *scope {
	key := scopeKey(root)
	if s := r.scopes[key]; s != nil {
		return s
	}
	s := &scope{key: key, counter: own}
	if key != root.ID {
		s.counter = &counter{key: key}
	}
	r.scopes[key] = s
	return s
}

// detach forgets a grant that has no children, and its scope with the last of its roots, which
// it returns then. r.mu is held.
func (r *Registry) detach(l *Live) *scope {
	r.lives.Delete(l.Grant().ID)
	r.weigh(l.Grant(), -1)
	delete(r.unsaved, l)
	r.unschedule(l)
	l.root.tree--
	if p := l.parent; p != nil {
		if i := slices.Index(p.children, l); i >= 0 {
			p.children = slices.Delete(p.children, i, i+1)
		}
		return nil
	}
	l.scope.roots--
	if l.scope.roots > 0 {
		return nil
	}
	delete(r.scopes, l.scope.key)
	return l.scope
}

// schedule is the grants by their end, the earliest first.
type schedule []*Live

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].until.Before(s[j].until) }
func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].place, s[j].place = i, j
}

// Push implements heap.Interface.
func (s *schedule) Push(x any) {
	l := x.(*Live)
	l.place = len(*s)
	*s = append(*s, l)
}

// Pop implements heap.Interface.
func (s *schedule) Pop() any {
	old := *s
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*s = old[:len(old)-1]
	last.place = -1
	return last
}

// schedule notes when a grant expires. r.mu is held.
func (r *Registry) schedule(l *Live) {
	heap.Push(&r.ends, l)
	if r.ends[0] == l {
		select {
		case r.kick <- struct{}{}:
		default:
		}
	}
}

// unschedule is for a grant that will not expire any more. r.mu is held.
func (r *Registry) unschedule(l *Live) {
	if l.place >= 0 {
		heap.Remove(&r.ends, l.place)
	}
}
