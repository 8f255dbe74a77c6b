package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"sallyport/gateway/config"
	"sallyport/policy"
	"sallyport/policy/workbench"
	"sallyport/policy/workbench/lint"
)

func (a *app) newPolicyCheck() *cobra.Command {
	cmd := &cobra.Command{Use: "check [DIR]", Short: "Say what is wrong with the policies, with file, line and cure", Args: cobra.MaximumNArgs(1),
		Long: "Compiles the directory as the gateway would, tests included, and looks for what a compiler does\n" +
			"not: arguments, tools and servers that there are not, rules that never hold, what a role may\n" +
			"read and send away, and what makes decisions slow. Without DIR it is that of the configuration,\n" +
			"or ./policies.\n\n" +
			"The tools' schemas are those pinned in the installation (--config), or of --tools FILE: the\n" +
			"result of tools/list, {\"tools\": […]}, or one for each server, {\"files\": {\"tools\": […]}}.\n\n" +
			"Each finding is `file:line: what; what to do [name]`; docs/policy-check.md explains the names.\n" +
			"Exits 3 on an error, and with --strict on a warning too; notes are never counted."}
	asJSON := outputFlag(cmd)
	strict := cmd.Flags().Bool("strict", false, "take warnings for errors")
	tools := cmd.Flags().String("tools", "", "check arguments and names against the tools of `FILE`, not those pinned")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		dir, err := a.policyDir(args)
		if err != nil {
			return err
		}
		setting, missing, err := a.setting(cmd.Context(), *tools)
		if err != nil {
			return err
		}
		found, err := lint.Run(cmd.Context(), dir, policy.Options{}, setting)
		if err != nil {
			found = []lint.Finding{{Name: "load", Level: lint.Error, Text: err.Error()}}
		}
		if is {
			err = a.printJSON(map[string]any{"directory": dir, "findings": orNone(found), "notes": orNone(missing)})
		} else {
			err = a.printFindings(dir, found, missing)
		}
		return orElse(err, func() error { return no(refuses(found, *strict)) })
	}
	return cmd
}

func refuses(found []lint.Finding, strict bool) bool {
	return slices.ContainsFunc(found, func(f lint.Finding) bool {
		return f.Level == lint.Error || strict && f.Level == lint.Warning
	})
}

// orNone is a list that JSON shows as one, where nil would be null.
func orNone[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// setting is what is known of the installation: of its configuration, where one is named, and of its
// tools. missing says what could not be looked at and why.
func (a *app) setting(ctx context.Context, tools string) (s lint.Setting, missing []string, err error) {
	if tools != "" {
		raw, err := os.ReadFile(tools)
		if err != nil {
			return s, nil, fmt.Errorf("--tools: %w", err)
		}
		list, err := workbench.ReadTools(raw)
		if err != nil {
			return s, nil, fmt.Errorf("--tools %s: %w", tools, err)
		}
		s.Catalogue = lint.CatalogueOf(list)
	}
	if a.file == "" && a.env["SALLYPORT_CONFIG"] == "" {
		text := "no configuration is named (--config FILE), so labels are not known and nobody looked at what a role reads and sends away"
		if tools == "" {
			text = "no configuration is named (--config FILE), so labels and tools are not known; tools can be given with --tools FILE, the answer of tools/list"
		}
		return s, []string{text}, nil
	}
	cfg, err := a.load()
	if err != nil {
		return s, nil, err
	}
	s.Labels = cfg.Labelled
	s.Granted, s.Together = granted(cfg)
	if tools != "" {
		return s, nil, nil
	}
	if s.Catalogue, err = a.pinned(ctx, cfg); err != nil {
		return s, []string{"arguments and names of tools were not looked at: " + err.Error()}, nil
	}
	for server, known := range s.Catalogue.Servers {
		if known == nil {
			missing = append(missing, "no tools of the server "+server+" were seen yet; a gateway that runs asks it, and --tools FILE gives them")
		}
	}
	slices.Sort(missing)
	return s, missing, nil
}

// pinned is the catalogue that the installation has pinned. Of a server that was never seen it knows
// the name.
func (a *app) pinned(ctx context.Context, cfg *config.Config) (lint.Catalogue, error) {
	tools, err := a.pinnedTools(ctx)
	if err != nil {
		return lint.Catalogue{}, err
	}
	tools = slices.DeleteFunc(tools, func(t workbench.Tool) bool { return cfg.Servers[t.Server] == nil })
	return lint.CatalogueOf(tools, slices.Collect(maps.Keys(cfg.Servers))...), nil
}

// granted are the roles that the configuration grants, and those of them that one caller may hold at
// once.
func granted(cfg *config.Config) (all []string, together [][]string) {
	var sets [][]string
	for _, l := range cfg.Identity.Local {
		sets = append(sets, l.Roles)
	}
	for _, f := range cfg.Identity.Federation {
		sets = append(sets, f.Roles)
	}
	for _, s := range sets {
		all = append(all, s...)
	}
	slices.Sort(all)
	return slices.Compact(all), slices.DeleteFunc(sets, func(s []string) bool { return len(s) < 2 })
}

func (a *app) printFindings(dir string, found []lint.Finding, missing []string) error {
	for _, f := range found {
		if err := a.printf("%s", f); err != nil {
			return err
		}
	}
	for _, m := range missing {
		a.say("note: %s", m)
	}
	if !refuses(found, true) {
		return a.printf("%s: fine\n", dir)
	}
	return nil
}
