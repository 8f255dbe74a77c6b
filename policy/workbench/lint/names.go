package lint

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"sallyport/policy"
)

// names looks for servers and tools in the policies that no catalogue has.
func (c *checker) names(ctx context.Context) error {
	if !c.Catalogue.Known() {
		return nil
	}
	entries, err := c.entries()
	if err != nil {
		return err
	}
	n := &nameCheck{checker: c, servers: map[string]*ast.Expr{}, tools: map[string]*toolName{}}
	if err := c.each(ctx, entries, policy.Question{}, n.look); err != nil {
		return err
	}
	for _, server := range slices.Sorted(maps.Keys(n.servers)) {
		n.where("unknown-server", Error, server, n.servers[server], fmt.Sprintf("there is no server %q", server), policy.Near(server, c.Catalogue.names(), "there are"))
	}
	for _, tool := range slices.Sorted(maps.Keys(n.tools)) {
		if t := n.tools[tool]; !t.known {
			n.tell(tool, t)
		}
	}
	return nil
}

// nameCheck collects the names that the policies compare servers and tools with.
type nameCheck struct {
	*checker
	servers map[string]*ast.Expr // that there are not
	tools   map[string]*toolName
}

// toolName is a name of a tool in the policies.
type toolName struct {
	known bool // some server that it is asked about may have it
	soft  bool // every place is one that keeps out
	of    []string
	expr  *ast.Expr
}

func (n *nameCheck) look(e *ast.Expr, in ast.Body, soft bool) {
	if servers := n.Catalogue.names(); len(servers) > 0 {
		for _, name := range constants(e, serverNameRef) {
			if !slices.Contains(servers, name) {
				n.servers[name] = e
			}
		}
	}
	for _, tool := range constants(e, toolNameRef) {
		t := n.tools[tool]
		if t == nil {
			t = &toolName{soft: true, expr: e}
			n.tools[tool] = t
		}
		t.soft = t.soft && soft
		of := serversOf(in)
		if of == nil {
			of = slices.Sorted(maps.Keys(n.Catalogue.Servers))
		}
		for _, server := range of {
			_, there := n.Catalogue.Servers[server]
			_, any := n.Catalogue.Servers[AnyServer]
			has, sure := n.Catalogue.has(server, tool)
			// A server that is not there has a finding of its own.
			t.known = t.known || has || !sure || !there && !any
			if !slices.Contains(t.of, server) {
				t.of = append(t.of, server)
			}
		}
	}
}

// constants are the texts that an expression compares ref with.
func constants(e *ast.Expr, ref ast.Ref) []string {
	c, ok := compared(e, ref)
	if !ok || !c.value.Value.(ast.Ref).Equal(ref) {
		return nil
	}
	values := c.equals()
	if c.op == ast.NotEqual.Name {
		values = []ast.Value{c.constant}
	}
	var out []string
	for _, v := range values {
		if s, ok := v.(ast.String); ok {
			out = append(out, string(s))
		}
	}
	return out
}

// serversOf are the servers of which a body asks that it be one; nil where it asks nothing.
func serversOf(body ast.Body) []string {
	for _, e := range body {
		if c, ok := compared(e, serverNameRef); ok && !e.Negated && c.equals() != nil {
			return constants(e, serverNameRef)
		}
	}
	return nil
}

func (n *nameCheck) tell(tool string, t *toolName) {
	var there []string
	for _, server := range t.of {
		there = slices.AppendSeq(there, maps.Keys(n.Catalogue.Servers[server]))
	}
	if tools, any := n.Catalogue.Servers[AnyServer]; any {
		there = slices.Collect(maps.Keys(tools))
	}
	slices.Sort(there)
	level, who := Error, "no server has"
	if t.soft {
		level = Warning
	}
	if len(t.of) == 1 && t.of[0] != AnyServer {
		who = t.of[0] + " has no"
		n.where("unknown-tool", level, tool, t.expr, fmt.Sprintf("%s tool %q", who, tool), policy.Near(tool, slices.Compact(there), "it has"))
		return
	}
	n.where("unknown-tool", level, tool, t.expr, fmt.Sprintf("%s a tool %q", who, tool), policy.Near(tool, slices.Compact(there), "there are"))
}

// where makes a finding of a text in the policies, or in their data.
func (n *nameCheck) where(name string, level Level, word string, e *ast.Expr, text, cure string) {
	sites := n.sites(func(t *ast.Term) string {
		if s, ok := t.Value.(ast.String); ok && string(s) == word {
			return word
		}
		return ""
	})[word]
	if len(sites) > 0 {
		n.at(nearTo(sites, e)[0], name, level, text, cure)
		return
	}
	for _, file := range slices.Sorted(maps.Keys(n.Files)) {
		if strings.HasSuffix(file, ".rego") || policy.IsTest(file) {
			continue
		}
		for i, line := range strings.Split(string(n.Files[file]), "\n") {
			if at := strings.Index(line, word); at >= 0 {
				n.add(Finding{File: file, Line: i + 1, Column: at + 1, Name: name, Level: level, Text: text, Cure: cure})
				return
			}
		}
	}
	n.add(Finding{Name: name, Level: level, Text: text, Cure: cure})
}
