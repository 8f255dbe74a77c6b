package main

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/policy"
)

func (a *app) newPolicyTest() *cobra.Command {
	cmd := &cobra.Command{Use: "test [DIR]", Short: "Run the tests beside the policies", Args: cobra.MaximumNArgs(1),
		Long: "Runs every rule test_… of the files *_test.rego, as the gateway does at each load. Without\nDIR it is that of the configuration, or ./policies. Exits 3 when a test fails or there is none."}
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		dir, err := a.policyDir(args)
		if err != nil {
			return err
		}
		g, err := policy.Load(cmd.Context(), dir, policy.Options{})
		if err == nil && !hasTests(dir) {
			err = errors.New("no tests; write some into a file whose name ends in _test.rego")
		}
		result := struct {
			Directory string `json:"directory"`
			Passed    bool   `json:"passed"`
			Revision  string `json:"revision,omitempty"`
			Failure   string `json:"failure,omitempty"`
		}{Directory: dir, Passed: err == nil}
		if err != nil {
			result.Failure = err.Error()
		} else {
			result.Revision = g.Revision()
		}
		switch {
		case is:
			err = a.printJSON(result)
		case result.Passed:
			err = a.printf("%s: all tests passed (%s)\n", dir, result.Revision)
		default:
			err = a.printf("%s\n", result.Failure)
		}
		return orElse(err, func() error { return no(!result.Passed) })
	}
	return cmd
}

func hasTests(dir string) bool {
	found := false
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error { // policy.Load has read it
		if err == nil && !d.IsDir() && strings.HasSuffix(path, "_test.rego") {
			found = true
			return fs.SkipAll
		}
		return nil
	})
	return found
}
