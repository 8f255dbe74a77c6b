package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Question is a question of which only a part is settled. Paths are those of the input schema without
// `input`, as in subject.roles; what is neither given nor absent is unknown. A path that were none of
// the three would be undefined to the policies, and `not input.x` would hold.
type Question struct {
	Given  map[string]any // values that are settled
	Absent []string       // what is undefined, with all below it
	Data   bool           // the policies' data is unknown too
}

// Residual is what partial evaluation leaves of a query: alternatives, each of which depends on what
// is unknown. No alternative means that the query fails whatever the unknown is. Bodies may refer to
// the rules of Support.
type Residual struct {
	Bodies  []ast.Body
	Support []*ast.Module
}

// Remains evaluates a query as far as the question is settled. Query is Rego as `allow` of
// package mcp.authz would be asked about, in compiled or in plain form.
func (g *Generation) Remains(ctx context.Context, query ast.Body, q Question) (Residual, error) {
	value, unknown, err := g.settle(q)
	if err != nil {
		return Residual{}, err
	}
	cancel := topdown.NewCancel()
	defer context.AfterFunc(ctx, cancel.Cancel)()
	bodies, support, err := g.partialQuery(query, value, unknown).WithCancel(cancel).PartialRun(ctx)
	if err != nil {
		return Residual{}, fmt.Errorf("with a part of the input: %w", evalError(err))
	}
	return Residual{bodies, support}, nil
}

// settle returns the settled part as input, and what is unknown.
func (g *Generation) settle(q Question) (ast.Value, []*ast.Term, error) {
	paths, err := inputPaths()
	if err != nil {
		return nil, nil, err
	}
	root := map[string]any{}
	settled := slices.Clone(q.Absent)
	for _, path := range slices.Sorted(maps.Keys(q.Given)) {
		keys := strings.Split(path, ".")
		if err := setAt(root, keys, q.Given[path]); err != nil {
			return nil, nil, err
		}
		settled = append(settled, path)
	}
	value, err := ast.InterfaceToValue(root)
	if err != nil {
		return nil, nil, fmt.Errorf("read the question: %w", err)
	}
	var unknown []*ast.Term
	for _, path := range paths {
		within := func(s string) bool { return path == s || strings.HasPrefix(path, s+".") }
		if !slices.ContainsFunc(settled, within) {
			unknown = append(unknown, ast.MustParseTerm("input."+path))
		}
	}
	if q.Data {
		unknown = append(unknown, g.dataRoots()...)
	}
	return value, unknown, nil
}

func setAt(in map[string]any, keys []string, v any) error {
	for _, k := range keys[:len(keys)-1] {
		next, ok := in[k].(map[string]any)
		if !ok {
			if in[k] != nil {
				return fmt.Errorf("a question gives %s and a part of it", k)
			}
			next = map[string]any{}
			in[k] = next
		}
		in = next
	}
	in[keys[len(keys)-1]] = v
	return nil
}

// dataRoots are the names at the root of the policies' data.
func (g *Generation) dataRoots() []*ast.Term {
	var out []*ast.Term
	for _, name := range g.dataNames {
		out = append(out, ast.NewTerm(ast.DefaultRootRef.Append(ast.StringTerm(name))))
	}
	return out
}

// inputPaths are the paths of the input schema that have no named parts. They come from the schema
// itself: a list by hand would one day lack one.
func inputPaths() ([]string, error) {
	type node struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	var out []string
	var walk func(raw json.RawMessage, path string) error
	walk = func(raw json.RawMessage, path string) error {
		var n node
		if err := json.Unmarshal(raw, &n); err != nil {
			return fmt.Errorf("read the input schema: %w", err)
		}
		if len(n.Properties) == 0 {
			out = append(out, path)
			return nil
		}
		for _, name := range slices.Sorted(maps.Keys(n.Properties)) {
			if err := walk(n.Properties[name], strings.TrimPrefix(path+"."+name, ".")); err != nil {
				return err
			}
		}
		return nil
	}
	return out, walk(inputSchema, "")
}
