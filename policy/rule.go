package policy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// ErrNoRule is wrapped where a grant's argument constraint names something that is no yes-or-no
// rule of the policies. A call under such a grant must be refused.
var ErrNoRule = errors.New("no such rule")

// namedRule is a rule that a grant may name, ready to be asked.
type namedRule struct {
	query rego.PreparedEvalQuery
	reads reads
}

// plainRef is what a grant may name: a rule below data.mcp, so that data and rules of other
// packages, which may be no questions at all, stay out of reach.
var plainRef = regexp.MustCompile(`^data\.mcp(\.[A-Za-z_][A-Za-z0-9_]*)+$`)

// Holds asks the rule that an argument constraint of a grant names, as in
// "data.mcp.constraints.only_docs". Undefined is false. The error wraps ErrNoRule where the
// policies have no such rule; on any error the answer is false.
func (g *Generation) Holds(ctx context.Context, ref string, in *Input) (bool, error) {
	rule, err := g.rule(ctx, ref)
	if err != nil {
		return false, err
	}
	value, err := rule.reads.value(in, true)
	if err != nil {
		return false, err
	}
	answer, err := g.run(ctx, &rule.query, value, in.Request.Time)
	if err != nil {
		return false, err
	}
	set, ok := answer["holds"].([]any)
	if !ok || len(set) > 1 {
		return false, fmt.Errorf("evaluate policy: %s has more than one value", ref)
	}
	if len(set) == 0 {
		return false, nil
	}
	holds, ok := set[0].(bool)
	if !ok {
		return false, fmt.Errorf("evaluate policy: %s is not a boolean", ref)
	}
	return holds, nil
}

// HasRule returns nil where Holds can be asked about ref. The error wraps ErrNoRule and is fit
// for the one who makes a grant: it names the nearest rules that there are.
func (g *Generation) HasRule(ref string) error {
	_, err := g.rule(context.Background(), ref)
	return err
}

// rule prepares a rule when it is first asked for. Only rules that exist are kept, so callers
// cannot fill the memory.
func (g *Generation) rule(ctx context.Context, ref string) (*namedRule, error) {
	if kept, ok := g.named.Load(ref); ok {
		return kept.(*namedRule), nil
	}
	if !plainRef.MatchString(ref) {
		return nil, fmt.Errorf("%w: %q; a constraint names a rule below data.mcp, as in data.mcp.constraints.only_docs", ErrNoRule, ref)
	}
	parsed, err := ast.ParseRef(ref)
	if err != nil {
		return nil, fmt.Errorf("%w: read %q: %w", ErrNoRule, ref, err)
	}
	rules := g.compiler.GetRulesExact(parsed)
	if len(rules) == 0 {
		return nil, fmt.Errorf("%w: the policies have no rule %s%s", ErrNoRule, ref, orNear(ref, g.ruleNames(), "they have"))
	}
	if _, err := g.partialBody(ref + " = true"); err != nil || len(rules[0].Head.Args) > 0 {
		at := rules[0].Location
		return nil, fmt.Errorf("%w: %s (%s:%d) is not a rule that is true or false", ErrNoRule, ref, at.File, at.Row)
	}
	rule := &namedRule{}
	if rule.reads, err = readsOf(g.compiler, rules); err != nil {
		return nil, err
	}
	if rule.query, err = g.prepare(ctx, "holds := {x | x := "+ref+"}"); err != nil {
		return nil, err
	}
	kept, _ := g.named.LoadOrStore(ref, rule)
	return kept.(*namedRule), nil
}

// ruleNames are the rules that a constraint could name; those outside mcp.authz first, since
// those are written for it.
func (g *Generation) ruleNames() []string {
	names := map[string]bool{}
	for _, m := range g.compiler.Modules {
		for _, r := range m.Rules {
			name := r.Ref().String()
			if len(r.Head.Args) == 0 && r.Head.RuleKind() == ast.SingleValue && plainRef.MatchString(name) {
				names[name] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(names), func(a, b string) int {
		if x, y := strings.HasPrefix(a, "data.mcp.authz."), strings.HasPrefix(b, "data.mcp.authz."); x != y {
			if x {
				return 1
			}
			return -1
		}
		return strings.Compare(a, b)
	})
}
