package workbench

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// conds puts a body into words. All of what is returned must hold. Bound are variables that have a
// value where the body is asked.
func (w *words) conds(body ast.Body, bound ...*ast.Term) []cond {
	s := w.sentence(body)
	s.bound = bound
	var out []cond
	for _, group := range s.groups() {
		if len(group) == 1 {
			out = append(out, s.cond(group[0])...)
		} else {
			out = append(out, cond{prose: "Rego: " + s.rego(group)})
		}
	}
	for _, t := range s.mustBe {
		out = append(out, s.there(t)...)
	}
	slices.SortStableFunc(out, func(a, b cond) int { return order(a) - order(b) })
	return finish(out)
}

// order puts first what must be there at all.
func order(c cond) int {
	if c.verb == given && !c.negated {
		return 0
	}
	return 1
}

// there says that what a term is made of must be there.
func (s *sentence) there(t *ast.Term) (out []cond) {
	ast.WalkRefs(t, func(ref ast.Ref) bool {
		if x := ast.NewTerm(ref); ref.HasPrefix(ast.InputRootRef) && mayMiss(x) {
			out = append(out, cond{subject: s.term(x), verb: given})
		}
		return true
	})
	return out
}

// cond puts one expression into words.
func (s *sentence) cond(e *ast.Expr) []cond {
	var out []cond
	switch terms := e.Terms.(type) {
	case *ast.Every:
		out = s.every(e, terms)
	case *ast.Term:
		out = s.truth(e, terms)
	case []*ast.Term:
		out = s.call(e, terms)
	}
	if len(e.With) > 0 || out == nil {
		return []cond{{prose: "Rego: " + s.rego([]*ast.Expr{e})}}
	}
	return out
}

// truth is an expression that is a term alone: it holds unless it is undefined or false.
func (s *sentence) truth(e *ast.Expr, t *ast.Term) []cond {
	ref, ok := t.Value.(ast.Ref)
	if !ok {
		return nil
	}
	if rules, ok := s.w.rules[ref.String()]; ok {
		return s.rule(e, rules, nil)
	}
	if !ref.HasPrefix(ast.InputRootRef) {
		return nil
	}
	return []cond{{subject: s.term(t), verb: holds, negated: e.Negated, mayMiss: true}}
}

// rule says what rules of the residual itself ask.
func (s *sentence) rule(e *ast.Expr, rules []*ast.Rule, operands []*ast.Term) []cond {
	var groups [][]cond
	for _, r := range rules {
		if r.Default && r.Head.Value != nil && r.Head.Value.Equal(ast.InternedTerm(false)) {
			continue // neither true nor given
		}
		if r.Default || r.Else != nil || !r.Head.Value.Equal(ast.InternedTerm(true)) || len(r.Head.Args) != len(operands) {
			return nil
		}
		body, ok := putIn(r, operands)
		if !ok {
			return nil
		}
		groups = append(groups, s.w.conds(body, s.bound...))
	}
	if !e.Negated {
		if len(groups) == 1 {
			return groups[0]
		}
		return []cond{{prose: anyOf(groups)}}
	}
	var out []cond
	for _, g := range groups {
		if len(g) == 1 && g[0].verb != nil && !g[0].some {
			out = append(out, g[0].denied())
		} else {
			out = append(out, cond{groups: [][]cond{g}})
		}
	}
	return out
}

// putIn is the body of a function with its parameters replaced.
func putIn(r *ast.Rule, operands []*ast.Term) (ast.Body, bool) {
	put := map[ast.Var]*ast.Term{}
	for i, p := range r.Head.Args {
		v, ok := p.Value.(ast.Var)
		if !ok {
			return nil, false
		}
		put[v] = operands[i]
	}
	out := make(ast.Body, len(r.Body))
	for i, e := range r.Body {
		out[i] = replaceIn(e, put)
	}
	return out, true
}

// every says what is asked of each member.
func (s *sentence) every(e *ast.Expr, every *ast.Every) []cond {
	if e.Negated {
		return nil
	}
	inner := s.w.conds(every.Body, append(slices.Clone(s.bound), every.Key, every.Value)...)
	if slices.ContainsFunc(inner, func(c cond) bool { return strings.Contains(c.prose, "Rego: ") }) {
		return nil
	}
	name := s.term(every.Value)
	if every.Key != nil && mentions(every.Body, every.Key) {
		name = s.term(every.Key) + ", " + name
	}
	text := "for each " + name + " of " + s.term(every.Domain) + ": "
	for i, t := range texts(inner) {
		if i > 0 {
			text += ", and "
		}
		text += t
	}
	return []cond{{prose: text}}
}

func mentions(body ast.Body, name *ast.Term) bool {
	found := false
	ast.WalkTerms(body, func(t *ast.Term) bool {
		found = found || t.Equal(name)
		return found
	})
	return found
}

// flipped is a comparison with its sides exchanged.
var flipped = map[*verb]*verb{is: is, above: below, below: above, from: upTo, upTo: from}

// call puts a call of a function into words.
func (s *sentence) call(e *ast.Expr, terms []*ast.Term) []cond {
	name, args := terms[0].String(), terms[1:]
	if rules, ok := s.w.rules[name]; ok {
		return s.rule(e, rules, args)
	}
	verbs := map[string]*verb{
		ast.Equality.Name: is, ast.Equal.Name: is, ast.GreaterThan.Name: above, ast.GreaterThanEq.Name: from,
		ast.LessThan.Name: below, ast.LessThanEq.Name: upTo,
	}
	tests := map[string]*verb{ast.StartsWith.Name: starts, ast.EndsWith.Name: ends, ast.Contains.Name: contains}
	kinds := map[string]*verb{ast.IsNumber.Name: number, ast.IsString.Name: text, ast.IsBoolean.Name: boolean,
		ast.IsArray.Name: list, ast.IsObject.Name: object, ast.IsNull.Name: null}
	switch {
	case verbs[name] != nil && len(args) == 2:
		return s.compare(e, verbs[name], args[0], args[1])
	case name == ast.NotEqual.Name && len(args) == 2 && !e.Negated:
		return s.differs(args[0], args[1])
	case tests[name] != nil && len(args) == 2 && constant(args[1]) && !constant(args[0]):
		return s.about(e, args[0], tests[name], s.term(args[1]))
	case kinds[name] != nil && len(args) == 1:
		return s.about(e, args[0], kinds[name])
	case name == ast.Member.Name && len(args) == 2:
		return s.member(e, args[0], args[1])
	case name == ast.RegexMatch.Name && len(args) == 2 && constant(args[0]):
		return s.about(e, args[1], matches, s.term(args[0]))
	case name == ast.GlobMatch.Name && len(args) == 3 && constant(args[0]) && constant(args[1]):
		return s.about(e, args[2], globs, s.term(args[0])+" (parts end at "+s.term(args[1])+")")
	}
	if strings.HasPrefix(name, "data.") || strings.HasPrefix(name, "mcp.") {
		return s.holds(e, ast.Call(terms))
	}
	return nil
}

// holds names a function that is asked for yes or no, of the policy or of the gateway.
func (s *sentence) holds(e *ast.Expr, call ast.Call) []cond {
	if !e.Negated {
		return []cond{{prose: s.callText(call) + " holds"}}
	}
	out := []cond{{prose: s.callText(call) + " does not hold"}}
	for _, t := range call[1:] {
		out = append(out, s.there(t)...) // see about
	}
	return out
}

var (
	text    = &verb{one: "is text", not: "is no text"}
	boolean = &verb{one: "is true or false", not: "is neither true nor false"}
	list    = &verb{one: "is a list", not: "is no list"}
	object  = &verb{one: "is an object", not: "is no object"}
	null    = &verb{one: "is null", not: "is not null"}
)

// about is a condition on one subject, where that is one that can be named.
func (s *sentence) about(e *ast.Expr, t *ast.Term, v *verb, values ...string) []cond {
	subject, ok := s.subject(t, e.Negated)
	if !ok {
		return nil
	}
	if name, ok := strings.CutPrefix(subject, someMember); ok && v == is {
		subject, v = name, has
	}
	out := []cond{{subject: subject, verb: v, values: values, negated: e.Negated, mayMiss: mayMiss(t), some: iterates(t)}}
	for _, c := range s.there(t) {
		out[0].needs = append(out[0].needs, c.subject)
	}
	if _, call := t.Value.(ast.Call); e.Negated && (call || !e.IsEquality()) {
		// What a function is given is looked up before the negation, and must be there.
		out[0].mayMiss = false
		out = append(out, s.there(t)...) // after it: callers look at the first
	}
	return out
}

func (s *sentence) compare(e *ast.Expr, v *verb, a, b *ast.Term) []cond {
	if constant(a) {
		a, b, v = b, a, flipped[v]
	}
	if v == is && !constant(a) && !constant(b) {
		return s.equal(e, a, b)
	}
	if constant(a) || !constant(b) {
		return nil
	}
	if _, number := b.Value.(ast.Number); v != is && !number {
		return nil
	}
	out := s.about(e, a, v, s.term(b))
	if out == nil || v == is {
		return out
	}
	if !counts(a) {
		out[0].compare = acrossTypes(v)
	}
	if e.Negated {
		out[0].negated = false
		out[0] = out[0].denied()
	}
	return out
}

// equal compares two parts of the input.
func (s *sentence) equal(e *ast.Expr, a, b *ast.Term) []cond {
	x, ok := s.subject(a, true)
	y, and := s.subject(b, true)
	if !ok || !and || closed(a) || closed(b) {
		return nil
	}
	for _, t := range []*ast.Term{a, b} {
		if ref, ok := t.Value.(ast.Ref); !ok || !ref.HasPrefix(ast.InputRootRef) {
			return nil
		}
	}
	if y < x {
		x, y = y, x
	}
	return []cond{{subject: x, verb: equals, values: []string{y}, negated: e.Negated, mayMiss: mayMiss(a) || mayMiss(b), needs: []string{x, y}}}
}

// differs is !=, which asks both sides to be there.
func (s *sentence) differs(a, b *ast.Term) []cond {
	if constant(a) {
		a, b = b, a
	}
	subject, ok := s.subject(a, true)
	if !ok || !constant(b) {
		return nil
	}
	out := []cond{{subject: subject, verb: is, values: []string{s.term(b)}, negated: true, mayMiss: mayMiss(a)}}
	if mayMiss(a) {
		out = append(out, cond{subject: subject, verb: given})
	}
	return out
}

func (s *sentence) member(e *ast.Expr, x, in *ast.Term) []cond {
	if constant(in) && !constant(x) {
		var values []string
		add := func(t *ast.Term) { values = append(values, s.term(t)) }
		switch c := in.Value.(type) {
		case *ast.Array:
			c.Foreach(add)
		case ast.Set:
			c.Foreach(add)
		case ast.Object:
			c.Foreach(func(_, v *ast.Term) { add(v) })
		}
		if len(values) == 0 {
			return nil
		}
		return s.about(e, x, is, values...)
	}
	if constant(x) && !constant(in) {
		return s.about(e, in, has, s.term(x))
	}
	return nil
}
