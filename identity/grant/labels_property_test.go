package grant

import (
	"context"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A task's labels never wash off: whatever is added, recorded, written and lost in whatever order, each
// grant of a scope (a tree, or one caller's tokens for one task) has what the scope had before and what was
// recorded, also after a crash; and no other scope has any of it.
func TestLabelsOnlyGrow(t *testing.T) {
	crashes, grown := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		defer func() { _ = errors.Join(m.r.Close(), m.store.Close()) }()
		live, kept := map[string][]string{}, map[string][]string{} // by scope: added, and recorded
		scope := func(id string) string { return m.scope(t, id) }
		labels := func(id string) []string {
			l, err := m.r.Find(id)
			if err != nil {
				t.Fatal(err)
			}
			return l.Labels()
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				for _, id := range m.ids {
					have, want := labels(id), slices.Clone(live[scope(id)])
					slices.Sort(want)
					if want = slices.Compact(want); !slices.Equal(have, want) {
						t.Fatalf("grant %s has %q; want %q", id, have, want)
					}
				}
			},
			"add": func(t *rapid.T) {
				id := rapid.SampledFrom(m.ids).Draw(t, "grant")
				l, err := m.r.Find(id)
				if err != nil {
					t.Fatal(err)
				}
				added := rapid.SliceOfN(rapid.SampledFrom([]string{"source:private", "source:untrusted", "sink:external", "x"}), 1, 2).Draw(t, "labels")
				if _, ok := l.AddLabels(added); !ok {
					t.Fatalf("%q were not added", added)
				}
				live[scope(id)] = append(live[scope(id)], added...)
				grown++
				if rapid.Bool().Draw(t, "recorded") {
					m.log = append(m.log, logged{uint64(len(m.log) + 1), Entry{Grant: id, Labels: added}})
					m.r.Journal(uint64(len(m.log)), m.log[len(m.log)-1].entry)
					kept[scope(id)] = append(kept[scope(id)], added...)
				}
			},
			"checkpoint": func(t *rapid.T) {
				if err := m.r.Checkpoint(context.Background()); err != nil {
					t.Fatal(err)
				}
				// What is written may hold what no record has yet: more than was recorded, never less.
				for _, id := range m.ids {
					kept[scope(id)] = append(kept[scope(id)], m.written(t, id)...)
				}
			},
			"fail a checkpoint": func(*rapid.T) {
				m.store.Fail(errors.New("disk full"))
				_ = m.r.Checkpoint(context.Background()) // nil where there is nothing to write
				m.store.Fail(nil)
			},
			"crash": func(t *rapid.T) {
				m.r = crash(t, m.r, m.store, m.log)
				for r := range live {
					live[r] = slices.Clone(kept[r])
				}
				crashes++
			},
		})
	})
	if crashes == 0 || grown == 0 {
		t.Errorf("%d crashes and %d labels added; the test shows nothing", crashes, grown)
	}
}

// written are the labels that the store has of the grant's scope.
func (m *model) written(t *rapid.T, id string) []string {
	_, _, labels, err := m.store.Restore(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return labels[m.scope(t, id)]
}

func (m *model) scope(t *rapid.T, id string) string {
	l, err := m.r.Find(id)
	if err != nil {
		t.Fatal(err)
	}
	return l.scope.key
}
