package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"sallyport/internal/strictjson"
	"sallyport/policy/builtin"
)

// Entry is what the operator says of the tools, resources or prompts that a pattern names.
type Entry struct {
	Pattern   string // * stands for any number of characters
	Labels    []string
	Content   []string                 // kinds of content that may come back
	Arguments map[string]builtin.Check // by the name of the argument; of tools
}

// Config is what the operator says of a server.
type Config struct {
	Labels    []string // of all that the server has
	Tools     []Entry
	Resources []Entry // by URI
	Prompts   []Entry
}

// Rule is what is said of one tool, resource or prompt. It must not be changed.
type Rule struct {
	Labels    []string // sorted, each once; the server's among them
	Content   []string
	Arguments map[string][]builtin.Check
}

// Bad is an argument that is not of the kind that it must be, and why.
type Bad struct{ Argument, Why string }

// Judge returns the arguments that are not of their kind, in the order of their names. arguments
// is a JSON object, or nil for none.
func (r *Rule) Judge(arguments []byte) []Bad {
	if len(r.Arguments) == 0 {
		return nil
	}
	values := map[string]json.RawMessage{}
	if len(arguments) > 0 {
		if err := json.Unmarshal(arguments, &values); err != nil {
			return []Bad{{"", "the arguments are not an object"}}
		}
	}
	var out []Bad
	for _, given := range slices.Sorted(maps.Keys(values)) {
		for name := range r.Arguments {
			if strictjson.FoldsTo(given, name) { // and would go past what is said of name
				out = append(out, Bad{name, fmt.Sprintf("%q would be read as %q by a parser that ignores case; write %[2]q", given, name)})
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Arguments)) {
		for _, check := range r.Arguments[name] {
			if err := check.Judge(values[name]); err != nil {
				out = append(out, Bad{name, err.Error()})
			}
		}
	}
	return out
}

// Set is what the operator says of one server. It is immutable and safe for concurrent use; a nil
// Set says nothing.
type Set struct {
	c      Config
	labels []string
	all    []string
	tools  sync.Map // name → *Rule; only for tools of the catalogue is one asked
}

var nothing = &Rule{}

// New returns the set. The error names what cannot be meant.
func New(c Config) (*Set, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	all := c.Labels
	for _, e := range slices.Concat(c.Tools, c.Resources, c.Prompts) {
		all = slices.Concat(all, e.Labels)
	}
	return &Set{c: c, labels: unique(c.Labels), all: unique(all)}, nil
}

func (c Config) check() error {
	for _, l := range c.Labels {
		if err := KnownLabel(l); err != nil {
			return err
		}
	}
	for _, e := range slices.Concat(c.Tools, c.Resources, c.Prompts) {
		if err := e.check(); err != nil {
			return fmt.Errorf("%q: %w", e.Pattern, err)
		}
	}
	return nil
}

func (e Entry) check() error {
	if e.Pattern == "" {
		return fmt.Errorf("the pattern is empty")
	}
	for _, l := range e.Labels {
		if err := KnownLabel(l); err != nil {
			return err
		}
	}
	for _, k := range e.Content {
		if !slices.Contains(Kinds, k) {
			return fmt.Errorf("no kind of content is called %q; there are %s", k, strings.Join(Kinds, ", "))
		}
	}
	for name, check := range e.Arguments {
		if err := check.Err(); err != nil {
			return fmt.Errorf("argument %q: %w", name, err)
		}
	}
	return nil
}

// Labels are those of the whole server.
func (s *Set) Labels() []string {
	if s == nil {
		return nil
	}
	return s.labels
}

// All are the labels of anything that the server has.
func (s *Set) All() []string {
	if s == nil {
		return nil
	}
	return s.all
}

// Tool returns what is said of a tool.
func (s *Set) Tool(name string) *Rule {
	if s == nil {
		return nothing
	}
	if known, ok := s.tools.Load(name); ok {
		return known.(*Rule)
	}
	made, _ := s.tools.LoadOrStore(name, s.rule(s.c.Tools, func(e Entry) bool { return match(e.Pattern, name) }))
	return made.(*Rule)
}

// Prompt returns what is said of a prompt.
func (s *Set) Prompt(name string) *Rule {
	if s == nil {
		return nothing
	}
	return s.rule(s.c.Prompts, func(e Entry) bool { return match(e.Pattern, name) })
}

// Resource returns what is said of a resource. Where something is said of resources, a URI that
// could be read as another one is an error: it would reach what a pattern names under a name that
// the pattern does not match.
func (s *Set) Resource(uri string) (*Rule, error) {
	if s == nil {
		return nothing, nil
	}
	if len(s.c.Resources) > 0 {
		if err := plainURI(uri); err != nil {
			return nothing, err
		}
	}
	return s.rule(s.c.Resources, func(e Entry) bool { return match(e.Pattern, uri) }), nil
}

// Template returns what is said of any resource that a URI template can name.
func (s *Set) Template(template string) *Rule {
	if s == nil {
		return nothing
	}
	fixed, _, _ := strings.Cut(template, "{")
	return s.rule(s.c.Resources, func(e Entry) bool {
		own, _, _ := strings.Cut(e.Pattern, "*")
		return strings.HasPrefix(fixed, own) || strings.HasPrefix(own, fixed)
	})
}

func (s *Set) rule(entries []Entry, fits func(Entry) bool) *Rule {
	r := &Rule{}
	labels := slices.Clone(s.labels)
	for _, e := range entries {
		if !fits(e) {
			continue
		}
		labels = append(labels, e.Labels...)
		r.Content = append(r.Content, e.Content...)
		for name, check := range e.Arguments {
			if r.Arguments == nil {
				r.Arguments = make(map[string][]builtin.Check)
			}
			r.Arguments[name] = append(r.Arguments[name], check)
		}
	}
	r.Labels = unique(labels)
	r.Content = unique(append(r.Content, contentOf(r.Labels)...))
	return r
}

// Digest is another one where another thing is said of servers.
func Digest(sets map[string]*Set) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		if s := sets[name]; s != nil {
			_ = json.NewEncoder(h).Encode([]any{name, s.c}) // a hash takes everything
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func unique(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	out := slices.Clone(list)
	slices.Sort(out)
	return slices.Compact(out)
}

// Unmatched returns the patterns that match none of the names: of tools, and of prompts.
func (s *Set) Unmatched(tools, prompts []string) (ofTools, ofPrompts []string) {
	if s == nil {
		return nil, nil
	}
	return unmatched(s.c.Tools, tools), unmatched(s.c.Prompts, prompts)
}

func unmatched(entries []Entry, names []string) []string {
	var out []string
	for _, e := range entries {
		if !slices.ContainsFunc(names, func(name string) bool { return match(e.Pattern, name) }) {
			out = append(out, e.Pattern)
		}
	}
	return out
}
