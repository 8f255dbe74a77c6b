package workbench

import (
	"encoding/json"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"sallyport/policy"
)

// Way is one way to be allowed: all of When hold, and nothing of Unless does.
type Way struct {
	When   []string `json:"when"`
	Unless []Unless `json:"unless,omitempty"`
}

// Unless is what a rule of deny refuses. Reason is its text, or Rego where what is asked makes it.
type Unless struct {
	Reason string   `json:"reason"`
	When   []string `json:"when"`
}

// Imposed is an obligation and when it is imposed: always, where When is empty.
type Imposed struct {
	Obligation json.RawMessage `json:"obligation"`
	When       []string        `json:"when,omitempty"`
}

// Ways puts into words what a residual allows. What has no words stands there as Rego, after
// "Rego: "; nothing is left out but refusals that the way itself rules out.
func Ways(r *policy.Reach) []Way {
	w := newWords(r)
	var refusals []refusal
	for _, then := range r.Deny {
		refusals = append(refusals, refusal{w.value(then.Value), w.conds(w.withoutAnswer(then))})
	}
	var ways []way
	for _, body := range r.Allow {
		ways = append(ways, wayOf(w.conds(body), refusals))
	}
	var out []Way
	for _, x := range mergeWays(ways) {
		said := Way{When: texts(x.when)}
		for _, u := range mergeRefusals(x.unless) {
			said.Unless = append(said.Unless, Unless{u.reason, texts(u.when)})
		}
		out = append(out, said)
	}
	return out
}

// Impositions puts into words what a residual imposes.
func Impositions(r *policy.Reach) []Imposed {
	w := newWords(r)
	var out []Imposed
	for _, then := range r.Obligations {
		doc, err := ast.JSON(then.Value.Value)
		raw, failed := json.Marshal(doc)
		if err != nil || failed != nil || !then.Value.IsGround() {
			raw, _ = json.Marshal("Rego: " + w.rego(then.Body)) // a string can be encoded
		}
		out = append(out, Imposed{raw, texts(w.conds(w.withoutAnswer(then)))})
	}
	return out
}

// words holds the rules that a residual refers to.
type words struct {
	rules map[string][]*ast.Rule
	names map[ast.Var]ast.Var // what the author called a variable
	taken map[string]ast.Var
}

func newWords(r *policy.Reach) *words {
	w := &words{rules: map[string][]*ast.Rule{}, names: r.Names, taken: map[string]ast.Var{}}
	for _, m := range r.Support {
		for _, rule := range m.Rules {
			name := m.Package.Path.Concat(rule.Head.Ref()[1:]).String()
			if len(rule.Head.Ref()) == 1 {
				name = m.Package.Path.Append(ast.StringTerm(string(rule.Head.Name))).String()
			}
			w.rules[name] = append(w.rules[name], rule)
		}
	}
	return w
}

// value is the text of a constant, or Rego.
func (w *words) value(t *ast.Term) string {
	if s, ok := t.Value.(ast.String); ok {
		return string(s)
	}
	return "(depends on the call)"
}

// withoutAnswer is a body without the expression that only says that there is an answer.
func (w *words) withoutAnswer(then policy.Then) ast.Body {
	return slices.DeleteFunc(slices.Clone(then.Body), func(e *ast.Expr) bool {
		t, ok := e.Terms.(*ast.Term)
		return ok && !e.Negated && len(e.With) == 0 && t.Equal(policy.Unbound)
	})
}

type refusal struct {
	reason string
	when   []cond
}

type way struct {
	when   []cond
	unless []refusal
}

// wayOf adds to what allows the refusals that it does not rule out.
func wayOf(when []cond, refusals []refusal) way {
	out := way{when: when}
	for _, r := range refusals {
		if !slices.ContainsFunc(r.when, func(c cond) bool { return c.ruledOutBy(when) }) {
			out.unless = append(out.unless, r)
		}
	}
	return out
}
