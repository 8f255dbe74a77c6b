package lint

import (
	"context"
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"sallyport/policy"
)

// Setting is what a check knows of the place where the policies are used. The zero Setting knows
// nothing, and then nothing is held against it.
type Setting struct {
	Catalogue Catalogue
	// Labels returns what the operator has labelled, patterns tried on names, and all labels that
	// there are; nil where that is not known.
	Labels   func(names []string) (items []policy.Labelled, known []string)
	Granted  []string   // roles that the configuration grants to somebody; nil: not known
	Together [][]string // roles that one caller may hold at once
}

// checker looks at one directory.
type checker struct {
	*policy.Inspected
	Setting
	found []Finding
}

// Run says what is wrong with the policies of a directory, in the order of their lines. The error is
// of a directory that cannot be read.
func Run(ctx context.Context, dir string, o policy.Options, s Setting) ([]Finding, error) {
	in, err := policy.Inspect(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	c := &checker{Inspected: in, Setting: s}
	for _, f := range in.Faults {
		c.fault(Error, f)
	}
	if in.Generation == nil {
		return byPlace(c.found), nil
	}
	if !in.HasTests() {
		c.add(Finding{Name: "no-tests", Level: Warning, Text: "no tests",
			Cure: "write some into a file whose name ends in _test.yaml or _test.rego; they run at each load, and a policy that fails them is not installed"})
	}
	for _, f := range in.Unmet() {
		c.fault(Warning, f)
	}
	for _, f := range in.Advisory() {
		c.fault(Note, f)
	}
	for _, look := range []func(context.Context) error{c.arguments, c.names, c.roles, c.everybody, c.unused, c.never, c.action, c.listed, c.slow, c.flow} {
		if err := look(ctx); err != nil {
			return nil, err
		}
	}
	return byPlace(c.found), nil
}

// flow looks for labels that nothing has, and for ways from a private source to a sink outside.
func (c *checker) flow(ctx context.Context) error {
	if c.Labels == nil {
		return nil
	}
	words, err := c.Words(func(string) bool { return true })
	if err != nil {
		return err
	}
	names := slices.Collect(maps.Keys(words))
	for _, tools := range c.Catalogue.Servers {
		names = slices.AppendSeq(names, maps.Keys(tools))
	}
	slices.Sort(names)
	items, known := c.Labels(slices.Compact(names))
	unknown, err := c.UnknownLabels(known)
	if err != nil {
		return err
	}
	for _, f := range unknown {
		c.fault(Warning, f)
	}
	leaks, err := c.Leaks(ctx, items, c.Together...)
	for _, text := range leaks {
		c.add(Finding{Name: "open-flow", Level: Warning, Text: text})
	}
	return err
}

func (c *checker) fault(level Level, f *policy.Fault) {
	c.add(Finding{File: f.File, Line: f.Line, Column: f.Column, Name: f.Name, Level: level, Text: f.Text, Cure: f.Cure, Source: f.Source})
}

// at makes a finding of a place in the policies.
func (c *checker) at(loc *ast.Location, name string, level Level, text, cure string) {
	c.add(Finding{File: loc.File, Line: loc.Row, Column: loc.Col, Name: name, Level: level, Text: text, Cure: cure})
}

func (c *checker) add(f Finding) {
	if f.Source == "" && f.File != "" && f.Line > 0 {
		f.Source = c.Line(f.File, f.Line)
	}
	c.found = append(c.found, f)
}
