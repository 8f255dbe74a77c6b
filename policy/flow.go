package policy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Labelled is a tool or a resource with the labels that the operator has given it.
type Labelled struct {
	Server   string
	Tool     string // "" of a resource
	Resource string // URI
	Labels   []string
	OfServer []string // labels of the whole server
}

// String is the item as people name it.
func (l Labelled) String() string {
	if l.Tool != "" {
		return l.Server + "." + l.Tool
	}
	return l.Server + " " + l.Resource
}

const (
	sourcePrivate = "source:private"
	sinkExternal  = "sink:external"
)

// maxFlows bounds how often the policies are asked about a way from a source to a sink.
const maxFlows = 5000

// Leaks names, for each role that the policies mention, a private source that it may use and a sink
// outside that stays open to it when it has: no rule on input.flow stands between the two.
func (g *Generation) Leaks(ctx context.Context, items []Labelled) ([]string, error) {
	var sources, sinks []Labelled
	for _, l := range items {
		if slices.Contains(l.Labels, sourcePrivate) {
			sources = append(sources, l)
		}
		if slices.Contains(l.Labels, sinkExternal) {
			sinks = append(sinks, l)
		}
	}
	if len(sources) == 0 || len(sinks) == 0 {
		return nil, nil
	}
	roles, err := g.mentioned()
	if err != nil {
		return nil, err
	}
	var out []string
	asked := 0
	for _, role := range roles {
		from, to, err := g.leak(ctx, role, sources, sinks, &asked)
		switch {
		case err != nil:
			return nil, err
		case asked > maxFlows:
			return append(out, fmt.Sprintf("there are more ways from sources to sinks than can be looked at (%d); those of role %q and later ones were not", maxFlows, role)), nil
		case from != nil:
			out = append(out, fmt.Sprintf("role %q reaches %s (%s) and %s (%s), and no rule on input.flow stands between: what it reads can be sent away; see the example no-exfiltration",
				role, from, sourcePrivate, to, sinkExternal))
		}
	}
	return out, nil
}

// mentioned are the roles that the policies, or their data, may name. Where a policy looks at no role
// at all, one stands for all.
func (g *Generation) mentioned() ([]string, error) {
	if len(g.roles.compared) > 0 {
		return slices.Sorted(maps.Keys(g.roles.compared)), nil
	}
	words, err := g.dataWords()
	if err != nil {
		return nil, err
	}
	roles := slices.Sorted(maps.Keys(words))
	return append([]string{"any"}, roles[:min(len(roles), 200)]...), nil
}

// leak returns the first pair that is open to a role.
func (g *Generation) leak(ctx context.Context, role string, sources, sinks []Labelled, asked *int) (from, to *Labelled, err error) {
	for _, source := range sources {
		*asked++
		in := source.question(role)
		if open, err := g.Visible(ctx, in); err != nil || !open {
			if err != nil {
				return nil, nil, err
			}
			continue
		}
		for _, sink := range sinks {
			if *asked++; *asked > maxFlows {
				return nil, nil, nil
			}
			in := sink.question(role)
			in.Flow = source.Labels
			open, err := g.openAfter(ctx, in)
			if err != nil {
				return nil, nil, err
			}
			if open {
				return &source, &sink, nil
			}
		}
	}
	return nil, nil, nil
}

func (l Labelled) question(role string) *Input {
	in := &Input{Subject: &Subject{ID: "somebody", Roles: []string{role}, Proof: "dpop"}, Server: l.Server, ServerLabels: l.OfServer}
	if l.Tool != "" {
		in.Action, in.Tool = "tools/call", &Tool{Name: l.Tool, Labels: l.Labels, Pinned: true, Reviewed: true}
	} else {
		in.Action, in.Resource = "resources/read", &Item{URI: l.Resource, Labels: l.Labels}
	}
	return in
}

// openAfter is Visible for a task that has touched what in.Flow says.
func (g *Generation) openAfter(ctx context.Context, in *Input) (bool, error) {
	value, err := g.reads.value(in, false)
	if err != nil {
		return false, err
	}
	labels := make([]*ast.Term, 0, len(in.Flow))
	for _, l := range in.Flow {
		labels = append(labels, ast.StringTerm(l))
	}
	flow := ast.ObjectTerm([2]*ast.Term{ast.StringTerm("labels"), ast.ArrayTerm(labels...)})
	value.(ast.Object).Insert(ast.StringTerm("flow"), flow)
	var unknown []*ast.Term
	for _, u := range g.unknowns {
		if u.String() != "input.flow" {
			unknown = append(unknown, u)
		}
	}
	return g.open(ctx, value, unknown)
}

// Words returns the texts in the policies and their data that match, with the places of those in
// policies.
func (g *Generation) Words(match func(string) bool) (words map[string]string, err error) {
	words = map[string]string{}
	data, err := g.dataWords()
	if err != nil {
		return nil, err
	}
	for w := range data {
		if match(w) {
			words[w] = "data"
		}
	}
	for _, m := range g.compiler.Modules {
		ast.WalkTerms(m, func(t *ast.Term) bool {
			if s, ok := t.Value.(ast.String); ok && match(string(s)) && t.Location != nil && t.Location.File != "" {
				words[string(s)] = fmt.Sprintf("%s:%d", t.Location.File, t.Location.Row)
			}
			return false
		})
	}
	return words, nil
}

// UnknownLabels names the labels in the policies that look like one that something is labelled with,
// and that nothing is.
func (g *Generation) UnknownLabels(known []string) ([]string, error) {
	words, err := g.Words(func(w string) bool {
		return (strings.HasPrefix(w, "source:") || strings.HasPrefix(w, "sink:")) && !slices.Contains(known, w)
	})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, w := range slices.Sorted(maps.Keys(words)) {
		out = append(out, fmt.Sprintf("%s: no tool, resource or prompt has the label %q%s", words[w], w, orNear(w, known, "there are")))
	}
	return out, nil
}
