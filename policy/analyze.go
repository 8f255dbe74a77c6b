package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/dependencies"
)

// reads is what the policies look at, found by analysis when they are loaded.
type reads struct {
	args    map[string]bool // top-level arguments read by name
	allArgs bool            // the arguments are read as a whole
	parts   map[string]bool // of subject, grant and flow, as "grant.task"; "grant" where it is read as a whole
	request bool            // request.id or request.time, which differ each time
	all     bool            // input as a whole
	result  *ast.Location   // of a rule that reads input.result; nil: none
	impure  string          // a built-in whose answer is not decided by its operands
	notes   []string
	refused []*Fault // obligations that refuse every call that carries them
}

// cacheable reports whether a decision depends on nothing but the paths in its key.
func (r *reads) cacheable() bool { return r.impure == "" && !r.request && !r.all }

// part reports whether a part of subject, grant or flow is read. What is not read has no place in a
// key: there it would only keep equal decisions apart.
func (r *reads) part(of, name string) bool {
	return r.all || r.parts[of] || r.parts[of+"."+name]
}

// wallClock built-ins read the clock although OPA does not mark them so.
var wallClock = map[string]bool{
	"crypto.x509.parse_and_verify_certificates":              true,
	"crypto.x509.parse_and_verify_certificates_with_options": true,
}

func analyze(c *ast.Compiler) (reads, error) {
	var rules []*ast.Rule
	for _, name := range decisive { // those that are not enforced too: what they say is kept with the decision
		rules = append(rules, c.GetRulesWithPrefix(ast.MustParseRef("data.mcp.authz."+name))...)
		rules = append(rules, c.GetRulesWithPrefix(ast.MustParseRef("data.mcp.authz."+advisory+name))...)
	}
	r, err := readsOf(c, rules)
	if err != nil {
		return r, err
	}
	if r.result != nil {
		return r, noResult(c, r.result)
	}
	r.unmet(c)
	r.notes = append(r.notes, adviceNotes(c)...)
	r.purity(c)
	if r.impure != "" {
		r.notes = append(r.notes, "decisions are not cached: a rule calls "+r.impure)
	} else if r.request {
		r.notes = append(r.notes, "decisions are not cached: a rule reads input.request.id or input.request.time")
	}
	return r, nil
}

// readsOf finds what rules and all that they refer to read.
func readsOf(c *ast.Compiler, rules []*ast.Rule) (reads, error) {
	r := reads{args: map[string]bool{}, parts: map[string]bool{}}
	for _, rule := range rules {
		refs, err := dependencies.Base(c, rule)
		if err != nil {
			return r, fmt.Errorf("analyse policy: %w", err)
		}
		for _, ref := range refs {
			r.add(ref, rule.Location)
		}
	}
	return r, nil
}

func (r *reads) add(ref ast.Ref, at *ast.Location) {
	if !ref.HasPrefix(ast.InputRootRef) {
		return
	}
	part := func(i int) string {
		if i >= len(ref) {
			return ""
		}
		s, ok := ref[i].Value.(ast.String)
		if !ok {
			return ""
		}
		return string(s)
	}
	switch first, second := part(1), part(2); first {
	case "":
		r.all, r.allArgs, r.request = true, true, true
		r.notes = append(r.notes, fmt.Sprintf("a rule reads input as a whole (from %s:%d)", at.File, at.Row))
	case "arguments":
		if second == "" {
			r.allArgs = true
			r.notes = append(r.notes, fmt.Sprintf("a rule reads all of input.arguments (from %s:%d)", at.File, at.Row))
			return
		}
		r.args[second] = true
	case "subject", "grant", "flow":
		if second != "" {
			second = "." + second
		}
		r.parts[first+second] = true
	case "result":
		if r.result == nil {
			r.result = at
		}
	case "request":
		r.request = r.request || second != "era" && second != "method"
	}
}

// argumentKeys are the top-level arguments that any rule names: a rule that decides nothing can
// still be a grant's argument constraint.
func argumentKeys(c *ast.Compiler) []string {
	keys := map[string]bool{}
	for _, m := range c.Modules {
		for _, rule := range m.Rules {
			if strings.HasPrefix(headName(rule), advisory) {
				continue // not even of how an argument is spelt may it have a say
			}
			ast.WalkRefs(rule, func(ref ast.Ref) bool {
				if len(ref) > 2 && ref.HasPrefix(argumentsRef) {
					if name, ok := ref[2].Value.(ast.String); ok {
						keys[string(name)] = true
					}
				}
				return false
			})
		}
	}
	return slices.Sorted(maps.Keys(keys))
}

var argumentsRef = ast.MustParseRef("input.arguments")

// unmet notes obligations that refuse every call they are on: unknown, misspelt, malformed, or
// of a later version.
func (r *reads) unmet(c *ast.Compiler) {
	for _, rule := range c.GetRulesWithPrefix(ast.MustParseRef("data.mcp.authz.obligations")) {
		ast.WalkTerms(rule, func(t *ast.Term) bool {
			obj, ok := t.Value.(ast.Object)
			if !ok {
				return false
			}
			if problem := refusing(obj); problem != "" {
				f := &Fault{Name: "unmet-obligation", File: rule.Location.File, Line: rule.Location.Row, Column: rule.Location.Col,
					Text: problem + ": every call that carries it is refused"}
				r.notes, r.refused = append(r.notes, f.Error()), append(r.refused, f)
			}
			return false
		})
	}
}

// purity looks for a reachable built-in whose answer its operands do not decide. Every module
// counts: that is more than is reachable, never less.
func (r *reads) purity(c *ast.Compiler) {
	unsure := map[string]bool{}
	for _, b := range ast.Builtins {
		if b.IsNondeterministic() || wallClock[b.Name] {
			unsure[b.Name] = true
		}
	}
	for _, m := range c.Modules {
		ast.WalkRefs(m, func(ref ast.Ref) bool {
			if name := ref.String(); unsure[name] {
				r.impure = name
			}
			return r.impure != ""
		})
	}
}
