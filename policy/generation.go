package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/cache"
)

var (
	allowRef = ast.MustParseRef("data.mcp.authz.allow")
	denyRef  = ast.MustParseRef("data.mcp.authz.deny")
)

// The whole decision in one query. `deny` and `obligations` are made by rules that stand for
// them where a policy has none; an `allow` that is undefined leaves the set empty.
const (
	decideQuery = `allow := {x | x := data.mcp.authz.allow}; deny := {x | some x in data.mcp.authz.deny}; obligations := {x | some x in data.mcp.authz.obligations}`
	denyQuery   = `deny := {x | some x in data.mcp.authz.deny}`
)

// Generation is one compiled state of a policy directory. It is immutable and safe for
// concurrent use.
type Generation struct {
	compiler *ast.Compiler
	store    storage.Store
	txn      storage.Transaction
	decide   rego.PreparedEvalQuery
	deny     rego.PreparedEvalQuery
	allowPE  ast.Body // allow = true, compiled, for partial evaluation
	denyPE   ast.Body // deny[_], likewise
	queries  ast.QueryCompiler

	unknowns, unknownsOfTemplate []*ast.Term

	values       cache.InterQueryValueCache
	reads        reads    // of allow, deny and obligations
	argumentKeys []string // of every rule below data.mcp
	names        []string // of members of the arguments at any depth that they name
	roles        roleNames
	dataNames    []string // at the root of data, sorted

	results *results                // what package mcp.response says; nil: nothing
	mask    *rego.PreparedEvalQuery // what is erased from inputs before they are recorded; nil: nothing
	advice  *advice                 // what rules say that are not enforced; nil: there are none

	asked sync.Map   // name → the questions of Reach and Trace, prepared when they are first asked
	sets  sync.Mutex // held while the members of a set are asked for: see residualSet

	named sync.Map // ref → *namedRule: the rules that grants have asked for, prepared

	tracer topdown.QueryTracer // of tests that measure coverage; nil: nobody looks

	revision string
	bundle   *Bundle                        // nil: a plain directory
	tested   bool                           // tests of its own stand beside it
	cache    *lru.Cache[[32]byte, Decision] // nil: decisions are not cacheable
}

func newGeneration(ctx context.Context, c *ast.Compiler, data map[string]any, revision string, o Options) (*Generation, error) {
	g := &Generation{compiler: c, revision: revision, queries: c.QueryCompiler(),
		unknowns: terms(unknowns...), unknownsOfTemplate: terms(append(slices.Clone(unknowns), "input.resource.uri")...),
		store: inmem.NewFromObjectWithOpts(data, inmem.OptRoundTripOnWrite(false), inmem.OptReturnASTValuesOnRead(true))}
	// The cache of compiled globs and patterns is bounded: patterns can come from the input.
	most := 10_000
	g.values = cache.NewInterQueryValueCache(ctx, &cache.Config{
		InterQueryBuiltinValueCache: cache.InterQueryBuiltinValueCacheConfig{MaxNumEntries: &most}})
	var err error
	if g.txn, err = g.store.NewTransaction(ctx); err != nil {
		return nil, fmt.Errorf("open policy data: %w", err)
	}
	if err := setsOf(c, "data.mcp.authz"); err != nil {
		return nil, err
	}
	if g.decide, err = g.prepare(ctx, ifDefined(c, "data.mcp.authz", decideQuery)); err != nil {
		return nil, err
	}
	if g.deny, err = g.prepare(ctx, ifDefined(c, "data.mcp.authz", denyQuery)); err != nil {
		return nil, err
	}
	if g.results, err = g.newResults(ctx); err != nil {
		return nil, err
	}
	if g.advice, err = g.newAdvice(ctx); err != nil {
		return nil, err
	}
	if g.allowPE, err = g.partialBody("data.mcp.authz.allow = true"); err != nil {
		at := c.GetRulesExact(allowRef)[0].Location
		return nil, &Fault{Name: "not-a-boolean", File: at.File, Line: at.Row, Column: at.Col, Text: "`allow` must be true or false", Source: sourceLine(at.Text, 1)}
	}
	if len(c.GetRulesExact(denyRef)) > 0 {
		if g.denyPE, err = g.partialBody("data.mcp.authz.deny[_]"); err != nil {
			return nil, err
		}
	}
	if g.reads, err = analyze(c); err != nil {
		return nil, err
	}
	g.names = argumentNames(c)
	g.argumentKeys, g.roles, g.dataNames = argumentKeys(c), rolesOf(c), slices.Sorted(maps.Keys(data))
	size := o.CacheSize
	if size == 0 {
		size = 10_000
	}
	if g.reads.cacheable() && size > 0 {
		if g.cache, err = lru.New[[32]byte, Decision](size); err != nil {
			return nil, fmt.Errorf("make decision cache: %w", err)
		}
	}
	return g, nil
}

// ifDefined leaves out of a query the parts for which the policy has no rule: the strict
// compiler refuses references to nothing.
func ifDefined(c *ast.Compiler, pkg, query string) string {
	for _, name := range []string{"deny", "obligations"} {
		if len(c.GetRulesWithPrefix(ast.MustParseRef(pkg+"."+name))) == 0 {
			query = strings.Replace(query, name+" := {x | some x in "+pkg+"."+name+"}", name+" := set()", 1)
		}
	}
	return query
}

// setsOf refuses a `deny` or `obligations` that is not a set, in words that name the line: the
// engine's own speak of its query.
func setsOf(c *ast.Compiler, pkg string) error {
	example := map[string]string{"deny": `deny contains "reason" if …`, "obligations": `obligations contains {"type": "record_arguments"} if …`}
	for name, form := range example {
		rules := c.GetRulesWithPrefix(ast.MustParseRef(pkg + "." + name))
		for _, r := range append(rules, c.GetRulesWithPrefix(ast.MustParseRef(pkg+"."+advisory+name))...) {
			value := r.Head.Value
			if r.Head.RuleKind() == ast.MultiValue || value != nil && isCollection(value.Value) {
				continue
			}
			return &Fault{Name: "not-a-set", File: r.Location.File, Line: r.Location.Row, Column: r.Location.Col,
				Text: "`" + name + "` must be a set: " + form, Source: sourceLine(r.Location.Text, 1)}
		}
	}
	return nil
}

// isCollection reports whether a complete rule's value may be a set all the same; what it is
// then comes out when it is asked.
func isCollection(v ast.Value) bool {
	switch v.(type) {
	case ast.Boolean, ast.String, ast.Number, ast.Null:
		return false
	}
	return true
}

func (g *Generation) prepare(ctx context.Context, query string) (rego.PreparedEvalQuery, error) {
	pq, err := rego.New(rego.Compiler(g.compiler), rego.Store(g.store), rego.Transaction(g.txn),
		rego.Query(query), rego.StrictBuiltinErrors(true)).PrepareForEval(ctx)
	if err != nil {
		return pq, fmt.Errorf("prepare policy query: %w", err)
	}
	return pq, nil
}

func (g *Generation) partialBody(query string) (ast.Body, error) {
	body, err := ast.ParseBody(query)
	if err != nil {
		return nil, fmt.Errorf("parse policy query: %w", err)
	}
	compiled, err := g.compiler.QueryCompiler().Compile(body)
	if err != nil {
		return nil, fmt.Errorf("compile policy query: %w", err)
	}
	return compiled, nil
}

// Revision names the policy by its files' names and contents.
func (g *Generation) Revision() string { return g.revision }

// Bundle says how the files came together; nil for a plain directory.
func (g *Generation) Bundle() *Bundle { return g.bundle }

// HasTests reports whether tests stand beside the policy.
func (g *Generation) HasTests() bool { return g.tested }

// ArgumentKeys returns the top-level arguments that the policies name, rules included that only
// a grant's argument constraint can ask for. all is true where `allow`, `deny` or `obligations`
// read the arguments as a whole.
func (g *Generation) ArgumentKeys() (keys []string, all bool) {
	return g.argumentKeys, g.reads.allArgs
}

// ArgumentNames returns the names of members of the arguments, at any depth, that the policies speak of.
func (g *Generation) ArgumentNames() []string { return g.names }

// ReadsFlow reports whether a rule that decides calls or results names input.flow: what a task has
// touched, which is nothing where nothing has a label.
func (g *Generation) ReadsFlow() bool {
	names := func(r *reads) bool { return r.parts["flow"] || r.parts["flow.labels"] }
	return names(&g.reads) || g.results != nil && names(&g.results.reads)
}

// Notes says what an operator should know of how the policies are evaluated.
func (g *Generation) Notes() []string { return g.reads.notes }

// Close is for symmetry with what holds outside resources; a Generation holds none.
func (g *Generation) Close() {}

// Decide answers for one call. On any error the decision is the zero Decision.
func (g *Generation) Decide(ctx context.Context, in *Input) (Decision, error) {
	var key [32]byte
	if g.cache != nil && in.Result == nil {
		key = g.reads.key(in)
		if d, ok := g.cache.Get(key); ok {
			d.Cached = true
			return d, nil
		}
	}
	d, err := g.evaluate(ctx, &g.decide, in)
	if err != nil {
		return Decision{}, err
	}
	g.advised(ctx, &d, in, false)
	if g.cache != nil && in.Result == nil && (d.Advisory == nil || d.Advisory.Err == nil) {
		g.cache.Add(key, d)
	}
	return d, nil
}

// Denied answers for housekeeping: allowed unless `deny` holds.
func (g *Generation) Denied(ctx context.Context, in *Input) (Decision, error) {
	d := Decision{Allow: true, Revision: g.revision}
	if g.denyPE != nil {
		var err error
		if d, err = g.evaluate(ctx, &g.deny, in); err != nil {
			return Decision{}, err
		}
	}
	g.advised(ctx, &d, in, true)
	return d, nil
}

func (g *Generation) evaluate(ctx context.Context, pq *rego.PreparedEvalQuery, in *Input) (Decision, error) {
	return g.evaluateWith(ctx, pq, &g.reads, in)
}

func (g *Generation) evaluateWith(ctx context.Context, pq *rego.PreparedEvalQuery, reads *reads, in *Input) (Decision, error) {
	d, _, err := g.evaluateAll(ctx, pq, reads, in)
	return d, err
}

// evaluateAll returns as well what allow says by itself, whatever deny says.
func (g *Generation) evaluateAll(ctx context.Context, pq *rego.PreparedEvalQuery, reads *reads, in *Input) (d Decision, allowed bool, err error) {
	if err := ctx.Err(); err != nil {
		return Decision{}, false, fmt.Errorf("evaluate policy: %w", err)
	}
	value, err := reads.value(in, true)
	if err != nil {
		return Decision{}, false, err
	}
	rules := &topdown.EvaluatedRuleTracker{}
	rs, err := g.run(ctx, pq, value, in.Request.Time, rego.EvalEvaluatedRuleTracker(rules))
	if err != nil {
		return Decision{}, false, err
	}
	return g.decision(rs, rules)
}

// Longest is how long one evaluation may take. Rules that compare arguments with one another take as long
// as the caller likes; what takes longer is an error, and that refuses.
const Longest = 5 * time.Second

// run evaluates a prepared query, which ends with ctx and after Longest, and returns its one answer.
func (g *Generation) run(ctx context.Context, pq *rego.PreparedEvalQuery, input ast.Value, now time.Time, more ...rego.EvalOption) (rego.Vars, error) {
	cancel := topdown.NewCancel()
	defer context.AfterFunc(ctx, cancel.Cancel)()
	late := time.AfterFunc(Longest, cancel.Cancel)
	defer late.Stop()
	if g.tracer != nil {
		more = append(more, rego.EvalQueryTracer(g.tracer))
	}
	rs, err := pq.Eval(ctx, append(more, rego.EvalParsedInput(input), rego.EvalTransaction(g.txn), rego.EvalMetrics(metrics.NoOp()),
		rego.EvalInterQueryBuiltinValueCache(g.values), rego.EvalExternalCancel(cancel), rego.EvalTime(now))...)
	if err != nil && topdown.IsCancel(err) && ctx.Err() == nil {
		return nil, fmt.Errorf("evaluate policy: it takes longer than %v; rules that compare each argument with each other are slow with many", Longest)
	}
	if err != nil {
		return nil, evalError(err)
	}
	if len(rs) != 1 {
		return nil, fmt.Errorf("evaluate policy: %d answers; want 1", len(rs))
	}
	return rs[0].Bindings, nil
}

// evalError says what failed and where, without OPA's own text: it quotes values, and those
// may be arguments.
func evalError(err error) error {
	var e *topdown.Error
	if !errors.As(err, &e) {
		return errors.New("evaluate policy: internal error of the engine")
	}
	what := strings.TrimPrefix(strings.ReplaceAll(e.Code, "_", " "), "eval ")
	if name, _, ok := strings.Cut(e.Message, ":"); ok && ast.BuiltinMap[name] != nil {
		what += " in " + name
	}
	if e.Location != nil && e.Location.File != "" {
		return fmt.Errorf("evaluate policy: %s at %s:%d", what, e.Location.File, e.Location.Row)
	}
	return fmt.Errorf("evaluate policy: %s", what)
}

// decision reads an answer. Anything of another type than the contract's is an error: a policy
// that says `allow := "yes"` has said nothing.
func (g *Generation) decision(b rego.Vars, rules *topdown.EvaluatedRuleTracker) (d Decision, allowed bool, err error) {
	d = Decision{Revision: g.revision}
	deny, ok := b["deny"].([]any)
	if !ok {
		return Decision{}, false, errors.New("evaluate policy: deny is not a set of messages")
	}
	for _, x := range deny {
		reason, ok := x.(string)
		if !ok {
			return Decision{}, false, errors.New("evaluate policy: deny holds something that is not a string")
		}
		d.Reasons = append(d.Reasons, reason)
	}
	allowed = true
	if answer, asked := b["allow"]; asked {
		set, ok := answer.([]any)
		if !ok || len(set) > 1 {
			return Decision{}, false, errors.New("evaluate policy: allow has more than one value")
		}
		allowed = false
		if len(set) == 1 {
			if allowed, ok = set[0].(bool); !ok {
				return Decision{}, false, errors.New("evaluate policy: allow is not a boolean")
			}
		}
	}
	d.Allow = allowed && len(d.Reasons) == 0
	if err := d.addObligations(b["obligations"]); err != nil {
		return Decision{}, false, err
	}
	d.Rules = ruleLabels(rules)
	return d, allowed, nil
}

func (d *Decision) addObligations(v any) error {
	list, _ := v.([]any) // absent where only deny was asked
	for _, x := range list {
		obj, ok := x.(map[string]any)
		if !ok {
			return errors.New("evaluate policy: obligations holds something that is not an object")
		}
		typ, ok := obj["type"].(string)
		if !ok || typ == "" {
			return errors.New("evaluate policy: an obligation has no type")
		}
		raw, err := json.Marshal(obj)
		if err != nil {
			return fmt.Errorf("evaluate policy: read obligation: %w", err)
		}
		d.Obligations = append(d.Obligations, Obligation{Type: typ, Raw: raw})
	}
	return nil
}
