package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) newAudit() *cobra.Command {
	return group("audit", "The record: find a decision, show it, prove it, follow it, verify all of it", a.newAuditSearch(), a.newAuditShow(), a.newAuditTail(),
		a.newAuditVerify(), a.newAuditProve(), a.newAuditVerifyProof(), a.newAuditCheckpoint(), a.newAuditKey(), a.newAuditWitness(), a.newAuditPrune())
}

// Directories of the record below the state directory.
const (
	logName  = "audit"      // of the gateway
	actsName = "audit-acts" // of what commands did while none ran
)

func logFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("log", "", "`DIR` of the record, or a state directory; default: <state>/audit")
}

// logDir is the directory of the gateway's record: what was named, what is below a state directory
// that was named, or the installation's own.
func (a *app) logDir(named string) (string, error) {
	if named == "" {
		cfg, err := a.load()
		if err != nil {
			return "", errors.Join(err, errors.New("or name the directory of the record"))
		}
		named = filepath.Join(cfg.State, logName)
	} else if below := filepath.Join(named, logName); isDir(below) {
		named = below
	}
	info, err := os.Stat(named)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is not there: no gateway has written a record to it; name another with --config or the directory itself", named)
	}
	if err != nil {
		return "", fmt.Errorf("open the record: %w", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("%s is a file; name the directory that holds the segments of the record", named)
	}
	return named, nil
}

// logDirs are the record of the gateway and that of commands, where they are.
func (a *app) logDirs(named string) ([]string, error) {
	if named != "" {
		dir, err := a.logDir(named)
		if err != nil {
			return nil, err
		}
		return withActs(dir), nil
	}
	cfg, err := a.load()
	if err != nil {
		return nil, errors.Join(err, errors.New("or name the directory of the record with --log"))
	}
	dir := filepath.Join(cfg.State, logName)
	if acts := withActs(dir); isDir(dir) {
		return acts, nil
	} else if len(acts) > 1 { // commands only
		return acts[1:], nil
	}
	dir, err = a.logDir("")
	return []string{dir}, err
}

// withActs adds the record of commands, which lies beside that of the gateway.
func withActs(dir string) []string {
	dirs := []string{dir}
	if acts := filepath.Join(filepath.Dir(dir), actsName); filepath.Base(dir) == logName && isDir(acts) {
		dirs = append(dirs, acts)
	}
	return dirs
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// moment reads a time: RFC 3339, a day, or how long ago it was.
func moment(flag, s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, errUsage{fmt.Sprintf("--%s %s: want a time as 2026-01-15T09:00:00Z, a day as 2026-01-15, or how long ago as 2h or 7d", flag, plain(s))}
}
