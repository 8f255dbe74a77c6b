package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"sallyport/policy"
	"sallyport/policy/workbench"
)

func (a *app) newPolicyExplain() *cobra.Command {
	cmd := &cobra.Command{Use: "explain ID | --input FILE", Short: "Say why a decision is what it is, and what would be allowed", Args: cobra.MaximumNArgs(1),
		Long: "Decides once more and says which rules held, which nearly did and at which condition they\n" +
			"ended, and, where the answer is no, what arguments would be allowed.\n\n" +
			"ID is that of a recorded decision; its beginning is enough. Where the record holds the input\n" +
			"(audit.inputs) it is decided once more; else this says what the record has, and what the roles\n" +
			"may do with the tool. A refusal that was not the policy's is told from one that was.\n\n" +
			"--input names a JSON document as docs/policy.md (Input) describes it; - is standard input. Where\n" +
			"it gives no request.time, it is now. Exits 3 when the decision is a refusal."}
	input := cmd.Flags().String("input", "", "explain the decision about the question in `FILE`")
	dir := cmd.Flags().String("policies", "", "policy directory `DIR`; default: that of the configuration, or ./policies")
	log := logFlag(cmd)
	identity := cmd.Flags().String("identity", "", "`FILE` of age identities that open sealed inputs")
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		if (*input == "") == (len(args) == 0) {
			return errUsage{"name what to explain: the ID of a decision, or --input FILE"}
		}
		var in *policy.Input
		if *input != "" {
			if in, err = a.readInput(*input); err != nil {
				return err
			}
		}
		g, err := a.loadPolicies(cmd.Context(), *dir)
		if err != nil {
			return err
		}
		defer g.Close()
		if in == nil {
			x, err := a.explainRecorded(cmd.Context(), g, *log, args[0], *identity)
			if err != nil {
				return err
			}
			return orElse(printAs(a, is, x, a.printExplained), func() error { return no(x.refused()) })
		}
		x, err := workbench.Explain(cmd.Context(), g, in)
		if err != nil {
			return err
		}
		text := func(x *workbench.Explanation) error { return x.Text(a.out) }
		return orElse(printAs(a, is, x, text), func() error { return no(!x.Allow) })
	}
	return cmd
}

// printAs prints a result as JSON, or as text does.
func printAs[T any](a *app, asJSON bool, x T, text func(T) error) error {
	if asJSON {
		return a.printJSON(x)
	}
	return text(x)
}

// loadPolicies loads the directory that is named, or that of the installation.
func (a *app) loadPolicies(ctx context.Context, dir string) (*policy.Generation, error) {
	var named []string
	if dir != "" {
		named = []string{dir}
	}
	dir, err := a.policyDir(named)
	if err != nil {
		return nil, err
	}
	g, err := policy.Load(ctx, dir, policy.Options{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return g, nil
}

// readInput reads a question to a policy.
func (a *app) readInput(file string) (*policy.Input, error) {
	var raw []byte
	var err error
	if file == "-" {
		raw, err = io.ReadAll(io.LimitReader(a.in, maxInputFile+1))
	} else {
		raw, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("read the input: %w", err)
	}
	if len(raw) > maxInputFile {
		return nil, fmt.Errorf("%s: more than %d bytes", file, maxInputFile)
	}
	in, err := policy.ReadInput(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if in.Request.Time.IsZero() {
		in.Request.Time = time.Now()
	}
	if in.Request.Method == "" {
		in.Request.Method = in.Action // as a client would ask
	}
	return in, nil
}

// maxInputFile bounds a question, in bytes.
const maxInputFile = 16 << 20
