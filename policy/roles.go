package policy

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
)

var rolesRef = ast.MustParseRef("input.subject.roles")

// roleNames is what the policies say of roles, as far as their text tells.
type roleNames struct {
	literals map[string]bool // every string in the policies but for the parts of references
	compared map[string]bool // of those, what a role is compared with
	read     bool            // a rule reads roles
	open     bool            // no rule reads roles, or one does more with them than compare: any name may count
}

// Role returns nil where the policies may tell the role from any other: they mention it, or
// their data does, or they look at roles in a way that their text does not tell (a prefix, a
// pattern), or not at all. The error names the nearest roles that they mention. It helps whoever
// misspelt a role; what a role may do is for Decide to say.
func (g *Generation) Role(name string) error {
	if g.roles.open || g.roles.literals[name] {
		return nil
	}
	words, err := g.dataWords()
	if err != nil {
		return err
	}
	if words[name] {
		return nil
	}
	compared := slices.Sorted(maps.Keys(g.roles.compared))
	if len(nearest(name, compared)) == 0 {
		for _, more := range []map[string]bool{g.roles.literals, words} {
			if near := nearest(name, slices.Sorted(maps.Keys(more))); len(near) > 0 {
				compared = near
				break
			}
		}
	}
	return fmt.Errorf("no policy mentions the role %q%s", name, orNear(name, compared, "they mention"))
}

// dataWords are the strings and keys of the policies' data. They are not kept: data may be
// large, and the question is rare.
func (g *Generation) dataWords() (map[string]bool, error) {
	ctx := context.Background()
	data, err := g.store.Read(ctx, g.txn, storage.Path{})
	if err != nil {
		return nil, fmt.Errorf("read policy data: %w", err)
	}
	value, ok := data.(ast.Value)
	if !ok {
		if value, err = ast.InterfaceToValue(data); err != nil {
			return nil, fmt.Errorf("read policy data: %w", err)
		}
	}
	words := map[string]bool{}
	collectStrings(ast.NewTerm(value), words)
	return words, nil
}

// collectStrings adds every string of x, keys included. The parts of references are names and
// not values, so only what a reference begins with counts.
func collectStrings(x any, into map[string]bool) {
	ast.WalkTerms(x, func(t *ast.Term) bool {
		switch v := t.Value.(type) {
		case ast.String:
			into[string(v)] = true
		case ast.Ref:
			collectStrings(v[0], into)
			return true
		}
		return false
	})
}

// comparing are the functions after which a role is still known by its whole name.
var comparing = map[string]bool{
	ast.Equality.Name: true, ast.Equal.Name: true, ast.NotEqual.Name: true, ast.Assign.Name: true,
	ast.Member.Name: true, ast.MemberWithKey.Name: true,
	ast.And.Name: true, ast.Or.Name: true, ast.Minus.Name: true,
}

// roleFlow follows the caller's roles through the variables and rules of the policies.
type roleFlow struct {
	names roleNames
	held  map[ast.Var]bool // variables that hold a role or several; the compiler makes their names unique in a rule
	rules []ast.Ref        // rules whose value does
	read  bool
}

func rolesOf(c *ast.Compiler) roleNames {
	f := &roleFlow{names: roleNames{literals: map[string]bool{}, compared: map[string]bool{}}, rules: []ast.Ref{rolesRef}}
	for known := 0; known < len(f.rules); {
		known = len(f.rules)
		for _, m := range c.Modules {
			for _, rule := range m.Rules {
				collectStrings(rule, f.names.literals)
				f.follow(rule)
			}
		}
	}
	f.names.read, f.names.open = f.read, f.names.open || !f.read
	return f.names
}

// follow goes through a rule until nothing more is found to hold a role.
func (f *roleFlow) follow(rule *ast.Rule) {
	f.held = map[ast.Var]bool{}
	for before := -1; before < len(f.held); {
		before = len(f.held)
		ast.WalkExprs(rule, func(e *ast.Expr) bool {
			if every, ok := e.Terms.(*ast.Every); ok && f.is(every.Domain) {
				f.hold(every.Value)
			}
			if e.IsCall() {
				f.call(e)
			}
			return false
		})
	}
	for _, t := range []*ast.Term{rule.Head.Key, rule.Head.Value} {
		if name := rule.Ref().GroundPrefix(); t != nil && f.is(t) && !slices.ContainsFunc(f.rules, func(r ast.Ref) bool { return r.Equal(name) }) {
			f.rules = append(f.rules, name)
		}
	}
}

func (f *roleFlow) call(e *ast.Expr) {
	if slices.ContainsFunc(e.Operands(), whole) {
		f.names.open = true
	}
	if !slices.ContainsFunc(e.Operands(), f.is) {
		return
	}
	f.read = true
	if e.Operator().String() == ast.Count.Name {
		return
	}
	if !comparing[e.Operator().String()] {
		f.names.open = true
		return
	}
	for _, t := range e.Operands() {
		f.hold(t)
		collectStrings(t, f.names.compared)
	}
}

// is reports whether a term holds a role or several.
func (f *roleFlow) is(t *ast.Term) bool {
	switch v := t.Value.(type) {
	case ast.Var:
		return f.held[v]
	case ast.Ref:
		head, ok := v[0].Value.(ast.Var)
		return ok && f.held[head] || slices.ContainsFunc(f.rules, v.HasPrefix)
	case *ast.SetComprehension:
		return f.is(v.Term)
	case *ast.ArrayComprehension:
		return f.is(v.Term)
	}
	return false
}

// hold notes that a term stands for what a role is compared with, or is one.
func (f *roleFlow) hold(t *ast.Term) {
	switch v := t.Value.(type) {
	case ast.Var:
		f.held[v] = true
	case ast.Ref:
		if head, ok := v[0].Value.(ast.Var); ok && !v.HasPrefix(ast.InputRootRef) && !v.HasPrefix(ast.DefaultRootRef) {
			f.held[head] = true
		}
	}
}

// whole reports whether a term is input or input.subject as a whole, roles included.
func whole(t *ast.Term) bool {
	ref, ok := t.Value.(ast.Ref)
	return ok && len(ref) < len(rolesRef) && rolesRef.HasPrefix(ref)
}
