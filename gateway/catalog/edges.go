package catalog

import "github.com/santhosh-tekuri/jsonschema/v6"

// inPlace returns the subschemas that n itself applies to the place of the value that n is
// applied to.
func inPlace(n *jsonschema.Schema) []*jsonschema.Schema {
	var subs []*jsonschema.Schema
	add := func(list ...*jsonschema.Schema) {
		for _, s := range list {
			if s != nil {
				subs = append(subs, s)
			}
		}
	}
	add(n.Ref, n.Not, n.If, n.Then, n.Else)
	if n.DynamicRef != nil {
		add(n.DynamicRef.Ref)
	}
	add(n.AllOf...)
	add(n.AnyOf...)
	add(n.OneOf...)
	for _, s := range n.DependentSchemas {
		add(s)
	}
	for _, d := range n.Dependencies {
		if s, ok := d.(*jsonschema.Schema); ok {
			add(s)
		}
	}
	return subs
}

// below returns the subschemas that n applies to what is inside the value.
func below(n *jsonschema.Schema) []*jsonschema.Schema {
	subs := namesOf(n)
	either, also := membersOf(n)
	subs = append(append(subs, either...), also...)
	either, also = itemsOf(n)
	subs = append(append(subs, either...), also...)
	if n.ContentSchema != nil {
		subs = append(subs, n.ContentSchema)
	}
	return subs
}

// namesOf returns what n applies to the name of each member of an object.
func namesOf(n *jsonschema.Schema) []*jsonschema.Schema {
	if n.PropertyNames == nil {
		return nil
	}
	return []*jsonschema.Schema{n.PropertyNames}
}

// membersOf returns what n applies to the members of an object: to one member at most one of
// either, and possibly all of also.
func membersOf(n *jsonschema.Schema) (either, also []*jsonschema.Schema) {
	for _, s := range n.Properties {
		either = append(either, s)
	}
	if s, ok := n.AdditionalProperties.(*jsonschema.Schema); ok {
		either = append(either, s)
	}
	for _, s := range n.PatternProperties {
		also = append(also, s)
	}
	if n.UnevaluatedProperties != nil {
		also = append(also, n.UnevaluatedProperties)
	}
	return either, also
}

// itemsOf is membersOf for the elements of an array.
func itemsOf(n *jsonschema.Schema) (either, also []*jsonschema.Schema) {
	either = append(either, n.PrefixItems...)
	if n.Items2020 != nil {
		either = append(either, n.Items2020)
	}
	switch items := n.Items.(type) { // before 2020-12
	case *jsonschema.Schema:
		either = append(either, items)
	case []*jsonschema.Schema:
		either = append(either, items...)
	}
	if s, ok := n.AdditionalItems.(*jsonschema.Schema); ok {
		either = append(either, s)
	}
	if n.Contains != nil {
		also = append(also, n.Contains)
	}
	if n.UnevaluatedItems != nil {
		also = append(also, n.UnevaluatedItems)
	}
	return either, also
}
