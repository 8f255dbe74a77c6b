package mutation

import (
	"fmt"
	"regexp"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
)

// site is a place where a module can be changed. A module is parsed anew for each change: terms
// may be shared with the engine, so a change replaces them in their parent and never in place.
type site struct {
	rule string
	line int
	what string // the kind of the change, and what is changed
	do   func()
}

// goEscape is how the engine's formatter writes a control character, which its parser does not read.
var goEscape = regexp.MustCompile(`((?:^|[^\\])(?:\\\\)*)\\x([0-9a-f]{2})`)

// ofRego returns the mutants of one module.
func ofRego(name string, src []byte) ([]Mutant, error) {
	m, err := parse(name, src)
	if err != nil {
		return nil, err
	}
	var out []Mutant
	for i, s := range sites(m) {
		m, err := parse(name, src)
		if err != nil {
			return nil, err
		}
		sites(m)[i].do()
		text, err := format.AstWithOpts(m, format.Opts{IgnoreLocations: true, RegoVersion: ast.RegoV1})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.what, err)
		}
		text = goEscape.ReplaceAll(text, []byte(`${1}\u00$2`))
		out = append(out, Mutant{ID: name + " " + s.rule + ": " + s.what, File: name, Line: s.line, Text: text})
	}
	return out, nil
}

func parse(name string, src []byte) (*ast.Module, error) {
	m, err := ast.ParseModuleWithOpts(name, string(src), ast.ParserOptions{RegoVersion: ast.RegoV1, ProcessAnnotation: true})
	if err != nil {
		return nil, err
	}
	m.Comments = nil // they have no place in a module whose parts move
	return m, nil
}

// sites finds, in the order of the text, every place where a module can be changed.
func sites(m *ast.Module) []site {
	count := map[string]int{}
	f := &finder{module: m}
	for _, r := range m.Rules {
		name := r.Head.Ref().String()
		count[name]++
		f.name = fmt.Sprintf("%s/%d", name, count[name])
		f.rule(r)
	}
	return f.found
}

// finder collects the sites of the rule it is at.
type finder struct {
	module *ast.Module
	name   string
	locals ast.VarSet // of the rule
	found  []site
}

func (f *finder) add(at *ast.Location, what string, do func()) {
	line := 0
	if at != nil {
		line = at.Row
	}
	f.found = append(f.found, site{rule: f.name, line: line, what: what, do: do})
}

func (f *finder) rule(r *ast.Rule) {
	f.locals = localsOf(r)
	if r.Default {
		f.add(r.Location, "drop the default", func() { f.remove(r) })
		f.term(r.Head.Value, func(t *ast.Term) { r.Head.Value = t })
		return
	}
	args := ast.NewVarSet()
	for _, a := range r.Head.Args {
		args.Update(a.Vars())
	}
	bound := ast.NewVarSet() // by the body, for the head
	for _, t := range []*ast.Term{r.Head.Key, r.Head.Value} {
		if t != nil {
			bound.Update(t.Vars().Intersect(f.locals).Diff(args))
		}
	}
	if len(bound) > 0 {
		f.add(r.Location, "drop the rule", func() { f.remove(r) })
	} else {
		f.add(r.Location, "drop the rule", func() { r.Body = ast.NewBody(never(args)) })
		if len(r.Body) > 0 && !isTrue(r.Body) {
			f.add(r.Location, "let the rule hold always", func() { r.Body = ast.NewBody(always(args)) })
		}
	}
	if r.Head.Key != nil {
		f.term(r.Head.Key, func(t *ast.Term) { r.Head.Key = t })
	} else if v := r.Head.Value; v != nil && !isBool(v) {
		f.term(v, func(t *ast.Term) { r.Head.Value = t })
	}
	f.body(r.Body)
}

func (f *finder) remove(r *ast.Rule) {
	var rest []*ast.Rule
	for _, other := range f.module.Rules {
		if other != r {
			rest = append(rest, other)
		}
	}
	f.module.Rules = rest
}

// localsOf are the variables of a rule: those of its arguments, and those declared in it.
func localsOf(r *ast.Rule) ast.VarSet {
	locals := ast.NewVarSet()
	for _, a := range r.Head.Args {
		locals.Update(a.Vars())
	}
	ast.WalkExprs(r, func(e *ast.Expr) bool {
		switch t := e.Terms.(type) {
		case *ast.SomeDecl:
			for _, s := range t.Symbols {
				if call, ok := s.Value.(ast.Call); ok { // some k, v in xs
					for _, one := range call[1 : len(call)-1] {
						locals.Update(one.Vars())
					}
					continue
				}
				locals.Update(s.Vars())
			}
		case *ast.Every:
			locals.Update(t.KeyValueVars())
		default:
			if e.IsAssignment() {
				locals.Update(e.Operand(0).Vars())
			}
		}
		return false
	})
	return locals
}

// always is an expression that holds and names the variables: the engine refuses a policy with
// one that is not used.
func always(vars ast.VarSet) *ast.Expr {
	if len(vars) == 0 {
		return ast.NewExpr(ast.BooleanTerm(true))
	}
	var terms []*ast.Term
	for _, v := range vars.Sorted() {
		terms = append(terms, ast.NewTerm(v))
	}
	return ast.IsArray.Expr(ast.ArrayTerm(terms...))
}

// never is one that does not hold.
func never(vars ast.VarSet) *ast.Expr {
	if len(vars) == 0 {
		return ast.NewExpr(ast.BooleanTerm(false))
	}
	e := always(vars)
	e.Negated = true
	return e
}

func isTrue(b ast.Body) bool { return b.Equal(ast.NewBody(ast.NewExpr(ast.BooleanTerm(true)))) }

func isBool(t *ast.Term) bool {
	_, ok := t.Value.(ast.Boolean)
	return ok
}
