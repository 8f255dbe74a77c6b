package grant

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// stores are the stores that must behave alike.
func stores(t *testing.T, claim func(*testing.T, Store)) {
	t.Run("memory", func(t *testing.T) { claim(t, memory(t)) })
	t.Run("bolt", func(t *testing.T) { claim(t, bolt(t, filepath.Join(t.TempDir(), "grants.db"))) })
}

func full() Grant {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	return Grant{
		ID: NewID(), Parent: "gr_p", Root: "gr_r", Depth: 2, Task: "T", Subject: "s", Issuer: "i", ClientID: "c",
		Actors: []string{"a"}, Roles: []string{"r"}, Tools: []string{"files.*"},
		Args:     []Constraint{{Tools: "files.*", Schema: []byte(`{"type":"object"}`)}, {Tools: "a.b", Rego: "data.x"}},
		MaxCalls: 3, Budgets: []Budget{{"files.*", 2}}, Created: at, NotBefore: at, Expires: at.Add(time.Hour),
		JKT: "j", X5T: "x", Measured: "m", ApprovedBy: "b", Reason: "y", Via: "socket", Implicit: true,
		State: Completed, Ended: at, EndedBy: "e", EndedWhy: "w",
	}
}

func TestStoreKeepsEveryFieldAndComparesBeforeItSets(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		ctx, want := t.Context(), full()
		if err := s.Create(ctx, want); err != nil {
			t.Fatal(err)
		}
		if err := s.Create(ctx, want); !errors.Is(err, ErrExists) {
			t.Errorf("Create of an ID that is there: %v; want %v", err, ErrExists)
		}
		want.Rev = 1
		got, err := s.Get(ctx, want.ID)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Get: %v (-want +got):\n%s", err, diff)
		}
		got.State = Revoked
		if got, err = s.Update(ctx, got); err != nil || got.Rev != 2 {
			t.Errorf("Update: revision %d, %v; want 2", got.Rev, err)
		}
		if _, err := s.Update(ctx, want); !errors.Is(err, ErrConflict) {
			t.Errorf("Update of an old revision: %v; want %v", err, ErrConflict)
		}
		other := full()
		if _, err := s.Update(ctx, other); !errors.Is(err, ErrUnknown) {
			t.Errorf("Update of no grant: %v; want %v", err, ErrUnknown)
		}
		if err := s.Create(ctx, other); err != nil {
			t.Fatal(err)
		}
		other.Rev, other.State = 1, Revoked
		if _, err := s.UpdateAll(ctx, []Grant{other, want}); !errors.Is(err, ErrConflict) {
			t.Errorf("UpdateAll with an old revision: %v; want %v", err, ErrConflict)
		}
		if got, err := s.Get(ctx, other.ID); err != nil || got.State != Completed {
			t.Errorf("after an UpdateAll that failed: %q, %v; want none of it kept", got.State, err)
		}
		if err := s.Delete(ctx, []string{want.ID, "gr_nobody"}, nil); err != nil {
			t.Errorf("Delete: %v", err)
		}
		if _, err := s.Get(ctx, want.ID); !errors.Is(err, ErrUnknown) {
			t.Errorf("Get of what was deleted: %v; want %v", err, ErrUnknown)
		}
	})
}

func TestWatchTellsSnapshotThenEveryChangeInOrder(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		g := full()
		if err := s.Create(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		events, err := s.Watch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		g.Rev = 1
		for range 20 {
			if g, err = s.Update(t.Context(), g); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Delete(t.Context(), []string{g.ID}, nil); err != nil {
			t.Fatal(err)
		}
		next := func() (e Event) {
			for e.Kind == 0 || e.Kind == Heartbeat {
				e = <-events
			}
			return e
		}
		if e := next(); e.Kind != Put || e.Grant.Rev != 1 {
			t.Errorf("first event: %d, revision %d; want the grant as it was", e.Kind, e.Grant.Rev)
		}
		if e := next(); e.Kind != Synced {
			t.Errorf("second event: %d; want Synced", e.Kind)
		}
		for want := uint64(2); want <= g.Rev; want++ {
			if e := next(); e.Kind != Put || e.Grant.Rev != want {
				t.Fatalf("event %d of revision %d; want Put of %d", e.Kind, e.Grant.Rev, want)
			}
		}
		if e := next(); e.Kind != Deleted || e.Grant.ID != g.ID {
			t.Errorf("last event: %d; want Deleted", e.Kind)
		}
		for e := (Event{}); e.Kind != Heartbeat; {
			e = <-events
		}
		cancel()
		for range events { // ends, or the test does not
		}
	})
}

func TestCheckpointsAddUp(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		if b, ok := s.(*Bolt); ok {
			b.db.NoSync = true // nobody cuts the power, and there are many
		}
		rapid.Check(t, func(rt *rapid.T) {
			seq, wantUsage, wantLabels := uint64(0), map[string]Usage{}, map[string][]string{}
			// Stores are not emptied between runs, so each has keys of its own.
			keys := []string{NewID(), NewID(), `["i","` + NewID() + `"]`}
			for range rapid.IntRange(1, 5).Draw(rt, "checkpoints") {
				seq = rapid.Uint64().Draw(rt, "seq")
				usage, labels := map[string]Usage{}, map[string][]string{}
				for _, k := range rapid.SliceOfDistinct(rapid.SampledFrom(keys), rapid.ID).Draw(rt, "keys") {
					usage[k] = Usage{Calls: rapid.Int64().Draw(rt, "calls"), ByTool: map[string]int64{"a.b": 1}}
					labels[k] = []string{rapid.String().Draw(rt, "label")}
					wantUsage[k], wantLabels[k] = usage[k], labels[k]
				}
				if err := s.Checkpoint(t.Context(), seq, usage, labels); err != nil {
					rt.Fatal(err)
				}
			}
			gotSeq, allUsage, allLabels, err := s.Restore(t.Context())
			if err != nil {
				rt.Fatal(err)
			}
			gotUsage, gotLabels := map[string]Usage{}, map[string][]string{}
			for _, k := range keys {
				if u, ok := allUsage[k]; ok {
					gotUsage[k], gotLabels[k] = u, allLabels[k]
				}
			}
			if diff := cmp.Diff(wantUsage, gotUsage) + cmp.Diff(wantLabels, gotLabels); diff != "" || gotSeq != seq {
				rt.Fatalf("Restore: number %d; want %d (-want +got):\n%s", gotSeq, seq, diff)
			}
			if err := s.Delete(t.Context(), keys[:2], keys); err != nil {
				rt.Fatal(err)
			}
			if _, usage, labels, _ := s.Restore(t.Context()); len(usage)+len(labels) != 0 {
				rt.Fatalf("after Delete: %v, %v; want nothing", usage, labels)
			}
		})
	})
}

// A watcher that takes nothing must not hold up the writes of others, nor grow without end.
func TestWatcherThatTakesNothingIsLetGo(t *testing.T) {
	var f feed
	events, err := f.watch(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2*maxBehind + 2 { // one queue may be taken already, and wait to be sent
		f.tell(Event{Kind: Put})
	}
	n := 0
	for range events { // ends, or the test does not
		n++
	}
	if n > maxBehind+2 {
		t.Errorf("%d events came before the end; want at most the one queue", n)
	}
	f.close()
	if _, err := f.watch(t.Context(), nil); !errors.Is(err, errClosed) {
		t.Errorf("watch of a closed feed: %v; want %v", err, errClosed)
	}
}
