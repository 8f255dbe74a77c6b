package lint

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"sallyport/policy/workbench"
)

// AnyServer is the name of the server of a catalogue that does not say whose tools it holds.
const AnyServer = ""

// Catalogue is what is known of the servers that policies decide about.
type Catalogue struct {
	Servers map[string]Tools // by name; nil Tools: there is such a server, and its tools are not known
}

// Tools are the tools of a server, by name, with their input schemas; nil where there is none.
type Tools map[string]json.RawMessage

// Known reports whether there is a catalogue at all.
func (c Catalogue) Known() bool { return len(c.Servers) > 0 }

// names are the servers; none where the catalogue does not say whose tools it holds.
func (c Catalogue) names() []string {
	if _, any := c.Servers[AnyServer]; any {
		return nil
	}
	return slices.Sorted(maps.Keys(c.Servers))
}

// CatalogueOf is a catalogue of these tools, and of servers whose tools may not be among them.
func CatalogueOf(tools []workbench.Tool, servers ...string) Catalogue {
	c := Catalogue{Servers: map[string]Tools{}}
	for _, name := range servers {
		c.Servers[name] = nil
	}
	for _, t := range tools {
		if c.Servers[t.Server] == nil {
			c.Servers[t.Server] = Tools{}
		}
		schema := t.Schema
		if other, twice := c.Servers[t.Server][t.Name]; twice && !bytes.Equal(other, schema) {
			schema = nil // another in each era of the protocol: what holds of one may not of the other
		}
		c.Servers[t.Server][t.Name] = schema
	}
	return c
}

// has reports whether the server, or any of a catalogue without names, has the tool. sure is false
// where that is not known.
func (c Catalogue) has(server, tool string) (has, sure bool) {
	tools, ok := c.Servers[server]
	if !ok {
		tools, ok = c.Servers[AnyServer]
	}
	if !ok || tools == nil {
		return false, !ok
	}
	_, has = tools[tool]
	return has, true
}

// label is a tool as people name it.
func label(server, tool string) string {
	return strings.TrimPrefix(server+"."+tool, ".")
}
