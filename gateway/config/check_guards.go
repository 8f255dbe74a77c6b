package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"sallyport/gateway/guard"
	"sallyport/gateway/guard/secrets"
	"sallyport/gateway/rules"
	"sallyport/policy"
	"sallyport/policy/builtin"
)

// Words of the key pins.
const (
	pinsFirstUse = "firstUse"
	pinsRequired = "required"
)

// Bounds of a canary, in bytes. A shorter one would be found by chance. Each is looked for in every
// message, so there are not many.
const (
	maxCanaries = 1024

	minCanary = 8
	maxCanary = 256
)

func (c *Config) checkGuards(p *problems) {
	if c.Pins != pinsFirstUse && c.Pins != pinsRequired {
		p.key("pins", "wants %s (a definition is good as it was seen first) or %s (nothing is served that nobody has reviewed)", pinsFirstUse, pinsRequired)
	}
	for i, kind := range c.Guards.Content {
		if !slices.Contains(rules.Kinds, kind) {
			p.key("guards.content."+strconv.Itoa(i), "no kind of content is called %q%s; there are %s", kind, didYouMean(kind, rules.Kinds), strings.Join(rules.Kinds, ", "))
		}
	}
	for i, host := range c.Guards.LinkHosts {
		if _, err := guard.New(guard.Config{LinkHosts: []string{host}}); err != nil {
			p.key("guards.linkHosts."+strconv.Itoa(i), "%s", strings.TrimPrefix(err.Error(), "guards.linkHosts: "))
		}
	}
	if len(c.Guards.Canaries) > maxCanaries {
		p.key("guards.canaries", "holds more than %d canaries", maxCanaries)
	}
	for i, marker := range c.Guards.Canaries {
		if len(marker) < minCanary || len(marker) > maxCanary {
			p.key("guards.canaries."+strconv.Itoa(i), "has %d bytes; a canary has %d to %d", len(marker), minCanary, maxCanary)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Servers)) {
		c.Servers[name].checkRules("mcpServers."+name, name, c.dir(), p)
	}
}

func didYouMean(name string, known []string) string {
	if near := nearest(name, known); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

func (s *Server) checkRules(at, name, dir string, p *problems) {
	for i, l := range s.Labels {
		if err := rules.KnownLabel(l); err != nil {
			p.key(at+".labels."+strconv.Itoa(i), "%s", err)
		}
	}
	s.eachItem(func(list, pattern string, labels, content []string, arguments map[string]*Argument) {
		key := at + "." + list + "." + pattern
		if own, ok := strings.CutPrefix(pattern, name+"__"); ok && list != "resources" {
			p.key(key, "is the name at /mcp; write the server's own, %s", own)
			return
		}
		if len(labels)+len(content)+len(arguments) == 0 {
			p.key(key, "says nothing; give labels, content or arguments")
			return
		}
		e := rules.Entry{Pattern: pattern, Labels: labels, Content: content}
		one := rules.Config{Tools: []rules.Entry{e}}
		if _, err := rules.New(one); err != nil {
			p.key(key, "%s", strings.TrimPrefix(err.Error(), fmt.Sprintf("%q: ", pattern)))
		} else if err := rules.Reachable(pattern); list == "resources" && err != nil {
			p.key(key, "no URI is taken that matches this: %s", err)
		}
		for _, argument := range slices.Sorted(maps.Keys(arguments)) {
			check, err := arguments[argument].check(dir)
			if err == nil {
				err = check.Err()
			}
			if arguments[argument].Kind == "" {
				err = errors.New("kind is missing; there are path, url, email, identifier and sql")
			}
			if err != nil {
				p.key(key+".arguments."+argument, "%s", err)
			}
		}
	})
}

// eachItem calls each for what is said of tools, resources and prompts, by list and pattern.
func (s *Server) eachItem(each func(list, pattern string, labels, content []string, arguments map[string]*Argument)) {
	for _, pattern := range slices.Sorted(maps.Keys(s.Tools)) {
		t := s.Tools[pattern]
		each("tools", pattern, t.Labels, t.Content, t.Arguments)
	}
	for _, list := range []struct {
		name  string
		items map[string]*Item
	}{{"resources", s.Resources}, {"prompts", s.Prompts}} {
		for _, pattern := range slices.Sorted(maps.Keys(list.items)) {
			each(list.name, pattern, list.items[pattern].Labels, list.items[pattern].Content, nil)
		}
	}
}

// check is the argument's check; relative roots are below dir.
func (a *Argument) check(dir string) (builtin.Check, error) {
	c := builtin.Check{Kind: a.Kind, Hosts: a.Hosts, Schemes: a.Schemes, Private: a.Private, Resolve: a.Resolve, Domains: a.Domains, Addresses: a.Addresses,
		Pattern: a.Pattern, MaxLen: a.MaxLen, Dialect: a.Dialect, Optional: a.Optional}
	for _, root := range a.Within {
		c.Within = append(c.Within, below(dir, root))
	}
	for _, port := range a.Ports {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return c, fmt.Errorf("no port is called %q", port)
		}
		c.Ports = append(c.Ports, int(n))
	}
	return c, nil
}

// ruleSets are what the configuration says of the tools of each server. It has been checked.
func (c *Config) ruleSets() (map[string]*rules.Set, error) {
	out := make(map[string]*rules.Set, len(c.Servers))
	for name, s := range c.Servers {
		said := rules.Config{Labels: s.Labels}
		var failed error
		s.eachItem(func(list, pattern string, labels, content []string, arguments map[string]*Argument) {
			e := rules.Entry{Pattern: pattern, Labels: labels, Content: content, Arguments: make(map[string]builtin.Check, len(arguments))}
			for argument, a := range arguments {
				check, err := a.check(c.dir())
				if err != nil {
					failed = err
				}
				e.Arguments[argument] = check
			}
			switch list {
			case "tools":
				said.Tools = append(said.Tools, e)
			case "resources":
				said.Resources = append(said.Resources, e)
			default:
				said.Prompts = append(said.Prompts, e)
			}
		})
		set, err := rules.New(said)
		if err == nil {
			err = failed
		}
		if err != nil {
			return nil, fmt.Errorf("server %s: %w", name, err)
		}
		out[name] = set
	}
	return out, nil
}

// guards makes the second door, and what looks for secrets; nil where nobody shall.
func (c *Config) guards() (*guard.Door, *secrets.Scanner, error) {
	canaries, err := c.canaries()
	if err != nil {
		return nil, nil, fmt.Errorf("guards.canaryFile: %w", err)
	}
	var scanner *secrets.Scanner
	if c.Guards.Secrets || len(canaries) > 0 {
		markers := make([]secrets.Marker, 0, len(canaries))
		for i, value := range canaries {
			markers = append(markers, secrets.Marker{Name: fmt.Sprintf("canary %d", i+1), Value: value})
		}
		if scanner, err = secrets.New(secrets.Options{Markers: markers, NoRules: !c.Guards.Secrets}); err != nil {
			return nil, nil, fmt.Errorf("guards: %w", err)
		}
	}
	content := c.Guards.Content
	if len(content) == 0 {
		content = []string{"text"}
	}
	door, err := guard.New(guard.Config{Content: content, LinkHosts: c.Guards.LinkHosts, KeepHidden: !c.Guards.Hidden, Secrets: scanner})
	return door, scanner, err
}

// canaries are all markers, those of the file among them.
func (c *Config) canaries() ([]string, error) {
	out := slices.Clone(c.Guards.Canaries)
	if c.Guards.CanaryFile == "" {
		return out, nil
	}
	data, err := os.ReadFile(c.Guards.CanaryFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Guards.CanaryFile, unwrapPath(err))
	}
	for i, line := range strings.Split(string(data), "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if len(line) < minCanary || len(line) > maxCanary {
			return nil, fmt.Errorf("%s:%d: has %d bytes; a canary has %d to %d", c.Guards.CanaryFile, i+1, len(line), minCanary, maxCanary)
		}
		out = append(out, line)
	}
	if len(out) > maxCanaries {
		return nil, fmt.Errorf("%s: holds more than %d canaries", c.Guards.CanaryFile, maxCanaries)
	}
	return out, nil
}

// Labelled are the tools and resources that the configuration labels, and all labels that a policy
// may know. names are those that patterns are tried on: a pattern is no tool, and the policies name
// those that matter to them.
func (c *Config) Labelled(names []string) (items []policy.Labelled, known []string) {
	known = []string{rules.SourcePrivate, rules.SourceUntrusted, rules.SinkExternal, rules.SinkInternal}
	sets, err := c.ruleSets()
	if err != nil {
		return nil, known // it has been checked
	}
	for _, server := range slices.Sorted(maps.Keys(sets)) {
		set := sets[server]
		known = append(known, set.All()...)
		if len(set.All()) == 0 {
			continue
		}
		for _, name := range append(c.example(server), names...) {
			if labels := set.Tool(name).Labels; len(labels) > 0 {
				items = append(items, policy.Labelled{Server: server, Tool: name, Labels: labels, OfServer: set.Labels()})
			}
		}
		for _, uri := range slices.Sorted(maps.Keys(c.Servers[server].Resources)) {
			items = append(items, policy.Labelled{Server: server, Resource: uri, Labels: set.Template(uri).Labels, OfServer: set.Labels()})
		}
	}
	slices.Sort(known)
	return items, slices.Compact(known)
}

// example are names that the patterns of a server match.
func (c *Config) example(server string) []string {
	var out []string
	for _, pattern := range slices.Sorted(maps.Keys(c.Servers[server].Tools)) {
		out = append(out, strings.ReplaceAll(pattern, "*", "x"))
	}
	if len(out) == 0 {
		out = []string{"x"} // the labels are the server's
	}
	return out
}
