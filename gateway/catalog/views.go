package catalog

import (
	"container/list"
	"errors"
	"sync"

	"sallyport/gateway/wire"
)

// ViewKey names one filtered list: everything its bytes depend on. Two callers whose keys are
// equal are served the same bytes, so a field left out would show one caller the view of
// another.
type ViewKey struct {
	Revision   string // of the policy
	SubjectKey string // what the policy reads of the caller
	Server     string
	Digest     string // of the listing
	Cursor     string
	Era        wire.Era
}

func (k ViewKey) size() int64 {
	return int64(len(k.Revision) + len(k.SubjectKey) + len(k.Server) + len(k.Digest) + len(k.Cursor))
}

// Views keeps filtered lists, the most recently used first, within a number of bytes. Nothing
// in it needs to be dropped by hand: a new policy or catalogue has another key, and the old
// bodies fall out at the end. It is safe for concurrent use.
type Views struct {
	maxBytes int64

	mu      sync.Mutex // guards what follows
	bytes   int64
	order   *list.List // of *view, most recently used first
	byKey   map[ViewKey]*list.Element
	flights map[ViewKey]*flight
	hits    int64 // guarded by mu
	misses  int64 // guarded by mu
}

type view struct {
	key  ViewKey
	body []byte
}

// flight is a build under way, which later callers of the same key wait for.
type flight struct {
	done chan struct{} // closed when body and err are set
	body []byte
	err  error
}

// viewOverhead is what an entry costs beside its key and body.
const viewOverhead = 256

// NewViews returns an empty cache that holds at most maxBytes of keys and bodies. With
// maxBytes ≤ 0 it holds nothing and only merges simultaneous builds.
func NewViews(maxBytes int64) *Views {
	return &Views{
		maxBytes: maxBytes,
		order:    list.New(),
		byKey:    map[ViewKey]*list.Element{},
		flights:  map[ViewKey]*flight{},
	}
}

// Use says how many lists were found since the start, and how many had to be made.
func (v *Views) Use() (hits, misses int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.hits, v.misses
}

// errBuildPanicked is what waiting callers get when the caller that built for them panicked.
var errBuildPanicked = errors.New("build list view: panicked")

// Get returns the body under key, building it when it is absent. However many callers ask
// at once, one builds and the others wait for it. An error of build is returned to all of
// them and not kept. The body is shared: it must not be changed.
func (v *Views) Get(key ViewKey, build func() ([]byte, error)) ([]byte, error) {
	v.mu.Lock()
	if e, ok := v.byKey[key]; ok {
		v.order.MoveToFront(e)
		v.hits++
		v.mu.Unlock()
		return e.Value.(*view).body, nil
	}
	if f, ok := v.flights[key]; ok {
		v.mu.Unlock()
		<-f.done
		return f.body, f.err
	}
	v.misses++
	f := &flight{done: make(chan struct{}), err: errBuildPanicked}
	v.flights[key] = f
	v.mu.Unlock()

	defer v.land(key, f)
	f.body, f.err = build()
	return f.body, f.err
}

// land stores what was built and lets the waiting callers go, also when build panicked.
func (v *Views) land(key ViewKey, f *flight) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.flights, key)
	if f.err == nil {
		v.store(&view{key: key, body: f.body})
	}
	close(f.done)
}

func (v *Views) store(w *view) {
	size := w.size()
	if size > v.maxBytes {
		return
	}
	v.byKey[w.key] = v.order.PushFront(w)
	v.bytes += size
	for v.bytes > v.maxBytes {
		last := v.order.Back()
		old := v.order.Remove(last).(*view)
		delete(v.byKey, old.key)
		v.bytes -= old.size()
	}
}

func (w *view) size() int64 { return int64(cap(w.body)) + w.key.size() + viewOverhead }
