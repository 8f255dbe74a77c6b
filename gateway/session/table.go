package session

import (
	"errors"
	"slices"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
)

// ErrTaken is returned when an id already belongs to somebody else.
var ErrTaken = errors.New("id already belongs to another principal")

type scoped struct{ server, id string }

// Sessions binds session ids, which upstreams make, to owners.
type Sessions struct {
	mu   sync.Mutex // makes look-up and binding one step
	byID *lru.Cache[scoped, string]
}

// NewSessions keeps at most size sessions; the one unused longest is forgotten, and its
// client is told to begin anew.
func NewSessions(size int) *Sessions { return &Sessions{byID: newLRU[scoped, string](size)} }

func newLRU[K comparable, V any](size int) *lru.Cache[K, V] {
	c, err := lru.New[K, V](max(size, 1))
	if err != nil { // only for sizes below one
		panic(err)
	}
	return c
}

// Bind gives a session to owner. An upstream that hands one id to two principals would mix
// them up, so the second is refused with ErrTaken.
func (s *Sessions) Bind(server, id, owner string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was, ok := s.byID.Get(scoped{server, id}); ok && was != owner {
		return ErrTaken
	}
	s.byID.Add(scoped{server, id}, owner)
	return nil
}

// Owned reports whether the session exists and is owner's.
func (s *Sessions) Owned(server, id, owner string) bool {
	was, ok := s.byID.Get(scoped{server, id})
	return ok && was == owner && owner != ""
}

// Session is one of the table's.
type Session struct{ Server, ID, Owner string }

// EndOf forgets the sessions of all owners that over names, and returns them.
func (s *Sessions) EndOf(over func(owner string) bool) []Session {
	var ended []Session
	for _, key := range s.byID.Keys() {
		if owner, ok := s.byID.Peek(key); ok && over(owner) && s.byID.Remove(key) {
			ended = append(ended, Session{key.server, key.id, owner})
		}
	}
	return ended
}

// End forgets a session.
func (s *Sessions) End(server, id string) { s.byID.Remove(scoped{server, id}) }

// Handles binds task handles to owner and tool.
type Handles struct{ byID *lru.Cache[scoped, handle] }

type handle struct{ owner, tool string }

// NewHandles keeps at most size handles.
func NewHandles(size int) *Handles { return &Handles{newLRU[scoped, handle](size)} }

// Bind gives a task to the owner and the tool that began it. The first owner keeps it.
func (h *Handles) Bind(server, id, owner, tool string) error {
	key := scoped{server, id}
	if was, ok, _ := h.byID.PeekOrAdd(key, handle{owner, tool}); ok && was != (handle{owner, tool}) {
		return ErrTaken
	}
	return nil
}

// Tool returns the tool that began the task, if the task is owner's.
func (h *Handles) Tool(server, id, owner string) (string, bool) {
	was, ok := h.byID.Get(scoped{server, id})
	if !ok || was.owner != owner || owner == "" {
		return "", false
	}
	return was.tool, true
}

// question is a request of either side that is under way: the session and the owner it belongs to,
// and its id.
type question struct{ server, session, owner, id string }

// Flights knows the calls in flight by their owner and id, so that a notification can cancel
// a call where the upstream could not tell whose it is.
type Flights struct {
	mu   sync.Mutex // guards byID, and next of all that it holds
	byID map[question]*Flight
}

// Flight is a call that is in flight until its End.
type Flight struct {
	table  *Flights
	key    question
	cancel func()
	next   *Flight // another of the same key
}

// NewFlights returns an empty table. It holds only calls in flight.
func NewFlights() *Flights { return &Flights{byID: make(map[question]*Flight)} }

// Start notes a call. Its End must be called when it ends.
func (f *Flights) Start(server, session, owner, id string, cancel func()) *Flight {
	own := &Flight{table: f, key: question{server, session, owner, id}, cancel: cancel}
	f.mu.Lock()
	defer f.mu.Unlock()
	own.next = f.byID[own.key]
	f.byID[own.key] = own
	return own
}

// End takes the call from the table; a second End changes nothing.
func (own *Flight) End() {
	f := own.table
	f.mu.Lock()
	defer f.mu.Unlock()
	first := f.byID[own.key]
	if first == own && own.next == nil {
		delete(f.byID, own.key)
		return
	}
	if first == own {
		f.byID[own.key] = own.next
		return
	}
	for at := first; at != nil; at = at.next {
		if at.next == own {
			at.next = own.next
			return
		}
	}
}

// Cancel ends the owner's call with this id, if it is in flight. Two clients of one owner may
// use the same id at the same time; then nobody can say which is meant, and none is ended.
func (f *Flights) Cancel(server, session, owner, id string) {
	f.mu.Lock()
	found := f.byID[question{server, session, owner, id}]
	var cancel func()
	if found != nil && found.next == nil {
		cancel = found.cancel
	}
	f.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// Owed remembers requests whose answer is still to come: those of a client whose stream ended
// first, since the older era lets it fetch the answer from another, and questions of servers, so
// that only an answer to a question is taken upstream, and once.
type Owed[T any] struct{ byID *lru.Cache[question, T] }

// NewOwed keeps at most size requests.
func NewOwed[T any](size int) *Owed[T] { return &Owed[T]{newLRU[question, T](size)} }

// Add notes what is needed to judge the answer when it comes.
func (o *Owed[T]) Add(server, session, owner, id string, what T) {
	o.byID.Add(question{server, session, owner, id}, what)
}

// Take takes the request away that an answer belongs to.
func (o *Owed[T]) Take(server, session, owner, id string) (T, bool) {
	key := question{server, session, owner, id}
	what, ok := o.byID.Peek(key)
	return what, ok && o.byID.Remove(key)
}

// Kept remembers something about each id, of the ids used last.
type Kept[T any] struct{ byID *lru.Cache[string, T] }

// NewKept keeps at most size ids.
func NewKept[T any](size int) *Kept[T] { return &Kept[T]{newLRU[string, T](size)} }

// Put keeps what for id.
func (k *Kept[T]) Put(id string, what T) { k.byID.Add(id, what) }

// Get returns what is kept for id.
func (k *Kept[T]) Get(id string) (T, bool) { return k.byID.Get(id) }

// Drop forgets id.
func (k *Kept[T]) Drop(id string) { k.byID.Remove(id) }

// Begun knows the sessions that each owner has begun, so that one owner can push out only its own.
type Begun struct {
	each int

	mu      sync.Mutex // guards byOwner's values
	byOwner *lru.Cache[string, []string]
}

// NewBegun keeps at most each sessions of an owner, of the owners seen last.
func NewBegun(owners, each int) *Begun {
	return &Begun{each: max(each, 1), byOwner: newLRU[string, []string](owners)}
}

// Add notes a session, and returns the owner's oldest where it has one too many, else "".
func (b *Begun) Add(owner, id string) (oldest string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids, _ := b.byOwner.Get(owner)
	if len(ids) >= b.each {
		oldest, ids = ids[0], ids[1:]
	}
	b.byOwner.Add(owner, append(slices.Clone(ids), id))
	return oldest
}
