package policy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// partialQuestion is one question to partial evaluation.
type partialQuestion struct {
	input     ast.Value
	unknown   []*ast.Term
	now       time.Time // zero: what depends on the clock is left over
	namespace string    // of the rules it makes; default "partial"
	saves     *saves    // nil: nobody asks
}

// partialRun evaluates body as far as what is known goes. The residual refers to rules of the modules
// that are returned with it.
func (g *Generation) partialRun(ctx context.Context, body ast.Body, p partialQuestion) ([]ast.Body, []*ast.Module, error) {
	cancel := topdown.NewCancel()
	defer context.AfterFunc(ctx, cancel.Cancel)()
	q := g.partialQuery(body, p.input, p.unknown).WithCancel(cancel).
		WithNondeterministicBuiltins(!p.now.IsZero()).WithTime(p.now).WithPartialNamespace(p.namespace)
	if p.saves != nil {
		q = q.WithQueryTracer(p.saves)
	}
	bodies, support, err := q.PartialRun(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("for a list: %w", evalError(err))
	}
	return bodies, support, nil
}

// infallible functions give an answer for operands of every type.
var infallible = map[string]bool{
	ast.Equality.Name: true, ast.Equal.Name: true, ast.NotEqual.Name: true, ast.Assign.Name: true,
	ast.GreaterThan.Name: true, ast.GreaterThanEq.Name: true, ast.LessThan.Name: true, ast.LessThanEq.Name: true,
	ast.Member.Name: true, ast.MemberWithKey.Name: true, ast.TypeNameBuiltin.Name: true,
	ast.IsString.Name: true, ast.IsNumber.Name: true, ast.IsBoolean.Name: true, ast.IsNull.Name: true,
	ast.IsArray.Name: true, ast.IsObject.Name: true, ast.IsSet.Name: true,
}

// saves notes what partial evaluation puts off and what may then fail: errors are strict, so a
// function that is given a value of another type ends the evaluation, and that refuses.
type saves struct {
	compiler *ast.Compiler
	at       map[string]bool
}

func (s *saves) Enabled() bool               { return true }
func (s *saves) Config() topdown.TraceConfig { return topdown.TraceConfig{} }
func (s *saves) list() []string              { return slices.Sorted(maps.Keys(s.at)) }

func (s *saves) TraceEvent(e topdown.Event) {
	if e.Op != topdown.SaveOp {
		return
	}
	expr, ok := e.Node.(*ast.Expr)
	if !ok {
		return
	}
	note := func(what string) {
		if at := e.Location; at != nil && at.File != "" {
			what = fmt.Sprintf("%s:%d: %s", at.File, at.Row, what)
		}
		s.at[what] = true
	}
	ast.WalkExprs(expr, func(x *ast.Expr) bool {
		if !x.IsCall() {
			return false
		}
		// The rules that partial evaluation makes are looked at while it makes them.
		if name := x.Operator().String(); !infallible[name] && !strings.HasPrefix(name, "data.partial") {
			note(name)
		}
		return false
	})
	// What a rule does that is named inside something put off has not been looked at.
	ast.WalkRefs(expr, func(ref ast.Ref) bool {
		if ref.HasPrefix(ast.DefaultRootRef) && len(s.compiler.GetRulesWithPrefix(ref.GroundPrefix())) > 0 {
			note(ref.String())
		}
		return false
	})
}
