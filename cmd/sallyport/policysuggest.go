package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/policy/workbench"
)

func (a *app) newPolicySuggest() *cobra.Command {
	cmd := &cobra.Command{Use: "suggest", Short: "Write the least policy that allows what was used", Args: cobra.NoArgs,
		Long: "Learns from the calls in a record what each role used: tools, and, where inputs are recorded\n" +
			"(audit.inputs), what their arguments were: a few values, a number in bounds, a path below a\n" +
			"directory, or anything where they are diverse. Writes a policy directory with tests, and lists\n" +
			"what the present policy allows and nobody used.\n\n" +
			"Nothing is learned from calls that were refused, or that a rule would have refused, nor from a\n" +
			"task in which a guard found something. What no rule speaks of, and went through since nothing\n" +
			"was enforced (enforce: false), is learned and counted. Nothing is applied: read it, then change\n" +
			"`policies` yourself. What is written holds values of arguments.\n\n" +
			"-o DIR writes the directory, which must not be there or be empty; -o json prints the findings;\n" +
			"without it the files are printed. Exits 3 where there is too little to learn from."}
	f := addRecordFlags(cmd)
	support := cmd.Flags().Int("min-support", 20, "learn of a tool from `N` calls by a role on")
	window := cmd.Flags().String("window", "30d", "`TIME` before the newest record that counts")
	dir := cmd.Flags().String("policies", "", "the present policy directory `DIR`; default: that of the configuration, or ./policies")
	out := cmd.Flags().StringP("output", "o", "", "`DIR` to write, or json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s := workbench.Suggest{MinSupport: *support}
		var err error
		if s.Window, err = span(*window); err != nil {
			return err
		}
		if *support < 1 {
			return errUsage{fmt.Sprintf("--min-support %d: want 1 or more", *support)}
		}
		if err := free(*out); err != nil {
			return err
		}
		rec, err := a.record(f, time.Now())
		if err != nil {
			return err
		}
		if err := a.present(cmd.Context(), &s, *dir); err != nil {
			return err
		}
		found, err := s.Run(cmd.Context(), rec.log(false))
		a.sayBad(rec)
		if errors.Is(err, workbench.ErrTooLittle) {
			a.say("%v", err)
			a.say("%s", strings.TrimRight(leftOut(found), "\n"))
			return errNo{}
		}
		if err != nil {
			return err
		}
		return a.printSuggestion(found, *out)
	}
	return cmd
}

// span reads a length of time, in days as well.
func span(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil && n > 0 {
			return time.Duration(n) * 24 * time.Hour, nil //nolint:gosec // 16 bits of days
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return d, nil
	}
	return 0, errUsage{fmt.Sprintf("--window %s: want a length of time as 30d or 12h", plain(text))}
}

// free refuses a directory that holds something: a suggestion never overwrites a policy.
func free(dir string) error {
	if dir == "" || dir == "json" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at the directory to write: %w", err)
	case len(entries) > 0:
		return errUsage{fmt.Sprintf("-o %s: the directory is not empty, and a suggestion overwrites nothing; name another", dir)}
	}
	return nil
}

// present adds the policy in force and the tools that there are. Without a policy nothing is said of
// what nobody uses.
func (a *app) present(ctx context.Context, s *workbench.Suggest, dir string) error {
	g, err := a.loadPolicies(ctx, dir)
	if err != nil {
		if dir != "" {
			return err
		}
		a.say("note: what nobody uses is not looked for, since there is no present policy: %v", err)
		return nil
	}
	tools, err := a.catalogue(ctx, "", g)
	if err != nil {
		a.say("note: tools that nobody called are not looked at: %v", err)
	}
	s.Present = g
	for _, t := range tools {
		if t.Server != "" {
			s.Catalogue = append(s.Catalogue, workbench.CatalogueTool{Server: t.Server, Name: t.Name})
		}
	}
	return nil
}

func (a *app) printSuggestion(s *workbench.Suggestion, out string) error {
	if out == "json" {
		return a.printJSON(s)
	}
	names := slices.Sorted(maps.Keys(s.Files))
	if out != "" {
		if err := os.MkdirAll(out, 0o700); err != nil {
			return fmt.Errorf("make the directory: %w", err)
		}
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(out, name), s.Files[name], 0o600); err != nil {
				return fmt.Errorf("write the suggestion: %w", err)
			}
		}
		return a.printf("%s%s: %s; nothing is applied. Read it, then: sallyport policy diff POLICIES %s\n", suggestionText(s), out, strings.Join(names, ", "), out)
	}
	for _, name := range names {
		if err := a.printf("-- %s --\n%s", name, s.Files[name]); err != nil {
			return err
		}
	}
	a.say("%s", strings.TrimRight(suggestionText(s), "\n"))
	return nil
}

func suggestionText(s *workbench.Suggestion) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d calls from %s to %s, of tools that a role called at least %d times: %d permits\n", s.Learned,
		s.Since.UTC().Format(time.RFC3339), s.Until.UTC().Format(time.RFC3339), s.MinSupport, len(s.Permits))
	if s.Unforeseen > 0 {
		fmt.Fprintf(&b, "no rule allowed %d of these calls, and none denied them: they went through since nothing was enforced\n", s.Unforeseen)
	}
	counted(&b, "the arguments of some are not known:", s.Unread)
	n := 0
	for _, p := range s.Permits {
		if p.Arguments != nil {
			continue
		}
		if n++; n == 1 {
			fmt.Fprintf(&b, "ANY ARGUMENTS are allowed, since those of fewer than %d calls are known:\n", s.MinSupport)
		}
		fmt.Fprintf(&b, "  %8d  %s: %s.%s\n", p.WithArguments, plain(strings.Join(p.Roles, " and ")), plain(p.Server), plain(p.Tool))
	}
	b.WriteString(leftOut(s))
	for i, f := range s.Few {
		if i == 0 {
			b.WriteString("too few calls, not allowed:\n")
		}
		fmt.Fprintf(&b, "  %8d  %s: %s.%s\n", f.Calls, plain(strings.Join(f.Roles, " and ")), plain(f.Server), plain(f.Tool))
	}
	for i, u := range s.Unused {
		if i == 0 {
			b.WriteString("allowed by the present policy and used by nobody:\n")
		}
		fmt.Fprintf(&b, "  %s: %s.%s\n", plain(u.Role), plain(u.Server), plain(u.Tool))
	}
	return b.String()
}

// leftOut says from what nothing was learned.
func leftOut(s *workbench.Suggestion) string {
	var b strings.Builder
	counted(&b, "nothing is learned from:", s.LeftOut)
	counted(&b, "flagged tasks, left out as a whole:", s.Flagged)
	return cmp.Or(b.String(), "nothing was left out\n")
}
