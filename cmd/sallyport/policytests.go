package main

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/gateway/config"
	"sallyport/policy"
	"sallyport/policy/workbench"
)

// tests is one way of running the tests of a directory.
type tests struct {
	dir       string
	format    string // text, json or junit
	options   policy.TestOptions
	quiet     bool
	threshold float64 // percent; 0: none
}

func (a *app) newPolicyTest() *cobra.Command {
	cmd := &cobra.Command{Use: "test [DIR]", Short: "Run the tests beside the policies", Args: cobra.MaximumNArgs(1),
		Long: "Runs the tables of files *_test.yaml and every rule test_… of files *_test.rego, as the\ngateway does at each load. Without DIR it is that of the configuration, or ./policies.\n" +
			"Exits 3 when a test fails or there is none, or where less is covered than --threshold."}
	var t tests
	f := cmd.Flags()
	f.StringVarP(&t.format, "output", "o", "text", "`FORMAT` of the result: text, json or junit")
	run := f.String("run", "", "run the tests whose name matches `REGEX`: data.package.test_name, or file: name of a case")
	f.BoolVarP(&t.quiet, "quiet", "q", false, "print what failed and the sum")
	f.BoolVar(&t.options.Coverage, "coverage", false, "say which lines of the policies no test has reached")
	f.Float64Var(&t.threshold, "threshold", 0, "exit 3 where less than `PERCENT` of the lines is covered; implies --coverage")
	watch := f.Bool("watch", false, "run again whenever a file changes, until interrupted")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := t.check(*run); err != nil {
			return err
		}
		var err error
		if t.dir, t.options.Keys, err = a.policySource(args); err != nil {
			return err
		}
		if !*watch {
			return a.runTests(cmd.Context(), &t)
		}
		config.Watch(cmd.Context(), slog.New(slog.DiscardHandler), []string{t.dir}, func() {
			err = a.runTests(cmd.Context(), &t)
			a.say("%s; waiting for a change, stop with Ctrl-C", time.Now().Format(time.TimeOnly))
		})
		return err
	}
	return cmd
}

func (t *tests) check(run string) error {
	switch t.format {
	case "text", "json", "junit":
	default:
		return errUsage{fmt.Sprintf("-o %s: want text, json or junit", t.format)}
	}
	if t.threshold < 0 || t.threshold > 100 {
		return errUsage{fmt.Sprintf("--threshold %g: want a number from 0 to 100", t.threshold)}
	}
	t.options.Coverage = t.options.Coverage || t.threshold > 0
	if run == "" {
		return nil
	}
	var err error
	if t.options.Run, err = regexp.Compile(run); err != nil {
		return errUsage{"--run: " + err.Error()}
	}
	return nil
}

func (a *app) runTests(ctx context.Context, t *tests) error {
	report, err := policy.Test(ctx, t.dir, t.options)
	failure := ""
	switch {
	case err != nil:
		failure = err.Error()
	case len(report.Results) == 0:
		failure = fmt.Sprintf("no test matches --run %s", t.options.Run)
	case t.threshold > 0 && report.Coverage.Percent() < t.threshold:
		failure = fmt.Sprintf("%.1f %% of the lines are covered; --threshold wants %g", report.Coverage.Percent(), t.threshold)
	}
	passed := failure == "" && report.Passed()
	if report == nil {
		report = &policy.TestReport{}
	}
	switch t.format {
	case "json":
		err = a.printTestJSON(t, report, passed, failure)
	case "junit":
		err = workbench.JUnit(a.out, t.dir, report, failure)
	default:
		err = a.printTests(t, report, failure)
	}
	return orElse(err, func() error { return no(!passed) })
}

func (a *app) printTestJSON(t *tests, report *policy.TestReport, passed bool, failure string) error {
	if report.Results == nil {
		report.Results = []policy.TestResult{}
	}
	return a.printJSON(struct {
		Directory string `json:"directory"`
		Passed    bool   `json:"passed"`
		Failure   string `json:"failure,omitempty"` // of the whole; each test has its own
		*policy.TestReport
	}{t.dir, passed, failure, report})
}

var testMarks = map[string]string{policy.TestPassed: "ok", policy.TestFailed: "FAIL", policy.TestErred: "ERROR", policy.TestSkipped: "skip"}

func (a *app) printTests(t *tests, report *policy.TestReport, failure string) error {
	var b strings.Builder
	for _, r := range report.Results {
		good := r.Outcome == policy.TestPassed || r.Outcome == policy.TestSkipped
		if good && t.quiet {
			continue
		}
		fmt.Fprintf(&b, "%-5s %s:%d: %s (%s)\n", testMarks[r.Outcome], r.File, r.Line, strings.TrimPrefix(r.Name, r.File+": "), r.Duration.Round(time.Microsecond))
		for _, text := range []string{r.Detail, strings.TrimRight(r.Output, "\n")} {
			if text != "" {
				fmt.Fprintf(&b, "\t%s\n", strings.ReplaceAll(text, "\n", "\n\t"))
			}
		}
	}
	if report.Coverage != nil {
		coverageText(&b, report.Coverage)
	}
	if len(report.Results) > 0 {
		fmt.Fprintf(&b, "%s: %s (%s)\n", t.dir, testSum(report), report.Revision)
	}
	if failure != "" {
		fmt.Fprintf(&b, "%s\n", failure)
	}
	return a.printf("%s", b.String())
}

func testSum(report *policy.TestReport) string {
	var parts []string
	for _, p := range []struct{ outcome, word string }{{policy.TestPassed, "passed"}, {policy.TestFailed, "failed"},
		{policy.TestErred, "could not be decided"}, {policy.TestSkipped, "skipped"}} {
		if n := report.Count(p.outcome); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, p.word))
		}
	}
	return strings.Join(parts, ", ")
}

func coverageText(b *strings.Builder, c *policy.Coverage) {
	for _, f := range c.Files {
		fmt.Fprintf(b, "%5.1f %% %s", f.Percent(), f.File)
		for i, r := range f.NotCovered {
			fmt.Fprintf(b, "%s%d", map[bool]string{true: "; not covered: line ", false: ", "}[i == 0], r.First)
			if r.Last > r.First {
				fmt.Fprintf(b, "–%d", r.Last)
			}
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(b, "%5.1f %% of %d lines\n", c.Percent(), c.Lines)
}
