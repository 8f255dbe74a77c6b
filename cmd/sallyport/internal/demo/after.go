package demo

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sallyport/gateway/audit"
)

func (r *rig) auditDir() string { return filepath.Join(r.dir, "state", "audit") }

// tools returns every tool there is, as server.tool, sorted.
func (r *rig) tools() []string {
	var names []string
	for server, s := range r.world.servers() {
		for tool := range s.ListTools() {
			names = append(names, server+"."+tool)
		}
	}
	slices.Sort(names)
	return names
}

// recorded counts the decisions that let a call through and are in the log on disk. Each that
// was made must be there, since the call was made after it.
func (r *rig) recorded() (int, error) {
	var log []byte
	files, err := filepath.Glob(filepath.Join(r.auditDir(), "*"))
	if err != nil {
		return 0, fmt.Errorf("list the audit log: %w", err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || !info.Mode().IsRegular() {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			return 0, fmt.Errorf("read the audit log: %w", err)
		}
		log = append(log, b...)
	}
	n := 0
	for _, rec := range r.tape.all() {
		if rec.Phase != audit.PhaseDecision {
			continue
		}
		if !bytes.Contains(log, []byte(`"`+rec.ID+`"`)) {
			return 0, fmt.Errorf("decision %s let a call through and is not in the audit log", rec.ID)
		}
		n++
	}
	return n, nil
}

// head returns the name of the rule that a record names as file:line, or "".
func (r *rig) head(rule string) string {
	file, line, _ := strings.Cut(rule, ":")
	n, err := strconv.Atoi(line)
	if err != nil || !filepath.IsLocal(file) {
		return "" // a rule may carry a label of its own
	}
	src, err := os.ReadFile(filepath.Join(r.dir, "policies", file))
	if err != nil {
		return ""
	}
	lines := strings.Split(string(src), "\n")
	if n < 1 || n > len(lines) {
		return ""
	}
	head, _, _ := strings.Cut(lines[n-1], " ")
	return head
}
