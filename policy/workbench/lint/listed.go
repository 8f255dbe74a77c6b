package lint

import (
	"context"
	"maps"
	"slices"
	"strings"

	"sallyport/policy"
)

// listed looks for tools that a list shows to somebody though no call of them would be allowed: a list
// asks with the arguments unknown and shows what it cannot tell.
func (c *checker) listed(ctx context.Context) error {
	entries, err := c.entries()
	if err != nil {
		return err
	}
	for _, server := range slices.Sorted(maps.Keys(c.Catalogue.Servers)) {
		for _, tool := range slices.Sorted(maps.Keys(c.Catalogue.Servers[server])) {
			q := policy.Question{Given: map[string]any{"action": "tools/call", "tool.name": tool}, Absent: []string{"resource", "prompt", "result"}}
			if server != AnyServer {
				q.Given["server.name"] = server
			}
			it := item{server: server, tool: tool, schema: readSchema(c.Catalogue.Servers[server][tool])}
			for _, e := range entries {
				if e.soft || e.response || e.advisory {
					continue
				}
				left, err := c.Remains(ctx, e.query, q)
				if err != nil {
					return err
				}
				if len(left.Bodies) == 0 || c.told(label(server, tool)) {
					continue // it is listed to nobody, or what is wrong has been said
				}
				if why := impossible(left, []item{it}); why != "" {
					c.add(Finding{Name: "listed-never-allowed", Level: Note, Text: label(server, tool) + " is listed to some, and no call of it is allowed: " + why,
						Cure: "let the rule ask for what the tool takes, or name the tool no more"})
				}
			}
		}
	}
	return nil
}

// told reports whether an error speaks of a tool.
func (c *checker) told(tool string) bool {
	return slices.ContainsFunc(c.found, func(f Finding) bool { return f.Level == Error && strings.Contains(f.Text, tool) })
}
