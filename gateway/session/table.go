package session

import (
	"errors"
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

// Questions remembers what servers have asked of clients, so that only an answer to a
// question is taken upstream, and once.
type Questions struct {
	open *lru.Cache[question, string]
}

type question struct{ server, session, owner, id string }

// NewQuestions keeps at most size open questions.
func NewQuestions(size int) *Questions { return &Questions{newLRU[question, string](size)} }

// Ask notes that the question with this id, of this method, went to the owner's session.
func (q *Questions) Ask(server, session, owner, id, method string) {
	q.open.Add(question{server, session, owner, id}, method)
}

// Answer takes the question away and returns its method.
func (q *Questions) Answer(server, session, owner, id string) (string, bool) {
	key := question{server, session, owner, id}
	method, ok := q.open.Peek(key)
	return method, ok && q.open.Remove(key)
}

// Flights knows the calls in flight by their owner and id, so that a notification can cancel
// a call where the upstream could not tell whose it is.
type Flights struct {
	mu   sync.Mutex
	byID map[question]func()
}

// NewFlights returns an empty table. It holds only calls in flight.
func NewFlights() *Flights { return &Flights{byID: make(map[question]func())} }

// Start notes a call; the returned function must be called when it ends.
func (f *Flights) Start(server, owner, id string, cancel func()) (end func()) {
	key := question{server: server, owner: owner, id: id}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.byID[key] = cancel
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.byID, key)
	}
}

// Cancel ends the owner's call with this id, if it is in flight.
func (f *Flights) Cancel(server, owner, id string) {
	f.mu.Lock()
	cancel := f.byID[question{server: server, owner: owner, id: id}]
	f.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}
