package policies

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Names of the examples, each a folder.
const (
	BoundedArguments = "bounded-arguments"
	BreakGlass       = "break-glass"
	BusinessHours    = "business-hours"
	CostBudget       = "cost-budget"
	DataResidency    = "data-residency"
	DatabaseReader   = "database-reader"
	NoExfiltration   = "no-exfiltration"
	PerTask          = "per-task"
	PhishingDefence  = "phishing-defence"
	ReadOnlyAnalyst  = "readonly-analyst"
	ReleaseEngineer  = "release-engineer"
	SubAgent         = "sub-agent"
	TicketWriter     = "ticket-writer"
)

// Names returns every example's name.
func Names() []string {
	return []string{BoundedArguments, BreakGlass, BusinessHours, CostBudget, DataResidency, DatabaseReader, NoExfiltration, PerTask, PhishingDefence, ReadOnlyAnalyst, ReleaseEngineer, SubAgent, TicketWriter}
}

//go:embed bounded-arguments break-glass business-hours cost-budget data-residency database-reader no-exfiltration per-task phishing-defence readonly-analyst release-engineer sub-agent ticket-writer
var files embed.FS

// FS returns one example's folder: its Rego, its tests, its data and its README. The error is
// fs.ErrNotExist where there is no such example.
func FS(name string) (fs.FS, error) {
	if _, err := fs.Stat(files, name); err != nil {
		return nil, fmt.Errorf("example policy %q: %w", name, fs.ErrNotExist)
	}
	return fs.Sub(files, name)
}

// Write copies an example into dir, which it makes, as it stands. It replaces nothing: where
// a file is already there it returns an error that wraps fs.ErrExist.
func Write(name, dir string) error {
	example, err := FS(name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("write example policy: %w", err)
	}
	if err := os.CopyFS(dir, example); err != nil {
		return fmt.Errorf("write example policy: %w", err)
	}
	return nil
}
