package grant

import (
	"context"
	"maps"
	"sync"
	"time"
)

// heartbeat is how often a store says that it lives; staleAfter is how long a registry believes
// it without. The two make "refused within a second" hold for what another node has revoked.
const (
	heartbeat  = 250 * time.Millisecond
	staleAfter = time.Second
)

// Store keeps grants and counters durably. When a method returns nil, what it was asked is on
// disk. It is safe for concurrent use.
type Store interface {
	// Create keeps a new grant with Rev 1; ErrExists where there is one with its ID.
	Create(ctx context.Context, g Grant) error
	// Get returns the grant; ErrUnknown where there is none.
	Get(ctx context.Context, id string) (Grant, error)
	// Update replaces the grant of the same ID and Rev and returns it with its new Rev;
	// ErrConflict where its Rev is another by now, ErrUnknown where it is gone.
	Update(ctx context.Context, g Grant) (Grant, error)
	// UpdateAll is Update for many in one transaction: all or none.
	UpdateAll(ctx context.Context, gs []Grant) ([]Grant, error)
	// Delete forgets grants and their usage, and the usage and labels of these scopes.
	// What is not there is forgotten already.
	Delete(ctx context.Context, ids, scopes []string) error
	// Watch returns every grant that is there, then Synced, then each change in order, and a
	// Heartbeat whenever the store has shown within the last 250 ms that it lives. The channel
	// is closed when ctx ends, when the store dies, and when nobody takes the events.
	Watch(ctx context.Context) (<-chan Event, error)
	// Checkpoint keeps, in one transaction, the counters and labels that have changed, and the
	// number of the log's last record that is in them.
	Checkpoint(ctx context.Context, seq uint64, usage map[string]Usage, labels map[string][]string) error
	// Restore returns what all checkpoints together have kept.
	Restore(ctx context.Context) (seq uint64, usage map[string]Usage, labels map[string][]string, err error)
	// Close ends all watches. What is called afterwards fails.
	Close() error
}

// EventKind says what an Event tells. The zero kind tells nothing.
type EventKind int

// Kinds of events.
const (
	Put       EventKind = iota + 1 // Grant is as it is now
	Deleted                        // Grant.ID is gone
	Synced                         // all that was there when the watch began has been told
	Heartbeat                      // the store lives
)

// Event is one thing that a Store tells those who watch it.
type Event struct {
	Kind  EventKind
	Grant Grant
}

// maxBehind is how many changes may wait for a watcher, each of one grant or of many. One that
// falls so far behind is told by the end of its channel that it knows nothing any more.
const maxBehind = 1 << 16

// feed tells watchers of changes, in order. Its zero value is ready for use.
type feed struct {
	mu       sync.Mutex
	watchers map[*watcher]struct{}
	closed   bool
}

// watcher has a queue, so that a slow one holds up nobody's write.
type watcher struct {
	mu     sync.Mutex
	queue  [][]Event
	closed bool
	wake   chan struct{} // holds one: the queue has something, or closed is set
}

// watch begins a watch with the events that snapshot returns. Callers hold the lock of their
// writes, so that no change comes between the two.
func (f *feed) watch(ctx context.Context, snapshot []Event) (<-chan Event, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errClosed
	}
	w := &watcher{queue: [][]Event{snapshot, {{Kind: Synced}}}, wake: make(chan struct{}, 1)}
	w.wake <- struct{}{}
	if f.watchers == nil {
		f.watchers = map[*watcher]struct{}{}
	}
	f.watchers[w] = struct{}{}
	out := make(chan Event)
	go func() {
		defer close(out)
		w.deliver(ctx, out)
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, w)
	}()
	return out, nil
}

func (f *feed) tell(events ...Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watchers {
		w.push(events)
	}
}

func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for w := range f.watchers {
		w.close()
	}
}

func (w *watcher) push(events []Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.queue); n > 0 && isBeat(events) && isBeat(w.queue[n-1]) {
		return // one that waits says as much as two
	}
	if len(w.queue) >= maxBehind {
		w.closed, w.queue = true, nil
	}
	if !w.closed {
		w.queue = append(w.queue, events)
	}
	w.signal()
}

func isBeat(events []Event) bool { return len(events) == 1 && events[0].Kind == Heartbeat }

func (w *watcher) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.signal()
}

func (w *watcher) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// deliver ends with ctx, and after close once the queue is empty.
func (w *watcher) deliver(ctx context.Context, out chan<- Event) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		}
		w.mu.Lock()
		queue, closed := w.queue, w.closed
		w.queue = nil
		w.mu.Unlock()
		for _, events := range queue {
			if !send(ctx, out, events) {
				return
			}
		}
		if closed {
			return
		}
	}
}

func send(ctx context.Context, out chan<- Event, events []Event) bool {
	for _, e := range events {
		select {
		case <-ctx.Done():
			return false
		case out <- e:
		}
	}
	return true
}

func puts(gs []Grant) []Event {
	events := make([]Event, len(gs))
	for i := range gs {
		events[i] = Event{Kind: Put, Grant: gs[i]}
	}
	return events
}

// next returns the grant that replaces was, or why it cannot.
func next(was *Grant, g Grant) (Grant, error) {
	if was.Rev != g.Rev {
		return Grant{}, ErrConflict
	}
	g.Rev++
	return g, nil
}

func cloneUsage(u Usage) Usage {
	u.ByTool, u.BytesByTool = maps.Clone(u.ByTool), maps.Clone(u.BytesByTool)
	return u
}

func updateOne(ctx context.Context, s Store, g Grant) (Grant, error) {
	gs, err := s.UpdateAll(ctx, []Grant{g})
	if err != nil {
		return Grant{}, err
	}
	return gs[0], nil
}
