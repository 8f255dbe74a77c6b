package lint

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"

	"sallyport/policy"
)

var (
	argumentsRef  = ast.MustParseRef("input.arguments")
	serverNameRef = ast.MustParseRef("input.server.name")
	toolNameRef   = ast.MustParseRef("input.tool.name")
)

// entry is a rule that the gateway asks.
type entry struct {
	query    ast.Body
	soft     bool // it does not allow: what it names may be there to keep out
	response bool // it decides results
	advisory bool // it is not enforced yet
}

// entries are the rules of the policies that decide, and those that are to.
func (c *checker) entries() ([]entry, error) {
	var out []entry
	for _, pkg := range []string{"data.mcp.authz.", "data.mcp.authz.advisory_", "data.mcp.response."} {
		for name, query := range map[string]string{"allow": "allow = true", "deny": "deny[_]", "obligations": "obligations[_]"} {
			if len(c.Compiler().GetRulesWithPrefix(ast.MustParseRef(pkg+name))) == 0 {
				continue
			}
			body, err := ast.ParseBody(pkg + query)
			if err == nil {
				body, err = c.Compiler().QueryCompiler().Compile(body)
			}
			if err != nil {
				return nil, fmt.Errorf("compile the question %s: %w", pkg+query, err)
			}
			out = append(out, entry{body, name != "allow", pkg == "data.mcp.response.", strings.HasSuffix(pkg, ".advisory_")})
		}
	}
	return out, nil
}

// each calls do with every expression that is left of the entries under a question, and with the body
// it stands in.
func (c *checker) each(ctx context.Context, entries []entry, q policy.Question, do func(e *ast.Expr, in ast.Body, soft bool)) error {
	for _, entry := range entries {
		left, err := c.Remains(ctx, entry.query, q)
		if err != nil {
			return err
		}
		visit := func(body ast.Body, soft bool) {
			ast.WalkExprs(body, func(e *ast.Expr) bool {
				do(e, body, soft || e.Negated)
				return false
			})
		}
		for _, body := range left.Bodies {
			visit(body, entry.soft)
		}
		for _, m := range left.Support {
			for _, rule := range m.Rules {
				visit(rule.Body, true)
			}
		}
	}
	return nil
}

// comparison is an expression that holds a value of the input against a constant.
type comparison struct {
	op       string // of the built-in
	value    *ast.Term
	constant ast.Value
	swapped  bool // the constant stands left
}

// compared reads an expression as a comparison of something that begins with ref.
func compared(e *ast.Expr, ref ast.Ref) (comparison, bool) {
	if !e.IsCall() && !e.IsEquality() || len(e.Operands()) < 2 {
		return comparison{}, false
	}
	c := comparison{op: e.Operator().String(), value: e.Operand(0), constant: e.Operand(1).Value}
	if !begins(c.value, ref) {
		c.value, c.constant, c.swapped = e.Operand(1), e.Operand(0).Value, true
	}
	return c, begins(c.value, ref) && c.constant.IsGround() && !isRef(c.constant)
}

func begins(t *ast.Term, ref ast.Ref) bool {
	r, ok := t.Value.(ast.Ref)
	return ok && r.HasPrefix(ref)
}

func isRef(v ast.Value) bool {
	switch v.(type) {
	case ast.Ref, ast.Var, ast.Call:
		return true
	}
	return false
}

// equals returns the constants of which the value must be one, where the comparison says so.
func (c comparison) equals() []ast.Value {
	switch c.op {
	case ast.Equality.Name, ast.Equal.Name:
		return []ast.Value{c.constant}
	case ast.Member.Name:
		if c.swapped {
			return nil
		}
		var out []ast.Value
		add := func(t *ast.Term) { out = append(out, t.Value) }
		switch v := c.constant.(type) {
		case ast.Set:
			v.Foreach(add)
		case *ast.Array:
			v.Foreach(add)
		case ast.Object:
			v.Foreach(func(_, t *ast.Term) { add(t) })
		}
		return out
	}
	return nil
}

// orders reports whether the comparison is one by order, or by being another.
func (c comparison) orders() bool {
	switch c.op {
	case ast.NotEqual.Name, ast.LessThan.Name, ast.LessThanEq.Name, ast.GreaterThan.Name, ast.GreaterThanEq.Name:
		return true
	}
	return false
}

// kindsOfType are the kinds that a value of a type may have.
func kindsOfType(t types.Type) kinds {
	switch t := t.(type) {
	case types.Null:
		return kindNull
	case types.Boolean:
		return kindBoolean
	case types.Number:
		return kindNumber
	case types.String:
		return kindString
	case *types.Array:
		return kindArray
	case *types.Object:
		return kindObject
	case *types.NamedType:
		return kindsOfType(t.Type)
	case types.Any:
		var k kinds
		for _, one := range t {
			k |= kindsOfType(one)
		}
		if len(t) > 0 {
			return k
		}
	case *types.Set:
		return 0
	}
	return anyKind
}

// sites are the places in the policies of what match finds in a term.
func (c *checker) sites(match func(*ast.Term) string) map[string][]*ast.Location {
	out := map[string][]*ast.Location{}
	for _, rule := range c.Rules() {
		ast.WalkTerms(rule, func(t *ast.Term) bool {
			if key := match(t); key != "" && t.Location != nil && t.Location.File != "" &&
				!slices.ContainsFunc(out[key], func(l *ast.Location) bool { return l.File == t.Location.File && l.Row == t.Location.Row }) {
				out[key] = append(out[key], t.Location)
			}
			return false
		})
	}
	return out
}

// nearTo are the sites on the line of an expression, else all.
func nearTo(sites []*ast.Location, e *ast.Expr) []*ast.Location {
	if e == nil || e.Location == nil {
		return sites
	}
	for _, s := range sites {
		if s.File == e.Location.File && s.Row == e.Location.Row {
			return []*ast.Location{s}
		}
	}
	return sites
}

// several names the first of a list.
func several(names []string) string {
	switch {
	case len(names) == 1:
		return names[0]
	case len(names) <= 3:
		return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
	}
	return fmt.Sprintf("%s and %d others", strings.Join(names[:2], ", "), len(names)-2)
}
