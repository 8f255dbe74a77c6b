package workbench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"sallyport/policy"
)

// Access is what a role may do with a tool.
type Access string

// What can be said. Never is what hides a tool from a list. Always means that no value of anything
// that a call or its caller brings is refused; obligations may still stand in the way.
const (
	Never     Access = "never"
	Sometimes Access = "sometimes"
	Always    Access = "always"
)

// Cell is one role and one tool.
type Cell struct {
	Role        string    `json:"role"`
	Server      string    `json:"server"`
	Tool        string    `json:"tool"`
	Access      Access    `json:"access"`
	Ways        []Way     `json:"ways,omitempty"` // of sometimes
	Obligations []Imposed `json:"obligations,omitempty"`
	Fallible    []string  `json:"fallible,omitempty"` // what can end in an error, which refuses
}

// Matrix is what each role may do with each tool.
type Matrix struct {
	Revision string   `json:"policy_revision"`
	Roles    []string `json:"roles"`
	Tools    []string `json:"tools"`
	Cells    []Cell   `json:"cells"` // by tool, then by role
}

// NewMatrix asks for each role and tool what a caller with that role alone may do. Everything that a
// call or a caller brings beside the role is unknown.
func NewMatrix(ctx context.Context, g *policy.Generation, roles []string, tools []Tool) (*Matrix, error) {
	m := &Matrix{Revision: g.Revision(), Roles: roles, Tools: []string{}, Cells: make([]Cell, len(roles)*len(tools))}
	for _, t := range tools {
		m.Tools = append(m.Tools, t.String())
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(m.Cells)) {
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(m.Cells) {
					return
				}
				cell, err := NewCell(ctx, g, roles[i%len(roles)], tools[i/len(roles)])
				if err != nil {
					cancel(err)
					return
				}
				m.Cells[i] = cell
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return m, nil
}

// NewCell asks for one role and one tool.
func NewCell(ctx context.Context, g *policy.Generation, role string, t Tool) (Cell, error) {
	c := Cell{Role: role, Server: t.Server, Tool: t.Name, Access: Sometimes}
	r, err := g.Reach(ctx, t.input(role), policy.OpenCaller)
	if err != nil {
		return c, fmt.Errorf("role %q, tool %s: %w", role, t, err)
	}
	switch {
	case r.Never():
		c.Access = Never
		return c, nil
	case r.Always():
		c.Access = Always
	default:
		c.Ways, c.Fallible = Ways(r), r.Fallible
	}
	c.Obligations = Impositions(r)
	return c, nil
}

// Without is the matrix without a role that may do nothing; with a role that may do anything it is m.
func (m *Matrix) Without(role string) *Matrix {
	at := slices.Index(m.Roles, role)
	if at < 0 {
		return m
	}
	out := &Matrix{Revision: m.Revision, Roles: slices.Delete(slices.Clone(m.Roles), at, at+1), Tools: m.Tools, Cells: []Cell{}}
	for i, c := range m.Cells {
		switch {
		case i%len(m.Roles) != at:
			out.Cells = append(out.Cells, c)
		case c.Access != Never:
			return m
		}
	}
	return out
}

// Cell returns what is said of one role and one tool.
func (m *Matrix) Cell(tool, role int) *Cell { return &m.Cells[tool*len(m.Roles)+role] }

// conditions are the texts of the cells that depend on something, each once, and their numbers.
func (m *Matrix) conditions() (texts [][]string, number map[*Cell]int) {
	number = map[*Cell]int{}
	seen := map[string]int{}
	for i := range m.Cells {
		c := &m.Cells[i]
		lines := c.lines()
		if len(lines) == 0 {
			continue
		}
		key := fmt.Sprint(lines)
		n, ok := seen[key]
		if !ok {
			texts = append(texts, lines)
			n = len(texts)
			seen[key] = n
		}
		number[c] = n
	}
	return texts, number
}

// lines say what a cell depends on and what it imposes.
func (c *Cell) lines() []string {
	var out []string
	for i, w := range c.Ways {
		for j, line := range w.lines() {
			switch {
			case j > 0:
				line = "  " + line
			case i > 0:
				line = "or " + line
			}
			out = append(out, line)
		}
	}
	if c.Access == Sometimes && slices.ContainsFunc(c.Ways, func(w Way) bool { return len(w.When)+len(w.Unless) == 0 }) {
		for _, f := range c.Fallible {
			out = append(out, "refused where this ends in an error: "+f)
		}
	}
	for _, o := range c.Obligations {
		line := "obligation " + string(o.Obligation)
		if len(o.When) > 0 {
			line += " where " + join(o.When)
		}
		out = append(out, line)
	}
	return out
}
