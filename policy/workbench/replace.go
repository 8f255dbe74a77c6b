package workbench

import "github.com/open-policy-agent/opa/v1/ast"

// replaceIn is an expression with terms in the place of variables. The expression itself stays as it is.
func replaceIn(e *ast.Expr, put map[ast.Var]*ast.Term) *ast.Expr {
	if len(put) == 0 {
		return e
	}
	out := e.CopyWithoutTerms()
	switch terms := e.Terms.(type) {
	case *ast.Term:
		out.Terms = replace(terms, put)
	case []*ast.Term:
		list := make([]*ast.Term, len(terms))
		list[0] = terms[0] // the function
		for i, t := range terms[1:] {
			list[i+1] = replace(t, put)
		}
		out.Terms = list
	case *ast.Every:
		every := *terms
		every.Domain, every.Body = replace(terms.Domain, put), replaceBody(terms.Body, put)
		out.Terms = &every
	default:
		out.Terms = e.Terms
	}
	for i, w := range e.With {
		with := *w
		with.Value = replace(w.Value, put)
		out.With[i] = &with
	}
	return out
}

func replaceBody(b ast.Body, put map[ast.Var]*ast.Term) ast.Body {
	out := make(ast.Body, len(b))
	for i, e := range b {
		out[i] = replaceIn(e, put)
	}
	return out
}

func replace(t *ast.Term, put map[ast.Var]*ast.Term) *ast.Term {
	switch v := t.Value.(type) {
	case ast.Var:
		if x := put[v]; x != nil {
			return x
		}
	case ast.Ref:
		return replaceRef(v, put)
	case ast.Call:
		out := make(ast.Call, len(v))
		out[0] = v[0]
		for i, x := range v[1:] {
			out[i+1] = replace(x, put)
		}
		return ast.NewTerm(out)
	case *ast.Array:
		var list []*ast.Term
		v.Foreach(func(x *ast.Term) { list = append(list, replace(x, put)) })
		return ast.ArrayTerm(list...)
	case ast.Set:
		var list []*ast.Term
		v.Foreach(func(x *ast.Term) { list = append(list, replace(x, put)) })
		return ast.SetTerm(list...)
	case ast.Object:
		var pairs [][2]*ast.Term
		v.Foreach(func(k, x *ast.Term) { pairs = append(pairs, [2]*ast.Term{replace(k, put), replace(x, put)}) })
		return ast.ObjectTerm(pairs...)
	case *ast.ArrayComprehension:
		return ast.ArrayComprehensionTerm(replace(v.Term, put), replaceBody(v.Body, put))
	case *ast.SetComprehension:
		return ast.SetComprehensionTerm(replace(v.Term, put), replaceBody(v.Body, put))
	case *ast.ObjectComprehension:
		return ast.ObjectComprehensionTerm(replace(v.Key, put), replace(v.Value, put), replaceBody(v.Body, put))
	}
	return t
}

// replaceRef puts what a reference begins with into its place: x[0] with x = input.a is input.a[0].
func replaceRef(ref ast.Ref, put map[ast.Var]*ast.Term) *ast.Term {
	out := make(ast.Ref, 0, len(ref))
	if head := replace(ref[0], put); head != ref[0] {
		if inner, ok := head.Value.(ast.Ref); ok {
			out = append(out, inner...)
		} else {
			out = append(out, head)
		}
	} else {
		out = append(out, ref[0])
	}
	for _, part := range ref[1:] {
		out = append(out, replace(part, put))
	}
	return ast.NewTerm(out)
}
