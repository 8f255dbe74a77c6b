package catalog

import (
	"encoding/json"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// choices are what enum or const allow, as far as a program knows it: arrays, objects and numbers that
// are no plain integers are left to the complete implementation.
type choices struct {
	texts    map[string]bool
	integers map[int64]bool
	yes, no  bool
}

// choose restricts the program to what enum or const allow.
func (p *program) choose(n *jsonschema.Schema) bool {
	var values []any
	switch {
	case n.Enum != nil && n.Const != nil:
		return false
	case n.Enum != nil:
		values = n.Enum.Values
	case n.Const != nil:
		values = []any{*n.Const}
	default:
		return true
	}
	l := &choices{texts: map[string]bool{}, integers: map[int64]bool{}}
	var kinds typeSet
	for _, v := range values {
		kinds |= kindOf(v) &^ (isArray | isObject)
		switch v := v.(type) {
		case string:
			l.texts[v] = true
		case bool:
			l.yes, l.no = l.yes || v, l.no || !v
		case json.Number:
			if i, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
				l.integers[i] = true
			}
		}
	}
	p.listed = l
	p.types &= kinds
	return true
}

func kindOf(v any) typeSet {
	switch v.(type) {
	case nil:
		return isNull
	case bool:
		return isBoolean
	case string:
		return isString
	case []any:
		return isArray
	case map[string]any:
		return isObject
	}
	return isInteger | isNumber
}

// inPlace adds what the schema applies to the value itself besides its own rules.
func (p *programmer) inPlace(n *jsonschema.Schema, out *program) bool {
	if len(n.OneOf) > 0 && !exclusive(n.OneOf) {
		return false // that the others do not match is not certain
	}
	groups := [][]*jsonschema.Schema{n.AnyOf, n.OneOf}
	for _, s := range n.AllOf {
		groups = append(groups, []*jsonschema.Schema{s})
	}
	for _, group := range groups {
		var branch []*program
		for _, s := range group {
			sub, ok := p.of(s)
			if !ok {
				return false
			}
			branch = append(branch, sub)
		}
		if len(branch) > 0 {
			out.branches = append(out.branches, branch)
		}
	}
	return true
}

// exclusive reports whether no value can match two of the schemas.
func exclusive(schemas []*jsonschema.Schema) bool {
	const most = 32 // compared pairwise
	if len(schemas) > most {
		return false
	}
	for i, a := range schemas {
		for _, b := range schemas[:i] {
			if kinds(a)&kinds(b) != 0 && !discriminated(a, b) {
				return false
			}
		}
	}
	return true
}

// kinds are the types of values that the schema may match.
func kinds(n *jsonschema.Schema) typeSet {
	all := anyType
	if n.Bool != nil && !*n.Bool {
		all = 0
	}
	if n.Types != nil && !n.Types.IsEmpty() {
		var named typeSet
		for _, name := range n.Types.ToStrings() {
			named |= typeNames[name]
		}
		all &= named
	}
	if n.Enum != nil {
		var listed typeSet
		for _, v := range n.Enum.Values {
			listed |= kindOf(v)
		}
		all &= listed
	}
	if n.Const != nil {
		all &= kindOf(*n.Const)
	}
	if n.Ref != nil && n.Ref.Ref == nil { // one step: references may lead in a circle
		all &= kinds(n.Ref)
	}
	return all
}

// discriminated reports whether both match objects only, and want different strings in a member that
// both require: what tells apart the variants of a union.
func discriminated(a, b *jsonschema.Schema) bool {
	a, b = behind(a), behind(b)
	if kinds(a) != isObject || kinds(b) != isObject {
		return false
	}
	for _, name := range a.Required {
		for _, other := range b.Required {
			x, y := constant(a.Properties[name]), constant(b.Properties[name])
			if name == other && x != nil && y != nil && *x != *y {
				return true
			}
		}
	}
	return false
}

// behind is the schema that n refers to, or n.
func behind(n *jsonschema.Schema) *jsonschema.Schema {
	if n.Ref != nil && plain(n, "Ref") {
		return n.Ref
	}
	return n
}

// constant is the one string that the schema allows, or nil.
func constant(n *jsonschema.Schema) *string {
	if n == nil {
		return nil
	}
	var v any
	switch {
	case n.Const != nil:
		v = *n.Const
	case n.Enum != nil && len(n.Enum.Values) == 1:
		v = n.Enum.Values[0]
	}
	s, ok := v.(string)
	if !ok {
		return nil
	}
	return &s
}
