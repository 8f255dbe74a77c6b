package lint

import (
	"context"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"sallyport/policy"
)

// nobodys is a name that no policy can compare with: of a role, a server and a tool.
const nobodys = "\x00nobody's"

var allowRef = ast.MustParseRef("data.mcp.authz.allow")

// everybody looks for an allow that holds for a caller whose role no policy names, and for a tool that
// none names: whatever there is, and whatever will come, is open to all. A rule that names what it opens
// is not that, and one that asks for something of the caller is not either.
func (c *checker) everybody(ctx context.Context) error {
	in := &policy.Input{Action: "tools/call", Subject: &policy.Subject{Roles: []string{nobodys}}, Server: nobodys, Tool: &policy.Tool{Name: nobodys}}
	r, err := c.Reach(ctx, in, policy.OpenCaller)
	if err != nil || r.Never() || !slices.ContainsFunc(r.Allow, func(b ast.Body) bool { return len(b) == 0 }) {
		return nil // a call that fails refuses
	}
	given := policy.Question{Given: map[string]any{"action": in.Action, "subject.roles": in.Subject.Roles, "server.name": nobodys, "tool.name": nobodys}}
	after := c.branches()
	for _, rule := range c.Rules() {
		if !rule.Ref().Equal(allowRef) || rule.Head.Value == nil || !rule.Head.Value.Equal(ast.InternedTerm(true)) {
			continue
		}
		why := ""
		switch {
		case rule.Default:
			why = "default"
		case !c.holds(ctx, rule, given):
			continue
		case after[rule]:
			why = "else"
		}
		c.open(rule, why)
	}
	return nil
}

func (c *checker) open(rule *ast.Rule, why string) {
	text := "allow is true for everybody: for every call of a tool, of a caller without any role too"
	cure := "let the rule ask for a role, a server or a tool"
	switch why {
	case "default":
		text, cure = "allow is true for everybody (default): what no rule says anything of is allowed", "write `default allow := false`, or leave it out"
	case "else":
		text, cure = "allow is true for everybody (else): what the conditions above keep out is allowed all the same", "leave the else out; what no rule allows is refused"
	}
	c.at(rule.Location, "allows-everybody", Warning, text, cure)
}

// holds reports whether a rule's body is true whatever the rest of the question is.
func (c *checker) holds(ctx context.Context, rule *ast.Rule, q policy.Question) bool {
	left, err := c.Remains(ctx, rule.Body, q)
	return err == nil && slices.ContainsFunc(left.Bodies, func(b ast.Body) bool {
		return !slices.ContainsFunc(b, func(e *ast.Expr) bool {
			t, ok := e.Terms.(*ast.Term)
			return e.Negated || !ok || !t.Equal(ast.InternedTerm(true))
		})
	})
}

// branches are the rules that stand behind an else.
func (c *checker) branches() map[*ast.Rule]bool {
	out := map[*ast.Rule]bool{}
	for _, rule := range c.Rules() {
		if rule.Else != nil {
			out[rule.Else] = true
		}
	}
	return out
}
