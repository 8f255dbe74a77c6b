package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"sallyport/gateway/admin"
	"sallyport/gateway/agent"
)

func (a *app) newMeasure() *cobra.Command {
	return group("measure", "Approve an agent's own files, and say what differs from what is approved", a.newMeasureApprove(), a.newMeasureDiff())
}

func measureFlag(cmd *cobra.Command) *[]string {
	return cmd.Flags().StringArray("measure", nil, "`GLOB` of files below this folder, or ~/…; may be given again")
}

func (a *app) newMeasureApprove() *cobra.Command {
	cmd := &cobra.Command{Use: "approve --measure GLOB", Short: "Approve the files as they are now", Args: cobra.NoArgs,
		Long: "Hashes the files of this folder that match, and has the running gateway keep the list, signed,\n" +
			"as approved: an act of an operator. It takes the place of what was approved of the same folder\n" +
			"and globs before. Policies see subject.measured.approved of an agent that `run` or `connect`\n" +
			"measures with the same globs:\n\n" +
			"  sallyport measure approve --measure AGENTS.md --measure '.claude/**'"}
	globs := measureFlag(cmd)
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		found, err := a.measureHere(*globs)
		if err != nil {
			return err
		}
		raw, err := json.Marshal(found)
		if err != nil {
			return err
		}
		if err := a.atSocket(func(c *admin.Client) error { return c.Approve(cmd.Context(), raw) }); err != nil {
			return err
		}
		if is {
			return a.printJSON(found)
		}
		return a.printf("%s approved: %d files of %s\n", found.Digest, len(found.Files), found.Folder)
	}
	return cmd
}

func (a *app) newMeasureDiff() *cobra.Command {
	cmd := &cobra.Command{Use: "diff [--measure GLOB]", Short: "Say what differs from what is approved", Args: cobra.NoArgs,
		Long: "Compares the files of this folder with the newest list that is approved of it; with --measure,\n" +
			"of those globs. Exits 3 where anything differs, or nothing is approved."}
	globs := measureFlag(cmd)
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		return a.measureDiff(cmd.Context(), *globs, is)
	}
	return cmd
}

func (a *app) measureDiff(ctx context.Context, globs []string, asJSON bool) error {
	var approvals []agent.Approval
	err := a.atSocket(func(c *admin.Client) error {
		raw, err := c.Manifest(ctx)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(raw, &approvals); err != nil {
			return fmt.Errorf("read what is approved: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	folder, err := os.Getwd()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(approvals, func(p agent.Approval) bool {
		return p.Folder == folder && (len(globs) == 0 || slices.Equal(p.Patterns, globs))
	})
	if i < 0 {
		return errNo{fmt.Sprintf("nothing is approved of %s with these globs; an operator does that with `sallyport measure approve`", folder)}
	}
	now, err := a.measureHere(approvals[i].Patterns)
	if err != nil {
		return err
	}
	changes := approvals[i].Diff(now)
	if asJSON {
		err = a.printJSON(changes)
	}
	for _, c := range changes {
		if !asJSON {
			err = errors.Join(err, a.printf("%-8s %s\n", c.What, c.Path))
		}
	}
	return orElse(err, func() error { return no(len(changes) > 0) })
}

// measureHere measures this folder, and says which globs match nothing: somebody counts on these
// files being watched.
func (a *app) measureHere(globs []string) (*agent.Manifest, error) {
	if len(globs) == 0 {
		return nil, errUsage{"which files? Name them (--measure AGENTS.md --measure '.claude/**')"}
	}
	folder, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	m, err := a.measurer(folder, globs)
	if err != nil {
		return nil, err
	}
	found, err := m.Measure()
	if err != nil {
		return nil, err
	}
	for _, glob := range m.Unmatched(found) {
		a.say("--measure %s matches no file; one that comes later counts as a change", glob)
	}
	return found, nil
}

// measurer measures files of folder.
func (a *app) measurer(folder string, globs []string) (*agent.Measurer, error) {
	m, err := agent.NewMeasurer(folder, a.env["HOME"], globs)
	if err != nil {
		return nil, errUsage{err.Error()}
	}
	return m, nil
}

// atSocket asks the running gateway, which keeps what is approved in memory.
func (a *app) atSocket(do func(*admin.Client) error) error {
	if err := a.below(); err != nil {
		return err
	}
	path, err := a.socketPath("")
	if err != nil {
		return err
	}
	c := admin.Dial(path)
	err = do(c)
	if errors.Is(err, admin.ErrNoServer) {
		err = fmt.Errorf("%w: approvals are kept by the running gateway; start it with `sallyport serve`", err)
	}
	return errors.Join(told(err), c.Close())
}
