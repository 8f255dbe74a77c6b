package pin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/gateway/wire"
)

// FileName is the name of the file of pins in the state directory.
const FileName = "pins.yaml"

// Options are what a store works with. All may be left out.
type Options struct {
	Mode Mode
	// Event is told of changes, after the file holds them and before what they concern is served
	// or not. It may wait (for the audit record), and must not call the store.
	Event func(Event)
	// Changed is told that a review, or another mode, has changed what a server may show. It must
	// not wait; a gateway asks for a refresh of that server's catalogue.
	Changed func(server string)
	// Record writes an act of review down before it counts; on its error nothing is done.
	Record func(ctx context.Context, a Act) error
	Log    *slog.Logger
	Now    func() time.Time // default time.Now
}

// ErrLocked is wrapped where another process writes the pins.
var ErrLocked = errors.New("another process writes them: a gateway that runs, or a command; stop it, or use another state directory")

// Store is the pins of all servers: one file. It is safe for concurrent use.
type Store struct {
	path string
	o    Options
	lock *os.File
	mode atomic.Uint32
	most int // bytes of the definitions of one server

	// acting is held by one writer at a time, also while it waits for the disk. It works on copies,
	// which take the place of what readers see when they are on disk; nobody who reads waits.
	acting sync.Mutex
	dirty  bool // guarded by acting: the file does not hold what is here

	current atomic.Pointer[map[string]*server] // what is in it is immutable
}

// server is the pins of one server.
type server struct {
	entries map[key]*entry
	looked  map[look]bool // the lists that this process has seen
}

// look is one list.
type look struct {
	kind Kind
	era  wire.Era
}

func newServer() *server { return &server{entries: map[key]*entry{}, looked: map[look]bool{}} }

// clone returns a copy to work on. The versions are shared.
func (s *server) clone() *server {
	next := newServer()
	if s == nil {
		return next
	}
	for k, e := range s.entries {
		copied := *e
		next.entries[k] = &copied
	}
	maps.Copy(next.looked, s.looked)
	return next
}

// servers is what counts now.
func (s *Store) servers() map[string]*server { return *s.current.Load() }

// with is what would count with other pins of one server.
func (s *Store) with(name string, next *server) map[string]*server {
	all := maps.Clone(s.servers())
	all[name] = next
	return all
}

func (s *Store) now() Mode { return Mode(s.mode.Load()) }

// Open reads the file at path, which need not exist, and keeps other processes from writing it
// until Close. A file that is not what a store has written, or what a person may write instead, is
// an error that says where and what to do; nothing is pinned anew in its place.
func Open(path string, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open pins: %w", err)
	}
	held, err := lock(path + ".lock")
	if err != nil {
		return nil, err
	}
	servers, err := read(path)
	if err != nil {
		_ = held.Close() // the file's error is the one that matters
		return nil, err
	}
	s := &Store{path: path, o: o, lock: held, most: maxServerBytes}
	s.mode.Store(uint32(o.Mode))
	s.current.Store(&servers)
	return s, nil
}

// Close lets other processes write the file.
func (s *Store) Close() error { return s.lock.Close() }

// SetMode changes what is done with unreviewed definitions, from the next refresh on, which it
// asks for.
func (s *Store) SetMode(m Mode) {
	if Mode(s.mode.Swap(uint32(m))) != m {
		s.changed(slices.Sorted(maps.Keys(s.servers()))...)
	}
}

func (s *Store) changed(servers ...string) {
	for _, name := range servers {
		if s.o.Changed != nil {
			s.o.Changed(name)
		}
	}
}

// Pins are those of one server.
type Pins struct {
	store *Store
	name  string
}

// Server returns the pins of one server, by its name in the configuration. There are none until
// [Pins.See].
func (s *Store) Server(name string) *Pins { return &Pins{s, name} }

// entry returns what is known of a name, or nil.
func (p *Pins) entry(kind Kind, name string) *entry {
	if known := p.store.servers()[p.name]; known != nil {
		return known.entries[key{kind, name}]
	}
	return nil
}

// Serves returns the bytes of what may be served under a name in an era: those that are pinned,
// where the server's newest list has shown nothing else.
func (p *Pins) Serves(era wire.Era, kind Kind, name string) ([]byte, bool) {
	if v := p.entry(kind, name).serves(era, p.store.now()); v != nil {
		return v.raw, true
	}
	return nil, false
}

// Live returns what may be shown of one definition that has come straight from the server: the
// pinned bytes if it is what is pinned, else nil. Then the catalogue is to be fetched again, which
// says why and tells of it.
func (p *Pins) Live(era wire.Era, kind Kind, name string, raw []byte) []byte {
	if v := p.entry(kind, name).serves(era, p.store.now()); v.is(raw) {
		return v.raw
	}
	return nil
}

// Reviewed reports whether a person has reviewed the definition with this digest under this name.
func (p *Pins) Reviewed(kind Kind, name, digest string) bool {
	e := p.entry(kind, name)
	if e == nil {
		return false
	}
	for _, v := range e.pin {
		if v != nil && v.reviewed != nil && v.digest == digest {
			return true
		}
	}
	return false
}
