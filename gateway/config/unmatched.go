package config

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"sallyport/gateway/pin"
)

// Unmatched names the entries of mcpServers.*.tools and prompts that match nothing of what servers
// have now: a misspelt pattern marks nothing, and so does one for a tool that has another name
// since. Of a server of which nothing is known it says nothing.
func (c *Config) Unmatched(known []pin.Entry) []string {
	var out []string
	sets, err := c.ruleSets()
	if err != nil {
		return nil // told where the configuration is checked
	}
	for _, name := range slices.Sorted(maps.Keys(c.Servers)) {
		var tools, prompts []string
		for _, e := range known {
			switch {
			case e.Server != name || e.State == pin.Gone:
			case e.Kind == pin.Tool.String():
				tools = append(tools, e.Name)
			case e.Kind == pin.Prompt.String():
				prompts = append(prompts, e.Name)
			}
		}
		if len(tools)+len(prompts) == 0 {
			continue
		}
		ofTools, ofPrompts := sets[name].Unmatched(tools, prompts)
		out = append(out, unmatched(name, "tools", ofTools, tools)...)
		out = append(out, unmatched(name, "prompts", ofPrompts, prompts)...)
	}
	return out
}

func unmatched(server, list string, patterns, names []string) []string {
	var out []string
	for _, pattern := range patterns {
		near := ""
		if best := nearestTo(pattern, names); best != "" {
			near = "; did you mean " + pin.Visible(best) + "?"
		}
		out = append(out, fmt.Sprintf("mcpServers.%s.%s.%s matches nothing that the server has%s", server, list, pattern, near))
	}
	return out
}

// nearestTo is the name that the pattern comes closest to, or "": whole, or by its beginning where
// that is all it gives.
func nearestTo(pattern string, names []string) string {
	fixed, rest, star := strings.Cut(pattern, "*")
	if !star || rest != "" {
		return nearest(pattern, names)
	}
	short := make(map[string]string, len(names))
	for _, name := range names {
		short[name[:min(len(name), len(fixed))]] = name
	}
	return short[nearest(fixed, slices.Collect(maps.Keys(short)))]
}

// remark logs the entries of a server that match nothing, once its catalogue is known.
func (s *Service) remark(cfg *Config, server string) {
	for _, note := range cfg.Unmatched(s.pins.List(pin.Selection{Server: server})) {
		s.log.Warn("about the configuration", slog.String("note", note))
	}
}

// Unlabelled are the servers that have no label, nor anything of theirs.
func (c *Config) Unlabelled() []string {
	sets, err := c.ruleSets()
	if err != nil {
		return nil // told where the configuration is checked
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.Servers)), func(name string) bool { return len(sets[name].All()) > 0 })
}
