package policy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"

	"sallyport/policy/builtin"
)

// warm makes the parser of SQL ready where the policies call it: its first start takes seconds, which
// are not the test's that happens to be the first.
func (s *suite) warm() {
	for name, file := range s.files {
		if strings.HasSuffix(name, ".rego") && bytes.Contains(file, []byte("mcp.sql")) {
			builtin.Warm()
			return
		}
	}
}

// testTimeout is how long one test of a directory may take.
const testTimeout = 10 * time.Second

// Outcomes of a test.
const (
	TestPassed  = "pass"
	TestFailed  = "fail"
	TestErred   = "error" // it could not be decided
	TestSkipped = "skip"  // a rule todo_test_…
)

// TestResult is what came of one test.
type TestResult struct {
	Name     string        `json:"name"`
	Kind     string        `json:"kind"` // rule, case or list
	File     string        `json:"file"`
	Line     int           `json:"line"`
	Outcome  string        `json:"outcome"`
	Duration time.Duration `json:"duration_ns"`
	Detail   string        `json:"detail,omitempty"` // of a failure: what is wrong
	Output   string        `json:"output,omitempty"` // of print, in a rule
}

// suite are the tests of a directory.
type suite struct {
	files   map[string][]byte
	modules map[string]*ast.Module // the policies
	rego    map[string]*ast.Module // their tests
	tables  []*table
	data    map[string]any
}

// readTables reads the tables of a directory. The error has all faults of all tables.
func readTables(files map[string][]byte) ([]*table, error) {
	var out []*table
	var errs []error
	for _, name := range sorted(files) {
		if !isTable(name) {
			continue
		}
		t, err := readTable(name, files[name])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, t)
	}
	return out, errors.Join(errs...)
}

// run runs the tests whose name filter matches (nil: all), in the order of files and lines. The
// error is of tests that could not be run at all.
func (s *suite) run(ctx context.Context, g *Generation, filter *regexp.Regexp) ([]TestResult, error) {
	s.warm()
	results, err := s.runRego(ctx, filter, g.tracer)
	if err != nil {
		return nil, err
	}
	for _, t := range s.tables {
		results = append(results, t.run(ctx, g, func(name string) bool { return filter == nil || filter.MatchString(name) })...)
	}
	slices.SortStableFunc(results, func(a, b TestResult) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return results, nil
}

// runRego runs the rules test_… of files *_test.rego.
func (s *suite) runRego(ctx context.Context, filter *regexp.Regexp, tracer topdown.QueryTracer) ([]TestResult, error) {
	if len(s.rego) == 0 {
		return nil, nil
	}
	results, err := s.testRego(ctx, filter, func(r *tester.Runner) { r.SetCoverageQueryTracer(tracer) })
	if err != nil {
		return nil, err
	}
	var out []TestResult
	failed := []string{}
	for _, r := range results {
		result := TestResult{Name: r.Package + "." + r.Name, Kind: "rule", File: r.Location.File, Line: r.Location.Row,
			Outcome: TestPassed, Duration: r.Duration, Output: string(r.Output)}
		switch {
		case r.Error != nil:
			result.Outcome, result.Detail = TestErred, r.Error.Error()
		case r.Skip:
			result.Outcome = TestSkipped
		case r.Fail:
			result.Outcome = TestFailed
			result.Detail = sourceLine(s.files[result.File], result.Line)
			failed = append(failed, regexp.QuoteMeta(result.Name))
		}
		out = append(out, result)
	}
	if len(failed) == 0 {
		return out, nil
	}
	return out, s.locate(ctx, out, regexp.MustCompile("^("+strings.Join(failed, "|")+")$"))
}

// testRego has OPA's own runner run the rules, with the functions that policies may call.
func (s *suite) testRego(ctx context.Context, filter *regexp.Regexp, set func(*tester.Runner)) ([]*tester.Result, error) {
	all := map[string]*ast.Module{}
	for _, modules := range []map[string]*ast.Module{s.modules, s.rego} {
		for name, m := range modules {
			all[name] = m.Copy()
		}
	}
	store := inmem.NewFromObject(s.data)
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, fmt.Errorf("open test data: %w", err)
	}
	defer store.Abort(ctx, txn)
	runner := tester.NewRunner().SetCompiler(ast.NewCompiler().WithCapabilities(capabilities()).WithEnablePrintStatements(true)).
		SetStore(store).SetModules(all).RaiseBuiltinErrors(true).SetTimeout(testTimeout)
	if filter != nil {
		runner.Filter(filter.String())
	}
	set(runner)
	results, err := runner.RunTests(ctx, txn)
	if err != nil {
		return nil, fmt.Errorf("policy tests: %w", located(err, s.files))
	}
	var out []*tester.Result
	for r := range results {
		out = append(out, r)
	}
	return out, nil
}

// locate runs failed rules once more to see which of their expressions did not hold.
func (s *suite) locate(ctx context.Context, results []TestResult, filter *regexp.Regexp) error {
	traced, err := s.testRego(ctx, filter, func(r *tester.Runner) { r.EnableTracing(true) })
	if err != nil {
		return err
	}
	for _, t := range traced {
		at := failedAt(t)
		if at == nil {
			continue
		}
		for i := range results {
			if r := &results[i]; r.Name == t.Package+"."+t.Name && at.Row != r.Line {
				r.Detail = fmt.Sprintf("%s:%d: %s", at.File, at.Row, sourceLine(s.files[at.File], at.Row))
			}
		}
	}
	return nil
}

// failedAt is the last expression of the test's own file that did not hold.
func failedAt(r *tester.Result) *ast.Location {
	for _, e := range slices.Backward(r.Trace) {
		if x, ok := e.Node.(*ast.Expr); ok && e.Op == topdown.FailOp && x.Location != nil && x.Location.File == r.Location.File {
			return x.Location
		}
	}
	return nil
}

// verify runs the directory's own tests. A policy that fails them is not installed.
func (s *suite) verify(ctx context.Context, g *Generation) error {
	results, err := s.run(ctx, g, nil)
	if err != nil {
		return err
	}
	var failed []error
	for _, r := range results {
		switch r.Outcome {
		case TestErred:
			failed = append(failed, &Fault{Name: "test-failed", File: r.File, Line: r.Line, Text: "test " + r.short() + ": " + r.Detail})
		case TestFailed:
			failed = append(failed, &Fault{Name: "test-failed", File: r.File, Line: r.Line, Source: r.Detail,
				Text: "test " + r.short() + " failed; the policy is not installed"})
		}
	}
	return errors.Join(failed...)
}

// short is the name of a test in its file.
func (r *TestResult) short() string {
	if r.Kind == "rule" {
		return r.Name[strings.LastIndexByte(r.Name, '.')+1:]
	}
	return fmt.Sprintf("%q", strings.TrimPrefix(r.Name, r.File+": "))
}

// IsTest reports whether a file of this name holds tests of the directory it stands in.
func IsTest(name string) bool { return strings.HasSuffix(name, "_test.rego") || isTable(name) }
