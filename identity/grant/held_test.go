package grant

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHoldingIsWhatASubjectHasAndNoOther(t *testing.T) {
	s := memory(t)
	r := open(t, s)
	wide := func(g *Grant) {
		g.Task, g.Reason, g.ClientID = "task", "because", "client"
		g.Actors, g.Roles, g.Tools = []string{"an"}, []string{"reader"}, []string{"a.b"}
		g.Args = []Constraint{{Tools: "a.b", Schema: json.RawMessage(`{}`)}, {Tools: "a.c", Rego: "data.x"}}
		g.Budgets = []Budget{{"a.bcd", 1}}
	}
	const id = 29 // bytes of an identifier
	const bytes = id + 4 + 7 + 6 + 2 + 6 + 3 + 3 + 2 + 3 + 6 + 5
	if got := r.Holding("", "alice"); got != (Holding{}) {
		t.Errorf("before anything: %+v; want nothing", got)
	}
	one, two := create(t, r, wide), create(t, r, wide)
	create(t, r, func(g *Grant) { g.Subject = "bob" })
	if got, want := r.Holding("", "alice"), (Holding{2, 2 * bytes}); got != want {
		t.Errorf("of two grants: %+v; want %+v", got, want)
	}
	if got := r.Holding("https://elsewhere.example", "alice"); got != (Holding{}) {
		t.Errorf("of another issuer's alice: %+v; want nothing", got)
	}
	if got := r.Live(); got != 3 {
		t.Errorf("%d grants live; want 3", got)
	}
	if _, err := r.Revoke(t.Context(), Filter{ID: one.Grant().ID}, Revoked, "", ""); err != nil {
		t.Fatal(err)
	}
	if got, want := r.Holding("", "alice"), (Holding{2, 2 * bytes}); got != want || r.Live() != 2 {
		t.Errorf("after one has ended: %+v, %d live; want %+v, 2 live", got, r.Live(), want)
	}
	for i, l := range []*Live{one, two} {
		r.mu.Lock()
		r.detach(l)
		r.mu.Unlock()
		if got, want := r.Holding("", "alice"), (Holding{1 - i, (1 - i) * bytes}); got != want {
			t.Errorf("with %d forgotten: %+v; want %+v", i+1, got, want)
		}
	}
}

// counting is a store that counts what it is told to keep.
type counting struct {
	*Memory
	checkpoints int
	labels      []map[string][]string
}

// Checkpoint implements Store.
func (c *counting) Checkpoint(ctx context.Context, seq uint64, usage map[string]Usage, labels map[string][]string) error {
	c.checkpoints++
	c.labels = append(c.labels, labels)
	return c.Memory.Checkpoint(ctx, seq, usage, labels)
}

func TestCheckpointIsWrittenWhereThereIsSomethingNew(t *testing.T) {
	s := &counting{Memory: memory(t)}
	r := open(t, s)
	id := create(t, r, nil).Grant().ID
	for _, tt := range []struct {
		name  string
		seq   uint64
		entry Entry
		want  int // checkpoints so far
	}{
		{"nothing yet", 0, Entry{}, 0},
		{"a record of a grant that is forgotten", 3, Entry{Grant: NewID(), Calls: 1}, 1},
		{"labels alone", 4, Entry{Grant: id, Labels: []string{"a"}}, 2},
		{"a call alone", 5, Entry{Grant: id, Tool: "files.read", Calls: 1}, 3},
	} {
		r.Journal(tt.seq, tt.entry)
		for range 2 { // the second has nothing new
			if err := r.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if s.checkpoints != tt.want {
			t.Errorf("%s: %d checkpoints were written; want %d", tt.name, s.checkpoints, tt.want)
		}
		if seq, _, _, _ := s.Restore(t.Context()); seq != tt.seq {
			t.Errorf("%s: the store has number %d; want %d", tt.name, seq, tt.seq)
		}
	}
	if diff := cmp.Diff([]map[string][]string{{}, {id: {"a"}}, {}}, s.labels); diff != "" {
		t.Errorf("labels of the checkpoints (-want +got):\n%s", diff)
	}
	again := open(t, s)
	if l, err := again.Find(id); err != nil || !cmp.Equal(l.Labels(), []string{"a"}) {
		t.Errorf("after a restart: %v; want the label", err)
	}
}

func TestDeleteTakesGrantsAndScopesTogether(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		g := ask(func(g *Grant) { g.ID = NewID() })
		if err := s.Create(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		if err := s.Checkpoint(t.Context(), 1, map[string]Usage{g.ID: {Calls: 1}}, map[string][]string{g.ID: {"a"}}); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(t.Context(), []string{g.ID}, []string{g.ID}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), g.ID); err != ErrUnknown {
			t.Errorf("Get of what was deleted: %v; want %v", err, ErrUnknown)
		}
		if _, usage, labels, err := s.Restore(t.Context()); err != nil || len(usage)+len(labels) != 0 {
			t.Errorf("Restore: %v, %v, %v; want nothing", usage, labels, err)
		}
	})
}
