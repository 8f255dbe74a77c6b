package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/gateway/config"
	"sallyport/policy"
)

func (a *app) newPolicy() *cobra.Command {
	return group("policy", "Check policies and run their tests", a.newPolicyCheck(), a.newPolicyTest(),
		a.newPolicyExplain(), a.newPolicyMatrix(),
		a.newPolicyReplay(), a.newPolicySuggest(), a.newPolicyDiff(),
		a.newPolicyBuild(), a.newPolicyVerify(), a.newPolicyKeygen())
}

// policyDir is the directory or bundle that a command is about. What a URL has is fetched, and what
// the configuration wants signed is signed: no command speaks of policies that a gateway would not
// install.
func (a *app) policyDir(args []string) (string, error) {
	where, keys, err := a.policySource(args)
	if err != nil || keys == nil {
		return where, err
	}
	if err := policy.Verify(where, keys); err != nil {
		return "", errNo{err.Error()}
	}
	return where, nil
}

// policySource is policyDir, and the keys that the configuration wants what it names to be signed
// with. What is named otherwise is somebody's work, which nobody has signed yet.
func (a *app) policySource(args []string) (where string, keys policy.Keys, err error) {
	if len(args) == 1 {
		where, err = a.onThisMachine(args[0], "")
		return where, nil, err
	}
	if dir := a.env["SALLYPORT_POLICIES"]; dir != "" && a.file == "" {
		where, err = a.onThisMachine(dir, a.env["SALLYPORT_POLICY_CA"])
		return where, nil, err
	}
	if a.file == "" && a.env["SALLYPORT_CONFIG"] == "" && exists("policies") {
		return "policies", nil, nil // as `init` names it
	}
	if a.file == "" && a.env["SALLYPORT_CONFIG"] == "" && a.env["SALLYPORT_UPSTREAM"] == "" && a.hint() == nil {
		return "", nil, errUsage{"which policies? There is no folder policies here: name the directory, or the configuration (--config FILE)"}
	}
	cfg, err := a.load()
	if err != nil {
		return "", nil, err
	}
	if keys, err = cfg.PolicyKeys(); err != nil {
		return "", nil, fmt.Errorf("policyKey: %w", err)
	}
	where, err = a.onThisMachine(cfg.Policies, cfg.PolicyCA)
	return where, keys, err
}

// onThisMachine fetches the bundle of a URL into a file that lasts as long as the program.
func (a *app) onThisMachine(where, ca string) (string, error) {
	if !strings.Contains(where, "://") {
		return where, nil
	}
	dir, err := os.MkdirTemp("", "sallyport-*")
	if err != nil {
		return "", fmt.Errorf("keep the bundle: %w", err)
	}
	a.atExit = append(a.atExit, func() { _ = os.RemoveAll(dir) }) // what is left is a copy
	file := filepath.Join(dir, "bundle.tar.gz")
	return file, config.FetchBundle(context.Background(), where, ca, file)
}
