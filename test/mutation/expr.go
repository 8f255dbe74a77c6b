package mutation

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
)

// swapped is what stands in the place of a function, and how the change is named.
var swapped = map[string]struct {
	by   *ast.Builtin
	what string
}{
	ast.Equal.Name:         {ast.NotEqual, "== becomes !="},
	ast.NotEqual.Name:      {ast.Equal, "!= becomes =="},
	ast.LessThan.Name:      {ast.LessThanEq, "< becomes <="},
	ast.LessThanEq.Name:    {ast.LessThan, "<= becomes <"},
	ast.GreaterThan.Name:   {ast.GreaterThanEq, "> becomes >="},
	ast.GreaterThanEq.Name: {ast.GreaterThan, ">= becomes >"},
	ast.Plus.Name:          {ast.Minus, "+ becomes -"},
	ast.Minus.Name:         {ast.Plus, "- becomes +"},
	ast.StartsWith.Name:    {ast.Contains, "startswith becomes contains"},
	ast.EndsWith.Name:      {ast.Contains, "endswith becomes contains"},
	ast.Contains.Name:      {ast.StartsWith, "contains becomes startswith"},
	ast.Lower.Name:         {ast.Upper, "lower becomes upper"},
}

func (f *finder) body(b ast.Body) {
	for _, e := range b {
		f.expr(e)
	}
}

func (f *finder) expr(e *ast.Expr) {
	switch terms := e.Terms.(type) {
	case *ast.SomeDecl:
		for i, s := range terms.Symbols {
			if call, ok := s.Value.(ast.Call); ok {
				last := len(call) - 1
				f.term(call[last], func(t *ast.Term) {
					changed := append(ast.Call{}, call...)
					changed[last] = t
					terms.Symbols[i] = ast.NewTerm(changed)
				})
			}
		}
		return
	case *ast.Every:
		f.whole(e)
		f.add(e.Location, "every becomes some: "+text(terms.Domain), func() { e.Terms = anyOf(terms) })
		f.term(terms.Domain, func(t *ast.Term) { terms.Domain = t })
		f.body(terms.Body)
	case *ast.Term:
		f.whole(e)
		f.term(terms, func(t *ast.Term) { e.Terms = t })
	case []*ast.Term:
		if e.IsAssignment() {
			f.term(terms[2], func(t *ast.Term) { e.Terms = []*ast.Term{terms[0], terms[1], t} })
			return
		}
		f.whole(e)
		f.call(e.Location, text(e), terms, func(changed []*ast.Term) { e.Terms = changed })
	}
}

// whole changes an expression as a whole.
func (f *finder) whole(e *ast.Expr) {
	was := text(e)
	if was == "true" {
		return // the body of a fact
	}
	vars := e.Vars(ast.VarVisitorParams{SkipRefCallHead: true}).Intersect(f.locals)
	every, ok := e.Terms.(*ast.Every)
	if ok {
		vars = vars.Diff(every.KeyValueVars())
	}
	f.add(e.Location, "drop "+was, func() {
		e.Terms, e.Negated = always(vars).Terms, false
	})
	if ok {
		return // Rego does not negate it
	}
	if e.Negated {
		f.add(e.Location, "drop not: "+was, func() { e.Negated = false })
	} else {
		f.add(e.Location, "negate "+was, func() { e.Negated = true })
	}
}

// call changes the function of a call and its operands.
func (f *finder) call(at *ast.Location, was string, terms []*ast.Term, set func([]*ast.Term)) {
	with := func(i int) func(*ast.Term) {
		return func(t *ast.Term) {
			changed := append([]*ast.Term{}, terms...)
			changed[i] = t
			set(changed)
		}
	}
	name := terms[0].String()
	if s := swapped[name]; s.what != "" {
		f.add(at, s.what+": "+was, func() { with(0)(ast.NewTerm(s.by.Ref())) })
	}
	for i, t := range terms[1:] {
		if s, ok := t.Value.(ast.String); ok && name == ast.StartsWith.Name && i == 1 && len(s) > 1 {
			f.add(t.Location, "widen "+text(t), func() { with(2)(ast.StringTerm(string(s[:len(s)-1]))) })
		}
		f.term(t, with(i+1))
	}
}

// anyOf turns `every x in xs { … }` into an expression that wants one of xs to do.
func anyOf(e *ast.Every) []*ast.Term {
	call := ast.Member.Call(e.Value, e.Domain)
	if e.Key != nil {
		call = ast.MemberWithKey.Call(e.Key, e.Value, e.Domain)
	}
	body := ast.NewBody(&ast.Expr{Terms: &ast.SomeDecl{Symbols: []*ast.Term{call}}})
	for _, one := range e.Body {
		body.Append(one)
	}
	found := ast.ArrayComprehensionTerm(ast.IntNumberTerm(1), body)
	return []*ast.Term{ast.NewTerm(ast.GreaterThan.Ref()), ast.Count.Call(found), ast.IntNumberTerm(0)}
}

// text is how a node is written.
func text(node any) string {
	src, err := format.AstWithOpts(node, format.Opts{IgnoreLocations: true, RegoVersion: ast.RegoV1})
	if err != nil {
		return fmt.Sprint(node)
	}
	return oneLine(src)
}
