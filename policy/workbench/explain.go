package workbench

import (
	"context"
	"encoding/json"
	"slices"

	"sallyport/policy"
)

// Explanation says why a decision is what it is.
type Explanation struct {
	Allow       bool              `json:"allow"`
	Error       string            `json:"error,omitempty"` // the policy could not be evaluated, which refuses
	Reasons     []string          `json:"reasons,omitempty"`
	Obligations []json.RawMessage `json:"obligations,omitempty"`
	Revision    string            `json:"policy_revision"`
	Held        []policy.Asked    `json:"held"`
	Near        []policy.Asked    `json:"near"`            // rules of allow that did not hold, nearest first
	Others      int               `json:"others"`          // rules of allow that are about something else
	Could       *Could            `json:"could,omitempty"` // of a refusal
	Advisory    *Advised          `json:"advisory,omitempty"`
}

// Advised is what the decision would be, were all rules enforced.
type Advised struct {
	Allow   bool     `json:"allow"`
	Reasons []string `json:"reasons,omitempty"`
	Rules   []string `json:"rules,omitempty"`
}

// Could says what arguments would be allowed, everything else being as it was asked.
type Could struct {
	Hidden   bool     `json:"hidden"` // none
	Ways     []Way    `json:"ways"`
	Fallible []string `json:"fallible,omitempty"` // what can end in an error, which refuses
}

// Explain decides once more and says why. An error means that nothing could be said.
func Explain(ctx context.Context, g *policy.Generation, in *policy.Input) (*Explanation, error) {
	x := &Explanation{Revision: g.Revision(), Held: []policy.Asked{}, Near: []policy.Asked{}}
	d, err := g.Ask(ctx, in)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		x.Error = err.Error()
	}
	x.Allow, x.Reasons = d.Allow, d.Reasons
	if a := d.Advisory; a != nil && a.Err == nil {
		x.Advisory = &Advised{a.Allow, a.Reasons, a.Rules}
	}
	for _, o := range d.Obligations {
		x.Obligations = append(x.Obligations, o.Raw)
	}
	asked, err := g.Trace(ctx, in)
	if err != nil {
		return nil, err
	}
	x.sort(asked)
	if !x.Allow {
		if x.Could, err = CouldBe(ctx, g, in, policy.OpenArguments); err != nil && x.Error == "" {
			return nil, err
		}
	}
	return x, nil
}

// CouldBe says what could be allowed where something is open.
func CouldBe(ctx context.Context, g *policy.Generation, in *policy.Input, open policy.Unknown) (*Could, error) {
	r, err := g.Reach(ctx, in, open)
	if err != nil {
		return nil, err
	}
	c := &Could{Hidden: r.Never(), Ways: []Way{}, Fallible: r.Fallible}
	if !c.Hidden {
		c.Ways = Ways(r)
	}
	return c, nil
}

// sort parts the rules that held from those of allow that nearly did.
func (x *Explanation) sort(asked []policy.Asked) {
	for _, a := range asked {
		switch {
		case a.Held:
			x.Held = append(x.Held, a)
		case a.Rule != "allow":
		case a.Passed == 0 && a.Of > 1 || elsewhere(a.Failed):
			x.Others++
		default:
			x.Near = append(x.Near, a)
		}
	}
	if len(x.Near) == 0 { // then those that fail at their first condition are the nearest
		for _, a := range asked {
			if !a.Held && a.Rule == "allow" && !elsewhere(a.Failed) {
				x.Near, x.Others = append(x.Near, a), x.Others-1
			}
		}
	}
	slices.SortStableFunc(x.Near, func(a, b policy.Asked) int {
		if left := (a.Of - a.Passed) - (b.Of - b.Passed); a.Passed*b.Of == b.Passed*a.Of {
			return left
		}
		return b.Passed*a.Of - a.Passed*b.Of
	})
}

// elsewhere reports whether a rule ended because it is about another tool, server or action.
func elsewhere(f *policy.Failure) bool {
	for ; f != nil; f = f.Inner {
		for _, s := range f.Saw {
			if slices.Contains([]string{"input.tool.name", "input.server.name", "input.action", "input.resource.uri", "input.prompt.name"}, s.Name) {
				return true
			}
		}
	}
	return false
}
