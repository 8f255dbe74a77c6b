package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/gateway/egress"
	"sallyport/gateway/sandbox"
)

func (a *app) newSandbox() *cobra.Command {
	cmd := &cobra.Command{Use: "sandbox", Short: "Say what isolation this machine can do; try one", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(a.newSandboxCheck(), a.newSandboxRun())
	return cmd
}

func (a *app) newSandboxCheck() *cobra.Command {
	cmd := &cobra.Command{Use: "check", Short: "Say what isolation of stdio servers this machine can do", Args: cobra.NoArgs,
		Long: "Builds a sandbox around nothing and says which mechanism works. All of them are required.\nExits 3 when one is missing."}
	asJSON := outputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		r := sandbox.Check()
		if is {
			err = a.printJSON(r)
		} else {
			err = a.printReport(r)
		}
		return orElse(err, func() error { return no(!r.OK) })
	}
	return cmd
}

func (a *app) printReport(r sandbox.Report) error {
	var errs []error
	for _, p := range r.Parts {
		mark := "ok      "
		if !p.OK {
			mark = "MISSING "
		}
		errs = append(errs, a.printf("%s %s: %s\n", mark, p.Name, p.Detail))
		if !p.OK && p.Cure != "" {
			errs = append(errs, a.printf("          %s\n", p.Cure))
		}
	}
	if err := r.Missing(); err != nil {
		errs = append(errs, a.printf("%v\n", err))
	}
	return errors.Join(errs...)
}

// sandboxFlags is what `sandbox run` is told.
type sandboxFlags struct{ read, write, egress, env []string }

func (a *app) newSandboxRun() *cobra.Command {
	var f sandboxFlags
	cmd := &cobra.Command{Use: "run [flags] -- CMD [ARG...]", Short: "Run a command in a sandbox, as a stdio server would", Args: cobra.MinimumNArgs(1),
		Long: "Runs CMD with nothing but what the flags name, with this terminal's input and output. What it\n" +
			"tried in vain is said afterwards, on stderr. Exits as CMD does.",
		Example: "  sallyport sandbox run --read ~/docs -- sh -c 'ls ~/docs; cat ~/.ssh/id_ed25519; env'"}
	cmd.Flags().StringArrayVar(&f.read, "read", nil, "`PATH` that it may read and execute")
	cmd.Flags().StringArrayVar(&f.write, "write", nil, "`PATH` that it may change as well")
	cmd.Flags().StringArrayVar(&f.egress, "egress", nil, "`HOST:PORT` that it may reach, or *.HOST:PORT")
	cmd.Flags().StringArrayVar(&f.env, "env", nil, "`NAME=VALUE` of its environment")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runSandbox(cmd.Context(), f, args) }
	return cmd
}

// errStatus is the exit code of a command that was run.
type errStatus int

func (e errStatus) Error() string { return "" }

func (a *app) runSandbox(ctx context.Context, f sandboxFlags, args []string) error {
	spec, rules, err := f.spec(args)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(a.talk, &slog.HandlerOptions{Level: slog.LevelWarn}))
	p, err := sandbox.Start(spec, os.Stdin, os.Stdout, os.Stderr, log)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, p.Kill)()
	if l := p.Proxy(); l != nil {
		go func() { _ = egress.Serve(ctx, l, rules, egress.Options{Log: log, Name: spec.Name}) }()
	}
	err = p.Wait()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		return errStatus(max(ended.ExitCode(), 1))
	}
	return err
}

func (f sandboxFlags) spec(args []string) (sandbox.Spec, egress.Rules, error) {
	spec := sandbox.Spec{Name: filepath.Base(args[0]), Args: args[1:], Egress: len(f.egress) > 0, Env: map[string]string{}}
	rules, err := egress.ParseRules(f.egress)
	if err != nil {
		return spec, rules, errUsage{err.Error()}
	}
	program, err := exec.LookPath(args[0])
	if err != nil {
		return spec, rules, errUsage{fmt.Sprintf("%s: not found on the PATH, or not a program", args[0])}
	}
	if spec.Command, err = filepath.Abs(program); err != nil {
		return spec, rules, err
	}
	for _, list := range []struct{ from, to *[]string }{{&f.read, &spec.Read}, {&f.write, &spec.Write}} {
		for _, path := range *list.from {
			abs, err := filepath.Abs(path)
			if err != nil {
				return spec, rules, err
			}
			*list.to = append(*list.to, abs)
		}
	}
	for _, pair := range f.env {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return spec, rules, errUsage{fmt.Sprintf("--env %s: want NAME=VALUE", name)}
		}
		spec.Env[name] = value
	}
	return spec, rules, nil
}
