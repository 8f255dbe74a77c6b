package lint

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"sallyport/policy"
)

// asked are the rules that the gateway asks, by package.
var asked = map[string][]string{
	"data.mcp.authz":    {"allow", "deny", "obligations"},
	"data.mcp.response": {"allow", "deny", "obligations", "allow_large"},
}

// unused looks for rules of the packages that decide which neither the gateway nor another rule nor a test
// asks: a misspelt deny refuses nothing, and says nothing.
func (c *checker) unused(context.Context) error {
	used, all := c.used()
	told := map[string]bool{}
	for _, rule := range c.Rules() {
		ref := rule.Ref()
		pkg := rule.Module.Package.Path
		known := asked[pkg.String()]
		if known == nil || len(ref) <= len(pkg) || all[pkg.String()] {
			continue
		}
		part, ok := ref[len(pkg)].Value.(ast.String)
		name := string(part)
		whole := pkg.String() + "." + name
		if !ok || told[whole] || used[name] || slices.Contains(known, strings.TrimPrefix(name, "advisory_")) {
			continue
		}
		told[whole] = true
		text := fmt.Sprintf("rule %s is used by nothing: the gateway does not ask it, nor does another rule or a test", name)
		if near := policy.Near(name, known, ""); strings.HasPrefix(near, "did you mean") {
			c.at(rule.Location, "unused-rule", Warning, text, near)
			continue
		}
		c.at(rule.Location, "unused-rule", Note, text, "where no grant names it as a constraint, take it out")
	}
	return nil
}

// used are the names of rules that something refers to, and the packages that something reads as a whole.
// In tests every part of a reference counts, whatever the imports call it.
func (c *checker) used() (names, whole map[string]bool) {
	names, whole = map[string]bool{}, map[string]bool{}
	for _, rule := range c.Rules() {
		ast.WalkRefs(rule, func(r ast.Ref) bool {
			for pkg := range asked {
				path := ast.MustParseRef(pkg)
				if len(r) <= len(path) {
					whole[pkg] = whole[pkg] || path.HasPrefix(r) && r.HasPrefix(ast.DefaultRootRef)
				} else if r.HasPrefix(path) {
					part, is := r[len(path)].Value.(ast.String)
					names[string(part)] = true
					whole[pkg] = whole[pkg] || !is
				}
			}
			return false
		})
	}
	for file, src := range c.Files {
		if !policy.IsTest(file) || !strings.HasSuffix(file, ".rego") {
			continue
		}
		m, err := ast.ParseModuleWithOpts(file, string(src), ast.ParserOptions{RegoVersion: ast.RegoV1})
		if err != nil {
			continue // said elsewhere
		}
		ast.WalkRefs(m, func(r ast.Ref) bool {
			for _, part := range r {
				switch v := part.Value.(type) {
				case ast.String:
					names[string(v)] = true
				case ast.Var:
					names[string(v)] = true
				}
			}
			return false
		})
	}
	return names, whole
}

// actions are what a question may be about.
var actions = []string{"tools/call", "tools/list", "resources/read", "resources/list", "resources/templates/list", "resources/subscribe",
	"resources/unsubscribe", "prompts/get", "prompts/list", "completion/complete", "initialize", "server/discover", "ping", "logging/setLevel",
	"subscriptions/listen", "tasks/get", "tasks/result", "tasks/list", "tasks/cancel", "tasks/update", "sampling/createMessage",
	"elicitation/create", "roots/list"}

// action looks for actions in the policies that there are not.
func (c *checker) action(ctx context.Context) error {
	entries, err := c.entries()
	if err != nil {
		return err
	}
	n := &nameCheck{checker: c}
	soft, at := map[string]bool{}, map[string]*ast.Expr{}
	var names []string
	err = c.each(ctx, entries, policy.Question{}, func(e *ast.Expr, _ ast.Body, s bool) {
		for _, name := range constants(e, actionRef) {
			if slices.Contains(actions, name) || strings.HasPrefix(name, "notifications/") {
				continue
			}
			if at[name] == nil {
				at[name], soft[name], names = e, true, append(names, name)
			}
			soft[name] = soft[name] && s
		}
	})
	slices.Sort(names)
	for _, name := range names {
		level := Error
		near := policy.Near(name, actions, "there are")
		if soft[name] || !strings.HasPrefix(near, "did you mean") {
			level = Warning
		}
		n.where("unknown-action", level, name, at[name], fmt.Sprintf("there is no action %q", name), near)
	}
	return err
}
