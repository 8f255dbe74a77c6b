package grant

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestImpossibleGrantsAreRefusedInWords(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	s := memory(t)
	r, err := NewRegistry(t.Context(), s, Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	object := json.RawMessage(`{"type":"object"}`)
	for _, tt := range []struct {
		name   string
		change func(*Grant)
		want   string
	}{
		{"nobody's", func(g *Grant) { g.Subject = "" }, "subject: a grant needs a subject: whose it is"},
		{"id of another form", func(g *Grant) { g.ID = "gr_1" }, "id: not the identifier of a grant; leave it out to have one made"},
		{"control characters", func(g *Grant) { g.Task = "a\x1b[2Kb" }, `task: "a\x1b[2Kb" has control characters; leave them out`},
		{"text that turns the line", func(g *Grant) { g.Reason = "a\u202eb" }, `reason: "a\u202eb" has control characters; leave them out`},
		{"no UTF-8", func(g *Grant) { g.ClientID = "\xff" }, "client_id: not valid UTF-8"},
		{"long text", func(g *Grant) { g.ApprovedBy = longName(1025) }, "approved_by: 1025 bytes; at most 1024"},
		{"role twice", func(g *Grant) { g.Roles = []string{"reader", "reader"} }, `roles: "reader" is there twice`},
		{"empty role", func(g *Grant) { g.Roles = []string{""} }, "roles: an empty name"},
		{"many roles", func(g *Grant) { g.Roles = numbered("r%d", 65) }, "roles: 65 names; at most 64"},
		{"bad actor", func(g *Grant) { g.Actors = []string{"a\n"} }, `actors: "a\n" has control characters; leave them out`},
		{"no end", func(g *Grant) { g.Expires = time.Time{} }, "expires: a grant needs an end"},
		{"over already", func(g *Grant) { g.Expires = now }, "expires: 2026-03-04T05:06:07Z is not in the future; now it is 2026-03-04T05:06:07Z"},
		{"begins after its end", func(g *Grant) { g.NotBefore = now.Add(2 * time.Hour) }, "not_before: 2026-03-04T07:06:07Z is not before the end, 2026-03-04T06:06:07Z"},
		{"pattern without tool", func(g *Grant) { g.Tools = []string{"files"} }, `tools: pattern "files" names no tool; write "files.*" for all tools of files`},
		{"many patterns", func(g *Grant) { g.Tools = numbered("files.t%d", 65) }, "tools: 65 patterns; at most 64"},
		{"many budgets", func(g *Grant) { g.Budgets = make([]Budget, 65) }, "budgets: 65 patterns; at most 64"},
		{"negative calls", func(g *Grant) { g.MaxCalls = -1 }, "max_calls: -1; write a number from 1, or leave it out for no bound"},
		{"budget of nothing", func(g *Grant) { g.Budgets = []Budget{{"files.*", 0}} }, "budgets: 0 calls of files.*; write a number from 1"},
		{"budget of no pattern", func(g *Grant) { g.Budgets = []Budget{{"*", 1}} }, `budgets: pattern "*" names no tool; write "*.*" for every tool of every server`},
		{"many constraints", func(g *Grant) { g.Args = make([]Constraint, 65) }, "args: 65 constraints; at most 64"},
		{"constraint of no pattern", func(g *Grant) { g.Args = []Constraint{{Tools: ".x", Schema: object}} }, `args: pattern ".x" names no server; write "*.x" for the tool on every server`},
		{"constraint by nothing", func(g *Grant) { g.Args = []Constraint{{Tools: "a.b"}} }, "args: the constraint of a.b needs one of schema and rego"},
		{"constraint by two things", func(g *Grant) { g.Args = []Constraint{{"a.b", object, "data.x"}} }, "args: the constraint of a.b needs one of schema and rego"},
		{"rule that is none", func(g *Grant) { g.Args = []Constraint{{Tools: "a.b", Rego: "input.x"}} }, "args: the constraint of a.b names no rule; write its whole name, such as data.mcp.constraints.only_docs"},
		{"schema with two meanings", func(g *Grant) { g.Args = []Constraint{{Tools: "a.b", Schema: json.RawMessage(`{"a":1,"a":2}`)}} }, `args: the schema of a.b: the same member name twice in one object, at byte 7`},
		{"schema that is none", func(g *Grant) { g.Args = []Constraint{{Tools: "a.b", Schema: json.RawMessage(`true`)}} }, "args: the schema of a.b is not an object"},
		{"too large", func(g *Grant) {
			g.Args = []Constraint{{Tools: "a.b", Schema: json.RawMessage(`{"title":"` + longName(64<<10) + `"}`)}}
		}, "a grant of 65829 bytes as JSON; at most 65536"},
		{"parent that is none", func(g *Grant) { g.Parent = "gr_nobody" }, "parent: gr_nobody is not a grant that is known; see `sallyport grant list`"},
	} {
		g := ask(func(g *Grant) { g.Expires = now.Add(time.Hour) })
		tt.change(&g)
		_, err := r.Create(t.Context(), g)
		if e, ok := errors.AsType[*InvalidError](err); !ok || e.Error() != tt.want {
			t.Errorf("%s: Create says %v\nwant %s", tt.name, err, tt.want)
		}
	}
	if n := len(r.List(Filter{All: true})); n != 0 {
		t.Errorf("%d grants are there after refusals alone; want none", n)
	}
}

func numbered(format string, n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf(format, i))
	}
	return out
}

func TestChildWiderThanItsParentIsRefusedInWords(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	clock := func() time.Time { return now }
	r, err := NewRegistry(t.Context(), memory(t), Options{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	parent, err := r.Create(t.Context(), ask(func(g *Grant) {
		g.Expires, g.Roles, g.Tools = now.Add(time.Hour), []string{"reader", "writer"}, []string{"files.read_*", "tickets.get"}
		g.MaxCalls, g.JKT, g.Issuer = 10, "key", "https://issuer.example"
	}))
	if err != nil {
		t.Fatal(err)
	}
	child := func(change func(*Grant)) Grant {
		return ask(func(g *Grant) {
			g.Parent, g.Expires, g.Task = parent.ID, parent.Expires, ""
			g.Tools, g.MaxCalls, g.X5T = []string{"files.read_text*"}, 10, "another key"
			if change != nil {
				change(g)
			}
		})
	}
	for _, tt := range []struct {
		name   string
		change func(*Grant)
		want   string
	}{
		{"another's role", func(g *Grant) { g.Roles = []string{"admin"} }, `roles: "admin" is not a role of the parent, which has reader, writer`},
		{"wider pattern", func(g *Grant) { g.Tools = []string{"files.*"} }, "tools: files.* is wider than the parent's files.read_*, tickets.get"},
		{"one of two is wider", func(g *Grant) { g.Tools = []string{"tickets.get", "tickets.put"} }, "tools: tickets.put is wider than the parent's files.read_*, tickets.get"},
		{"later end", func(g *Grant) { g.Expires = g.Expires.Add(time.Second) }, "expires: 2026-03-04T06:06:08Z is after the end of the parent, 2026-03-04T06:06:07Z; ask for less time"},
		{"more calls", func(g *Grant) { g.MaxCalls = 11 }, "max_calls: 11 is more than the parent's 10"},
		{"no key", func(g *Grant) { g.X5T = "" }, "jkt: the parent is bound to a key, so its child must be bound to one, too"},
		{"another subject", func(g *Grant) { g.Subject = "mallory" }, `subject: a child is for the subject of its parent, "alice"`},
	} {
		if _, err := r.Create(t.Context(), child(tt.change)); err == nil || err.Error() != tt.want || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: Create says %v\nwant %s", tt.name, err, tt.want)
		}
	}

	got, err := r.Create(t.Context(), child(nil))
	if err != nil {
		t.Fatalf("a child as wide as its parent: %v; want it made", err)
	}
	if got.Root != parent.ID || got.Depth != 2 || got.Task != parent.Task || got.Issuer != parent.Issuer {
		t.Errorf("child %+v; want the parent as root, depth 2, its task and issuer", got)
	}
	for range MaxDepth - 2 {
		if got, err = r.Create(t.Context(), child(func(g *Grant) { g.Parent = got.ID })); err != nil {
			t.Fatal(err)
		}
	}
	want := "parent: " + got.ID + " is at depth 4, the last; ask its parent for a grant instead"
	if _, err = r.Create(t.Context(), child(func(g *Grant) { g.Parent = got.ID })); err == nil || err.Error() != want {
		t.Errorf("a fifth level: %v; want %s", err, want)
	}

	now = now.Add(time.Hour)
	want = "parent: " + parent.ID + " cannot be used: the grant has expired"
	if _, err = r.Create(t.Context(), child(func(g *Grant) { g.Expires = now.Add(time.Hour) })); err == nil || err.Error() != want || !errors.Is(err, ErrExpired) {
		t.Errorf("child of an expired grant: %v; want %s", err, want)
	}
}

func TestTreeHasAnEnd(t *testing.T) {
	r := open(t, memory(t))
	root := create(t, r, nil)
	for range MaxTree - 1 {
		create(t, r, childOf(root, nil))
	}
	want := "parent: the tree of " + root.Grant().ID + " has 1024 grants, the most there can be; use one again, or ask for a new root"
	if _, err := r.Create(t.Context(), ask(childOf(root, nil))); err == nil || err.Error() != want {
		t.Errorf("one grant more: %v; want %s", err, want)
	}
}

func TestEveryLevelOfTheChainNarrows(t *testing.T) {
	r := open(t, memory(t))
	schema := func(s string) json.RawMessage { return json.RawMessage(s) }
	root := create(t, r, func(g *Grant) {
		g.Tools = []string{"files.*", "tickets.*"}
		g.Args = []Constraint{{Tools: "files.*", Schema: schema(`{"title":"root"}`)}}
		g.NotBefore = time.Now().Add(-time.Minute)
	})
	middle := create(t, r, childOf(root, func(g *Grant) {
		g.Tools = []string{"files.read_*"}
		g.Args = []Constraint{{Tools: "files.read_*", Rego: "data.mcp.constraints.docs"}}
	}))
	leaf := create(t, r, childOf(middle, nil)) // names no tools itself
	for name, want := range map[string]bool{"files.read_file": true, "files.write_file": false, "tickets.get": false, "other.x": false} {
		server, tool, _ := strings.Cut(name, ".")
		if got := leaf.Allows(server, tool); got != want {
			t.Errorf("the leaf allows %s: %t; want %t", name, got, want)
		}
	}
	if !leaf.Narrow() || create(t, r, nil).Narrow() {
		t.Error("Narrow: want true below a grant that names tools, false for one that names none")
	}
	var got []string
	for _, c := range leaf.Constraints("files", "read_file") {
		got = append(got, string(c.Schema)+c.Rego)
	}
	if want := []string{"data.mcp.constraints.docs", `{"title":"root"}`}; !slices.Equal(got, want) {
		t.Errorf("constraints of the leaf: %q; want those of both levels, %q", got, want)
	}
	if c := leaf.Constraints("tickets", "get"); c != nil {
		t.Errorf("constraints of another tool: %v; want none", c)
	}
	var none *Live
	if none.Allows("files", "read_file") || !none.Narrow() {
		t.Error("a nil Live allows something; want nothing")
	}
}
