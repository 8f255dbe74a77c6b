package grant

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// logged is one record of the fake audit log.
type logged struct {
	seq   uint64
	entry Entry
}

// crash opens the store anew and replays the log, as a start of the gateway does.
func crash(t fataler, r *Registry, s Store, log []logged) *Registry {
	_ = r.Close()
	r, err := NewRegistry(context.Background(), s, Options{})
	if err != nil {
		t.Fatalf("NewRegistry: %v", err)
	}
	for _, e := range log { // all of it: what the checkpoint has must not count twice
		r.Journal(e.seq, e.entry)
	}
	return r
}

type fataler interface {
	Fatalf(format string, args ...any)
}

// model is one tree with a child and two implicit roots, and what must be true of them.
type model struct {
	r       *Registry
	store   *Memory
	log     []logged
	ids     []string
	durable map[string]int64 // calls by ID, of what the log has, ancestors included
	parents map[string]string
	waiting []waiting // reserved, not yet in the log
	done    []waiting // in the log
}

type waiting struct {
	res   *Reservation
	entry Entry
}

func (m *model) charge(e Entry) {
	m.log = append(m.log, logged{uint64(len(m.log) + 1), e})
	m.r.Journal(uint64(len(m.log)), e)
	for id := e.Grant; id != ""; id = m.parents[id] {
		m.durable[id] += e.Calls
	}
}

func (m *model) check(t *rapid.T) {
	pending := map[string]int64{}
	for _, w := range m.waiting {
		for id := w.entry.Grant; id != ""; id = m.parents[id] {
			pending[id]++
		}
	}
	for _, id := range m.ids {
		s, ok := m.r.Get(id)
		if want := m.durable[id] + pending[id]; !ok || s.Usage.Calls != want {
			t.Fatalf("grant %s: %d calls; want %d of the log and %d being written", id, s.Usage.Calls, m.durable[id], pending[id])
		}
	}
}

func newModel(t *rapid.T) *model {
	m := &model{store: NewMemory(), durable: map[string]int64{}, parents: map[string]string{}}
	var err error
	if m.r, err = NewRegistry(context.Background(), m.store, Options{}); err != nil {
		t.Fatal(err)
	}
	make := func(parent string, implicit bool) string {
		g := Grant{Subject: "alice", Expires: time.Now().Add(time.Hour).Round(time.Second), Parent: parent, Implicit: implicit}
		if parent != "" {
			s, _ := m.r.Get(parent)
			g.Expires = s.Expires
		}
		g, err := m.r.Create(context.Background(), g)
		if err != nil {
			t.Fatal(err)
		}
		m.ids = append(m.ids, g.ID)
		m.parents[g.ID] = parent
		return g.ID
	}
	make(make(make("", false), false), false)
	make("", true)
	make("", true)
	return m
}

func (m *model) reserve(t *rapid.T) {
	id := rapid.SampledFrom(m.ids).Draw(t, "grant")
	l, err := m.r.Find(id)
	if err != nil {
		t.Fatal(err)
	}
	tool := rapid.SampledFrom([]string{"read", "write"}).Draw(t, "tool")
	res, err := l.Reserve("files", tool, Cost{})
	if err != nil {
		t.Fatal(err)
	}
	m.waiting = append(m.waiting, waiting{res, Entry{Grant: id, Tool: "files." + tool, Calls: 1}})
}

// Whatever happens in whatever order, what is counted is what the log has and what is being
// written to it; after a crash it is what the log has.
func TestCountersAreThoseOfTheLogAfterEveryCrash(t *testing.T) {
	crashes := 0
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		defer func() { _ = errors.Join(m.r.Close(), m.store.Close()) }()
		t.Repeat(map[string]func(*rapid.T){
			"":        m.check,
			"reserve": m.reserve,
			"record": func(t *rapid.T) {
				if len(m.waiting) == 0 {
					return // nothing is reserved
				}
				m.charge(m.waiting[0].entry)
				m.done, m.waiting = append(m.done, m.waiting[0]), m.waiting[1:]
			},
			"fail to record": func(t *rapid.T) {
				if len(m.waiting) == 0 {
					return // nothing is reserved
				}
				m.waiting[0].res.Refund()
				m.waiting = m.waiting[1:]
			},
			"give back": func(t *rapid.T) {
				if len(m.done) == 0 {
					return // nothing is recorded
				}
				w := m.done[0]
				m.done = m.done[1:]
				w.res.Refund()
				w.entry.Calls = -1
				m.charge(w.entry)
			},
			"checkpoint": func(t *rapid.T) {
				if err := m.r.Checkpoint(context.Background()); err != nil {
					t.Fatal(err)
				}
			},
			"fail a checkpoint": func(*rapid.T) {
				m.store.Fail(errors.New("disk full"))
				_ = m.r.Checkpoint(context.Background()) // nil where there is nothing to write
				m.store.Fail(nil)
			},
			"crash": func(t *rapid.T) {
				m.r = crash(t, m.r, m.store, m.log)
				m.waiting, m.done = nil, nil // died with the process; the log has what was recorded
				crashes++
			},
		})
		want := m.durable
		m.r = crash(t, m.r, m.store, m.log)
		for _, id := range m.ids {
			s, _ := m.r.Get(id)
			if s.Usage.Calls != want[id] {
				t.Fatalf("grant %s after a crash: %d calls; want %d, those of the log", id, s.Usage.Calls, want[id])
			}
		}
	})
	if crashes == 0 {
		t.Error("no run crashed; the test shows nothing")
	}
}

func TestBudgetsAndLabelsSurviveInCheckpointAndLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grants.db")
	b := bolt(t, path)
	r := open(t, b)
	change := func(g *Grant) {
		g.Implicit, g.Task, g.Budgets = true, longName(1000), []Budget{{"files.*", 3}}
	}
	l := create(t, r, change)
	id := l.Grant().ID
	reserve(t, l, "files", "read.all", 2)
	r.Journal(7, Entry{Grant: id, Tool: "files.read.all", Calls: 1, Labels: []string{"b"}})
	if err := r.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Journal(8, Entry{Grant: id, Tool: "files.read.all", Calls: 1, Labels: []string{"a"}}) // in the log alone
	if err := errors.Join(r.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}

	r = open(t, bolt(t, path))
	if got := r.JournalSeq(); got != 7 {
		t.Errorf("JournalSeq after a restart: %d; want 7, the checkpoint's", got)
	}
	r.Journal(7, Entry{Grant: id, Tool: "files.read.all", Calls: 1})
	r.Journal(8, Entry{Grant: id, Tool: "files.read.all", Calls: 1, Labels: []string{"a"}})
	r.Journal(9, Entry{Grant: "gr_forgotten", Tool: "files.read.all", Calls: 1})
	if l, _ = r.Find(id); l == nil {
		t.Fatal("the grant is gone after a restart")
	}
	if diff := cmp.Diff([]string{"a", "b"}, l.Labels()); diff != "" {
		t.Errorf("labels after a restart (-want +got):\n%s", diff)
	}
	again := create(t, r, change) // of the same scope
	if _, err := again.Reserve("files", "x", Cost{}, Bound{N: 2}); err == nil {
		t.Error("a policy's bound of 2 calls allows a third after a restart; want refused")
	}
	reserve(t, l, "files", "read.all", 1)
	_, err := l.Reserve("files", "read.all", Cost{})
	wantExhausted(t, err, fmt.Sprintf("grant %s allows 3 calls of files.* and all are used; ask for a new grant", id))
}
