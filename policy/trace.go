package policy

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Asked is what came of one rule of allow, deny or obligations when a decision was made.
type Asked struct {
	Rule   string   `json:"rule"`  // allow, deny or obligations
	Label  string   `json:"label"` // as a Decision names it
	File   string   `json:"file"`
	Line   int      `json:"line"`
	Source string   `json:"source"` // its first line
	Held   bool     `json:"held"`
	Passed int      `json:"passed"` // conditions that held before one did not
	Of     int      `json:"of"`
	Failed *Failure `json:"failed,omitempty"` // nil where the rule held
}

// Failure is the condition at which a rule ended.
type Failure struct {
	Rule   string   `json:"rule,omitempty"` // of a helper: its name
	File   string   `json:"file"`
	Line   int      `json:"line"`
	Source string   `json:"source"`
	Saw    []Seen   `json:"saw,omitempty"`
	Inner  *Failure `json:"inner,omitempty"` // in the helper that the condition asks
}

// Seen is a value that a condition saw. Value is nil where there was none.
type Seen struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
}

// Trace asks once more what Decide asks, and says of every rule how far it got. A function that
// fails counts as a condition that does not hold; what that does to the decision is for Decide to
// say. What it returns holds values of the input.
func (g *Generation) Trace(ctx context.Context, in *Input) ([]Asked, error) {
	pq, err := g.traced()
	if err != nil {
		return nil, evalError(err)
	}
	value, err := g.reads.value(in, true)
	if err != nil {
		return nil, err
	}
	t := &tracer{input: value, frames: map[uint64]*frame{}}
	// The index leaves out rules that cannot hold; here they are asked to see why.
	if _, err := g.run(ctx, pq, value, in.Request.Time, rego.EvalQueryTracer(t), rego.EvalRuleIndexing(false), rego.EvalEarlyExit(false)); err != nil {
		return nil, err
	}
	return t.asked(), nil
}

// traced is the question of Decide, with errors that are no end.
func (g *Generation) traced() (*rego.PreparedEvalQuery, error) {
	const name = "trace"
	if kept, ok := g.asked.Load(name); ok {
		return kept.(*rego.PreparedEvalQuery), nil
	}
	// Not the caller's context: what is prepared is kept for the next one.
	pq, err := rego.New(rego.Compiler(g.compiler), rego.Store(g.store), rego.Transaction(g.txn),
		rego.Query(ifDefined(g.compiler, "data.mcp.authz", decideQuery))).PrepareForEval(context.Background())
	if err != nil {
		return nil, err
	}
	g.asked.Store(name, &pq)
	return &pq, nil
}

// frame is one evaluation of a rule.
type frame struct {
	rule   *ast.Rule
	id     uint64
	parent uint64
	at     int // the parent's expression that asked
	held   bool
	now    int // the expression that is being evaluated
	fail   *ast.Expr
	locals *ast.ValueMap
	names  map[ast.Var]topdown.VarMetadata
}

// tracer follows the evaluation of rules.
type tracer struct {
	input  ast.Value
	frames map[uint64]*frame
	order  []*frame
}

func (t *tracer) Enabled() bool               { return true }
func (t *tracer) Config() topdown.TraceConfig { return topdown.TraceConfig{PlugLocalVars: true} }

func (t *tracer) TraceEvent(e topdown.Event) {
	switch node := e.Node.(type) {
	case *ast.Rule:
		f := t.frames[e.QueryID]
		if f == nil && e.Op == topdown.EnterOp {
			f = &frame{rule: node, id: e.QueryID, parent: e.ParentID, at: -1}
			if up := t.frames[e.ParentID]; up != nil {
				f.at = up.now
			}
			t.frames[e.QueryID], t.order = f, append(t.order, f)
		}
		if f != nil && e.Op == topdown.ExitOp {
			f.held = true
		}
	case *ast.Expr:
		f := t.frames[e.QueryID]
		if f == nil {
			return // inside a negation, an every or a comprehension
		}
		switch {
		case e.Op == topdown.EvalOp:
			f.now = node.Index
		case e.Op == topdown.FailOp && (f.fail == nil || node.Index > f.fail.Index):
			f.fail, f.locals, f.names = node, e.Locals, e.LocalMetadata
		}
	}
}

// asked are the rules that decide, in the order of their files.
func (t *tracer) asked() []Asked {
	var out []Asked
	for _, f := range t.order {
		name, ok := decides(f.rule)
		if !ok || f.rule.Default {
			continue
		}
		a := Asked{Rule: name, Label: label(f.rule), File: f.rule.Location.File, Line: f.rule.Location.Row,
			Source: sourceLine(f.rule.Location.Text, 1), Held: f.held}
		for _, e := range f.rule.Body {
			if e.Generated {
				continue
			}
			a.Of++
			if f.held || f.fail != nil && e.Index < f.fail.Index {
				a.Passed++
			}
		}
		if !f.held {
			a.Failed = t.failure(f, 0)
		}
		out = append(out, a)
	}
	slices.SortStableFunc(out, func(a, b Asked) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		return a.Line - b.Line
	})
	return out
}

// decides reports whether a rule is one of those that Decide asks, and which.
func decides(r *ast.Rule) (name string, ok bool) {
	ref := r.Ref().GroundPrefix()
	if len(ref) < 4 || !ref.HasPrefix(authzRef) {
		return "", false
	}
	s, _ := ref[3].Value.(ast.String)
	return string(s), s == "allow" || s == "deny" || s == "obligations"
}

var authzRef = ast.MustParseRef("data.mcp.authz")

// label is what a decision calls a rule: see nameRules.
func label(r *ast.Rule) string {
	for _, a := range r.Annotations {
		if name, ok := a.Labels["rule"].(string); ok {
			return name
		}
	}
	return place(r.Location)
}

// maxHelpers bounds how deep a failure is followed into helpers.
const maxHelpers = 4

// failure says at which condition a rule ended, and in it the helper that got furthest.
func (t *tracer) failure(f *frame, depth int) *Failure {
	if f.fail == nil {
		return nil
	}
	at := f.fail.Location
	out := &Failure{File: at.File, Line: at.Row, Source: sourceLine(at.Text, 1), Saw: t.saw(f)}
	if depth == maxHelpers || f.fail.Negated {
		return out
	}
	var inner *frame
	for _, x := range t.order {
		if x.parent == f.id && x.at == f.fail.Index && !x.held && x.fail != nil && (inner == nil || x.fail.Index > inner.fail.Index) {
			inner = x
		}
	}
	if inner != nil {
		if out.Inner = t.failure(inner, depth+1); out.Inner != nil {
			out.Inner.Rule = string(inner.rule.Head.Name)
		}
	}
	return out
}

// saw are the values that the failed condition saw: parts of the input, and variables that the
// author has named.
func (t *tracer) saw(f *frame) []Seen {
	var out []Seen
	add := func(name string, v ast.Value) {
		if !slices.ContainsFunc(out, func(s Seen) bool { return s.Name == name }) {
			out = append(out, Seen{name, shown(v)})
		}
	}
	asked := []*ast.Expr{f.fail}
	for i := 0; i < len(asked); i++ {
		ast.WalkTerms(asked[i], func(x *ast.Term) bool {
			switch v := x.Value.(type) {
			case ast.Ref:
				if v.HasPrefix(ast.InputRootRef) && len(v) > 1 {
					add(v.ConstantPrefix().String(), find(t.input, v.ConstantPrefix()))
				}
				return v.HasPrefix(ast.InputRootRef)
			case ast.Var:
				if f.locals == nil {
					return false
				}
				if meta, named := f.names[v]; named && !strings.HasPrefix(string(meta.Name), "__") {
					if got := f.locals.Get(v); got != nil {
						add(string(meta.Name), got)
					}
				} else if made := madeBy(f.rule.Body, v, f.fail.Index); made != nil && !slices.Contains(asked, made) {
					asked = append(asked, made)
				}
			}
			return false
		})
	}
	return out
}

// madeBy is the expression that the compiler took out of another one and bound to v.
func madeBy(body ast.Body, v ast.Var, before int) *ast.Expr {
	for _, e := range body {
		if e.Generated && e.Index < before && slices.ContainsFunc(e.Operands(), func(t *ast.Term) bool { return t.Value.Compare(v) == 0 }) {
			return e
		}
	}
	return nil
}

func find(v ast.Value, ref ast.Ref) ast.Value {
	got, err := v.Find(ref[1:])
	if err != nil {
		return nil
	}
	return got
}

// maxShown bounds a value that is shown, in bytes.
const maxShown = 200

// shown is a value as JSON, cut where it is long; nil where there is none.
func shown(v ast.Value) json.RawMessage {
	if v == nil {
		return nil
	}
	doc, err := ast.JSON(v)
	if err != nil {
		return nil
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		return nil
	}
	if len(raw) > maxShown {
		raw, _ = json.Marshal(strings.ToValidUTF8(string(raw[:maxShown]), "") + "…") // a string
	}
	return raw
}

func place(at *ast.Location) string {
	if at == nil {
		return ""
	}
	return at.File + ":" + strconv.Itoa(at.Row)
}

// Decides reports whether a rule of this label is one of allow, deny or obligations, and no helper.
func (g *Generation) Decides(name string) bool {
	for _, m := range g.compiler.Modules {
		for _, r := range m.Rules {
			if _, ok := decides(r); ok && label(r) == name {
				return true
			}
		}
	}
	return false
}
