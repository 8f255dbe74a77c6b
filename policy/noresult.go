package policy

import (
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

var (
	resultRef = ast.MustParseRef("input.result")
)

// noResult refuses rules that decide calls and read the result of the call, which is not there yet:
// such a rule would never hold, and what negates it always would, without anybody being told. rule
// is one that reads it, perhaps by way of others; the fault names the place itself where it is
// found outside of mcp.response.
func noResult(c *ast.Compiler, rule *ast.Location) *Fault {
	f := &Fault{Name: "no-result", File: rule.File, Line: rule.Row, Column: rule.Col, Source: sourceLine(rule.Text, 1),
		Text: "input.result is there in package mcp.response only: a call is decided before it is made, so this never holds, and `not` before it always does",
		Cure: "move the rule to package mcp.response"}
	for _, name := range slices.Sorted(maps.Keys(c.Modules)) {
		if c.Modules[name].Package.Path.HasPrefix(ast.MustParseRef(responsePkg)) {
			continue
		}
		ast.WalkTerms(c.Modules[name], func(t *ast.Term) bool {
			ref, ok := t.Value.(ast.Ref)
			if ok && ref.HasPrefix(resultRef) && t.Location != nil && (t.Location.File != rule.File || t.Location.Row != rule.Row) {
				f.File, f.Line, f.Column, f.Source = t.Location.File, t.Location.Row, t.Location.Col, ""
			}
			return false
		})
	}
	return f
}
