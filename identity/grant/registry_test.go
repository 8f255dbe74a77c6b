package grant

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"
)

func open(t testing.TB, s Store) *Registry {
	t.Helper()
	r, err := NewRegistry(t.Context(), s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func memory(t testing.TB) *Memory {
	m := NewMemory()
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// ask is a grant as one may ask for it.
func ask(change func(*Grant)) Grant {
	g := Grant{Subject: "alice", ClientID: "cli", Task: "T-1", Roles: []string{"reader"}, Expires: time.Now().Add(time.Hour)}
	if change != nil {
		change(&g)
	}
	return g
}

func create(t testing.TB, r *Registry, change func(*Grant)) *Live {
	t.Helper()
	g, err := r.Create(context.Background(), ask(change))
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	l, err := r.Find(g.ID)
	if err != nil {
		t.Fatalf("Find of what was created: %v", err)
	}
	return l
}

func childOf(l *Live, change func(*Grant)) func(*Grant) {
	return func(g *Grant) {
		g.Parent, g.Expires = l.Grant().ID, l.Grant().Expires
		if change != nil {
			change(g)
		}
	}
}

func TestCreatedGrantIsFoundUntilItEnds(t *testing.T) {
	r := open(t, memory(t))
	l := create(t, r, nil)
	g := l.Grant()
	if !idForm.MatchString(g.ID) || g.Root != g.ID || g.Depth != 1 || g.State != Active || g.Rev != 1 || g.Created.IsZero() {
		t.Errorf("created %+v; want an ID, itself as root, depth 1, active, revision 1 and the time", *g)
	}
	if _, err := r.Revoke(t.Context(), Filter{ID: g.ID}, Revoked, "bob", "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Find(g.ID); !errors.Is(err, ErrRevoked) {
		t.Errorf("Find of a revoked grant: %v; want %v", err, ErrRevoked)
	}
	if _, err := r.Find("gr_nobody"); !errors.Is(err, ErrUnknown) {
		t.Errorf("Find of no grant: %v; want %v", err, ErrUnknown)
	}
}

func TestEndOfAParentEndsItsChildren(t *testing.T) {
	r := open(t, memory(t))
	parent := create(t, r, nil)
	child := create(t, r, childOf(parent, nil))
	ctx, done := child.Bind(t.Context())
	defer done()
	ended, err := r.Revoke(t.Context(), Filter{ID: parent.Grant().ID}, Completed, "alice", "done")
	if err != nil || len(ended) != 2 {
		t.Fatalf("Revoke ended %d grants, %v; want the parent and its child", len(ended), err)
	}
	if !errors.Is(context.Cause(ctx), ErrCompleted) {
		t.Errorf("context of the child: %v; want %v", context.Cause(ctx), ErrCompleted)
	}
	if _, err := r.Find(child.Grant().ID); !errors.Is(err, ErrCompleted) {
		t.Errorf("Find of the child: %v; want %v", err, ErrCompleted)
	}
}

func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
