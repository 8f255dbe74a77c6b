package lint

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"sallyport/policy"
)

// item is a kind of thing that a question may be about: a tool, a resource, a prompt or none of these.
type item struct {
	server, tool string // "": any
	absent       []ast.Ref
	schema       *schema
	not          []ast.Value // actions that no such question has
}

func refs(names ...string) []ast.Ref {
	var out []ast.Ref
	for _, n := range names {
		out = append(out, ast.MustParseRef("input."+n))
	}
	return out
}

func words(list ...string) []ast.Value {
	var out []ast.Value
	for _, w := range list {
		out = append(out, ast.String(w))
	}
	return out
}

// items are what questions may be about. Of tools that are not known there is one that may be any.
func (c *checker) items() []item {
	noTool := words("resources/read", "resources/subscribe", "prompts/get", "completion/complete", "initialize", "ping",
		"tools/list", "prompts/list", "resources/list", "resources/templates/list", "logging/setLevel")
	out := []item{
		{absent: refs("tool", "prompt"), not: words("tools/call", "prompts/get")},
		{absent: refs("tool", "resource"), not: words("tools/call", "resources/read", "resources/subscribe")},
		{absent: refs("tool", "resource", "prompt"), not: words("tools/call", "resources/read", "resources/subscribe", "prompts/get")},
	}
	any := item{absent: refs("resource", "prompt"), not: noTool}
	if !c.Catalogue.Known() {
		return append(out, any)
	}
	for server, tools := range c.Catalogue.Servers {
		one := any
		one.server = server
		if tools == nil {
			out = append(out, one)
		}
		for name, raw := range tools {
			one.tool, one.schema = name, readSchema(raw)
			out = append(out, one)
		}
	}
	return out
}

// never looks for rules that hold for no question at all. Everything of the input is unknown, and the
// data too, since it changes without the policies; what is left of a rule then contradicts itself.
func (c *checker) never(ctx context.Context) error {
	items := c.items()
	after := c.branches()
	dead := map[*ast.Rule]string{}
	at := map[*ast.Rule]*ast.Location{}
	for _, rule := range c.Rules() {
		if rule.Default || len(rule.Head.Args) > 0 || rule.Else != nil || after[rule] {
			continue // what a function is given only its callers know, and one branch of an else is not the rule
		}
		left, err := c.Remains(ctx, rule.Body, policy.Question{Data: true})
		if err != nil {
			continue // a call that fails: its test or its first call says so
		}
		at[rule] = rule.Location
		if len(left.Bodies) == 0 {
			dead[rule] = "a condition of it is always false"
			if e := c.firstFalse(ctx, rule.Body); e != nil {
				at[rule] = e
			}
			continue
		}
		if why := impossible(left, items); why != "" {
			dead[rule] = why
		}
	}
	for rule, why := range dead {
		if c.explained(rule, dead) {
			continue
		}
		name := strings.TrimPrefix(strings.TrimPrefix(rule.Ref().String(), "data.mcp.authz."), "advisory_")
		c.at(at[rule], "never-true", Error, fmt.Sprintf("this rule of %s never holds: %s", name, why), "mend the condition, or take the rule out")
	}
	return nil
}

// firstFalse is the place of the expression with which a body fails.
func (c *checker) firstFalse(ctx context.Context, body ast.Body) *ast.Location {
	for i := range body {
		left, err := c.Remains(ctx, body[:i+1], policy.Question{Data: true})
		if err != nil || len(left.Bodies) == 0 {
			if l := body[i].Location; err == nil && l != nil && l.File != "" {
				return l
			}
			return nil
		}
	}
	return nil
}

// explained reports whether another finding says why a rule never holds: one on its lines, or one of a
// rule that it asks.
func (c *checker) explained(rule *ast.Rule, dead map[*ast.Rule]string) bool {
	last := rule.Location.Row + strings.Count(string(rule.Location.Text), "\n")
	if slices.ContainsFunc(c.found, func(f Finding) bool {
		return f.Level != Note && f.File == rule.Location.File && f.Line >= rule.Location.Row && f.Line <= last
	}) {
		return true
	}
	asked := false
	ast.WalkRefs(rule.Body, func(r ast.Ref) bool {
		for other := range dead {
			asked = asked || other != rule && r.HasPrefix(other.Ref())
		}
		return asked
	})
	return asked
}

// impossible says why no body can hold for any item; "" where one may.
func impossible(left policy.Residual, items []item) string {
	why := map[string]bool{}
	own := ""
	for _, body := range left.Bodies {
		for _, it := range items {
			reason := (&solver{item: it, support: left.Support}).fails(body, 0)
			if reason == "" {
				return ""
			}
			why[reason] = true
		}
		// Without any item, what stays is the rule's own contradiction.
		own = cmp.Or(own, (&solver{support: left.Support}).fails(body, 0))
	}
	if own != "" {
		return own
	}
	if len(why) == 1 {
		return slices.Collect(maps.Keys(why))[0]
	}
	return "no tool, resource, prompt or other message fits it"
}

// solver looks for a contradiction among expressions that must all hold.
type solver struct {
	item    item
	support []*ast.Module
}

// fails says why a body cannot hold; "" where it may.
func (s *solver) fails(body ast.Body, depth int) string {
	domains := map[string]*domain{}
	must := map[string]bool{}
	for _, e := range body {
		if len(e.With) > 0 {
			continue
		}
		if e.Negated {
			continue
		}
		must[e.String()] = true
		if why := s.require(e, domains, depth); why != "" {
			return why
		}
	}
	for _, e := range body {
		if e.Negated && len(e.With) == 0 {
			positive := e.Copy()
			positive.Negated = false
			if must[positive.String()] {
				return "it wants " + positive.String() + " and not"
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(domains)) {
		if why := domains[name].empty(); why != "" {
			return name + ": " + why
		}
	}
	return ""
}

// require notes what an expression wants of the input.
func (s *solver) require(e *ast.Expr, domains map[string]*domain, depth int) string {
	of := func(t *ast.Term) *domain {
		name := t.Value.String()
		if domains[name] == nil {
			domains[name] = s.start(t.Value.(ast.Ref))
		}
		return domains[name]
	}
	if t, ok := e.Terms.(*ast.Term); ok {
		if s.undefined(t) {
			return "no such message has " + t.String()
		}
		if begins(t, ast.InputRootRef) {
			of(t).not = append(of(t).not, ast.Boolean(false))
		}
		return s.supported(t, depth)
	}
	if !e.IsCall() && !e.IsEquality() {
		return ""
	}
	for i, t := range e.Operands() {
		if s.undefined(t) {
			return "no such message has " + t.String()
		}
		if b := ast.BuiltinMap[e.Operator().String()]; b != nil && begins(t, ast.InputRootRef) && i < len(b.Decl.FuncArgs().Args) {
			if k := kindsOfType(b.Decl.FuncArgs().Args[i]); k != 0 {
				of(t).kinds &= k
			}
		}
	}
	if c, ok := compared(e, ast.InputRootRef); ok {
		of(c.value).add(c)
	}
	return ""
}

// start is what is known of a value before anything is asked of it.
func (s *solver) start(ref ast.Ref) *domain {
	d := anything()
	switch {
	case ref.Equal(toolNameRef) && s.item.tool != "":
		d.oneOf(words(s.item.tool))
	case ref.Equal(serverNameRef) && s.item.server != AnyServer:
		d.oneOf(words(s.item.server))
	case ref.Equal(actionRef):
		d.not = slices.Clone(s.item.not)
	}
	if path := argumentPath(ast.NewTerm(ref)); s.item.schema != nil && len(path) > 0 {
		if p := s.item.schema.look(path); p.presence == isDeclared {
			d.from(p)
		}
	}
	return d
}

var actionRef = ast.MustParseRef("input.action")

// undefined reports whether a term is not there in questions about the item.
func (s *solver) undefined(t *ast.Term) bool {
	for _, absent := range s.item.absent {
		if begins(t, absent) {
			return true
		}
	}
	path := argumentPath(t)
	return s.item.schema != nil && len(path) > 0 && s.item.schema.look(path).presence == isBarred
}

// maxSupport bounds how deep rules of a residual are followed.
const maxSupport = 5

// supported says why a rule that partial evaluation made cannot hold.
func (s *solver) supported(t *ast.Term, depth int) string {
	ref, ok := t.Value.(ast.Ref)
	if !ok || depth >= maxSupport {
		return ""
	}
	why := ""
	for _, m := range s.support {
		for _, rule := range m.Rules {
			if !ref.Equal(rule.Ref()) && !ref.Equal(m.Package.Path.Extend(rule.Head.Ref())) {
				continue
			}
			if rule.Default || rule.Else != nil {
				return ""
			}
			reason := s.fails(rule.Body, depth+1)
			if reason == "" {
				return ""
			}
			why = reason
		}
	}
	return why
}
