package main

import (
	"github.com/spf13/cobra"
)

func (a *app) newPolicy() *cobra.Command {
	return group("policy", "Check policies and run their tests", a.newPolicyCheck(), a.newPolicyTest(),
		a.newPolicyExplain(), a.newPolicyMatrix(),
		a.newPolicyReplay(),
		a.newPolicyBuild(), a.newPolicyVerify(), a.newPolicyKeygen())
}

func (a *app) policyDir(args []string) (string, error) {
	if len(args) == 1 {
		return args[0], nil
	}
	if dir := a.env["SALLYPORT_POLICIES"]; dir != "" && a.file == "" {
		return dir, nil
	}
	if a.file == "" && a.env["SALLYPORT_CONFIG"] == "" && exists("policies") {
		return "policies", nil // as `init` names it
	}
	cfg, err := a.load()
	if err != nil {
		return "", err
	}
	return cfg.Policies, nil
}
