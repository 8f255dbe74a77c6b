package workbench

import (
	"math/big"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// implied reports whether one of the alternatives holds wherever one of the others does, as far as
// that shows from their form: each of the others has all conditions of an alternative, or stricter
// ones. False says nothing.
func implied(others, alternatives []clause) bool {
	return !slices.ContainsFunc(others, func(c clause) bool {
		return !slices.ContainsFunc(alternatives, c.implies)
	})
}

// implies reports whether d holds wherever c does.
func (c clause) implies(d clause) bool { return c.covers(d, map[string]string{}) }

// covers finds for each literal of d one of c that is as strict. Variables of d must be the same ones
// of c throughout.
func (c clause) covers(d clause, bound map[string]string) bool {
	if len(d) == 0 {
		return true
	}
	for _, l := range c {
		next, ok := l.stricter(d[0], bound)
		if ok && c.covers(d[1:], next) {
			return true
		}
	}
	return false
}

// stricter reports whether m holds wherever l does, and how the variables of m are bound then.
func (l literal) stricter(m literal, bound map[string]string) (map[string]string, bool) {
	if l.not != nil || m.not != nil {
		return bound, l.not != nil && m.not != nil && implied(m.not, l.not)
	}
	if l.text != m.text {
		return bound, len(l.vars) == 0 && len(m.vars) == 0 && tighter(l.expr, m.expr)
	}
	if len(l.vars) == 0 {
		return bound, true
	}
	next := map[string]string{}
	taken := map[string]bool{}
	for from, to := range bound {
		next[from], taken[to] = to, true
	}
	for i, v := range m.vars {
		to, ok := next[v]
		if ok && to != l.vars[i] || !ok && taken[l.vars[i]] {
			return bound, false
		}
		next[v], taken[l.vars[i]] = l.vars[i], true
	}
	return next, true
}

// tighter reports whether two comparisons of the same thing with constants are one the tighter bound.
// In Rego all values have one order, so bounds compare for values of every type.
func tighter(l, m *ast.Expr) bool {
	if l.Negated || m.Negated || !l.IsCall() || !m.IsCall() || len(l.Operands()) != 2 || len(m.Operands()) != 2 {
		return false
	}
	op, other := l.Operator().String(), m.Operator().String()
	x, y := l.Operand(0), l.Operand(1)
	u, v := m.Operand(0), m.Operand(1)
	if !x.Equal(u) || strings.Contains(x.String(), "data.") || !y.IsGround() || !v.IsGround() || open(y) || open(v) {
		return false
	}
	strict := op == ast.LessThan.Name || op == ast.GreaterThan.Name
	switch {
	case upper(op) && upper(other):
		order, ok := compare(y, v)
		return ok && (order < 0 || order == 0 && (strict || other == ast.LessThanEq.Name))
	case lower(op) && lower(other):
		order, ok := compare(y, v)
		return ok && (order > 0 || order == 0 && (strict || other == ast.GreaterThanEq.Name))
	case op == ast.StartsWith.Name && other == op:
		a, ok := y.Value.(ast.String)
		b, is := v.Value.(ast.String)
		return ok && is && strings.HasPrefix(string(a), string(b))
	case other == ast.Member.Name && op == other:
		return subsetOf(y, v)
	case other == ast.Member.Name && (op == ast.Equality.Name || op == ast.Equal.Name):
		return subsetOf(ast.SetTerm(y), v)
	}
	return false
}

func upper(op string) bool { return op == ast.LessThan.Name || op == ast.LessThanEq.Name }
func lower(op string) bool { return op == ast.GreaterThan.Name || op == ast.GreaterThanEq.Name }

// compare compares two numbers.
func compare(x, y *ast.Term) (int, bool) {
	a, ok := x.Value.(ast.Number)
	b, is := y.Value.(ast.Number)
	if !ok || !is || len(a) > 40 || len(b) > 40 || strings.ContainsAny(string(a)+string(b), "eE") {
		return 0, false
	}
	p, ok := new(big.Rat).SetString(string(a))
	q, is := new(big.Rat).SetString(string(b))
	if !ok || !is {
		return 0, false
	}
	return p.Cmp(q), true
}

// subsetOf reports whether every member of x is one of y; both are sets or lists.
func subsetOf(x, y *ast.Term) bool {
	members := func(t *ast.Term) (out []*ast.Term, ok bool) {
		switch v := t.Value.(type) {
		case ast.Set:
			return v.Slice(), true
		case *ast.Array:
			v.Foreach(func(t *ast.Term) { out = append(out, t) })
			return out, true
		}
		return nil, false
	}
	a, ok := members(x)
	b, is := members(y)
	return ok && is && !slices.ContainsFunc(a, func(t *ast.Term) bool { return !slices.ContainsFunc(b, t.Equal) })
}

// open reports whether a term must be evaluated.
func open(t *ast.Term) bool {
	found := false
	ast.WalkTerms(t, func(t *ast.Term) bool {
		switch t.Value.(type) {
		case ast.Ref, ast.Call, *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
			found = true
		}
		return found
	})
	return found
}
