package workbench

import (
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// sentence is a body with the variables that only name something put in their place.
type sentence struct {
	w      *words
	exprs  []*ast.Expr
	mustBe []*ast.Term // what was named and used nowhere: it must be there
	bound  []*ast.Term // variables that have a value
}

func (w *words) sentence(body ast.Body) *sentence {
	s := &sentence{w: w}
	put := map[ast.Var]*ast.Term{}
	for _, e := range body {
		v, t, ok := names(e)
		if _, twice := put[v]; !ok || twice || mentioned(t, v) {
			s.exprs = append(s.exprs, asEquality(e))
			continue
		}
		put[v] = t
	}
	for range put { // a name may be of something that has names in it
		for v, t := range put {
			put[v] = replace(t, put)
		}
	}
	used := map[ast.Var]bool{}
	for i, e := range s.exprs {
		if !e.Negated && !isEvery(e) {
			ast.WalkVars(e, func(v ast.Var) bool { used[v] = true; return false })
		}
		s.exprs[i] = replaceIn(e, put)
	}
	for v, t := range put {
		if !used[v] && mayMiss(t) {
			s.mustBe = append(s.mustBe, t)
		}
	}
	slices.SortFunc(s.mustBe, func(a, b *ast.Term) int { return ast.Compare(a, b) })
	return s
}

func isEvery(e *ast.Expr) bool { _, ok := e.Terms.(*ast.Every); return ok }

// local reports whether a term is a variable that a rule made.
func local(t *ast.Term) (ast.Var, bool) {
	v, ok := t.Value.(ast.Var)
	return v, ok && !v.Equal(ast.InputRootDocument.Value) && !v.Equal(ast.DefaultRootDocument.Value)
}

// names reports whether an expression does no more than give a term a name: x = ref, or f(…, x).
// What iterates is no such term: two mentions of the name speak of the same member.
func names(e *ast.Expr) (ast.Var, *ast.Term, bool) {
	if e.Negated || len(e.With) > 0 || !e.IsCall() {
		return "", nil, false
	}
	operands := e.Operands()
	if e.IsEquality() || e.IsAssignment() {
		a, b := operands[0], operands[1]
		if _, ok := local(b); ok {
			a, b = b, a
		}
		v, ok := local(a)
		return v, b, ok && !iterates(b)
	}
	call, out := result(e)
	if out == nil {
		return "", nil, false
	}
	v, ok := local(out)
	return v, call, ok && !iterates(call)
}

// result splits a call that hands its result to its last operand.
func result(e *ast.Expr) (call, out *ast.Term) {
	operands := e.Operands()
	b := ast.BuiltinMap[e.Operator().String()]
	if b == nil || b.Relation || len(operands) != len(b.Decl.FuncArgs().Args)+1 {
		return nil, nil
	}
	last := len(operands) - 1
	return ast.CallTerm(append([]*ast.Term{ast.NewTerm(e.Operator())}, operands[:last]...)...), operands[last]
}

// asEquality writes f(a, c) with a constant result as f(a) = c.
func asEquality(e *ast.Expr) *ast.Expr {
	if !e.IsCall() || e.IsEquality() {
		return e
	}
	call, out := result(e)
	if out == nil || !constant(out) {
		return e
	}
	x := ast.Equality.Expr(call, out)
	x.Negated, x.With = e.Negated, e.With
	return x
}

// iterates reports whether a term has variables of its own.
func iterates(t *ast.Term) bool {
	found := false
	ast.WalkTerms(t, func(x *ast.Term) bool {
		switch v := x.Value.(type) {
		case ast.Ref:
			for _, part := range v[1:] {
				if _, ok := part.Value.(ast.Var); ok {
					found = true
				}
			}
		case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
			found = true
		}
		return found
	})
	return found
}

func mentioned(t *ast.Term, v ast.Var) bool {
	found := false
	ast.WalkVars(t, func(x ast.Var) bool { found = found || x == v; return found })
	return found
}

// groups are the expressions that can be said one by one; those that share a variable are one.
func (s *sentence) groups() [][]*ast.Expr {
	var out [][]*ast.Expr
	var vars []map[ast.Var]bool
	for _, e := range s.exprs {
		mine, group := s.freeVars(e), []*ast.Expr{e}
		for i := 0; i < len(out); {
			if !share(mine, vars[i]) {
				i++
				continue
			}
			group = append(slices.Clone(out[i]), group...)
			for v := range vars[i] {
				mine[v] = true
			}
			out, vars = slices.Delete(out, i, i+1), slices.Delete(vars, i, i+1)
		}
		out, vars = append(out, group), append(vars, mine)
	}
	return out
}

func share(a, b map[ast.Var]bool) bool {
	for v := range a {
		if b[v] {
			return true
		}
	}
	return false
}

// freeVars are the variables of an expression that are not its own.
func (s *sentence) freeVars(e *ast.Expr) map[ast.Var]bool {
	out := map[ast.Var]bool{}
	own := map[ast.Var]bool{}
	bound := s.bound
	if every, ok := e.Terms.(*ast.Every); ok {
		bound = append(slices.Clone(bound), every.Key, every.Value)
	}
	for _, t := range bound {
		if t != nil {
			ast.WalkVars(t, func(v ast.Var) bool { own[v] = true; return false })
		}
	}
	ast.WalkTerms(e, func(t *ast.Term) bool {
		if v, ok := local(t); ok && !own[v] && (strings.HasPrefix(string(v), "__") || strings.HasPrefix(string(v), "$")) {
			out[v] = true
		}
		return false
	})
	return out
}

const someMember = "some member of "

// subject names what a condition is about: a part of input, or what a function makes of one.
func (s *sentence) subject(t *ast.Term, negated bool) (string, bool) {
	some := 0
	ast.WalkTerms(t, func(x *ast.Term) bool {
		if ref, ok := x.Value.(ast.Ref); ok {
			for _, part := range ref[1:] {
				if _, ok := part.Value.(ast.Var); ok {
					some++
				}
			}
		}
		return false
	})
	switch v := t.Value.(type) {
	case ast.Ref:
		if some == 1 && !negated {
			if _, last := v[len(v)-1].Value.(ast.Var); last && v.HasPrefix(ast.InputRootRef) {
				return someMember + s.term(ast.NewTerm(v[:len(v)-1])), true
			}
		}
		return s.term(t), some == 0
	case ast.Call:
		return s.term(t), some == 0 && !closed(t)
	case ast.Var:
		return s.term(t), true
	}
	return "", false
}

// closed reports whether a term holds a query of its own.
func closed(t *ast.Term) bool {
	found := false
	ast.WalkTerms(t, func(x *ast.Term) bool {
		switch x.Value.(type) {
		case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
			found = true
		}
		return found
	})
	return found
}

// constant reports whether a term is a value.
func constant(t *ast.Term) bool { return ast.IsConstant(t.Value) }

// mayMiss reports whether a term may be undefined for want of a part of input that is not always there.
func mayMiss(t *ast.Term) bool {
	missing := false
	ast.WalkRefs(t, func(ref ast.Ref) bool {
		missing = missing || ref.HasPrefix(ast.InputRootRef) && !always[ref.String()]
		return true
	})
	return missing
}

// always are the parts of input that every call has.
var always = map[string]bool{"input.arguments": true, "input.flow": true, "input.flow.labels": true, "input.request": true,
	"input.request.time": true, "input.request.id": true, "input.request.era": true, "input.request.method": true,
	"input.action": true, "input.subject.roles": true, "input.subject.id": true}

// counts reports whether a term is a number whatever is asked.
func counts(t *ast.Term) bool {
	call, ok := t.Value.(ast.Call)
	if !ok {
		return false
	}
	b := ast.BuiltinMap[call[0].String()]
	return b != nil && b.Decl.Result() != nil && b.Decl.Result().String() == "number"
}

// term is a term as people say it.
func (s *sentence) term(t *ast.Term) string {
	switch v := t.Value.(type) {
	case ast.String:
		return strconv.Quote(string(v))
	case ast.Var:
		return s.w.name(v)
	case ast.Ref:
		return s.ref(v)
	case ast.Call:
		return s.callText(v)
	case *ast.Array:
		parts := make([]string, 0, v.Len())
		v.Foreach(func(x *ast.Term) { parts = append(parts, s.term(x)) })
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return t.String()
}

func (s *sentence) ref(ref ast.Ref) string {
	if ref.HasPrefix(ast.InputRootRef) && len(ref) > 1 {
		ref = ref[1:]
	}
	var b strings.Builder
	for i, part := range ref {
		name, ok := part.Value.(ast.String)
		switch {
		case i == 0 && ok:
			b.WriteString(string(name))
		case i == 0:
			b.WriteString(s.term(part))
		case ok && ast.IsVarCompatibleString(string(name)):
			b.WriteString("." + string(name))
		default:
			b.WriteString("[" + s.term(part) + "]")
		}
	}
	return b.String()
}

func (s *sentence) callText(call ast.Call) string {
	name, args := call[0].String(), call[1:]
	if name == ast.Concat.Name && len(args) == 2 {
		if sep, ok := args[0].Value.(ast.String); ok && sep == "" {
			if list, ok := args[1].Value.(*ast.Array); ok && list.Len() == 2 {
				return s.term(list.Elem(0)) + " followed by " + s.term(list.Elem(1))
			}
		}
	}
	parts := make([]string, len(args))
	for i, a := range args {
		parts[i] = s.term(a)
	}
	return name + "(" + strings.Join(parts, ", ") + ")"
}
