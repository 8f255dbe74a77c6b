package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"sallyport/gateway/admin"
	"sallyport/gateway/config"
	"sallyport/gateway/pin"
	"sallyport/policy"
	"sallyport/policy/workbench"
)

func (a *app) newPolicyMatrix() *cobra.Command {
	cmd := &cobra.Command{Use: "matrix [DIR]", Short: "What each role may do with each tool: never, sometimes (when), always", Args: cobra.MaximumNArgs(1),
		Long: "Asks the policies for each role and tool, with everything else that a call or its caller\n" +
			"brings unknown. `never` is what hides the tool from the role's list. `always` is said where\n" +
			"nothing that is unknown could be refused. A caller is taken to have one role.\n\n" +
			"Roles are those of --role, else those that the policies and the configuration know. Tools\n" +
			"are those of --tools (a result of tools/list, or an object of such by server), else those\n" +
			"that are pinned, else those that the policies name. Labels are those of the configuration;\n" +
			"without one they are unknown. Without DIR it is that of the configuration, or ./policies."}
	roles := cmd.Flags().StringArray("role", nil, "a `ROLE`; can be repeated")
	file := cmd.Flags().String("tools", "", "catalogue `FILE`")
	format := cmd.Flags().StringP("output", "o", "text", "`FORMAT`: text, csv, json, markdown or html")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		write := map[string]func(*workbench.Matrix) error{
			"text":     func(m *workbench.Matrix) error { return m.Text(a.out) },
			"csv":      func(m *workbench.Matrix) error { return m.CSV(a.out) },
			"json":     func(m *workbench.Matrix) error { return a.printJSON(m) },
			"markdown": func(m *workbench.Matrix) error { return m.Markdown(a.out) },
			"html":     func(m *workbench.Matrix) error { return m.HTML(a.out) },
		}[*format]
		if write == nil {
			return errUsage{fmt.Sprintf("-o %s: want text, csv, json, markdown or html", *format)}
		}
		dir, err := a.policyDir(args)
		if err != nil {
			return err
		}
		g, err := a.loadPolicies(cmd.Context(), dir)
		if err != nil {
			return err
		}
		defer g.Close()
		m, err := a.matrix(cmd.Context(), g, *roles, *file)
		if err != nil {
			return err
		}
		return write(m)
	}
	return cmd
}

func (a *app) matrix(ctx context.Context, g *policy.Generation, roles []string, file string) (*workbench.Matrix, error) {
	tools, err := a.catalogue(ctx, file, g)
	if err != nil {
		return nil, err
	}
	asked := len(roles) > 0
	if !asked {
		if roles, err = a.roles(ctx, g); err != nil {
			return nil, err
		}
	}
	switch {
	case len(roles) == 0:
		roles = []string{workbench.AnyRole}
	case !asked:
		roles = append(roles, workbench.OtherRole)
	}
	m, err := workbench.NewMatrix(ctx, g, roles, tools)
	if err != nil || asked {
		return m, err
	}
	return m.Without(workbench.OtherRole), nil
}

// installation is the configuration, where one is named; else nil.
func (a *app) installation() (*config.Config, error) {
	if a.file == "" && a.env["SALLYPORT_CONFIG"] == "" {
		return nil, nil
	}
	return a.load()
}

// roles are those that the policies and the configuration know.
func (a *app) roles(ctx context.Context, g *policy.Generation) ([]string, error) {
	names, err := g.RoleNames(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, r := range names {
		all[r] = true
	}
	cfg, err := a.installation()
	if err != nil {
		return nil, err
	}
	if cfg != nil {
		for _, l := range cfg.Identity.Local {
			for _, r := range l.Roles {
				all[r] = true
			}
		}
		for _, f := range cfg.Identity.Federation {
			for _, r := range f.Roles {
				all[r] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all)), nil
}

// catalogue is the tools of a file, else those that are pinned, else those that the policies name.
func (a *app) catalogue(ctx context.Context, file string, of ...*policy.Generation) ([]workbench.Tool, error) {
	cfg, err := a.installation()
	if err != nil {
		return nil, err
	}
	var tools []workbench.Tool
	switch {
	case file != "":
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read tools: %w", err)
		}
		if tools, err = workbench.ReadTools(raw); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	case cfg != nil:
		if tools, err = a.pinnedTools(ctx); err != nil {
			return nil, err
		}
	}
	if len(tools) == 0 {
		a.say("note: no catalogue; the tools are those that the policies name")
		for _, g := range of {
			named, err := workbench.NamedTools(ctx, g)
			if err != nil {
				return nil, err
			}
			tools = append(tools, named...)
		}
	}
	if cfg != nil {
		labelTools(cfg, tools)
	}
	return tools, nil
}

func (a *app) pinnedTools(ctx context.Context) ([]workbench.Tool, error) {
	var entries []pin.Entry
	err := a.withPins(ctx, func(p pins) error {
		raw, err := p.Look(ctx, admin.PinAsk{})
		return errors.Join(err, json.Unmarshal(raw, &entries))
	})
	if err != nil {
		return nil, err
	}
	var out []workbench.Tool
	for _, e := range entries {
		if e.Kind != pin.Tool.String() {
			continue
		}
		definition := e.Pinned
		if definition == nil {
			definition = e.Current
		}
		t := workbench.Tool{Server: e.Server, Name: e.Name}
		var said struct {
			Title       string          `json:"title"`
			Annotations json.RawMessage `json:"annotations"`
			InputSchema json.RawMessage `json:"inputSchema"`
		}
		if json.Unmarshal(definition, &said) == nil { // else nothing more is known of it
			t.Title, t.Annotations, t.Schema = said.Title, said.Annotations, said.InputSchema
		}
		out = append(out, t)
	}
	return out, nil
}

// labelTools gives tools the labels of the configuration.
func labelTools(cfg *config.Config, tools []workbench.Tool) {
	names := map[string]bool{}
	for _, t := range tools {
		names[t.Name] = true
	}
	items, _ := cfg.Labelled(slices.Sorted(maps.Keys(names)))
	labelled := map[string]policy.Labelled{}
	for _, l := range items {
		labelled[l.Server+"."+l.Tool] = l
	}
	for i, t := range tools {
		if t.Server == "" {
			continue // whose labels they would be is unknown
		}
		l := labelled[t.Server+"."+t.Name]
		tools[i].Labels, tools[i].ServerLabels = append([]string{}, l.Labels...), append([]string{}, l.OfServer...)
	}
}
