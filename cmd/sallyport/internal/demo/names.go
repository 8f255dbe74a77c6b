package demo

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
