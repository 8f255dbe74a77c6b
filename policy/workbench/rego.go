package workbench

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
)

// instance is what partial evaluation adds to the name of a variable.
var instance = regexp.MustCompile(`__[0-9]+$`)

// name is what the author called a variable, else a name that nothing else has.
func (w *words) name(v ast.Var) string {
	rule := ast.Var(instance.ReplaceAllString(string(v), "__"))
	if !strings.HasPrefix(string(v), "__") && !strings.HasPrefix(string(v), "$") {
		return string(v)
	}
	base := string(w.names[rule])
	if base == "" || strings.HasPrefix(base, "__") || strings.HasPrefix(base, "$") {
		base = "x"
	}
	name := base
	for n := 2; w.taken[name] != "" && w.taken[name] != rule; n++ {
		name = base + strconv.Itoa(n)
	}
	w.taken[name] = rule
	return name
}

func (s *sentence) rego(exprs []*ast.Expr) string { return s.w.rego(exprs) }

// rego writes expressions as their author would, with the rules that they refer to.
func (w *words) rego(exprs []*ast.Expr) string {
	body := make(ast.Body, len(exprs))
	names := map[ast.Var]string{}
	for i, e := range exprs {
		body[i] = w.renamed(e, names)
	}
	text := source(body)
	for _, name := range w.within(body) {
		for i, r := range w.rules[name] {
			if i == 0 {
				text += "; where " + name
			} else {
				text += ", or"
			}
			text += " if {" + w.rego(r.Body) + "}"
		}
	}
	return text
}

// within are the rules of the residual that a body refers to.
func (w *words) within(body ast.Body) []string {
	var out []string
	ast.WalkRefs(body, func(ref ast.Ref) bool {
		if name := ref.String(); w.rules[name] != nil && !slices.Contains(out, name) {
			out = append(out, name)
		}
		return false
	})
	return out
}

// renamed gives each variable of an expression a name of its own that can be read.
func (w *words) renamed(e *ast.Expr, names map[ast.Var]string) *ast.Expr {
	out, err := ast.TransformVars(e.Copy(), func(v ast.Var) (ast.Value, error) {
		if !strings.HasPrefix(string(v), "__") && !strings.HasPrefix(string(v), "$") {
			return v, nil
		}
		name, known := names[v]
		if !known {
			base := w.name(v)
			name = base
			for n := 2; slices.Contains(values(names), name); n++ {
				name = base + strconv.Itoa(n)
			}
			names[v] = name
		}
		return ast.Var(name), nil
	})
	if x, ok := out.(*ast.Expr); ok && err == nil {
		return x
	}
	return e
}

func values(m map[ast.Var]string) []string {
	out := make([]string, 0, len(m))
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

// source is Rego on one line.
func source(body ast.Body) string {
	src, err := format.AstWithOpts(body, format.Opts{RegoVersion: ast.RegoV1, IgnoreLocations: true})
	if err != nil {
		return body.String()
	}
	var lines []string
	for line := range strings.SplitSeq(string(src), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}
