package grant

import (
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
)

// scope is what shares labels and the policy's counters: the tree of a root, or all trees whose
// implicit roots are of one subject, client and task. Were it each implicit grant for itself, a
// client could forget what it has read by connecting again.
type scope struct {
	key     string     // the root's ID, or see scopeKey
	mu      sync.Mutex // guards used of every counter of the scope
	counter *counter   // of the root, or the scope's own
	repeats repeats    // guarded by mu
	labels  atomic.Pointer[[]string]
	roots   int // guarded by Registry.mu; a scope without roots is forgotten
}

// scopeKey returns a key that no ID can be.
func scopeKey(root *Grant) string {
	if !root.Implicit {
		return root.ID
	}
	b, _ := json.Marshal([]string{root.Issuer, root.Subject, root.ClientID, root.Task}) // strings always can
	return string(b)
}

// Labels returns, sorted, what the grant's tree has touched so far; for an implicit grant, what
// its subject has with this client and task. The slice must not be changed.
func (l *Live) Labels() []string { return l.scope.current() }

// MaxLabels is how many labels a tree has at most: a policy may make them of what a client sends.
const MaxLabels = 64

// AddLabels adds labels and returns all that there are now, as Labels does; ok is false, and nothing
// is added, where that would be more than [MaxLabels]. They are never taken away. Durable they are
// once Journal has been told.
func (l *Live) AddLabels(labels []string) (after []string, ok bool) { return l.scope.add(labels) }

func (s *scope) current() []string {
	if p := s.labels.Load(); p != nil {
		return *p
	}
	return nil
}

func (s *scope) add(labels []string) ([]string, bool) {
	for {
		old := s.labels.Load()
		have := s.current()
		if !slices.ContainsFunc(labels, func(l string) bool { _, found := slices.BinarySearch(have, l); return !found }) {
			return have, true
		}
		all := slices.Concat(have, labels)
		slices.Sort(all)
		all = slices.Clip(slices.Compact(all))
		if len(all) > MaxLabels {
			return have, false
		}
		if s.labels.CompareAndSwap(old, &all) {
			return all, true
		}
	}
}
