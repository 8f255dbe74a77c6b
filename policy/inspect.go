package policy

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
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
