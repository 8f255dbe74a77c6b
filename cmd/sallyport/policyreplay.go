package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/policy/workbench"
)

func (a *app) newPolicyReplay() *cobra.Command {
	cmd := &cobra.Command{Use: "replay", Short: "Decide recorded decisions again", Args: cobra.NoArgs,
		Long: "Decides every decision of a record again. Under the policy that made it, one that comes out\n" +
			"otherwise is a defect of the record or of the engine; under another, it is a change.\n\n" +
			"What is decided in full are decisions whose input was recorded (audit.inputs). Of others it is\n" +
			"decided whether they are allowed, where that does not depend on what was not recorded; the rest\n" +
			"is counted. Exits 3 when anything differs."}
	f := addRecordFlags(cmd)
	dir := cmd.Flags().String("policies", "", "policy directory `DIR`; default: that of the configuration, or ./policies")
	examples := cmd.Flags().Int("examples", 20, "show at most `N` differences of each kind")
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		rec, err := a.record(f, time.Now())
		if err != nil {
			return err
		}
		g, err := a.loadPolicies(cmd.Context(), *dir)
		if err != nil {
			return err
		}
		defer g.Close()
		defer batch()()
		report, err := workbench.Replay{Policy: g, Examples: *examples}.Run(cmd.Context(), rec.log(true))
		if err != nil {
			return err
		}
		report.Records += rec.passed
		a.sayBad(rec)
		if is {
			err = a.printJSON(report)
		} else {
			err = a.printf("%s", replayText(report))
		}
		return orElse(err, func() error { return no(report.Differ() > 0) })
	}
	return cmd
}

func replayText(r *workbench.ReplayReport) string {
	var b strings.Builder
	line := func(n int, what string) {
		if n > 0 {
			fmt.Fprintf(&b, "  %8d  %s\n", n, what)
		}
	}
	fmt.Fprintf(&b, "%d decisions in %d records, asked again of the policy %s\n", r.Decisions, r.Records, r.Revision)
	undecided := 0
	for _, n := range r.Undecided {
		undecided += n
	}
	line(r.Same, "came out as recorded")
	line(r.Differ(), "came out otherwise")
	line(undecided, "could not be decided again")
	line(r.Others, "more are acts, or refusals that no policy decided")
	if r.Partial > 0 {
		fmt.Fprintf(&b, "of %d the input was not recorded, and only whether they are allowed was decided\n", r.Partial)
	}
	others := map[string]int{}
	for revision, n := range r.Revisions {
		if revision != r.Revision {
			others[revision] = n
		}
	}
	counted(&b, "made by other policies:", others)
	counted(&b, "not decided again:", r.Undecided)
	counted(&b, "differences:", r.Kinds)
	counted(&b, "caused by:", r.Causes)
	for _, d := range r.Differences {
		fmt.Fprintf(&b, "\n%s: %s\n  recorded: %s\n  now:      %s\n  cause:    %s", d.Kind, place(d.Example), answered(d.Recorded), answered(d.Now), d.Cause)
		if d.Why != "" {
			b.WriteString(": " + d.Why)
		}
		b.WriteString("\n")
	}
	return b.String()
}
