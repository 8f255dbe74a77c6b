package catalog

import (
	"reflect"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// program is a schema in a form that is checked in one pass over raw bytes. It is one-sided:
// what it matches, the complete implementation accepts; what it does not match is put to that
// one, which decides and writes the message. So it may give up on anything that is rare.
type program struct {
	never bool // matches nothing
	any   bool // matches anything
	types typeSet

	members  map[string]member
	required uint64       // a bit for each required member
	rest     *program     // of members that are no properties; nil: anything
	first    []*program   // of the first elements
	items    *program     // of the others; nil: anything
	branches [][]*program // of each, one must match
	listed   *choices     // the allowed values; nil: any
	pattern  *pattern
	format   func(any) error // of a string; nil: any
	anyText  bool            // a string may be any: no rule is about strings
	length   bounds          // of a string in code points
	count    bounds          // how many of an object
	elements bounds          // how many of an array
	numbers  *numbers        // nil: any
}

// member is what an object's program knows of one name.
type member struct {
	property bool
	value    *program // of a property
	bit      uint64   // of a required member
}

// bounds are inclusive; most is -1 where there is no upper one.
type bounds struct{ least, most int }

func (b bounds) admit(n int) bool { return n >= b.least && (b.most < 0 || n <= b.most) }

type typeSet uint8

const (
	isNull typeSet = 1 << iota
	isBoolean
	isInteger
	isNumber
	isString
	isArray
	isObject
	anyType typeSet = 1<<iota - 1
)

var typeNames = map[string]typeSet{
	"null": isNull, "boolean": isBoolean, "integer": isInteger, "number": isInteger | isNumber,
	"string": isString, "array": isArray, "object": isObject,
}

// maxRequired is how many required names one object of a program may have: a bit of a word each.
const maxRequired = 64

// programmer turns compiled schemas into programs. Schemas may refer to themselves, so a
// program is known by its schema before it is complete.
type programmer struct {
	known map[*jsonschema.Schema]*program
}

// programOf returns the schema as a program, or nil where it uses anything that a program
// cannot do.
func programOf(root *jsonschema.Schema) *program {
	p := &programmer{known: map[*jsonschema.Schema]*program{}}
	out, ok := p.of(root)
	if !ok || out.any || p.circular() { // a value that may be anything still has its bounds
		return nil
	}
	return out
}

// circular reports whether a program has itself among its branches: it would be run on one
// value for ever.
func (p *programmer) circular() bool {
	const open, done = 1, 2
	state := map[*program]int{}
	var visit func(*program) bool
	visit = func(n *program) bool {
		switch state[n] {
		case open:
			return true
		case done:
			return false
		}
		state[n] = open
		for _, b := range slices.Concat(n.branches...) {
			if visit(b) {
				return true
			}
		}
		state[n] = done
		return false
	}
	for _, n := range p.known {
		if n != nil && visit(n) {
			return true
		}
	}
	return false
}

func (p *programmer) of(n *jsonschema.Schema) (*program, bool) {
	if out, ok := p.known[n]; ok {
		return out, out != nil // nil: a reference that leads back to itself
	}
	if n.Ref != nil {
		if !plain(n, "Ref") {
			return nil, false
		}
		p.known[n] = nil
		out, ok := p.of(n.Ref)
		p.known[n] = out
		return out, ok
	}
	out := &program{types: anyType}
	p.known[n] = out
	if n.Bool != nil {
		out.any, out.never = *n.Bool, !*n.Bool
		return out, true
	}
	ok := plain(n, "Types", "Enum", "Const", "AllOf", "AnyOf", "OneOf", "MaxProperties", "MinProperties", "Required", "Properties", "AdditionalProperties",
		"MinItems", "MaxItems", "PrefixItems", "Items", "Items2020", "MinLength", "MaxLength", "Pattern", "Format",
		"Maximum", "Minimum", "ExclusiveMaximum", "ExclusiveMinimum", "MultipleOf")
	return out, ok && p.values(n, out) && p.object(n, out) && p.array(n, out) && p.inPlace(n, out)
}

// descriptive fields say nothing about whether a value is valid. The dynamic anchor matters
// only to a $dynamicRef, which is not plain.
var descriptive = map[string]bool{
	"DraftVersion": true, "Location": true, "ID": true, "Anchor": true, "DynamicAnchor": true, "RecursiveAnchor": true,
	"Title": true, "Description": true, "Default": true, "Comment": true, "ReadOnly": true, "WriteOnly": true,
	"Examples": true, "Deprecated": true,
}

// plain reports whether the schema asserts nothing but with the given fields. It asks by
// name, so that a keyword of a later version of the library is not plain.
func plain(n *jsonschema.Schema, fields ...string) bool {
	v := reflect.ValueOf(n).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() || descriptive[f.Name] || v.Field(i).IsZero() {
			continue
		}
		if k := v.Field(i).Kind(); (k == reflect.Slice || k == reflect.Map) && v.Field(i).Len() == 0 {
			continue
		}
		known := false
		for _, name := range fields {
			known = known || name == f.Name
		}
		if !known {
			return false
		}
	}
	return true
}

func (p *programmer) values(n *jsonschema.Schema, out *program) bool {
	if n.Types != nil && !n.Types.IsEmpty() {
		out.types = 0
		for _, name := range n.Types.ToStrings() {
			out.types |= typeNames[name]
		}
	}
	if !out.choose(n) {
		return false
	}
	out.length = bounds{value(n.MinLength, 0), value(n.MaxLength, -1)}
	if n.Pattern != nil {
		re, ok := n.Pattern.(*pattern)
		if !ok {
			return false
		}
		out.pattern = re
	}
	if n.Format != nil {
		out.format = n.Format.Validate
	}
	out.anyText = out.listed == nil && out.pattern == nil && out.format == nil && out.length == bounds{0, -1}
	out.numbers = numbersOf(n)
	return true
}

func value(n *int, otherwise int) int {
	if n == nil {
		return otherwise
	}
	return *n
}

func (p *programmer) object(n *jsonschema.Schema, out *program) bool {
	if len(n.Required) > maxRequired {
		return false
	}
	out.count = bounds{value(n.MinProperties, 0), value(n.MaxProperties, -1)}
	out.members = make(map[string]member, len(n.Properties))
	for i, name := range n.Required {
		out.members[name] = member{bit: 1 << i}
		out.required |= 1 << i
	}
	switch rest := n.AdditionalProperties.(type) {
	case nil:
	case bool:
		if !rest {
			out.rest = &program{never: true}
		}
	case *jsonschema.Schema:
		sub, ok := p.of(rest)
		if !ok {
			return false
		}
		out.rest = sub
	default:
		return false
	}
	for name, s := range n.Properties {
		sub, ok := p.of(s)
		if !ok {
			return false
		}
		out.members[name] = member{true, sub, out.members[name].bit}
	}
	return true
}

func (p *programmer) array(n *jsonschema.Schema, out *program) bool {
	items := n.Items2020
	switch older := n.Items.(type) {
	case nil:
	case *jsonschema.Schema:
		if items != nil {
			return false
		}
		items = older
	default:
		return false
	}
	if items != nil {
		sub, ok := p.of(items)
		if !ok {
			return false
		}
		out.items = sub
	}
	for _, s := range n.PrefixItems {
		sub, ok := p.of(s)
		if !ok {
			return false
		}
		out.first = append(out.first, sub)
	}
	out.elements = bounds{value(n.MinItems, 0), value(n.MaxItems, -1)}
	return true
}
