package lint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport/internal/strictjson"
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

// ReadCatalogue reads the result of tools/list of one server, as it is or as the whole answer, or an
// object of such results by the name of the server.
func ReadCatalogue(raw []byte) (Catalogue, error) {
	const want = `want the result of tools/list, {"tools": […]}, or one for each server, {"files": {"tools": […]}}`
	if err := strictjson.Check(raw, strictjson.Limits{Depth: 200}); err != nil {
		return Catalogue{}, fmt.Errorf("read the catalogue: %w; %s", err, want)
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(raw, &top); err != nil {
		return Catalogue{}, errors.New("read the catalogue: it is no object; " + want)
	}
	if result, ok := top["result"]; ok && top["jsonrpc"] != nil {
		return ReadCatalogue(result)
	}
	c := Catalogue{Servers: map[string]Tools{}}
	if bytes.HasPrefix(bytes.TrimSpace(top["tools"]), []byte("[")) {
		tools, err := readTools(raw)
		c.Servers[AnyServer] = tools
		return c, err
	}
	for name, list := range top {
		tools, err := readTools(list)
		if err != nil {
			return Catalogue{}, fmt.Errorf("server %q: %w; %s", name, err, want)
		}
		c.Servers[name] = tools
	}
	if !c.Known() {
		return Catalogue{}, errors.New("read the catalogue: it holds nothing; " + want)
	}
	return c, nil
}

func readTools(raw []byte) (Tools, error) {
	var list struct {
		Tools []struct {
			Name        string          `json:"name"`
			InputSchema json.RawMessage `json:"inputSchema"`
		} `json:"tools"`
	}
	if err := json.Unmarshal(raw, &list); err != nil || list.Tools == nil {
		return nil, errors.New("read the catalogue: there is no list of tools")
	}
	tools := Tools{}
	for _, t := range list.Tools {
		if t.Name == "" {
			return nil, errors.New("read the catalogue: a tool has no name")
		}
		tools[t.Name] = t.InputSchema
	}
	return tools, nil
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

// SchemaOf is the input schema in the definition of a tool.
func SchemaOf(definition json.RawMessage) (json.RawMessage, error) {
	var tool struct {
		InputSchema json.RawMessage `json:"inputSchema"`
	}
	if err := json.Unmarshal(definition, &tool); err != nil {
		return nil, fmt.Errorf("read the definition: %w", err)
	}
	return tool.InputSchema, nil
}
