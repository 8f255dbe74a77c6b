package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sallyport/policy"
	"sallyport/policy/workbench"
)

func (a *app) newPolicyDiff() *cobra.Command {
	cmd := &cobra.Command{Use: "diff OLD NEW", Short: "Say what a new policy changes: for each role and tool, and for recorded decisions", Args: cobra.ExactArgs(2),
		Long: "Compares two policy directories: what is newly allowed, newly refused, and which obligations have\n" +
			"changed, for each role and tool, and, with --log, for every decision in a record. For a revision\n" +
			"of a repository: git worktree add ../old REVISION.\n\n" +
			"--deny-new-access exits 3 where anything is newly allowed, or where it cannot be told that\n" +
			"nothing is. That nothing is shows from the conditions: each way to be allowed must have all\n" +
			"conditions of an old one, or stricter ones.\n\n" +
			"Roles are those that either policy and the configuration know. Tools are those of --tools, else\n" +
			"those that are pinned, else those that the policies name."}
	f := addRecordFlags(cmd)
	file := cmd.Flags().String("tools", "", "catalogue `FILE`, as of `policy matrix`")
	roles := cmd.Flags().StringArray("role", nil, "a `ROLE`; can be repeated")
	deny := cmd.Flags().Bool("deny-new-access", false, "exit 3 unless nothing is newly allowed")
	format := cmd.Flags().StringP("output", "o", "text", "`FORMAT`: text, json or markdown")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		write := map[string]func(*workbench.DiffReport) error{
			"text":     func(d *workbench.DiffReport) error { return d.Text(a.out) },
			"json":     func(d *workbench.DiffReport) error { return a.printJSON(d) },
			"markdown": func(d *workbench.DiffReport) error { return d.Markdown(a.out) },
		}[*format]
		if write == nil {
			return errUsage{fmt.Sprintf("-o %s: want text, json or markdown", *format)}
		}
		if *f.log == "" && (*f.since != "" || *f.until != "" || *f.identity != "") {
			return errUsage{"--since, --until and --identity are about a record; name it with --log"}
		}
		was, err := a.loadPolicies(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		defer was.Close()
		now, err := a.loadPolicies(cmd.Context(), args[1])
		if err != nil {
			return err
		}
		defer now.Close()
		d, err := a.diff(cmd.Context(), was, now, *roles, *file)
		if err != nil {
			return err
		}
		if *f.log != "" {
			rec, err := a.record(f, time.Now())
			if err != nil {
				return err
			}
			defer batch()()
			if d.Traffic, err = workbench.DiffTraffic(cmd.Context(), was, now, rec.log(true), 0); err != nil {
				return err
			}
			a.sayBad(rec)
		}
		return orElse(write(d), func() error { return a.noNewAccess(d, *deny) })
	}
	return cmd
}

func (a *app) noNewAccess(d *workbench.DiffReport, deny bool) error {
	switch {
	case !deny:
		return nil
	case d.NewAccess():
		return errNo{"something is newly allowed"}
	case d.Unclear():
		return errNo{"cannot tell whether anything is newly allowed, so it is taken to be; look at what is wider or unclear above"}
	}
	a.say("nothing is newly allowed")
	return nil
}

// diff compares for the roles and tools of both policies.
func (a *app) diff(ctx context.Context, was, now *policy.Generation, roles []string, file string) (*workbench.DiffReport, error) {
	given := len(roles) > 0
	tools := map[string]workbench.Tool{}
	list, err := a.catalogue(ctx, file, was, now)
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		tools[t.String()] = t
	}
	for _, g := range []*policy.Generation{was, now} {
		if given {
			continue
		}
		more, err := a.roles(ctx, g)
		if err != nil {
			return nil, err
		}
		roles = append(roles, more...)
	}
	roles = slices.Compact(slices.Sorted(slices.Values(roles)))
	var sorted []workbench.Tool
	for _, name := range slices.Sorted(maps.Keys(tools)) {
		sorted = append(sorted, tools[name])
	}
	return workbench.Diff(ctx, was, now, roles, sorted)
}
