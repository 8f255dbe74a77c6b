package workbench

import (
	"context"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"sallyport/policy"
)

// bounds is what a policy allows, as far as two policies can be compared by it: any of allow, and
// none of deny.
type bounds struct {
	allow, deny []clause
	unclear     bool // its conditions cannot be compared
	contested   bool // allow may say something else than true
}

var (
	askAllow = ast.MustParseBody("data.mcp.authz.allow = true")
	askDeny  = ast.MustParseBody("data.mcp.authz.deny[_]")
)

func boundsOf(ctx context.Context, g *policy.Generation, q policy.Question) (bounds, error) {
	var b bounds
	for _, ask := range []struct {
		query ast.Body
		into  *[]clause
	}{{askAllow, &b.allow}, {askDeny, &b.deny}} {
		left, err := g.Remains(ctx, ask.query, q)
		if err != nil {
			return b, err
		}
		*ask.into, err = newClauses(ctx, g, left.Support).of(left.Bodies)
		if err != nil { // of the form of the conditions
			b.unclear = true
		}
	}
	reach, err := g.Reach(ctx, &policy.Input{Action: "tools/call"}, policy.OpenCaller)
	if err != nil {
		return b, err
	}
	b.contested = reach.Contested
	return b, nil
}

// reachBounds are the bounds of a residual that is there already.
func reachBounds(ctx context.Context, g *policy.Generation, r *policy.Reach) bounds {
	b := bounds{contested: r.Contested}
	c := newClauses(ctx, g, r.Support)
	var deny []ast.Body
	for _, d := range r.Deny {
		deny = append(deny, d.Body)
	}
	var errs [2]error
	b.allow, errs[0] = c.of(r.Allow)
	b.deny, errs[1] = c.of(deny)
	b.unclear = errs[0] != nil || errs[1] != nil
	return b
}

// within reports whether all that b allows is allowed by o, as far as that shows. Evaluation that ends
// in an error, which refuses, is not looked at.
func (b bounds) within(o bounds) bool {
	if len(b.allow) == 0 && !b.unclear || slices.ContainsFunc(b.deny, func(c clause) bool { return len(c) == 0 }) && !b.unclear {
		return true // it allows nothing
	}
	return !b.unclear && !o.unclear && !o.contested && implied(b.allow, o.allow) && implied(o.deny, b.deny)
}
