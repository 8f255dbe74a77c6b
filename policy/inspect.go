package policy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
)

// Inspected is a policy directory as the workbench looks at it. It is not changed.
type Inspected struct {
	*Generation // nil where the directory does not compile
	Files       map[string][]byte
	Faults      []*Fault // what keeps it from being installed, its own tests among it
}

// Inspect reads and compiles a policy directory or bundle as Load does. What Load would refuse comes back as
// faults, and tests that fail do not hide the policies from whoever asks what else is wrong with them.
func Inspect(ctx context.Context, dir string, o Options) (*Inspected, error) {
	files, _, err := readPolicy(dir, o)
	if err != nil {
		return nil, err
	}
	in := &Inspected{Files: files}
	g, own, err := build(ctx, files, o)
	if err == nil {
		in.Generation = g
		err = own.verify(ctx, g)
	}
	in.Faults = Faults(err)
	return in, nil
}

// Compiler is what the policies were compiled with. It must not be changed.
func (g *Generation) Compiler() *ast.Compiler { return g.compiler }

// Rules are the rules of the policies in the order of their files and lines, the branches of `else`
// among them, compiled.
func (g *Generation) Rules() []*ast.Rule {
	var out []*ast.Rule
	for _, name := range slices.Sorted(maps.Keys(g.compiler.Modules)) {
		for _, rule := range g.compiler.Modules[name].Rules {
			for r := rule; r != nil; r = r.Else {
				out = append(out, r)
			}
		}
	}
	return out
}

// Line is a line of a file of the directory as it stands there; "" where there is none.
func (in *Inspected) Line(file string, row int) string { return lineOf(in.Files[file], row) }

// Near ends a message about a name that is not there: with the names that are near it, else with the
// first of those that there are, after intro.
func Near(name string, there []string, intro string) string {
	return strings.TrimPrefix(orNear(name, there, intro), "; ")
}

// Unmet are the obligations of which the policies' text shows that they refuse every call.
func (g *Generation) Unmet() []*Fault { return g.reads.refused }

// Advisory are the rules that are not enforced.
func (g *Generation) Advisory() []*Fault { return advisoryRules(g.compiler) }

// Roles are the texts that the policies compare a role with.
func (g *Generation) Roles() []string { return slices.Sorted(maps.Keys(g.roles.compared)) }

// Impure reports whether the answer of a built-in is not decided by its operands, so that no decision
// of a policy that calls it is kept.
func Impure(builtin string) bool {
	for _, b := range ast.Builtins {
		if b.Name == builtin {
			return b.IsNondeterministic() || wallClock[b.Name]
		}
	}
	return false
}

// Count is how many elements the policies' data has at a place, where a variable in ref stands for any
// key; of several such places it is the most.
func (g *Generation) Count(ref ast.Ref) (int, error) {
	data, err := g.store.Read(context.Background(), g.txn, storage.Path{})
	if err != nil {
		return 0, fmt.Errorf("read policy data: %w", err)
	}
	value, ok := data.(ast.Value)
	if !ok {
		return 0, nil
	}
	return countAt(value, ref[1:]), nil
}

func countAt(v ast.Value, path ast.Ref) int {
	if len(path) == 0 {
		switch v := v.(type) {
		case ast.Object:
			return v.Len()
		case *ast.Array:
			return v.Len()
		}
		return 0
	}
	most := 0
	down := func(t *ast.Term) { most = max(most, countAt(t.Value, path[1:])) }
	switch v := v.(type) {
	case ast.Object:
		if path[0].IsGround() {
			if t := v.Get(path[0]); t != nil {
				down(t)
			}
			return most
		}
		v.Foreach(func(_, t *ast.Term) { down(t) })
	case *ast.Array:
		v.Foreach(down)
	}
	return most
}
