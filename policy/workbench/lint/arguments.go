package lint

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"sallyport/policy"
)

// problem is what is wrong with one use of an argument under one tool; the zero problem is none.
type problem struct {
	name, text, cure string
	level            Level
}

// argumentUse is one use of an argument at one place, and what each tool says of it under which it is reached.
// Only what is wrong under all of them is a finding: a rule may serve several tools.
type argumentUse struct {
	at   *ast.Location
	said map[string]problem // by tool
}

// arguments holds what the policies read of arguments against the schemas of the tools.
func (c *checker) arguments(ctx context.Context) error {
	entries, err := c.entries()
	if err != nil {
		return err
	}
	a := &argumentCheck{uses: map[string]*argumentUse{}}
	a.sites = c.sites(func(t *ast.Term) string {
		if path := argumentPath(t); len(path) > 0 {
			return strings.Join(path, ".")
		}
		return ""
	})
	for server, tools := range c.Catalogue.Servers {
		for name, raw := range tools {
			q := policy.Question{Given: map[string]any{"action": "tools/call", "tool.name": name}, Absent: []string{"resource", "prompt"}}
			if server != AnyServer {
				q.Given["server.name"] = server
			}
			a.tool, a.schema = label(server, name), readSchema(raw)
			if err := c.each(ctx, entries, q, a.look); err != nil {
				return err
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(a.uses)) {
		a.uses[key].tell(c)
	}
	return nil
}

func (u *argumentUse) tell(c *checker) {
	tools := slices.Sorted(maps.Keys(u.said))
	for _, t := range tools {
		if u.said[t].name == "" {
			return
		}
	}
	p := u.said[tools[0]]
	c.at(u.at, p.name, p.level, fmt.Sprintf(p.text, several(tools)), p.cure)
}

// argumentCheck looks at what is left of the policies for one tool after the other.
type argumentCheck struct {
	sites  map[string][]*ast.Location
	uses   map[string]*argumentUse
	tool   string
	schema *schema
}

func (a *argumentCheck) look(e *ast.Expr, _ ast.Body, soft bool) {
	ast.WalkTerms(e, func(t *ast.Term) bool {
		if _, inner := t.Value.(ast.Call); inner {
			return false
		}
		if path := argumentPath(t); len(path) > 0 {
			a.note("", e, path, a.missing(path, soft))
		}
		return false
	})
	if !e.IsCall() && !e.IsEquality() {
		return
	}
	for i, t := range e.Operands() {
		path := argumentPath(t)
		if len(path) == 0 {
			continue
		}
		p := a.schema.look(path)
		if cmp, ok := compared(e, argumentsRef); ok && cmp.value == t && (cmp.equals() != nil || cmp.orders()) {
			a.note("constant "+e.String(), e, path, wrongConstant(cmp, path, p))
		} else if b := ast.BuiltinMap[e.Operator().String()]; b != nil && i < len(b.Decl.FuncArgs().Args) {
			a.note("operand "+b.Name, e, path, wrongOperand(b, i, path, p))
		}
	}
}

// note keeps what the tool says of a use.
func (a *argumentCheck) note(what string, e *ast.Expr, path []string, p problem) {
	sites := nearTo(a.sites[strings.Join(path, ".")], e)
	if len(sites) == 0 && e.Location != nil && e.Location.File != "" {
		sites = []*ast.Location{e.Location} // it is read through a variable
	}
	for _, at := range sites {
		key := fmt.Sprintf("%s:%d:%d %s %s", at.File, at.Row, at.Col, strings.Join(path, "."), what)
		u := a.uses[key]
		if u == nil {
			u = &argumentUse{at: at, said: map[string]problem{}}
			a.uses[key] = u
		}
		if old, again := u.said[a.tool]; !again || old.name != "" {
			u.said[a.tool] = p
		}
	}
}

// argumentPath is the path of a term below input.arguments: keys, and "" for any element; nil where it
// is none.
func argumentPath(t *ast.Term) []string {
	ref, ok := t.Value.(ast.Ref)
	if !ok || !ref.HasPrefix(argumentsRef) {
		return nil
	}
	var path []string
	for i, part := range ref[len(argumentsRef):] {
		switch v := part.Value.(type) {
		case ast.String:
			path = append(path, string(v))
		default:
			if i == 0 {
				return nil
			}
			path = append(path, "")
		}
	}
	return path
}

// missing says that a tool has no such argument.
func (a *argumentCheck) missing(path []string, soft bool) problem {
	p := a.schema.look(path)
	if p.presence != isBarred && p.presence != isUndeclared {
		return problem{}
	}
	out := problem{name: "unknown-argument", level: Error, text: "%s has no argument " + p.at, cure: policy.Near(p.at, p.names, "it has")}
	if len(p.names) == 0 {
		out.cure = "it takes none"
	}
	if p.parent != "" {
		out.text = "%s: " + p.parent + " has no " + p.at
	}
	// Others than those declared may be sent, and a rule may be there to keep them out.
	if p.presence == isUndeclared && soft && !strings.HasPrefix(out.cure, "did you mean") {
		out.level = Warning
	}
	return out
}

// dotted is a path as people write it.
func dotted(path []string) string {
	text := ""
	for _, key := range path {
		if key == "" {
			text += "[_]"
			continue
		}
		text = strings.TrimPrefix(text+"."+key, ".")
	}
	return text
}

// wrongConstant says that an argument is compared with what it can never be.
func wrongConstant(c comparison, path []string, p place) problem {
	if p.presence != isDeclared {
		return problem{}
	}
	name := "%s: " + dotted(path)
	values := c.equals()
	if values == nil && c.orders() {
		values = []ast.Value{c.constant}
	}
	var other []ast.Value
	for _, v := range values {
		if k := kindOf(v); k == 0 || p.kinds&k == 0 {
			other = append(other, v)
		}
	}
	switch {
	case len(values) == 0:
		return problem{}
	case len(other) == len(values):
		return problem{name: "wrong-type", level: Error, text: name + " is " + p.kinds.String() + ", and " + shown(other[0]) + " is not", cure: sameAs(other[0], p.kinds)}
	case len(p.enum) > 0 && c.equals() != nil:
		return notOf(name, values, p)
	}
	return problem{}
}

// notOf says that none of the values, or not all, are among those that the schema lists.
func notOf(name string, values []ast.Value, p place) problem {
	var outside []ast.Value
	for _, v := range values {
		if !slices.ContainsFunc(p.enum, func(e ast.Value) bool { return ast.Compare(e, v) == 0 }) {
			outside = append(outside, v)
		}
	}
	if len(outside) == 0 {
		return problem{}
	}
	var there []string
	for _, v := range p.enum {
		if s, ok := v.(ast.String); ok {
			there = append(there, string(s))
		}
	}
	out := problem{name: "unknown-value", level: Warning, text: name + " is never " + shown(outside[0])}
	if len(outside) == len(values) {
		out.level = Error
	}
	if s, ok := outside[0].(ast.String); ok {
		out.cure = policy.Near(string(s), there, "it is one of")
	}
	return out
}

// shown is a constant as the policy has it; percent signs are doubled for the format it goes into.
func shown(v ast.Value) string { return strings.ReplaceAll(v.String(), "%", "%%") }

// sameAs offers the constant in the kind that is wanted.
func sameAs(v ast.Value, want kinds) string {
	s, ok := v.(ast.String)
	switch {
	case ok && want == kindNumber && json.Valid([]byte(s)) && strings.Trim(string(s), "-+.eE0123456789") == "":
		return "write " + string(s)
	case ok && want == kindBoolean && (s == "true" || s == "false"):
		return "write " + string(s)
	case want == kindString:
		switch v.(type) {
		case ast.Number, ast.Boolean:
			return fmt.Sprintf("write %q", v.String())
		}
	}
	return "compare it with " + want.String()
}

// wrongOperand says that a function is given what it cannot take. Such a call fails, and the failure
// refuses whatever else the policies say.
func wrongOperand(b *ast.Builtin, i int, path []string, p place) problem {
	want := kindsOfType(b.Decl.FuncArgs().Args[i])
	if p.presence != isDeclared || p.kinds&want != 0 || want == 0 {
		return problem{}
	}
	return problem{name: "wrong-type", level: Error,
		text: "%s: " + dotted(path) + " is " + p.kinds.String() + ", and " + b.Name + " wants " + want.String() + ": the call fails, which refuses",
		cure: "ask it of an argument that is " + want.String()}
}
