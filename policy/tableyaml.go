package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What aliases may unfold to in one table is bounded, also where one stands in what it stands for.
const (
	maxTableNodes = 200_000
	maxTableDepth = 64
)

// yamlReader reads one file strictly, and gathers what is wrong with it.
type yamlReader struct {
	file  string
	nodes int // still allowed
	depth int // of the value that is read
	errs  []error
}

// document returns the root of a file of one document, or nil where there is none.
func (r *yamlReader) document(raw []byte) *yaml.Node {
	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		r.errs = append(r.errs, fmt.Errorf("%s: %s", r.file, strings.TrimPrefix(err.Error(), "yaml: ")))
		return nil
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		r.fail(&more, "a second document; one file is one table")
	}
	return doc.Content[0]
}

func (r *yamlReader) fail(n *yaml.Node, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s:%d: %s", r.file, n.Line, fmt.Sprintf(format, args...)))
}

// object hands each value of a mapping to the reader of its key.
func (r *yamlReader) object(n *yaml.Node, what string, keys map[string]func(*yaml.Node)) {
	r.members(n, what, func(key, value *yaml.Node) {
		read := keys[key.Value]
		if read == nil {
			r.fail(key, "unknown key %q in %s%s", key.Value, what, orNear(key.Value, slices.Sorted(maps.Keys(keys)), "there are"))
			return
		}
		read(value)
	})
}

// members hands on each member of a mapping, and refuses names that stand twice.
func (r *yamlReader) members(n *yaml.Node, what string, each func(key, value *yaml.Node)) {
	if n = r.follow(n); n.Kind != yaml.MappingNode {
		r.fail(n, "%s is a mapping, not %s", what, kindOf(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.Value == "<<" && key.Tag == "!!merge" {
			r.fail(key, "a key of %s is plain text", what)
			continue
		}
		if line := seen[key.Value]; line > 0 {
			r.fail(key, "%q stands twice, first in line %d", key.Value, line)
			continue
		}
		seen[key.Value] = key.Line
		each(key, n.Content[i+1])
	}
}

// each hands on each element of a sequence.
func (r *yamlReader) each(n *yaml.Node, what string, read func(*yaml.Node)) {
	if n = r.follow(n); n.Kind != yaml.SequenceNode {
		r.fail(n, "%s is a list, not %s", what, kindOf(n))
		return
	}
	for _, e := range n.Content {
		read(e)
	}
}

func (r *yamlReader) text(n *yaml.Node, what string) string {
	if n = r.follow(n); n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" && n.ShortTag() != "!!timestamp" {
		r.fail(n, "%s is text, not %s", what, kindOf(n))
		return ""
	}
	return n.Value
}

func (r *yamlReader) texts(n *yaml.Node, what string) []string {
	out := []string{}
	r.each(n, what, func(e *yaml.Node) { out = append(out, r.text(e, "an element of "+what)) })
	return out
}

func (r *yamlReader) boolean(n *yaml.Node, what string) *bool {
	if n = r.follow(n); n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
		r.fail(n, "%s is true or false, not %s", what, kindOf(n))
		return nil
	}
	is := strings.EqualFold(n.Value, "true")
	return &is
}

// follow returns what an alias stands for.
func (r *yamlReader) follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// plainNumber is a number that YAML and JSON write alike.
var plainNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// value turns YAML into what JSON would hold. Numbers keep all their digits.
func (r *yamlReader) value(n *yaml.Node, what string) any {
	if r.nodes--; r.nodes < 0 {
		if r.nodes == -1 && r.depth <= maxTableDepth {
			r.fail(n, "more than %d values in one table", maxTableNodes)
		}
		return nil
	}
	if r.depth++; r.depth > maxTableDepth {
		r.fail(n, "%s is nested deeper than %d levels", strings.SplitN(what, ".", 2)[0], maxTableDepth)
		r.nodes = -1 // the rest would say the same
	}
	defer func() { r.depth-- }()
	n = r.follow(n)
	switch n.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		r.members(n, what, func(key, value *yaml.Node) { out[key.Value] = r.value(value, what+"."+key.Value) })
		return out
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, e := range n.Content {
			out = append(out, r.value(e, "an element of "+what))
		}
		return out
	}
	switch n.ShortTag() {
	case "!!str", "!!timestamp":
		return n.Value
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!null":
		return nil
	case "!!int", "!!float":
		if plainNumber.MatchString(n.Value) {
			return json.Number(n.Value)
		}
	}
	r.fail(n, "%s cannot be written as JSON; put it in quotes, or write a number in digits", what)
	return nil
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!bool":
		return "a boolean"
	case "!!int", "!!float":
		return "a number"
	}
	return "text"
}
