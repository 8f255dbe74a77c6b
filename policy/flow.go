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

// anyRole is a role that no policy mentions: what it may do, every caller may.
const anyRole = "any"

// Leaks names each role that may use a private source and a sink outside that stays open to it when it
// has: no rule on input.flow stands between the two. Together are the roles that one caller holds at
// once, asked about as well. Only what the role alone decides hides a way: who the caller is, the
// task, the grant, claims and what is known of a tool beside its labels are unknown, so a rule that
// looks at them stands in the way of some callers and not of others.
func (g *Generation) Leaks(ctx context.Context, items []Labelled, together ...[]string) ([]string, error) {
	w := &ways{g: g}
	for _, l := range items {
		if slices.Contains(l.Labels, sourcePrivate) {
			w.sources = append(w.sources, l)
		}
		if slices.Contains(l.Labels, sinkExternal) {
			w.sinks = append(w.sinks, l)
		}
	}
	// A way that is closed while the roles are unknown is closed to every role.
	some, err := w.find(ctx, nil)
	if err != nil || some == nil {
		return nil, err
	}
	if found, err := w.find(ctx, []string{anyRole}); err != nil || found != nil {
		return w.say(nil, found, `role "`+anyRole+`" reaches`), err
	}
	roles, err := g.mentioned()
	if err != nil {
		return nil, err
	}
	callers := slices.Clone(together)
	for _, r := range roles {
		callers = append(callers, []string{r})
	}
	var out []string
	for _, roles := range callers {
		found, err := w.find(ctx, roles)
		if err != nil {
			return nil, err
		}
		if w.asked > maxFlows {
			return append(out, fmt.Sprintf("there are more ways from sources to sinks than can be looked at (%d); those of role %q and later ones were not", maxFlows, roles[0])), nil
		}
		out = w.say(out, found, reach(roles))
	}
	// Roles that the policies know by a prefix or a pattern have no names to ask about.
	if len(out) == 0 && g.roles.read && g.roles.open {
		out = w.say(out, some, "some role, of those that the policies know by more than their names, reaches")
	}
	return out, nil
}

func reach(roles []string) string {
	if len(roles) == 1 {
		return fmt.Sprintf("role %q reaches", roles[0])
	}
	return fmt.Sprintf("a caller with the roles %q reaches", roles)
}

// mentioned are the texts in the policies and their data, those first with which a role is compared.
// Each may be a role: a table by role is a reference by a variable, and what it holds are texts.
func (g *Generation) mentioned() ([]string, error) {
	words, err := g.dataWords()
	if err != nil {
		return nil, err
	}
	maps.Copy(words, g.roles.literals)
	maps.DeleteFunc(words, func(w string, _ bool) bool { return g.roles.compared[w] })
	return append(slices.Sorted(maps.Keys(g.roles.compared)), slices.Sorted(maps.Keys(words))...), nil
}

// ways looks for a way from a source to a sink.
type ways struct {
	g              *Generation
	sources, sinks []Labelled
	asked          int
}

type way struct{ from, to Labelled }

func (w *ways) say(out []string, found *way, who string) []string {
	if found == nil {
		return out
	}
	return append(out, fmt.Sprintf("%s %s (%s) and %s (%s), and no rule on input.flow stands between: what it reads can be sent away; see the example no-exfiltration",
		who, found.from, sourcePrivate, found.to, sinkExternal))
}

// find returns the first way that is open to a caller with these roles; nil roles are unknown.
func (w *ways) find(ctx context.Context, roles []string) (*way, error) {
	for _, source := range w.sources {
		if open, err := w.open(ctx, source, roles, nil); err != nil || !open {
			if err != nil {
				return nil, err
			}
			continue
		}
		for _, sink := range w.sinks {
			open, err := w.open(ctx, sink, roles, source.Labels)
			if err != nil {
				return nil, err
			}
			if open {
				return &way{source, sink}, nil
			}
			if w.asked > maxFlows {
				return nil, nil
			}
		}
	}
	return nil, nil
}

// open reports whether an item may be used by some caller with these roles, in a task that has touched
// the labels; nil of either is unknown.
func (w *ways) open(ctx context.Context, l Labelled, roles, touched []string) (bool, error) {
	w.asked++
	q := l.question()
	if roles != nil {
		q.Given["subject.roles"] = roles
	}
	if touched != nil {
		q.Given["flow.labels"] = touched
	}
	value, unknown, err := w.g.settle(q)
	if err != nil {
		return false, err
	}
	return w.g.open(ctx, value, unknown)
}

func (l Labelled) question() Question {
	q := Question{Absent: []string{"prompt", "result"}, Given: map[string]any{
		"server.name": l.Server, "server.labels": orEmpty(l.OfServer)}}
	if l.Tool != "" {
		q.Given["action"], q.Given["tool.name"], q.Given["tool.labels"] = "tools/call", l.Tool, orEmpty(l.Labels)
		q.Absent = append(q.Absent, "resource")
		return q
	}
	q.Given["action"], q.Given["resource.uri"], q.Given["resource.labels"] = "resources/read", l.Resource, orEmpty(l.Labels)
	q.Absent = append(q.Absent, "tool")
	return q
}

// orEmpty is a list that is settled and empty, where nil would be null to the policies.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// Words returns the texts in the policies and their data that match, with the places of those in
// policies; nil for what only data holds.
func (g *Generation) Words(match func(string) bool) (words map[string]*ast.Location, err error) {
	words = map[string]*ast.Location{}
	data, err := g.dataWords()
	if err != nil {
		return nil, err
	}
	for w := range data {
		if match(w) {
			words[w] = nil
		}
	}
	for _, m := range g.compiler.Modules {
		ast.WalkTerms(m, func(t *ast.Term) bool {
			if s, ok := t.Value.(ast.String); ok && match(string(s)) && t.Location != nil && t.Location.File != "" {
				words[string(s)] = t.Location
			}
			return false
		})
	}
	return words, nil
}

// UnknownLabels are the labels in the policies that look like one that something is labelled with, and
// that nothing is.
func (g *Generation) UnknownLabels(known []string) ([]*Fault, error) {
	words, err := g.Words(func(w string) bool {
		return (strings.HasPrefix(w, "source:") || strings.HasPrefix(w, "sink:")) && !slices.Contains(known, w)
	})
	if err != nil {
		return nil, err
	}
	var out []*Fault
	for _, w := range slices.Sorted(maps.Keys(words)) {
		f := &Fault{Name: "unknown-label", Text: fmt.Sprintf("no tool, resource or prompt has the label %q", w), Cure: Near(w, known, "there are")}
		if at := words[w]; at != nil {
			f.File, f.Line, f.Column = at.File, at.Row, at.Col
		} else {
			f.Text = "data: " + f.Text
		}
		out = append(out, f)
	}
	return out, nil
}
