package catalog

import (
	"maps"
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sallyport/internal/strictjson"
)

// placer finds what names a schema gives at each place of a value. At one place stand all subschemas that
// are applied to it, whether they must hold (allOf), may (anyOf) or must not (not): what one of them names
// is a name there.
type placer struct {
	g     *graph
	known map[string]*strictjson.Place // by the subschemas that stand there
	all   []*strictjson.Place
	left  int // subschemas that may yet be visited
}

// maxPlaced bounds the work that the places of one schema are: a schema can have as many places as its
// subschemas have subsets.
const maxPlaced = 40_000

// places are the names that the schema gives, by place. Of a schema with too many places each name counts
// everywhere.
func (g *graph) places() *strictjson.Place {
	p := &placer{g: g, known: map[string]*strictjson.Place{}, left: maxPlaced}
	root := p.at([]*jsonschema.Schema{g.nodes[g.root]})
	if p.left < 0 {
		root = everywhere(g.nodes)
		p.all = []*strictjson.Place{root}
	}
	if !strictjson.Seal(p.all)[root] {
		return nil
	}
	return root
}

// namesIn are the names of members that n itself gives.
func namesIn(n *jsonschema.Schema) []string {
	names := slices.AppendSeq(slices.Clone(n.Required), maps.Keys(n.Properties))
	names = slices.AppendSeq(names, maps.Keys(n.DependentSchemas))
	names = slices.AppendSeq(names, maps.Keys(n.Dependencies)) // before 2019-09
	for name, others := range n.DependentRequired {
		names = append(append(names, name), others...)
	}
	for _, others := range n.Dependencies {
		if list, ok := others.([]string); ok {
			names = append(names, list...)
		}
	}
	return names
}

// everywhere is one place for the whole value.
func everywhere(nodes []*jsonschema.Schema) *strictjson.Place {
	one := &strictjson.Place{Members: map[string]*strictjson.Place{}}
	one.Rest, one.Items = one, one
	for _, n := range nodes {
		for _, name := range namesIn(n) {
			one.Members[name] = one
		}
	}
	return one
}

// at returns the place of a value that these subschemas are applied to; nil where there are none.
func (p *placer) at(applied []*jsonschema.Schema) *strictjson.Place {
	here := p.closure(applied)
	if len(here) == 0 || p.left < 0 {
		return nil
	}
	var key []byte
	for _, i := range p.order(here) {
		key = append(strconv.AppendInt(key, int64(i), 36), ' ')
	}
	if known := p.known[string(key)]; known != nil {
		return known
	}
	out := &strictjson.Place{Members: map[string]*strictjson.Place{}}
	p.known[string(key)] = out
	p.all = append(p.all, out)
	for _, n := range here {
		for _, name := range namesIn(n) {
			out.Members[name] = nil
		}
	}
	for _, name := range slices.Sorted(maps.Keys(out.Members)) {
		out.Members[name] = p.at(p.member(here, name))
	}
	out.Rest = p.at(p.others(here))
	longest := 0
	for _, n := range here {
		longest = max(longest, len(firstItems(n)))
	}
	for i := range longest {
		out.First = append(out.First, p.at(p.element(here, i)))
	}
	out.Items = p.at(p.element(here, longest))
	return out
}

// closure adds what the subschemas apply in place.
func (p *placer) closure(applied []*jsonschema.Schema) []*jsonschema.Schema {
	seen := make(map[*jsonschema.Schema]bool, len(applied))
	var all []*jsonschema.Schema
	var add func(list []*jsonschema.Schema)
	add = func(list []*jsonschema.Schema) {
		for _, n := range list {
			if p.left--; p.left >= 0 && n != nil && !seen[n] {
				seen[n] = true
				all = append(all, n)
				add(p.g.inPlace(n))
			}
		}
	}
	add(applied)
	return all
}

func (p *placer) order(here []*jsonschema.Schema) []int {
	out := make([]int, len(here))
	for i, n := range here {
		out[i] = p.g.index[n]
	}
	slices.Sort(out)
	return out
}

// member are the subschemas of a member that one of here names.
func (p *placer) member(here []*jsonschema.Schema, name string) (subs []*jsonschema.Schema) {
	for _, n := range here {
		s := n.Properties[name]
		subs = append(subs, s, n.UnevaluatedProperties)
		known := s != nil
		for pattern, s := range n.PatternProperties {
			if pattern.MatchString(name) {
				subs, known = append(subs, s), true
			}
		}
		if !known {
			subs = append(subs, additional(n))
		}
	}
	return subs
}

// others are the subschemas that can be applied to a member that none of here names.
func (p *placer) others(here []*jsonschema.Schema) (subs []*jsonschema.Schema) {
	for _, n := range here {
		subs = append(subs, additional(n), n.UnevaluatedProperties)
		subs = slices.AppendSeq(subs, maps.Values(n.PatternProperties))
	}
	return subs
}

// element are the subschemas of the element with that index.
func (p *placer) element(here []*jsonschema.Schema, i int) (subs []*jsonschema.Schema) {
	for _, n := range here {
		if first := firstItems(n); i < len(first) {
			subs = append(subs, first[i])
		} else {
			subs = append(subs, otherItems(n))
		}
		subs = append(subs, n.Contains, n.UnevaluatedItems)
	}
	return subs
}

func additional(n *jsonschema.Schema) *jsonschema.Schema {
	s, _ := n.AdditionalProperties.(*jsonschema.Schema)
	return s
}

func firstItems(n *jsonschema.Schema) []*jsonschema.Schema {
	if older, ok := n.Items.([]*jsonschema.Schema); ok { // before 2020-12
		return older
	}
	return n.PrefixItems
}

func otherItems(n *jsonschema.Schema) *jsonschema.Schema {
	switch older := n.Items.(type) {
	case *jsonschema.Schema:
		return older
	case []*jsonschema.Schema:
		s, _ := n.AdditionalItems.(*jsonschema.Schema)
		return s
	}
	return n.Items2020
}
