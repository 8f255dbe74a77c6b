package main

import (
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"sallyport/gateway/config"
	"sallyport/policy"
)

// finding is one thing that `policy check` says.
type finding struct {
	Level string `json:"level"` // error or warning
	Text  string `json:"text"`
}

func (a *app) newPolicyCheck() *cobra.Command {
	cmd := &cobra.Command{Use: "check [DIR]", Short: "Say what is wrong with the policies, with file, line and text", Args: cobra.MaximumNArgs(1),
		Long: "Compiles the directory as the gateway would, tests included. Without DIR it is that of\nthe configuration, or ./policies. Exits 3 on an error, and with --strict on a warning too."}
	asJSON := outputFlag(cmd)
	strict := cmd.Flags().Bool("strict", false, "take warnings for errors")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		dir, err := a.policyDir(args)
		if err != nil {
			return err
		}
		found, notes, failed := a.checkPolicy(cmd.Context(), dir)
		if is {
			err = a.printJSON(map[string]any{"directory": dir, "findings": found, "notes": notes})
		} else {
			err = a.printFindings(dir, found, notes)
		}
		return orElse(err, func() error { return no(failed || *strict && len(found) > 0) })
	}
	return cmd
}

// checkPolicy loads a directory. failed means that the gateway would not.
func (a *app) checkPolicy(ctx context.Context, dir string) (found []finding, notes []string, failed bool) {
	found, notes = []finding{}, []string{}
	g, err := policy.Load(ctx, dir, policy.Options{})
	if err != nil {
		return append(found, finding{"error", err.Error()}), notes, true
	}
	defer g.Close()
	if !g.HasTests() {
		found = append(found, finding{"warning", "no tests; a file whose name ends in _test.yaml or _test.rego is run at each load, and a policy that fails is not installed"})
	}
	flow, note, err := a.checkFlow(ctx, g)
	if err != nil {
		return append(found, finding{"error", err.Error()}), notes, true
	}
	for _, text := range flow {
		found = append(found, finding{"warning", text})
	}
	if note != "" {
		notes = append(notes, note)
	}
	return found, append(notes, g.Notes()...), false
}

// checkFlow holds the policies against the labels of the configuration, where one is named.
func (a *app) checkFlow(ctx context.Context, g *policy.Generation) (warnings []string, note string, err error) {
	if a.file == "" && a.env["SALLYPORT_CONFIG"] == "" {
		return nil, "labels of tools are in the configuration; with --config FILE it is looked at whether what a role reads can be sent away", nil
	}
	cfg, err := a.load()
	if err != nil {
		return nil, "", err
	}
	words, err := g.Words(func(string) bool { return true })
	if err != nil {
		return nil, "", err
	}
	items, known := cfg.Labelled(slices.Sorted(maps.Keys(words)))
	leaks, err := g.Leaks(ctx, items, together(cfg)...)
	if err != nil {
		return nil, "", err
	}
	unknown, err := g.UnknownLabels(known)
	return append(unknown, leaks...), "", err
}

// together are the roles that one caller may hold at once, as the configuration says.
func together(cfg *config.Config) [][]string {
	var sets [][]string
	for _, l := range cfg.Identity.Local {
		sets = append(sets, l.Roles)
	}
	for _, f := range cfg.Identity.Federation {
		sets = append(sets, f.Roles)
	}
	return slices.DeleteFunc(sets, func(s []string) bool { return len(s) < 2 })
}

func (a *app) printFindings(dir string, found []finding, notes []string) error {
	for _, f := range found {
		text := f.Text
		if f.Level != "error" {
			text = f.Level + ": " + text
		}
		if err := a.printf("%s\n", text); err != nil {
			return err
		}
	}
	for _, n := range notes {
		a.say("note: %s", n)
	}
	if len(found) == 0 {
		return a.printf("%s: fine\n", dir)
	}
	return nil
}
