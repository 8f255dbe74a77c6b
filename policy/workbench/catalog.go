package workbench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport/policy"
)

// Tool is one tool of a catalogue. What is nil or empty is not known.
type Tool struct {
	Server, Name, Title string
	Annotations, Schema json.RawMessage
	Labels              []string // the operator's
	ServerLabels        []string
}

// String is the tool as people name it.
func (t Tool) String() string {
	name := t.Name
	if name == "" {
		name = anyTool
	}
	if t.Server == "" {
		return name
	}
	return t.Server + "." + name
}

// What stands for all where the policies tell none from another.
const (
	anyTool = "(any tool)"
	AnyRole = "(any role)"
	// OtherRole is a role that neither the policies nor the configuration name: what a rule that only
	// excludes some role allows is allowed to all such.
	OtherRole = "(any other role)"
)

// input is the question about a call of the tool by a caller with one role.
func (t Tool) input(role string) *policy.Input {
	subject := &policy.Subject{Roles: []string{role}}
	switch role {
	case AnyRole:
		subject = nil
	case OtherRole: // a text that no policy compares with
		subject = &policy.Subject{Roles: []string{"\x00" + OtherRole}}
	}
	return &policy.Input{Subject: subject, Action: "tools/call", Server: t.Server, ServerLabels: t.ServerLabels,
		Tool: &policy.Tool{Name: t.Name, Title: t.Title, Annotations: t.Annotations, Labels: t.Labels}}
}

type listedTool struct {
	Name        string          `json:"name"`
	Title       string          `json:"title"`
	Annotations json.RawMessage `json:"annotations"`
	InputSchema json.RawMessage `json:"inputSchema"`
}

// ReadTools reads a catalogue: a result of tools/list, whose tools are of no server that is known,
// or an object of such results by server.
func ReadTools(raw []byte) ([]Tool, error) {
	var root map[string]json.RawMessage
	if err := json.Unmarshal(raw, &root); err != nil {
		return nil, fmt.Errorf("read tools: %w", err)
	}
	if result := root["result"]; result != nil && root["jsonrpc"] != nil { // a whole answer
		return ReadTools(result)
	}
	servers := root
	if strings.HasPrefix(string(root["tools"]), "[") {
		servers = map[string]json.RawMessage{"": raw}
	}
	var out []Tool
	for _, server := range slices.Sorted(maps.Keys(servers)) {
		var list struct {
			Tools []listedTool `json:"tools"`
		}
		if err := json.Unmarshal(servers[server], &list); err != nil {
			return nil, fmt.Errorf("read tools: %s: %w", server, err)
		}
		for _, t := range list.Tools {
			if t.Name == "" {
				return nil, fmt.Errorf("read tools: %s: a tool has no name", server)
			}
			out = append(out, Tool{Server: server, Name: t.Name, Title: t.Title, Annotations: t.Annotations, Schema: t.InputSchema})
		}
	}
	if len(out) == 0 {
		return nil, errors.New(`read tools: no tools in it; want a result of tools/list, or {"server": {"tools": […]}}`)
	}
	return out, nil
}

// NamedTools are the tools that the policies themselves tell from others, for want of a catalogue. Of a
// server whose tools they do not tell apart it is one that stands for all.
func NamedTools(ctx context.Context, g *policy.Generation) ([]Tool, error) {
	servers, err := g.ServerNames(ctx)
	if err != nil {
		return nil, err
	}
	if len(servers) == 0 {
		servers = []string{""}
	}
	var out []Tool
	for _, server := range servers {
		names, err := g.ToolNames(ctx, server)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			out = append(out, Tool{Server: server, Name: name})
		}
		if len(names) == 0 {
			out = append(out, Tool{Server: server})
		}
	}
	return out, nil
}
