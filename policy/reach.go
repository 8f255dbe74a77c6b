package policy

import (
	"context"
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Unknown says what a question leaves open.
type Unknown uint8

// What can be left open.
const (
	// OpenArguments leaves open the arguments and nothing else: what could this call have said?
	OpenArguments Unknown = iota
	// OpenCall leaves open what a call would bring, as a list does.
	OpenCall
	// OpenCaller leaves open what a call would bring and everything of the caller but its roles, the
	// digest and pin of the tool, and what is not given: no roles, no server, nil labels, a tool without
	// name, title or annotations.
	OpenCaller
)

// ofCaller are the paths that OpenCaller adds to those of a list. Every path of the input schema is
// either here, among unknowns, or given: see there.
var ofCaller = []string{
	"input.subject.id", "input.subject.issuer", "input.subject.client", "input.subject.actors", "input.subject.claims",
	"input.subject.proof", "input.subject.measured", "input.grant", "input.tool.digest", "input.tool.pinned", "input.tool.reviewed",
}

// Reach is what is left of a decision when what is known has been put in: Rego over what is not.
type Reach struct {
	Allow       []ast.Body          // any of them allows; one that is empty always does; none: never allowed
	Deny        []Then              // each refuses
	Obligations []Then              // each is imposed
	Support     []*ast.Module       // rules below data.partial that the bodies refer to
	Fallible    []string            // what may end in an error, which refuses: file:line, and a function or a second value of allow
	Contested   bool                // a rule `allow` may say something else than true
	Names       map[ast.Var]ast.Var // what authors call the variables, less the number that partial evaluation adds
}

// Then is a condition and what follows from it.
type Then struct {
	Value *ast.Term // a reason or an obligation; not ground where it depends on what is unknown
	Body  ast.Body  // empty: always
}

// Never reports whether no value of what is unknown could make the answer yes. It is the negation
// of what Visible says of the same question.
func (r *Reach) Never() bool {
	return len(r.Allow) == 0 || slices.ContainsFunc(r.Deny, func(t Then) bool { return len(t.Body) == 0 })
}

// Always reports whether every value of what is unknown makes the answer yes, obligations aside.
func (r *Reach) Always() bool {
	return len(r.Deny) == 0 && len(r.Fallible) == 0 &&
		slices.ContainsFunc(r.Allow, func(b ast.Body) bool { return len(b) == 0 })
}

const answerVar = ast.Var("answer")

// Unbound is what stands in a body for a value of deny or obligations that is not known.
var Unbound = ast.NewTerm(answerVar)

// Reach asks what is left of the decision on in when something is unknown. The rules are those
// that Decide asks.
func (g *Generation) Reach(ctx context.Context, in *Input, open Unknown) (*Reach, error) {
	value, unknown, err := g.openInput(in, open)
	if err != nil {
		return nil, err
	}
	fallible := &saves{compiler: g.compiler, at: map[string]bool{}}
	g.contest(fallible)
	r := &Reach{}
	ask := partialQuestion{input: value, unknown: terms(unknown...), saves: fallible}
	if open == OpenArguments {
		ask.now = in.Request.Time
	}
	var support []*ast.Module
	if r.Allow, support, err = g.partialRun(ctx, g.allowPE, ask); err != nil {
		return nil, err
	}
	if len(r.Allow) == 0 {
		return r, nil
	}
	r.Support = append(r.Support, support...)
	for i, b := range r.Allow {
		if isTrue(b) {
			r.Allow[i] = nil
		}
	}
	for _, set := range []struct {
		name string
		into *[]Then
	}{{"deny", &r.Deny}, {"obligations", &r.Obligations}} {
		if *set.into, support, err = g.residualSet(ctx, set.name, ask); err != nil {
			return nil, err
		}
		r.Support = append(r.Support, support...)
	}
	r.Fallible = fallible.list()
	r.Names = g.compiler.RewrittenVars
	return r, nil
}

func isTrue(b ast.Body) bool {
	return !slices.ContainsFunc(b, func(e *ast.Expr) bool {
		t, ok := e.Terms.(*ast.Term)
		return !ok || e.Negated || len(e.With) > 0 || !t.Equal(ast.InternedTerm(true))
	})
}

// residualSet asks a set of package mcp.authz, member by member.
func (g *Generation) residualSet(ctx context.Context, name string, ask partialQuestion) ([]Then, []*ast.Module, error) {
	if len(g.compiler.GetRulesWithPrefix(ast.MustParseRef("data.mcp.authz."+name))) == 0 {
		return nil, nil, nil
	}
	body, err := g.setBody(name)
	if err != nil {
		return nil, nil, err
	}
	ask.namespace = "partial_" + name
	// Copy propagation writes to the object that the answer is bound to, and that is a term of the
	// compiled rule (OPA 1.22, ast.Transform below copypropagation.plugBindings). It writes what is
	// there already, but another goroutine must not read it meanwhile.
	g.sets.Lock()
	defer g.sets.Unlock()
	bodies, support, err := g.partialRun(ctx, body, ask)
	if err != nil {
		return nil, nil, err
	}
	out := make([]Then, 0, len(bodies))
	for _, b := range bodies {
		out = append(out, bound(b.Copy()))
	}
	for i, m := range support {
		support[i] = m.Copy()
	}
	return out, support, nil
}

// setBody is the compiled question for the members of a set.
func (g *Generation) setBody(name string) (ast.Body, error) {
	if kept, ok := g.asked.Load(name); ok {
		return kept.(ast.Body), nil
	}
	body, err := g.partialBody("data.mcp.authz." + name + "[" + string(answerVar) + "]")
	if err != nil {
		return nil, err
	}
	g.asked.Store(name, body)
	return body, nil
}

// bound takes out of a body what it binds the answer to.
func bound(b ast.Body) Then {
	then := Then{Value: ast.NewTerm(answerVar), Body: b}
	for i, e := range b {
		if e.Negated || len(e.With) > 0 || !e.IsEquality() {
			continue
		}
		x, y := e.Operand(0), e.Operand(1)
		if y.Value.Compare(answerVar) == 0 {
			x, y = y, x
		}
		if x.Value.Compare(answerVar) == 0 && y.IsGround() && !open(y) {
			then.Value, then.Body = y, slices.Concat(b[:i:i], b[i+1:])
			break
		}
	}
	if unconditional(b) {
		then.Body = nil
	}
	return then
}

// open reports whether a term must be evaluated.
func open(t *ast.Term) bool {
	found := false
	ast.WalkTerms(t, func(t *ast.Term) bool {
		switch t.Value.(type) {
		case ast.Ref, ast.Call, *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
			found = true
		}
		return found
	})
	return found
}

// openInput is the part of input that is known, and the names of what is not.
func (g *Generation) openInput(in *Input, what Unknown) (ast.Value, []string, error) {
	if what == OpenArguments {
		value, err := g.reads.value(in, true)
		if err != nil {
			return nil, nil, err
		}
		return less(value, "arguments"), []string{"input.arguments"}, nil
	}
	unknown := slices.Clone(unknowns)
	if in.ResourceTemplate {
		unknown = append(unknown, "input.resource.uri")
	}
	value, err := g.reads.value(in, false)
	if err != nil || what == OpenCall {
		return value, unknown, err
	}
	unknown = append(unknown, ofCaller...)
	value = less(value, "grant")
	if in.Tool != nil {
		t := in.Tool
		value, unknown = known(value, unknown, "tool", map[string]bool{"name": t.Name != "", "labels": t.Labels != nil,
			"title": t.Title != "", "annotations": t.Annotations != nil})
	}
	value, unknown = known(value, unknown, "server", map[string]bool{"name": in.Server != "", "labels": in.ServerLabels != nil})
	roles := in.Subject != nil && len(in.Subject.Roles) > 0
	value, unknown = known(value, unknown, "subject", map[string]bool{"roles": roles})
	return value, unknown, nil
}

// known keeps of a member of v what is given, and calls the rest of given unknown. Another part of it
// stands among the unknown already.
func known(v ast.Value, unknown []string, name string, given map[string]bool) (ast.Value, []string) {
	o := newObject(len(given))
	member := v.(ast.Object).Get(ast.StringTerm(name))
	for _, part := range slices.Sorted(maps.Keys(given)) {
		if !given[part] {
			unknown = append(unknown, "input."+name+"."+part)
		} else if t := member.Value.(ast.Object).Get(ast.StringTerm(part)); t != nil {
			o.put(part, t)
		}
	}
	out := less(v, name).(ast.Object)
	out.Insert(ast.StringTerm(name), ast.NewTerm(o.value()))
	return out, unknown
}

func less(v ast.Value, name string) ast.Value {
	var pairs [][2]*ast.Term
	v.(ast.Object).Foreach(func(k, t *ast.Term) {
		if k.Value.Compare(ast.String(name)) != 0 {
			pairs = append(pairs, [2]*ast.Term{k, t})
		}
	})
	return ast.NewObject(pairs...)
}

// contest notes the rules `allow` that may say something else than true: with one that does they are two
// values at once, which is an error.
func (g *Generation) contest(s *saves) {
	for _, r := range g.compiler.GetRulesExact(allowRef) {
		for at := r.Location; r != nil; r = r.Else {
			if v := r.Head.Value; !r.Default && (v == nil || v.Value.Compare(ast.Boolean(true)) != 0) {
				s.at[place(at)+": allow with another value"] = true
			}
		}
	}
}
