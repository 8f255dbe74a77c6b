package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"sallyport/gateway/config"
	"sallyport/gateway/pin"
	"sallyport/policy"
	"sallyport/policy/workbench/lint"
)

// maxNamed is how many definitions the doctor names; `tools list` has them all.
const maxNamed = 5

// examineMarks looks whether what is said of tools reaches any, and whether flow has labels.
func examineMarks(ctx context.Context, cfg *config.Config, known []pin.Entry) []check {
	var checks []check
	for _, text := range cfg.Unmatched(known) {
		checks = append(checks, check{"tools", false, text})
	}
	g, err := cfg.LoadPolicies(ctx)
	if err != nil {
		return checks // said above
	}
	defer g.Close()
	if none := cfg.Unlabelled(); g.ReadsFlow() && len(none) > 0 {
		checks = append(checks, check{"note", true, fmt.Sprintf("the policies read input.flow, and nothing of %s has a label: "+
			"what a task reads there leaves no trace, and nothing there is a sink. Give it labels, such as source:private or sink:external", strings.Join(none, ", "))})
	}
	return checks
}

// examinePins returns what is known of the definitions of the servers, and says what waits for a
// review. There is nothing to say before a gateway has run.
func (a *app) examinePins(ctx context.Context, cfg *config.Config) (known []pin.Entry, checks []check) {
	if _, err := os.Stat(cfg.PinFile()); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	entries, err := a.lookAt(ctx, nil, "")
	if err != nil {
		return nil, []check{{"definitions", false, err.Error()}}
	}
	var waiting []string
	reviewed := 0
	for _, e := range entries {
		if cfg.Servers[e.Server] == nil {
			continue
		}
		known = append(known, e)
		switch e.State {
		case pin.Changed, pin.New:
			waiting = append(waiting, fmt.Sprintf("%s (%s)", pin.Visible(e.Label()), e.State))
		case pin.Reviewed:
			reviewed++
		}
	}
	if n := len(waiting); n > maxNamed {
		waiting = append(waiting[:maxNamed], fmt.Sprintf("and %d more", n-maxNamed))
	}
	if len(waiting) > 0 {
		return known, []check{{"definitions", false, "off until somebody has reviewed them: " + strings.Join(waiting, ", ") +
			"; `sallyport tools diff` shows what is new, `sallyport tools approve` takes it"}}
	}
	return known, []check{{"definitions", true, fmt.Sprintf("%d seen, %d of them reviewed (`sallyport tools list`)", len(known), reviewed)}}
}

// examinePolicies checks the policies as `policy check` does, and then loads them as the gateway
// would, signature and all. Those of a URL are fetched, so that it is known to answer.
func (a *app) examinePolicies(ctx context.Context, cfg *config.Config) (checks []check, notes []string) {
	where, err := a.onThisMachine(cfg.Policies, cfg.PolicyCA)
	if err != nil {
		return []check{{"policies", false, err.Error()}}, nil
	}
	setting, notes, err := a.setting(ctx, "")
	if err != nil {
		return []check{{"policies", false, err.Error()}}, nil
	}
	found, err := lint.Run(ctx, where, policy.Options{}, setting)
	if err != nil {
		return []check{{"policies", false, err.Error()}}, notes
	}
	for _, f := range found {
		if f.Level == lint.Note {
			notes = append(notes, f.Short())
			continue
		}
		checks = append(checks, check{"policies", f.Level != lint.Error, f.Short()})
	}
	if refuses(found, false) {
		return checks, notes
	}
	text := " compiles and passes its tests"
	g, err := cfg.LoadPoliciesFrom(ctx, where)
	switch {
	case err != nil:
		return append(checks, check{"policies", false, err.Error()}), notes
	case g.Bundle() != nil && g.Bundle().Signed:
		text = fmt.Sprintf(" is signed by %s, has number %d, compiles and passes its tests", g.Bundle().Key, g.Bundle().Number)
	}
	return append(checks, check{"policies", true, cfg.Policies + text}), notes
}
