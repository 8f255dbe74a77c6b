package config

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const masked = "(masked)"

// Show returns the effective configuration as YAML, secrets masked: values of headers and of
// variables, and of queries in the URLs of servers. What each server may do, its arguments and a
// package runner's needs included, stands in its sandbox and, in words, in the comment above all.
func (c *Config) Show() ([]byte, error) {
	doc, err := c.shown()
	if err != nil {
		return nil, err
	}
	var head strings.Builder
	for _, a := range c.Access() {
		for line := range strings.Lines(a.Text()) {
			head.WriteString("# " + line)
		}
	}
	body, err := yaml.Marshal(doc)
	return append([]byte(head.String()), body...), err
}

// ShowJSON is Show as JSON; what each server may do is the list access.
func (c *Config) ShowJSON() ([]byte, error) {
	node, err := c.shown()
	if err != nil {
		return nil, err
	}
	doc := map[string]any{}
	if err := node.Decode(&doc); err != nil {
		return nil, err
	}
	doc["access"] = c.Access()
	return json.MarshalIndent(doc, "", "  ")
}

func (c *Config) shown() (*yaml.Node, error) {
	out := *c
	out.Servers = make(map[string]*Server, len(c.Servers))
	for name, s := range c.Servers {
		shown := *s
		shown.URL = maskQuery(s.URL)
		shown.Headers, shown.Env = maskValues(s.Headers), maskValues(s.Env)
		shown.Credential.Env = maskValues(s.Credential.Env)
		shown.EnvFrom = make(map[string]*Credential, len(s.EnvFrom))
		for variable, cred := range s.EnvFrom {
			hidden := *cred
			hidden.Env = maskValues(cred.Env)
			shown.EnvFrom[variable] = &hidden
		}
		shown.Sandbox.Read, shown.Sandbox.Write, shown.Sandbox.Egress = s.implied.read, s.implied.write, s.implied.egress
		out.Servers[name] = &shown
	}
	out.Guards.Canaries = make([]string, len(c.Guards.Canaries))
	for i := range out.Guards.Canaries {
		out.Guards.Canaries[i] = masked
	}
	doc := &yaml.Node{}
	if err := doc.Encode(&out); err != nil {
		return nil, err
	}
	eachMember(doc, func(key string, value *yaml.Node) bool {
		if key == "mcpServers" {
			eachMember(value, func(name string, server *yaml.Node) bool {
				c.Servers[name].keep(server)
				return true
			})
		}
		return true
	})
	return doc, nil
}

// keep takes out of a server what is of the other kind, and what says nothing.
func (s *Server) keep(server *yaml.Node) {
	others := keysOfStdio
	if s.Type == typeStdio {
		others = keysOfHTTP
	}
	var empty func(key string, value *yaml.Node) bool
	empty = func(key string, value *yaml.Node) bool {
		if key == "credential" || key == "clientSecret" {
			keepCredential(value)
		}
		if key == "envFrom" {
			eachMember(value, func(_ string, cred *yaml.Node) bool { keepCredential(cred); return true })
		}
		if key == "sandbox" && s.Sandbox.Type == sandboxNone {
			*value = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: sandboxNone}
			return true
		}
		eachMember(value, empty)
		return (value.Kind == yaml.ScalarNode && value.Value != "" && (key != "timeout" || value.Value != "0")) || len(value.Content) > 0
	}
	eachMember(server, func(key string, value *yaml.Node) bool { return !slices.Contains(others, key) && empty(key, value) })
}

// keepCredential takes out of a credential what is of another type. Of one that is not there,
// nothing is left.
func keepCredential(n *yaml.Node) {
	kind := ""
	eachMember(n, func(key string, value *yaml.Node) bool {
		if key == "type" {
			kind = value.Value
		}
		return true
	})
	eachMember(n, func(key string, _ *yaml.Node) bool {
		return kind != "" && (key == "type" || key == "header" || key == "prefix" || slices.Contains(keysOfCredential[kind], key))
	})
}

// eachMember goes through the members of a mapping, and takes those out that keep says no to.
func eachMember(n *yaml.Node, keep func(key string, value *yaml.Node) bool) {
	if n.Kind != yaml.MappingNode {
		return
	}
	kept := n.Content[:0]
	for i := 0; i+1 < len(n.Content); i += 2 {
		if keep(n.Content[i].Value, n.Content[i+1]) {
			kept = append(kept, n.Content[i], n.Content[i+1])
		}
	}
	n.Content = kept
}

func maskValues(in map[string]string) map[string]string {
	out := make(map[string]string, len(in))
	for name := range in {
		out[name] = masked
	}
	return out
}

// maskQuery hides the values of a query: some servers take their key there.
func maskQuery(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return masked
	}
	if u.RawQuery != "" {
		u.RawQuery = ""
		return u.String() + "?" + masked
	}
	return raw
}
