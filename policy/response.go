package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

const responsePkg = "data.mcp.response"

// MaxResult bounds input.result, in bytes: a policy sees no larger result.
const MaxResult = 256 << 10

// ErrResultTooLarge is returned for a result that no policy can see, where the policy does not say
// that such results may pass.
var ErrResultTooLarge = fmt.Errorf("the result has more than %d bytes, which a policy cannot see, and data.mcp.response.allow_large is not true", MaxResult)

// results is what package mcp.response says.
type results struct {
	decide rego.PreparedEvalQuery
	large  *rego.PreparedEvalQuery // nil: no rule allow_large
	reads  reads
}

// newResults returns nil where the policies have no package mcp.response.
func (g *Generation) newResults(ctx context.Context) (*results, error) {
	c := g.compiler
	rules := c.GetRulesWithPrefix(ast.MustParseRef(responsePkg))
	if len(rules) == 0 {
		return nil, nil
	}
	if len(c.GetRulesExact(ast.MustParseRef(responsePkg+".allow"))) == 0 {
		at := rules[0].Location
		return nil, fmt.Errorf("%s:%d: no rule `allow` in package mcp.response: without one no result could ever pass", at.File, at.Row)
	}
	if err := setsOf(c, responsePkg); err != nil {
		return nil, err
	}
	r := &results{}
	var err error
	if r.reads, err = readsOf(c, rules); err != nil {
		return nil, err
	}
	r.reads.allArgs = true // rare enough, and nothing here is kept
	query := ifDefined(c, responsePkg, strings.ReplaceAll(decideQuery, "data.mcp.authz", responsePkg))
	if r.decide, err = g.prepare(ctx, query); err != nil {
		return nil, err
	}
	if len(c.GetRulesExact(ast.MustParseRef(responsePkg+".allow_large"))) > 0 {
		large, err := g.prepare(ctx, "holds := {x | x := "+responsePkg+".allow_large}")
		if err != nil {
			return nil, err
		}
		r.large = &large
	}
	return r, nil
}

// JudgesResults reports whether the policies have something to say about results.
func (g *Generation) JudgesResults() bool { return g.results != nil }

// DecideResult answers for a result, which is in.Result. The decision is never kept. On any error
// it is the zero Decision, which refuses.
func (g *Generation) DecideResult(ctx context.Context, in *Input) (Decision, error) {
	if g.results == nil {
		return Decision{Allow: true, Revision: g.revision}, nil
	}
	asked := *in
	if len(in.Result) > MaxResult {
		asked.Result = nil
		if err := g.allowsLarge(ctx, &asked); err != nil {
			return Decision{}, err
		}
	}
	d, err := g.evaluateWith(ctx, &g.results.decide, &g.results.reads, &asked)
	if err != nil {
		return Decision{}, err
	}
	for _, o := range d.Obligations {
		if err := o.ofResult(); err != nil {
			return Decision{}, err
		}
	}
	return d, nil
}

// ofResult refuses what cannot be done any more once there is a result.
func (o Obligation) ofResult() error {
	switch o.Type {
	case Redact, Mask:
		return nil
	case Refuse:
		if _, inArguments, _, err := o.Refuse(); err != nil || !inArguments {
			return err
		}
	case MaxBytes:
		if _, of, _, err := o.MaxBytes(); err != nil || of == "result" {
			return err
		}
	}
	return fmt.Errorf("evaluate policy: the obligation %q in package mcp.response comes too late; write it in mcp.authz", o.Type)
}

func (g *Generation) allowsLarge(ctx context.Context, in *Input) error {
	if g.results.large == nil {
		return ErrResultTooLarge
	}
	value, err := g.results.reads.value(in, true)
	if err != nil {
		return err
	}
	answer, err := g.run(ctx, g.results.large, value, in.Request.Time)
	if err != nil {
		return err
	}
	set, ok := answer["holds"].([]any)
	if !ok || len(set) != 1 {
		return ErrResultTooLarge
	}
	if large, ok := set[0].(bool); !ok {
		return errors.New("evaluate policy: data.mcp.response.allow_large is not a boolean")
	} else if !large {
		return ErrResultTooLarge
	}
	return nil
}
