package policy

import (
	"context"
	"errors"
	"regexp"

	"github.com/open-policy-agent/opa/v1/cover"
)

// TestOptions of Test. The zero value runs all tests and measures nothing.
type TestOptions struct {
	Run      *regexp.Regexp // names of the tests to run; nil: all
	Coverage bool
	Keys     Keys // as of Options
}

// TestReport is what came of the tests of a directory.
type TestReport struct {
	Revision string       `json:"revision"`
	Results  []TestResult `json:"tests"` // by file and line
	Coverage *Coverage    `json:"coverage,omitempty"`
}

// Count returns how many tests have come out so.
func (r *TestReport) Count(outcome string) int {
	n := 0
	for _, t := range r.Results {
		if t.Outcome == outcome {
			n++
		}
	}
	return n
}

// Passed reports whether there were tests and none failed.
func (r *TestReport) Passed() bool {
	return len(r.Results) > 0 && r.Count(TestFailed)+r.Count(TestErred) == 0
}

// ErrNoTests is returned by Test for a directory that has none.
var ErrNoTests = errors.New("no tests; write some into a file whose name ends in _test.yaml (a table) or _test.rego (rules)")

// Test runs the tests of a policy directory or bundle and reports each, as Load runs them to decide whether
// the policy is installed. The error is of a policy that does not compile, or that has no tests.
func Test(ctx context.Context, where string, o TestOptions) (*TestReport, error) {
	files, _, err := readPolicy(where, Options{Keys: o.Keys})
	if err != nil {
		return nil, err
	}
	// An answer that was kept would evaluate nothing, and so cover nothing.
	g, own, err := build(ctx, files, Options{CacheSize: -1})
	if err != nil {
		return nil, err
	}
	if len(own.rego)+len(own.tables) == 0 {
		return nil, ErrNoTests
	}
	var lines *cover.Cover
	if o.Coverage {
		lines = cover.New()
		g.tracer = lines
	}
	report := &TestReport{Revision: g.revision}
	if report.Results, err = own.run(ctx, g, o.Run); err != nil {
		return nil, err
	}
	if lines != nil {
		report.Coverage = coverageOf(lines, own.modules)
	}
	return report, nil
}
