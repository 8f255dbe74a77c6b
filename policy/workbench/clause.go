package workbench

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"sallyport/policy"
)

// mostClauses is how many alternatives a residual may unfold into before nothing is said of it.
const mostClauses = 4096

// clause is conditions of which all hold.
type clause []literal

// literal is one condition. Its text has a mark in the place of each variable, and names rules that are
// left over by what they mean, so that equal texts of two policies mean the same.
type literal struct {
	expr *ast.Expr
	text string
	vars []string
	not  []clause // it says that none of these holds; nil: it says text
}

// clauses turns residuals of one policy into clauses.
type clauses struct {
	ctx   context.Context
	g     *policy.Generation
	rules map[string][]*ast.Rule // of the residual itself, by reference
	deep  int

	inlined int // rules, so far
}

func newClauses(ctx context.Context, g *policy.Generation, support []*ast.Module) *clauses {
	return &clauses{ctx: ctx, g: g, rules: newWords(&policy.Reach{Support: support}).rules}
}

// errUnfolded is where a residual is too large, or of a form that is not understood.
var errUnfolded = fmt.Errorf("the conditions cannot be compared")

// of unfolds bodies, any of which may hold.
func (c *clauses) of(bodies []ast.Body) ([]clause, error) {
	if c.deep++; c.deep > 50 {
		return nil, errUnfolded
	}
	defer func() { c.deep-- }()
	var out []clause
	for _, body := range bodies {
		open := []clause{{}}
		for _, e := range body {
			if onlyNames(body, e) {
				continue
			}
			alternatives, err := c.expr(e)
			if err != nil {
				return nil, err
			}
			var next []clause
			for _, begin := range open {
				for _, end := range alternatives {
					next = append(next, slices.Concat(begin, end))
				}
			}
			if open = next; len(open)+len(out) > mostClauses {
				return nil, errUnfolded
			}
		}
		out = append(out, open...)
	}
	return out, nil
}

// onlyNames reports whether an expression only gives a constant a name that nothing else uses, as a reason
// of deny.
func onlyNames(body ast.Body, e *ast.Expr) bool {
	if e.Negated || !e.IsEquality() {
		return false
	}
	x, y := e.Operand(0), e.Operand(1)
	if _, ok := x.Value.(ast.Var); !ok {
		x, y = y, x
	}
	v, ok := x.Value.(ast.Var)
	if !ok || !y.IsGround() || open(y) {
		return false
	}
	uses := 0
	ast.WalkVars(body, func(other ast.Var) bool {
		if other == v {
			uses++
		}
		return false
	})
	return uses == 1
}

// expr is one expression as alternatives: a rule of the residual that is true is its bodies.
func (c *clauses) expr(e *ast.Expr) ([]clause, error) {
	if len(e.With) > 0 {
		return nil, errUnfolded
	}
	if t, ok := e.Terms.(*ast.Term); ok && !e.Negated && t.Equal(ast.InternedTerm(true)) {
		return []clause{{}}, nil
	}
	if bodies := c.truths(e); bodies != nil {
		inner, err := c.of(bodies)
		if err != nil {
			return nil, err
		}
		if e.Negated {
			return []clause{{{expr: e, not: inner}}}, nil
		}
		c.inlined++
		for _, clause := range inner { // its variables are its own
			for i, l := range clause {
				clause[i].vars = make([]string, len(l.vars))
				for j, v := range l.vars {
					clause[i].vars[j] = fmt.Sprintf("%s#%d", v, c.inlined)
				}
			}
		}
		return inner, nil
	}
	l, err := c.literal(e)
	return []clause{{l}}, err
}

// truths are the bodies of the rule of the residual that an expression asks to be true; nil where it
// asks something else.
func (c *clauses) truths(e *ast.Expr) []ast.Body {
	t, ok := e.Terms.(*ast.Term)
	if !ok && e.IsEquality() {
		x, y := e.Operand(0), e.Operand(1)
		if x.Equal(ast.InternedTerm(true)) {
			x, y = y, x
		}
		if t, ok = x, y.Equal(ast.InternedTerm(true)); !ok {
			return nil
		}
	}
	if t == nil {
		return nil
	}
	ref, ok := t.Value.(ast.Ref)
	if !ok {
		return nil
	}
	var out []ast.Body
	for _, r := range c.rules[ref.String()] {
		switch {
		case r.Default && r.Head.Value.Equal(ast.InternedTerm(false)):
			continue
		case r.Else != nil || len(r.Head.Args) > 0 || r.Head.Key != nil || r.Head.Value != nil && !r.Head.Value.Equal(ast.InternedTerm(true)):
			return nil
		}
		out = append(out, r.Body)
	}
	return out
}

// mark stands for a variable in the text of a literal.
const mark = "\u2423"

// variable is how the compiler and partial evaluation name variables.
var variable = regexp.MustCompile(`__local[0-9]+__[0-9]*|_term_[0-9]+_[0-9]+|\$[0-9]+`)

// undeclared reports whether an expression has a variable that the author did not declare: its name may
// stand for two things in two bodies.
func undeclared(e *ast.Expr) bool {
	functions := map[ast.Var]bool{}
	function := func(t *ast.Term) {
		if ref, ok := t.Value.(ast.Ref); ok {
			if head, ok := ref[0].Value.(ast.Var); ok {
				functions[head] = true
			}
		}
	}
	ast.WalkExprs(e, func(e *ast.Expr) bool {
		if list, ok := e.Terms.([]*ast.Term); ok {
			function(list[0])
		}
		return false
	})
	ast.WalkTerms(e, func(t *ast.Term) bool {
		if call, ok := t.Value.(ast.Call); ok {
			function(call[0])
		}
		return false
	})
	found := false
	ast.WalkVars(e, func(v ast.Var) bool {
		found = found || !functions[v] && !ast.RootDocumentNames.Contains(ast.NewTerm(v)) && variable.FindString(string(v)) != string(v)
		return found
	})
	return found
}

// literal reads an expression that is left as it is.
func (c *clauses) literal(e *ast.Expr) (literal, error) {
	text := e.String()
	var failed error
	if undeclared(e) {
		return literal{}, errUnfolded
	}
	ast.WalkTerms(e, func(t *ast.Term) bool {
		if s, ok := t.Value.(ast.String); ok && variable.MatchString(string(s)) || strings.Contains(text, mark) {
			failed = errUnfolded // it would be taken for a variable
		}
		return failed != nil
	})
	meant := map[string]string{}
	ast.WalkRefs(e, func(ref ast.Ref) bool {
		if failed == nil && ref.HasPrefix(ast.DefaultRootRef) {
			name := ref.GroundPrefix().String()
			meant[name], failed = c.meaning(ref.GroundPrefix())
		}
		return failed != nil
	})
	if failed != nil {
		return literal{}, failed
	}
	names := make([]string, 0, len(meant))
	for name := range meant {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(len(b)-len(a), cmp.Compare(a, b)) })
	for _, name := range names {
		text = strings.ReplaceAll(text, name, "data["+meant[name]+"]")
	}
	l := literal{expr: e, vars: variable.FindAllString(text, -1)}
	l.text = variable.ReplaceAllString(text, mark)
	return l, nil
}

// meaning identifies what a reference below data stands for.
func (c *clauses) meaning(ref ast.Ref) (string, error) {
	if c.deep++; c.deep > 50 {
		return "", errUnfolded
	}
	defer func() { c.deep-- }()
	own := ref.String()
	var texts []string
	for name, rules := range c.rules {
		if name != own && !strings.HasPrefix(name, own+".") && !strings.HasPrefix(name, own+"[") {
			continue
		}
		for _, r := range rules {
			text, err := c.ruleText(r)
			if err != nil {
				return "", err
			}
			texts = append(texts, strings.TrimPrefix(name, own)+" "+text)
		}
	}
	if len(texts) == 0 {
		if strings.HasPrefix(own, "data.partial") {
			return "", errUnfolded
		}
		return c.g.Definition(c.ctx, ref)
	}
	slices.Sort(texts)
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return hex.EncodeToString(sum[:]), nil
}

// ruleText is a rule of the residual without its name.
func (c *clauses) ruleText(r *ast.Rule) (string, error) {
	var parts []string
	for at := r; at != nil; at = at.Else {
		parts = append(parts, fmt.Sprintf("%v %v %v %v", at.Default, at.Head.Args, at.Head.Key, at.Head.Value))
		for _, e := range at.Body {
			l, err := c.literal(e)
			if err != nil {
				return "", err
			}
			parts = append(parts, l.text+" "+strings.Join(l.vars, ","))
		}
	}
	names := map[string]string{}
	return variable.ReplaceAllStringFunc(strings.Join(parts, ";"), func(name string) string {
		if names[name] == "" {
			names[name] = fmt.Sprintf("%s%d", mark, len(names))
		}
		return names[name]
	}), nil
}
