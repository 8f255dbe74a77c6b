package policy

import (
	"context"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// unknowns are the paths of input that a list does not know: what a call would bring. Every
// path of the input schema is either here or given; a path that is neither would be undefined,
// and `not input.x` would hold.
var unknowns = []string{"input.arguments", "input.flow", "input.request", "input.grant.calls_left", "input.result"}

// Visible reports whether some arguments could be allowed. It asks the rule that decides calls,
// with what a call would bring unknown: hidden means refused for every argument. Where it
// cannot tell, it says yes.
func (g *Generation) Visible(ctx context.Context, in *Input) (bool, error) {
	value, err := g.reads.value(in, false)
	if err != nil {
		return false, err
	}
	unknown := g.unknowns
	if in.ResourceTemplate {
		unknown = g.unknownsOfTemplate
	}
	return g.open(ctx, value, unknown)
}

// open reports whether what is unknown could make the answer yes.
func (g *Generation) open(ctx context.Context, value ast.Value, unknown []*ast.Term) (bool, error) {
	allowed, err := g.partial(ctx, g.allowPE, value, unknown)
	if err != nil || len(allowed) == 0 {
		return false, err
	}
	if g.denyPE == nil {
		return true, nil
	}
	denied, err := g.partial(ctx, g.denyPE, value, unknown)
	if err != nil {
		return false, err
	}
	for _, body := range denied {
		if unconditional(body) {
			return false, nil
		}
	}
	return true, nil
}

// terms are references of plain names. They are put together here: to parse one costs as much as a
// decision.
func terms(refs ...string) []*ast.Term {
	out := make([]*ast.Term, 0, len(refs))
	for _, r := range refs {
		names := strings.Split(r, ".")
		ref := make(ast.Ref, len(names))
		ref[0] = ast.VarTerm(names[0])
		for i, name := range names[1:] {
			ref[i+1] = ast.InternedTerm(name)
		}
		out = append(out, ast.NewTerm(ref))
	}
	return out
}

func (g *Generation) partial(ctx context.Context, body ast.Body, input ast.Value, unknown []*ast.Term) ([]ast.Body, error) {
	cancel := topdown.NewCancel()
	defer context.AfterFunc(ctx, cancel.Cancel)()
	bodies, _, err := g.partialQuery(body, input, unknown).WithCancel(cancel).PartialRun(ctx)
	if err != nil {
		return nil, fmt.Errorf("for a list: %w", evalError(err))
	}
	return bodies, nil
}

// partialQuery is a query with a part of the input unknown, as lists and the workbench ask it.
func (g *Generation) partialQuery(body ast.Body, input ast.Value, unknown []*ast.Term) *topdown.Query {
	return topdown.NewQuery(body).WithQueryCompiler(g.queries).WithCompiler(g.compiler).
		WithStore(g.store).WithTransaction(g.txn).WithInput(ast.NewTerm(input)).WithUnknowns(unknown).
		WithNondeterministicBuiltins(false).WithStrictBuiltinErrors(true).
		WithInterQueryBuiltinValueCache(g.values)
}

// unconditional reports whether a residual of deny[_] depends on nothing unknown: it then only
// binds the message. A call that is left over depends on the clock.
func unconditional(body ast.Body) bool {
	for _, e := range body {
		if e.Negated || len(e.With) > 0 || e.IsCall() && !e.IsEquality() {
			return false
		}
	}
	open := false
	ast.WalkTerms(body, func(t *ast.Term) bool {
		switch v := t.Value.(type) {
		case ast.Call, *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
			open = true
		case ast.Ref:
			open = open || v.HasPrefix(ast.InputRootRef) || v.HasPrefix(ast.DefaultRootRef)
		}
		return open
	})
	return !open
}
