package lint

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// kinds is a set of JSON types.
type kinds uint8

const (
	kindNull kinds = 1 << iota
	kindBoolean
	kindNumber
	kindString
	kindArray
	kindObject
	anyKind = kindNull | kindBoolean | kindNumber | kindString | kindArray | kindObject
)

var kindNames = map[string]kinds{"null": kindNull, "boolean": kindBoolean, "number": kindNumber, "integer": kindNumber,
	"string": kindString, "array": kindArray, "object": kindObject}

// String names the kinds, as in "a string or null".
func (k kinds) String() string {
	var out []string
	for _, n := range []struct {
		kind kinds
		name string
	}{{kindString, "a string"}, {kindNumber, "a number"}, {kindBoolean, "true or false"}, {kindArray, "an array"}, {kindObject, "an object"}, {kindNull, "null"}} {
		if k&n.kind != 0 {
			out = append(out, n.name)
		}
	}
	return strings.Join(out, " or ")
}

func kindOf(v ast.Value) kinds {
	switch v.(type) {
	case ast.Null:
		return kindNull
	case ast.Boolean:
		return kindBoolean
	case ast.Number:
		return kindNumber
	case ast.String:
		return kindString
	case *ast.Array:
		return kindArray
	case ast.Object:
		return kindObject
	}
	return 0
}

// schema is a JSON Schema as far as a check can rely on it. Wherever it does not understand one, it
// knows nothing: that raises no finding.
type schema struct {
	root any
}

func readSchema(raw json.RawMessage) *schema {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	s := &schema{}
	if len(raw) == 0 || d.Decode(&s.root) != nil {
		return &schema{}
	}
	return s
}

// presence says whether a schema has a property.
type presence int

const (
	isUnsure presence = iota
	isDeclared
	isUndeclared // the schema says nothing of others: a server may take it
	isBarred     // no object with it passes
)

// maxSchemaSteps bounds how many parts of a schema one question looks at; one that is larger, or refers
// to itself, is not understood.
const maxSchemaSteps = 200

// place is what a schema says at one path.
type place struct {
	presence presence
	at       string   // the part of the path where it is not declared
	parent   string   // the path above at; "" is the arguments themselves
	names    []string // of the properties that there are
	kinds    kinds    // anyKind: not known
	enum     []ast.Value
	min, max *json.Number // inclusive; nil: none
}

// look returns what the schema says of a path: texts are keys, "" is any element of an array.
func (s *schema) look(path []string) place {
	nodes := []any{s.root}
	budget := maxSchemaSteps
	for i, key := range path {
		parts, ok := s.parts(nodes, &budget)
		if !ok {
			return place{kinds: anyKind}
		}
		if key == "" {
			if nodes, ok = elements(parts); !ok {
				return place{kinds: anyKind}
			}
			continue
		}
		next, p, names := property(parts, key)
		if p != isDeclared {
			return place{presence: p, at: key, parent: dotted(path[:i]), names: names, kinds: anyKind}
		}
		nodes = next
	}
	parts, ok := s.parts(nodes, &budget)
	if !ok {
		return place{presence: isDeclared, kinds: anyKind}
	}
	return facts(parts)
}

// parts takes schemas apart: what they refer to, and the branches of allOf, anyOf and the like, all of
// which may say something of a value. ok is false where one is not understood.
func (s *schema) parts(nodes []any, budget *int) (out []map[string]any, ok bool) {
	for _, n := range nodes {
		if *budget--; *budget < 0 {
			return nil, false
		}
		m, is := n.(map[string]any)
		if !is {
			return nil, false
		}
		out = append(out, m)
		var inner []any
		if ref, has := m["$ref"]; has {
			target, found := s.pointer(ref)
			if !found {
				return nil, false
			}
			inner = append(inner, target)
		}
		for _, k := range []string{"allOf", "anyOf", "oneOf"} {
			list, _ := m[k].([]any)
			inner = append(inner, list...)
		}
		for _, k := range []string{"then", "else"} {
			if m[k] != nil {
				inner = append(inner, m[k])
			}
		}
		for _, k := range []string{"$dynamicRef", "dependentSchemas", "dependencies"} {
			if m[k] != nil {
				return nil, false
			}
		}
		more, fine := s.parts(inner, budget)
		if !fine {
			return nil, false
		}
		out = append(out, more...)
	}
	return out, true
}

// pointer resolves a reference inside the schema.
func (s *schema) pointer(ref any) (any, bool) {
	text, _ := ref.(string)
	if text == "#" {
		return s.root, true
	}
	rest, local := strings.CutPrefix(text, "#/")
	if !local || strings.Contains(rest, "%") {
		return nil, false
	}
	at := s.root
	for _, key := range strings.Split(rest, "/") {
		m, _ := at.(map[string]any)
		next, ok := m[strings.NewReplacer("~1", "/", "~0", "~").Replace(key)]
		if !ok {
			return nil, false
		}
		at = next
	}
	return at, true
}

// property returns what the parts say of a key.
func property(parts []map[string]any, key string) (next []any, p presence, names []string) {
	all := map[string]bool{}
	open, closed, lists := false, false, false
	for _, m := range parts {
		props, is := m["properties"].(map[string]any)
		lists = lists || is
		for name := range props {
			all[name] = true
		}
		if child, has := props[key]; has {
			next = append(next, child)
			continue
		}
		additional, said := m["additionalProperties"]
		switch {
		case m["patternProperties"] != nil || m["unevaluatedProperties"] != nil || m["propertyNames"] != nil:
			open = true
		case said && additional == false:
			closed = true
		case said:
			open = true
		}
	}
	names = slices.Sorted(maps.Keys(all))
	switch {
	case len(next) > 0:
		return next, isDeclared, names
	case open || !lists && !closed:
		return nil, isUnsure, names
	case closed:
		return nil, isBarred, names
	}
	return nil, isUndeclared, names
}

// elements returns the schemas of the elements of an array that is nothing else.
func elements(parts []map[string]any) (out []any, ok bool) {
	for _, m := range parts {
		if m["prefixItems"] != nil {
			return nil, false
		}
		if items, has := m["items"]; has {
			out = append(out, items)
		}
	}
	return out, len(out) > 0 && facts(parts).kinds == kindArray
}

// facts returns what the parts say of a value. Of branches it takes what all of them say: a value may
// be of any.
func facts(parts []map[string]any) place {
	p := place{presence: isDeclared, kinds: anyKind}
	if len(parts) != 1 {
		return merged(p, parts)
	}
	m := parts[0]
	p.kinds = kindsOf(m["type"])
	values, has := m["enum"].([]any)
	if c, fixed := m["const"]; fixed {
		values, has = []any{c}, true
	}
	if has {
		for _, v := range values {
			value, err := ast.InterfaceToValue(v)
			if err != nil {
				return place{presence: isDeclared, kinds: anyKind}
			}
			p.enum = append(p.enum, value)
		}
	}
	if n, ok := m["minimum"].(json.Number); ok {
		p.min = &n
	}
	if n, ok := m["maximum"].(json.Number); ok {
		p.max = &n
	}
	return p
}

// merged joins parts of which some are branches: only types are kept, and only where each part says
// some, or the part that holds the branches does.
func merged(p place, parts []map[string]any) place {
	if k := kindsOf(parts0(parts)["type"]); k != anyKind {
		p.kinds = k
		return p
	}
	p.kinds = 0
	for _, m := range parts {
		if m["type"] == nil && (m["anyOf"] != nil || m["oneOf"] != nil || m["allOf"] != nil || m["$ref"] != nil) {
			continue // what it holds is among the parts
		}
		p.kinds |= kindsOf(m["type"])
	}
	if p.kinds == 0 {
		p.kinds = anyKind
	}
	return p
}

func parts0(parts []map[string]any) map[string]any {
	if len(parts) == 0 {
		return nil
	}
	return parts[0]
}

func kindsOf(t any) kinds {
	var k kinds
	switch t := t.(type) {
	case string:
		k = kindNames[t]
	case []any:
		for _, name := range t {
			s, _ := name.(string)
			k |= kindNames[s]
		}
	}
	if k == 0 {
		return anyKind
	}
	return k
}
