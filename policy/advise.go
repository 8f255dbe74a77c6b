package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Rules that are asked and recorded and change nothing: those of allow, deny and obligations whose
// metadata says `enforce: false`. When a directory is read they are taken out of the set that they
// stand in and put into one of their own, advisory_deny and so on. Everything that decides, lists,
// explains or tests asks for the first sets, so it cannot tell such a rule from one that is not
// there.

// advisory begins the names of the sets of rules that change nothing.
const advisory = "advisory_"

// enforceKey is the member of labels or custom that says whether a rule is enforced.
const enforceKey = "enforce"

// Advice is what rules that are not enforced said of a question, where one of them held.
type Advice struct {
	Allow       bool         // the decision, were they enforced
	Reasons     []string     // of those of deny
	Obligations []Obligation // of those of obligations
	Rules       []string     // which of them held
	Err         error        // they could not be asked, which would refuse; nothing else is set
}

// advise sets the rules of a module apart that are not enforced. The error is of metadata that
// somebody may have meant to do so.
func advise(m *ast.Module, file string) error {
	var errs []error
	fail := func(at *ast.Location, format string, args ...any) {
		errs = append(errs, &Fault{Name: "not-enforced", File: file, Line: at.Row, Column: at.Col, Text: fmt.Sprintf(format, args...)})
	}
	for _, a := range m.Annotations {
		said, _, err := enforced(a)
		switch {
		case err != nil:
			fail(a.Location, "%s", err)
		case said && a.Scope != "rule" && a.Scope != "document":
			fail(a.Location, "enforce is said of single rules, not of a %s; for a whole directory there are `enforce` and `shadow` of the configuration", a.Scope)
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	ours := m.Package.Path.Equal(ast.MustParseRef("data.mcp.authz"))
	for _, r := range m.Rules {
		name := headName(r)
		if ours && slices.Contains(decisive, strings.TrimPrefix(name, advisory)) && strings.HasPrefix(name, advisory) {
			fail(r.Location, "%s is the name under which rules of %s stand that are not enforced; give the rule another", name, strings.TrimPrefix(name, advisory))
			continue
		}
		said, on := false, true
		for _, a := range r.Annotations {
			if is, value, _ := enforced(a); is {
				said, on = true, on && value
			}
		}
		switch {
		case !said:
		case !ours || len(r.Head.Ref()) != 1 && r.Head.RuleKind() == ast.SingleValue || !slices.Contains(decisive, name):
			fail(r.Location, "enforce is for rules of allow, deny and obligations in package mcp.authz, and this is %s of %s", name, strings.TrimPrefix(m.Package.Path.String(), "data."))
		case on:
		case r.Default:
			fail(r.Location, "a default is what holds when nothing else does; enforce cannot be false of it")
		default:
			rename(r, name)
		}
	}
	return errors.Join(errs...)
}

// decisive are the names of the rules that decide.
var decisive = []string{"allow", "deny", "obligations"}

// rename gives a rule, and what stands behind its else, the name of its advisory set.
func rename(r *ast.Rule, name string) {
	for ; r != nil; r = r.Else {
		ref := slices.Clone(r.Head.Reference)
		ref[0] = ast.VarTerm(advisory + name)
		r.Head.Name, r.Head.Reference = ast.Var(advisory+name), ref
	}
}

// enforced reads what metadata says of enforcing. A word that is nearly the right one is an error:
// whoever wrote it believes that a rule is, or is not, in force.
func enforced(a *ast.Annotations) (said, on bool, err error) {
	on = true
	for _, place := range []struct {
		name    string
		members map[string]any
	}{{"labels", a.Labels}, {"custom", a.Custom}} {
		for key, value := range place.members {
			if key != enforceKey {
				if near := distance(key, enforceKey) <= 1 || key == "enforced" || key == "enforcement"; near {
					return false, false, fmt.Errorf("%s has %q; did you mean enforce?", place.name, key)
				}
				continue
			}
			truth, ok := value.(bool)
			if !ok {
				return false, false, fmt.Errorf("enforce is %s; it is true or false", shortly(value))
			}
			if said && truth != on {
				return false, false, errors.New("enforce is true in one place and false in the other")
			}
			said, on = true, truth
		}
	}
	return said, on, nil
}

func shortly(value any) string {
	if s, ok := value.(string); ok {
		return fmt.Sprintf("the text %.40q", s)
	}
	return fmt.Sprintf("%.40s", fmt.Sprint(value))
}

// advice is the rules that are not enforced, ready to be asked.
type advice struct {
	decide rego.PreparedEvalQuery
	deny   *rego.PreparedEvalQuery // of deny alone; nil where there is none
}

// newAdvice returns nil where all rules are enforced.
func (g *Generation) newAdvice(ctx context.Context) (*advice, error) {
	var query []string
	some := false
	for _, name := range decisive {
		ref := "data.mcp.authz." + advisory + name
		rules := g.compiler.GetRulesWithPrefix(ast.MustParseRef(ref))
		switch {
		case len(rules) == 0:
			query = append(query, name+" := set()")
		case name == "allow":
			query = append(query, name+" := {x | x := "+ref+"}")
		default:
			query = append(query, name+" := {x | some x in "+ref+"}")
		}
		some = some || len(rules) > 0
	}
	if !some {
		return nil, nil
	}
	a := &advice{}
	var err error
	if a.decide, err = g.prepare(ctx, strings.Join(query, "; ")); err != nil {
		return nil, err
	}
	if strings.Contains(query[1], "data.") {
		deny, err := g.prepare(ctx, query[1])
		if err != nil {
			return nil, err
		}
		a.deny = &deny
	}
	return a, nil
}

// advised adds to a decision what the rules said that are not enforced. It changes nothing else,
// whatever they do.
func (g *Generation) advised(ctx context.Context, d *Decision, in *Input, housekeeping bool) {
	if g.advice == nil {
		return
	}
	pq := &g.advice.decide
	if housekeeping {
		if pq = g.advice.deny; pq == nil {
			return
		}
	}
	said, allowed, err := g.evaluateAll(ctx, pq, &g.reads, in)
	switch {
	case err != nil:
		d.Advisory = &Advice{Err: err}
		return
	case housekeeping:
		allowed = false // it is not asked
	}
	if !allowed && len(said.Reasons) == 0 && len(said.Obligations) == 0 {
		return
	}
	d.Advisory = &Advice{Allow: (d.Allow || allowed) && len(d.Reasons) == 0 && len(said.Reasons) == 0,
		Reasons: said.Reasons, Obligations: said.Obligations, Rules: said.Rules}
}

// adviceNotes says which rules change nothing.
func adviceNotes(c *ast.Compiler) (notes []string) {
	for _, f := range advisoryRules(c) {
		notes = append(notes, f.Error())
	}
	slices.Sort(notes)
	return notes
}

func advisoryRules(c *ast.Compiler) (out []*Fault) {
	for _, name := range decisive {
		for _, r := range c.GetRulesWithPrefix(ast.MustParseRef("data.mcp.authz." + advisory + name)) {
			out = append(out, &Fault{Name: "not-enforced", File: r.Location.File, Line: r.Location.Row, Column: r.Location.Col,
				Text: "this rule of " + name + " is not enforced: what it says is recorded and changes nothing"})
		}
	}
	return out
}

// ruleLabels names the rules that held.
func ruleLabels(rules *topdown.EvaluatedRuleTracker) (names []string) {
	for _, labels := range rules.Labels {
		if name, ok := labels["rule"].(string); ok && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// headName is the name of a rule in its package; of a.b it is a.
func headName(r *ast.Rule) string {
	if v, ok := r.Head.Ref()[0].Value.(ast.Var); ok {
		return string(v)
	}
	return string(r.Head.Name)
}
