package mutation

import (
	"math/big"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// term finds what can be changed in a term; set puts another in its place.
func (f *finder) term(t *ast.Term, set func(*ast.Term)) {
	at, was := t.Location, text(t)
	switch v := t.Value.(type) {
	case ast.String:
		f.texts(t, string(v), set)
	case ast.Number:
		n, ok := new(big.Rat).SetString(string(v))
		if !ok {
			return
		}
		for _, by := range []int64{1, -1} {
			moved := new(big.Rat).Add(n, big.NewRat(by, 1)).RatString()
			f.add(at, was+" becomes "+moved, func() { set(ast.NewTerm(ast.Number(moved))) })
		}
	case ast.Boolean:
		f.add(at, was+" becomes its opposite", func() { set(ast.BooleanTerm(!bool(v))) })
	case ast.Call:
		f.call(at, was, v, func(changed []*ast.Term) { set(ast.NewTerm(ast.Call(changed))) })
	case ast.Ref:
		for i, part := range v[1:] {
			if _, name := part.Value.(ast.String); name {
				continue // a misspelt key is a mutant that the schema, and not a test, refuses
			}
			f.term(part, func(t *ast.Term) {
				changed := append(ast.Ref{}, v...)
				changed[i+1] = t
				set(ast.NewTerm(changed))
			})
		}
	case *ast.Array:
		f.elements(t, sliceOf(v), func(list []*ast.Term) { set(ast.ArrayTerm(list...)) })
	case ast.Set:
		f.elements(t, v.Slice(), func(list []*ast.Term) { set(ast.SetTerm(list...)) })
	case ast.Object:
		f.members(t, v, set)
	case *ast.SetComprehension:
		f.body(v.Body)
	case *ast.ArrayComprehension:
		f.body(v.Body)
	case *ast.ObjectComprehension:
		f.body(v.Body)
	}
}

func (f *finder) texts(t *ast.Term, s string, set func(*ast.Term)) {
	f.add(t.Location, "change "+text(t), func() { set(ast.StringTerm(s + "~")) })
	if rest, ok := strings.CutPrefix(s, "^"); ok {
		f.add(t.Location, "without ^: "+text(t), func() { set(ast.StringTerm(rest)) })
	}
	if rest, ok := strings.CutSuffix(s, "$"); ok {
		f.add(t.Location, "without $: "+text(t), func() { set(ast.StringTerm(rest)) })
	}
}

func (f *finder) elements(t *ast.Term, list []*ast.Term, set func([]*ast.Term)) {
	for i, e := range list {
		f.add(e.Location, "without "+text(e)+" of "+text(t), func() {
			set(append(append([]*ast.Term{}, list[:i]...), list[i+1:]...))
		})
		if _, plain := e.Value.(ast.String); plain {
			continue // to change it is to take it out
		}
		f.term(e, func(changed *ast.Term) {
			out := append([]*ast.Term{}, list...)
			out[i] = changed
			set(out)
		})
	}
}

func (f *finder) members(t *ast.Term, o ast.Object, set func(*ast.Term)) {
	var pairs [][2]*ast.Term
	for _, key := range o.Keys() {
		pairs = append(pairs, [2]*ast.Term{key, o.Get(key)})
	}
	for i, p := range pairs {
		f.add(p[0].Location, "without "+text(p[0])+" of "+text(t), func() {
			set(ast.ObjectTerm(append(append([][2]*ast.Term{}, pairs[:i]...), pairs[i+1:]...)...))
		})
		f.term(p[1], func(changed *ast.Term) {
			out := append([][2]*ast.Term{}, pairs...)
			out[i] = [2]*ast.Term{p[0], changed}
			set(ast.ObjectTerm(out...))
		})
	}
}

func sliceOf(a *ast.Array) []*ast.Term {
	var out []*ast.Term
	a.Foreach(func(t *ast.Term) { out = append(out, t) })
	return out
}
