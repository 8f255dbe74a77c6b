package policy

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// defaultTestTime is input.request.time of a case that gives none: fixed, so that a test never
// depends on the day it runs.
var defaultTestTime = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// table is one file *_test.yaml: what a policy must answer, case by case.
type table struct {
	file   string
	time   time.Time
	labels []toolLabels
	cases  []tableCase
	lists  []tableList
}

// toolLabels gives labels to the tools of a glob.
type toolLabels struct {
	server, tool string
	labels       []string
}

// about is what cases and lists have in common.
type about struct {
	name  string
	line  int
	roles []string
	input map[string]any // laid over everything else
	when  time.Time
}

// tableCase is one call and what must be decided.
type tableCase struct {
	about
	action, server string
	tool, uri      string
	prompt         string
	arguments      map[string]any
	flow           []string

	allow       *bool
	reason      string
	obligations []any // nil: not asked about
	rules       []string
	advice      *tableAdvice // nil: not asked about
}

// tableAdvice is what must be decided were the rules enforced that are not.
type tableAdvice struct {
	allow  *bool
	reason string
}

// tableList is a catalogue and what a caller must see of it.
type tableList struct {
	about
	tools, visible []string
}

// isTable reports whether a file holds tests as a table; such a file is no data.
func isTable(name string) bool {
	return strings.HasSuffix(name, "_test.yaml") || strings.HasSuffix(name, "_test.yml")
}

// readTable reads one table. The error has every fault, each with its line.
func readTable(file string, raw []byte) (*table, error) {
	r := &yamlReader{file: file, nodes: maxTableNodes}
	t := &table{file: file, time: defaultTestTime}
	root := r.document(raw)
	if root == nil {
		return nil, errors.Join(append(r.errs, fmt.Errorf("%s: no cases and no lists; a table without tests tests nothing", file))...)
	}
	r.object(root, "the table", map[string]func(*yaml.Node){
		"time":   func(n *yaml.Node) { t.time = r.when(n) },
		"labels": func(n *yaml.Node) { t.readLabels(r, n) },
		"cases": func(n *yaml.Node) {
			r.each(n, "cases", func(n *yaml.Node) { t.cases = append(t.cases, readCase(r, n)) })
		},
		"lists": func(n *yaml.Node) {
			r.each(n, "lists", func(n *yaml.Node) { t.lists = append(t.lists, readList(r, n)) })
		},
	})
	if len(t.cases)+len(t.lists) == 0 && len(r.errs) == 0 {
		r.fail(root, "no cases and no lists; a table without tests tests nothing")
	}
	t.checkNames(r)
	return t, errors.Join(r.errs...)
}

func (t *table) checkNames(r *yamlReader) {
	seen := map[string]int{}
	check := func(a about, what string) {
		if a.name == "" {
			r.fail(&yaml.Node{Line: a.line}, "a %s without a name", what)
			return
		}
		if line := seen[a.name]; line > 0 {
			r.fail(&yaml.Node{Line: a.line}, "the name %q stands twice, first in line %d; a result is told by its name", a.name, line)
			return
		}
		seen[a.name] = a.line
	}
	for _, c := range t.cases {
		check(c.about, "case")
	}
	for _, l := range t.lists {
		check(l.about, "list")
	}
}

func (t *table) readLabels(r *yamlReader, n *yaml.Node) {
	r.members(n, "labels", func(key, value *yaml.Node) {
		server, tool, ok := strings.Cut(key.Value, ".")
		_, bad := path.Match(server, "")
		_, worse := path.Match(tool, "")
		if !ok || server == "" || tool == "" || errors.Join(bad, worse) != nil {
			r.fail(key, "labels: %q is no server.tool glob", key.Value)
			return
		}
		t.labels = append(t.labels, toolLabels{server, tool, r.texts(value, "labels of "+key.Value)})
	})
}

// labelsOf are the labels of all globs that the tool matches.
func (t *table) labelsOf(server, tool string) []string {
	out := []string{}
	for _, l := range t.labels {
		if matches(l.server, server) && matches(l.tool, tool) {
			out = append(out, l.labels...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func matches(glob, name string) bool {
	ok, _ := path.Match(glob, name) // readLabels has tried the glob
	return ok
}

func (r *yamlReader) when(n *yaml.Node) time.Time {
	at, err := time.Parse(time.RFC3339, r.text(n, "time"))
	if err != nil {
		r.fail(n, "time is RFC 3339, as 2026-01-15T09:00:00Z")
	}
	return at
}

// aboutKeys are the readers of the keys that cases and lists share.
func (a *about) keys(r *yamlReader) map[string]func(*yaml.Node) {
	roles := func(n *yaml.Node, list []string) {
		if a.roles != nil {
			r.fail(n, "both role and roles; give one")
		}
		a.roles = list
	}
	return map[string]func(*yaml.Node){
		"name":  func(n *yaml.Node) { a.name = r.text(n, "name") },
		"role":  func(n *yaml.Node) { roles(n, []string{r.text(n, "role")}) },
		"roles": func(n *yaml.Node) { roles(n, r.texts(n, "roles")) },
		"input": func(n *yaml.Node) { a.input, _ = r.value(n, "input").(map[string]any) },
	}
}

func readCase(r *yamlReader, n *yaml.Node) tableCase {
	c := tableCase{about: about{line: n.Line}}
	keys := c.keys(r)
	for key, read := range map[string]func(*yaml.Node){
		"tool":     func(n *yaml.Node) { c.server, c.tool = r.serverTool(n, "tool") },
		"resource": func(n *yaml.Node) { r.item(n, "resource", "uri", &c.server, &c.uri) },
		"prompt":   func(n *yaml.Node) { r.item(n, "prompt", "name", &c.server, &c.prompt) },
		"action":   func(n *yaml.Node) { c.action = r.text(n, "action") },
		"server":   func(n *yaml.Node) { c.server = cmp.Or(c.server, r.text(n, "server")) },
		"arguments": func(n *yaml.Node) {
			if r.follow(n).Kind != yaml.MappingNode {
				r.fail(n, "arguments is a mapping, not %s", kindOf(n))
				return
			}
			c.arguments, _ = r.value(n, "arguments").(map[string]any)
		},
		"flow":   func(n *yaml.Node) { c.flow = r.texts(n, "flow") },
		"time":   func(n *yaml.Node) { c.when = r.when(n) },
		"allow":  func(n *yaml.Node) { c.allow = r.boolean(n, "allow") },
		"reason": func(n *yaml.Node) { c.reason = r.text(n, "reason") },
		"obligations": func(n *yaml.Node) {
			c.obligations = []any{}
			r.each(n, "obligations", func(n *yaml.Node) { c.obligations = append(c.obligations, r.value(n, "an obligation")) })
		},
		"rules": func(n *yaml.Node) { c.rules = r.texts(n, "rules") },
		"advice": func(n *yaml.Node) {
			c.advice = &tableAdvice{}
			r.object(n, "advice", map[string]func(*yaml.Node){
				"allow":  func(n *yaml.Node) { c.advice.allow = r.boolean(n, "advice.allow") },
				"reason": func(n *yaml.Node) { c.advice.reason = r.text(n, "advice.reason") },
			})
		},
	} {
		keys[key] = read
	}
	before := len(r.errs)
	r.object(n, "a case", keys)
	if len(r.errs) == before {
		c.check(r, n)
	}
	return c
}

// check refuses a case that does not say one thing.
func (c *tableCase) check(r *yamlReader, n *yaml.Node) {
	asked := 0
	for _, name := range []string{c.tool, c.uri, c.prompt} {
		if name != "" {
			asked++
		}
	}
	switch {
	case asked > 1:
		r.fail(n, "%s: more than one of tool, resource and prompt", c.title())
	case asked == 0 && (c.action == "" || c.server == ""):
		r.fail(n, "%s: about what? Give tool, resource or prompt, or action and server", c.title())
	case c.allow == nil:
		r.fail(n, "%s: allow is missing; say true or false", c.title())
	case c.advice != nil && c.advice.allow == nil:
		r.fail(n, "%s: advice.allow is missing; say true or false", c.title())
	case *c.allow && c.reason != "":
		r.fail(n, "%s: reason is of a refusal, and allow is true", c.title())
	case !*c.allow && len(c.obligations) > 0:
		r.fail(n, "%s: obligations are of what is allowed, and allow is false", c.title())
	}
}

func (c *tableCase) title() string { return fmt.Sprintf("case %q", c.name) }

func readList(r *yamlReader, n *yaml.Node) tableList {
	l := tableList{about: about{line: n.Line}}
	keys := l.keys(r)
	keys["tools"] = func(n *yaml.Node) { l.tools = r.serverTools(n, "tools") }
	keys["visible"] = func(n *yaml.Node) { l.visible = r.serverTools(n, "visible") }
	before := len(r.errs)
	r.object(n, "a list", keys)
	if len(r.errs) > before {
		return l
	}
	if len(l.tools) == 0 || l.visible == nil {
		r.fail(n, "list %q: give tools, the catalogue, and visible, what is seen of it ([] for nothing)", l.name)
	}
	for _, name := range l.visible {
		if !slices.Contains(l.tools, name) {
			r.fail(n, "list %q: visible has %s, which is not in tools%s", l.name, name, orNear(name, l.tools, "there are"))
		}
	}
	return l
}

func (r *yamlReader) serverTool(n *yaml.Node, what string) (server, tool string) {
	before, text := len(r.errs), r.text(n, what)
	server, tool, ok := strings.Cut(text, ".")
	if (!ok || server == "" || tool == "") && len(r.errs) == before {
		r.fail(n, "%s is server.tool, as files.read_file, and not %q", what, text)
	}
	return server, tool
}

func (r *yamlReader) serverTools(n *yaml.Node, what string) []string {
	out := []string{}
	r.each(n, what, func(e *yaml.Node) {
		if server, tool := r.serverTool(e, "an element of "+what); server != "" && tool != "" {
			out = append(out, server+"."+tool)
		}
	})
	return out
}

func (r *yamlReader) item(n *yaml.Node, what, key string, server, name *string) {
	r.object(n, what, map[string]func(*yaml.Node){
		"server": func(n *yaml.Node) { *server = r.text(n, what+".server") },
		key:      func(n *yaml.Node) { *name = r.text(n, what+"."+key) },
	})
	if *server == "" || *name == "" {
		r.fail(n, "%s is {server: …, %s: …}", what, key)
	}
}
