package grant

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// What a bound names is allowed, and one more is not.
func TestGrantsAtTheirBoundsAreMade(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	r, err := NewRegistry(t.Context(), memory(t), Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	constraints := func(n int) (out []Constraint) {
		for i := range n {
			out = append(out, Constraint{Tools: fmt.Sprintf("a.b%d", i), Rego: "data.x"})
		}
		return out
	}
	budgets := func(n int) (out []Budget) {
		for i := range n {
			out = append(out, Budget{fmt.Sprintf("a.b%d", i), 1})
		}
		return out
	}
	for _, tt := range []struct {
		name   string
		most   int
		change func(g *Grant, n int)
	}{
		{"bytes of a text", 1024, func(g *Grant, n int) { g.ApprovedBy = longName(n) }},
		{"roles", 64, func(g *Grant, n int) { g.Roles = numbered("r%d", n) }},
		{"actors", 64, func(g *Grant, n int) { g.Actors = numbered("a%d", n) }},
		{"tools", 64, func(g *Grant, n int) { g.Tools = numbered("files.t%d", n) }},
		{"budgets", 64, func(g *Grant, n int) { g.Budgets = budgets(n) }},
		{"constraints", 64, func(g *Grant, n int) { g.Args = constraints(n) }},
		{"bytes of a pattern", 256, func(g *Grant, n int) { g.Tools = []string{"a." + longName(n-2)} }},
		{"bytes of a rule's name", 256, func(g *Grant, n int) { g.Args = []Constraint{{Tools: "a.b", Rego: "data." + longName(n-5)}} }},
		{"bytes of a schema", 64 << 10, func(g *Grant, n int) {
			g.Args = []Constraint{{Tools: "a.b", Schema: json.RawMessage("{" + strings.Repeat(" ", n-2) + "}")}}
		}},
		{"calls", 1 << 53, func(g *Grant, n int) { g.MaxCalls = int64(n) }},
		{"calls of a budget", 1 << 53, func(g *Grant, n int) { g.Budgets = []Budget{{"a.b", int64(n)}} }},
		{"nanoseconds to the beginning", int(time.Hour) - 1, func(g *Grant, n int) { g.NotBefore = now.Add(time.Duration(n)) }},
	} {
		for _, n := range []int{tt.most, tt.most + 1} {
			g := ask(func(g *Grant) { g.Expires = now.Add(time.Hour) })
			tt.change(&g, n)
			if _, err := r.Create(context.Background(), g); (err == nil) != (n == tt.most) {
				t.Errorf("%d %s: Create says %v; at most %d are allowed", n, tt.name, err, tt.most)
			}
		}
	}
}

func TestChildMayHaveAllThatItsParentHas(t *testing.T) {
	r := open(t, memory(t))
	root := create(t, r, func(g *Grant) {
		g.MaxCalls, g.Tools, g.Roles = 5, []string{"files.read_*"}, []string{"reader", "writer"}
	})
	child, err := r.Create(t.Context(), ask(childOf(root, func(g *Grant) {
		g.MaxCalls, g.Tools, g.Roles = 5, []string{"files.read_*"}, []string{"reader", "writer"}
	})))
	if err != nil {
		t.Fatalf("a child as wide as its parent: %v", err)
	}
	if _, err := r.Create(t.Context(), ask(childOf(create(t, r, nil), func(g *Grant) { g.MaxCalls = 1 }))); err != nil {
		t.Errorf("a child with a bound, of a parent that has none: %v", err)
	}
	for _, tt := range []struct {
		name   string
		change func(*Grant)
	}{
		{"one call more", func(g *Grant) { g.MaxCalls = 6 }},
		{"a nanosecond longer", func(g *Grant) { g.Expires = root.Grant().Expires.Add(1) }},
		{"another role", func(g *Grant) { g.Roles = []string{"reader", "admin"} }},
		{"a wider pattern", func(g *Grant) { g.Tools = []string{"files.read*"} }},
	} {
		if _, err := r.Create(t.Context(), ask(childOf(root, tt.change))); err == nil {
			t.Errorf("a child of %s with %s was made", child.Parent, tt.name)
		}
	}
}

func TestLabelsOfATreeAreBounded(t *testing.T) {
	r := open(t, memory(t))
	l := create(t, r, nil)
	all := numbered("l%02d", MaxLabels)
	if after, ok := l.AddLabels(all[:MaxLabels-1]); !ok || len(after) != MaxLabels-1 {
		t.Fatalf("%d labels: %d, %v; want all", MaxLabels-1, len(after), ok)
	}
	if after, ok := l.AddLabels([]string{all[MaxLabels-1], "one_more"}); ok || len(after) != MaxLabels-1 {
		t.Errorf("two labels where one has room: %d, %v; want none added", len(after), ok)
	}
	if after, ok := l.AddLabels(all[MaxLabels-1:]); !ok || !slices.Equal(after, all) {
		t.Errorf("the last label: %q, %v; want all %d", after, ok, MaxLabels)
	}
	if after, ok := l.AddLabels([]string{"one_more"}); ok || !slices.Equal(after, all) || !slices.Equal(l.Labels(), all) {
		t.Errorf("one label more: %q, %v; want it refused and the others kept", after, ok)
	}
	if after, ok := l.AddLabels(all); !ok || !slices.Equal(after, all) {
		t.Errorf("labels that are there: %q, %v; want them as they are", after, ok)
	}
}

// A count never falls below nothing, and calls that were given back can be made again.
func TestRefundGivesBackExactlyWhatWasTaken(t *testing.T) {
	r := open(t, memory(t))
	l := create(t, r, func(g *Grant) { g.MaxCalls, g.Budgets = 2, []Budget{{"files.*", 1}} })
	res := reserve(t, l, "files", "read", 1)
	if _, err := l.Reserve("files", "read", Cost{}); err == nil {
		t.Error("a second call of a budget of one was made")
	}
	for range 2 {
		res.Refund()
	}
	if left, bounded := l.CallsLeft(); left != 2 || !bounded {
		t.Errorf("after a refund that was asked for twice: %d calls left, bounded %v; want 2", left, bounded)
	}
	reserve(t, l, "files", "read", 1)
	reserve(t, l, "web", "get", 1)
	_, err := l.Reserve("web", "get", Cost{})
	wantExhausted(t, err, "grant "+l.Grant().ID+" allows 2 calls and all are used; ask for a new grant")
	if left, bounded := l.CallsLeft(); left != 0 || !bounded {
		t.Errorf("with no calls left: %d, bounded %v; want 0", left, bounded)
	}
	if left, bounded := create(t, r, nil).CallsLeft(); left != 0 || bounded {
		t.Errorf("a grant without a bound: %d, bounded %v; want unbounded", left, bounded)
	}
}

// Bytes are allowed up to the bound and counted where something bounds them.
func TestBytesUpToTheBoundAreTaken(t *testing.T) {
	r := open(t, memory(t))
	l := create(t, r, nil)
	bound := Bound{Kind: Bytes, N: 10}
	for _, n := range []int64{4, 6} {
		if _, err := l.Reserve("web", "post", Cost{Bytes: n}, bound); err != nil {
			t.Fatalf("%d bytes of 10: %v", n, err)
		}
	}
	if _, err := l.Reserve("web", "post", Cost{Bytes: 0}, bound); err != nil {
		t.Errorf("no bytes after all 10: %v; want it taken", err)
	}
	if _, err := l.Reserve("web", "post", Cost{Bytes: 1}, bound); err == nil {
		t.Error("an eleventh byte was taken")
	}
}
