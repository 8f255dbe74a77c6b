package workbench

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"sallyport/policy"
)

// Changes of what may be done, beside NewlyAllowed, NewlyRefused and Obligations.
const (
	Narrower = "narrower" // nothing is allowed that was not
	Wider    = "wider"    // all that was allowed is, and perhaps more
	Unclear  = "unclear"  // neither can be told
)

// CellChange is a role and a tool whose access has changed.
type CellChange struct {
	Role        string   `json:"role"`
	Server      string   `json:"server"`
	Tool        string   `json:"tool"`
	Change      string   `json:"change"`
	Obligations bool     `json:"obligations,omitempty"` // these have changed as well
	Was         Access   `json:"was"`
	Now         Access   `json:"now"`
	WasLines    []string `json:"was_conditions,omitempty"`
	NowLines    []string `json:"now_conditions,omitempty"`
}

// Scope is a part of what policies decide, and whether anything in it may be newly allowed.
type Scope struct {
	Name   string `json:"name"`
	Change string `json:"change"` // same, narrower, wider or unclear
}

// DiffReport says what a new policy changes.
type DiffReport struct {
	Old     string         `json:"old"` // revisions
	New     string         `json:"new"`
	Scopes  []Scope        `json:"scopes"`  // all that a policy decides
	Roles   []string       `json:"roles"`   // that were looked at
	Tools   []string       `json:"tools"`   // likewise
	Cells   []CellChange   `json:"cells"`   // that differ
	Traffic *TrafficReport `json:"traffic"` // nil: no record was given
}

// NewAccess reports whether anything is newly allowed.
func (d *DiffReport) NewAccess() bool {
	return d.any(NewlyAllowed) || d.Traffic != nil && d.Traffic.Kinds[NewlyAllowed] > 0
}

// Unclear reports whether it cannot be told that nothing is.
func (d *DiffReport) Unclear() bool { return d.any(Unclear) || d.any(Wider) }

func (d *DiffReport) any(change string) bool {
	return slices.ContainsFunc(d.Scopes, func(s Scope) bool { return s.Change == change }) ||
		slices.ContainsFunc(d.Cells, func(c CellChange) bool { return c.Change == change })
}

// Diff compares two policies for the roles and tools, and as a whole.
func Diff(ctx context.Context, was, now *policy.Generation, roles []string, tools []Tool) (*DiffReport, error) {
	d := &DiffReport{Old: was.Revision(), New: now.Revision(), Roles: roles, Tools: []string{}, Cells: []CellChange{}}
	if len(roles) == 0 {
		d.Roles = []string{AnyRole}
	}
	for _, t := range tools {
		d.Tools = append(d.Tools, t.String())
	}
	var err error
	if d.Scopes, err = scopes(ctx, was, now); err != nil {
		return nil, err
	}
	if was.Revision() == now.Revision() {
		return d, nil
	}
	for _, t := range tools {
		for _, role := range d.Roles {
			change, err := cellChange(ctx, was, now, role, t)
			if err != nil {
				return nil, err
			}
			if change != nil {
				d.Cells = append(d.Cells, *change)
			}
		}
	}
	return d, nil
}

// cellChange compares one role and one tool; nil where nothing has changed.
func cellChange(ctx context.Context, was, now *policy.Generation, role string, t Tool) (*CellChange, error) {
	var cells [2]Cell
	var limits [2]bounds
	for i, g := range []*policy.Generation{was, now} {
		var err error
		if cells[i], err = NewCell(ctx, g, role, t); err != nil {
			return nil, err
		}
		reach, err := g.Reach(ctx, t.input(role), policy.OpenCaller)
		if err != nil {
			return nil, fmt.Errorf("role %q, tool %s: %w", role, t, err)
		}
		limits[i] = reachBounds(ctx, g, reach)
	}
	c := &CellChange{Role: role, Server: t.Server, Tool: t.Name, Was: cells[0].Access, Now: cells[1].Access,
		WasLines: cells[0].lines(), NowLines: cells[1].lines()}
	c.Obligations = cells[0].Access != Never && cells[1].Access != Never && fmt.Sprint(imposed(&cells[0])) != fmt.Sprint(imposed(&cells[1]))
	c.Change = accessChange(c.Was, c.Now, limits[0], limits[1])
	if c.Change == "" && c.Obligations {
		c.Change = Obligations
	}
	if c.Change == "" {
		return nil, nil
	}
	return c, nil
}

func imposed(c *Cell) (out []string) {
	for _, o := range c.Obligations {
		out = append(out, canonicalJSON(o.Obligation)+fmt.Sprint(o.When))
	}
	slices.Sort(out)
	return out
}

// accessChange is what has become of what is allowed; empty for nothing.
func accessChange(was, now Access, before, after bounds) string {
	switch {
	case was == now && was != Sometimes:
		return ""
	case now == Never:
		return NewlyRefused
	case was == Never:
		return NewlyAllowed
	}
	narrower, wider := after.within(before), before.within(after)
	switch {
	case narrower && wider:
		return ""
	case narrower || was == Always:
		return Narrower
	case wider || now == Always:
		return Wider
	}
	return Unclear
}

// needing are the actions that need an allow.
var needing = []string{"tools/call", "resources/read", "resources/subscribe", "prompts/get", "completion/complete", "tasks/get", "tasks/result",
	"tasks/cancel", "tasks/update", "sampling/createMessage", "elicitation/create", "roots/list"}

// scopes compares all that policies decide: every action, results, and the rules that grants may name.
func scopes(ctx context.Context, was, now *policy.Generation) ([]Scope, error) {
	if was.Revision() == now.Revision() {
		return []Scope{{"everything", "same"}}, nil
	}
	whole, err := scope(ctx, was, now, "every action", policy.Question{})
	if err != nil {
		return nil, err
	}
	out := []Scope{whole}
	if whole.Change == Unclear || whole.Change == Wider { // perhaps not of each action
		out = nil
		for _, action := range needing {
			s, err := scope(ctx, was, now, action, policy.Question{Given: map[string]any{"action": action}})
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		}
		out = append(out, housekeeping(ctx, was, now))
	}
	imposed, err := imposing(ctx, was, now)
	if err != nil {
		return nil, err
	}
	more, err := others(ctx, was, now)
	return append(append(out, imposed), more...), err
}

// imposing compares the obligations as a whole. Less of them is more access: a call that had to be
// approved, or an answer that was redacted. What is only added narrows; of anything else it cannot be
// told.
func imposing(ctx context.Context, was, now *policy.Generation) (Scope, error) {
	var rules [2][]string
	for i, g := range []*policy.Generation{was, now} {
		var err error
		if rules[i], err = g.Definitions(ctx, ast.MustParseRef("data.mcp.authz.obligations")); err != nil {
			return Scope{}, err
		}
	}
	kept := func(a, b []string) bool {
		return !slices.ContainsFunc(a, func(rule string) bool { return !slices.Contains(b, rule) })
	}
	return Scope{"obligations", scopeChange(kept(rules[0], rules[1]), kept(rules[1], rules[0]))}, nil
}

func scope(ctx context.Context, was, now *policy.Generation, name string, q policy.Question) (Scope, error) {
	before, err := boundsOf(ctx, was, q)
	if err != nil {
		return Scope{}, fmt.Errorf("the old policy: %w", err)
	}
	after, err := boundsOf(ctx, now, q)
	if err != nil {
		return Scope{}, fmt.Errorf("the new policy: %w", err)
	}
	return Scope{name, scopeChange(after.within(before), before.within(after))}, nil
}

func scopeChange(narrower, wider bool) string {
	switch {
	case narrower && wider:
		return "same"
	case narrower:
		return Narrower
	case wider:
		return Wider
	}
	return Unclear
}

// housekeeping needs no allow: what deny refuses is all that counts.
func housekeeping(ctx context.Context, was, now *policy.Generation) Scope {
	before, err := boundsOf(ctx, was, policy.Question{})
	after, failed := boundsOf(ctx, now, policy.Question{})
	if err != nil || failed != nil || before.unclear || after.unclear {
		return Scope{"housekeeping", Unclear}
	}
	return Scope{"housekeeping", scopeChange(implied(before.deny, after.deny), implied(after.deny, before.deny))}
}

// others compares the packages that are asked by themselves: results, and rules that grants may name.
// That they are the same is all that can be told.
func others(ctx context.Context, was, now *policy.Generation) ([]Scope, error) {
	var out []Scope
	for _, name := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(was.Packages(), now.Packages())))) {
		if name == "data.mcp.authz" {
			continue
		}
		ref, err := ast.ParseRef(name)
		if err != nil {
			return nil, fmt.Errorf("package %s: %w", name, err)
		}
		before, err := was.Definition(ctx, ref)
		if err != nil {
			return nil, err
		}
		after, err := now.Definition(ctx, ref)
		if err != nil {
			return nil, err
		}
		out = append(out, Scope{"package " + name[len("data."):], cmp.Or(map[bool]string{true: "same"}[before == after], Unclear)})
	}
	return out, nil
}
