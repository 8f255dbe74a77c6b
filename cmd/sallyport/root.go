package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/gateway/config"
)

// Exit codes, as scripts know them.
const (
	exitFine   = 0
	exitFailed = 1
	exitUsage  = 2
	exitNo     = 3 // the answer is no
)

// app is one run of the program.
type app struct {
	in        io.Reader
	out, talk io.Writer // results; talk
	env       map[string]string

	file string // --config
	ran  bool   // a command has begun, so its arguments were good

	atExit []func() // what a command leaves behind is taken away
}

// errUsage is a command called wrongly.
type errUsage struct{ what string }

func (e errUsage) Error() string { return e.what }

// errNo is a command whose answer is no. What is wrong is printed already where it is empty.
type errNo struct{ what string }

func (e errNo) Error() string { return e.what }

func (a *app) execute(ctx context.Context, args []string) error {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.talk)
	return root.ExecuteContext(ctx)
}

// exit says what went wrong and returns the exit code.
func (a *app) exit(err error) int {
	if err == nil {
		return exitFine
	}
	if text := err.Error(); text != "" {
		a.say("%s", strings.TrimRight(text, "\n"))
	}
	if _, ok := errors.AsType[errNo](err); ok {
		return exitNo
	}
	if status, ok := errors.AsType[errStatus](err); ok {
		return int(status)
	}
	if _, ok := errors.AsType[errUsage](err); ok || !a.ran {
		a.say("`sallyport --help` and `sallyport COMMAND --help` say how it is used")
		return exitUsage
	}
	return exitFailed
}

// say talks to the person.
func (a *app) say(format string, args ...any) {
	_, _ = fmt.Fprintf(a.talk, "sallyport: "+format+"\n", args...) // nobody is left to tell
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "sallyport",
		Short: "A zero-trust gateway for the Model Context Protocol",
		Long: "Sallyport stands between an AI agent and the MCP servers whose tools it uses.\n" +
			"It authenticates every request, asks a Rego policy about every call, records the\n" +
			"decision, and forwards only what is allowed.\n\n" +
			"Exit codes: 0 fine, 1 failed, 2 wrong usage, 3 the answer is no.",
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRun:  func(*cobra.Command, []string) { a.ran = true },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args:              cobra.NoArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVar(&a.file, "config", "", "configuration `FILE` (SALLYPORT_CONFIG); without one the environment says it all")
	root.AddCommand(a.newDemo(), a.newServe(), a.newInit(), a.newAdopt(), a.newConfig(), a.newToken(), a.newGrant(), a.newRun(), a.newConnect(), a.newMeasure(), a.newTools(), a.newApprovals(), a.newPolicy(), a.newAudit(), a.newSandbox(),
		a.newDoctor(), a.newVersion())
	return root
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Args: func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return errUsage{fmt.Sprintf("unknown command %q for %q", args[0], "sallyport "+use)}
		}
		return nil
	}, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	g.AddCommand(commands...)
	return g
}

// load reads the configuration that --config names.
func (a *app) load() (*config.Config, error) {
	cfg, err := config.Load(a.file, a.env)
	if err == nil {
		return cfg, nil
	}
	return nil, errors.Join(err, a.hint())
}

// hint helps who forgot to name the file that lies right here.
func (a *app) hint() error {
	if a.file != "" || a.env[config.EnvPrefix+"CONFIG"] != "" || !exists(configName) {
		return nil
	}
	return fmt.Errorf("%s is in this directory and no configuration is named; use --config %s", configName, configName)
}

// outputFlag adds -o and returns what reads it.
func outputFlag(cmd *cobra.Command) (asJSON func() (bool, error)) {
	format := cmd.Flags().StringP("output", "o", "text", "`FORMAT` of the result: text or json")
	return func() (bool, error) {
		switch *format {
		case "text":
			return false, nil
		case "json":
			return true, nil
		}
		return false, errUsage{fmt.Sprintf("-o %s: want text or json", *format)}
	}
}

func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func (a *app) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(a.out, format, args...)
	return err
}
