package pin

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
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

// Store is the pins of all servers: one file. It is safe for concurrent use.
type Store struct {
	path string
	o    Options
	lock *os.File

	mu      sync.Mutex // guards what follows
	mode    Mode
	servers map[string]*server
	dirty   bool // the file does not hold what is here
}

// server is the pins of one server.
type server struct {
	entries map[key]*entry
}

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
	return &Store{path: path, o: o, lock: held, mode: o.Mode, servers: servers}, nil
}

// Close lets other processes write the file.
func (s *Store) Close() error { return s.lock.Close() }

// SetMode changes what is done with unreviewed definitions, from the next refresh on, which it
// asks for.
func (s *Store) SetMode(m Mode) {
	s.mu.Lock()
	same := s.mode == m
	s.mode = m
	names := make([]string, 0, len(s.servers))
	for name := range s.servers {
		names = append(names, name)
	}
	s.mu.Unlock()
	if !same {
		s.changed(names...)
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

// of returns a server's entries; mu must be held.
func (s *Store) of(name string) *server {
	if s.servers[name] == nil {
		s.servers[name] = &server{entries: map[key]*entry{}}
	}
	return s.servers[name]
}

// Serves returns the bytes of what may be served under a name in an era: those that are pinned,
// where the server's newest list has shown nothing else.
func (p *Pins) Serves(era wire.Era, kind Kind, name string) ([]byte, bool) {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	e := p.store.of(p.name).entries[key{kind, name}]
	if e == nil {
		return nil, false
	}
	if v := e.serves(era, p.store.mode); v != nil {
		return v.raw, true
	}
	return nil, false
}

// Live returns what may be shown of one definition that has come straight from the server: the
// pinned bytes if it is what is pinned, else nil. Then the catalogue is to be fetched again, which
// says why and tells of it.
func (p *Pins) Live(era wire.Era, kind Kind, name string, raw []byte) []byte {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	e := p.store.of(p.name).entries[key{kind, name}]
	if e == nil {
		return nil
	}
	if v := e.serves(era, p.store.mode); v.is(raw) {
		return v.raw
	}
	return nil
}

// Reviewed reports whether a person has reviewed the definition with this digest under this name.
func (p *Pins) Reviewed(kind Kind, name, digest string) bool {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	e := p.store.of(p.name).entries[key{kind, name}]
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
