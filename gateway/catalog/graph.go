package catalog

import (
	"errors"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// graph is every subschema that can be reached from the root, in an order in which those
// that apply to the same place of a value come before the one that names them.
type graph struct {
	nodes   []*jsonschema.Schema
	edges   []edges // of the node with the same index
	root    int
	index   map[*jsonschema.Schema]int
	dynamic map[string][]*jsonschema.Schema // by $dynamicAnchor
}

var errSelfReference = errors.New("a subschema refers to itself without going into the value: it cannot be validated")

// walk collects the graph. It refuses one that is too large, and one in which a subschema
// applies itself to the same place of a value again. targets are those of dynamic
// references, to which no other path need lead.
func walk(root *jsonschema.Schema, targets []*jsonschema.Schema) (*graph, error) {
	g := &graph{index: map[*jsonschema.Schema]int{}, dynamic: map[string][]*jsonschema.Schema{}}
	var all []*jsonschema.Schema
	seen := map[*jsonschema.Schema]bool{}
	add := func(list []*jsonschema.Schema) {
		for _, n := range list {
			if !seen[n] {
				seen[n] = true
				all = append(all, n)
			}
		}
	}
	add([]*jsonschema.Schema{root})
	add(targets)
	dynamicRefs := 0
	for i := 0; i < len(all); i++ {
		n := all[i]
		if n.DynamicAnchor != "" {
			g.dynamic[n.DynamicAnchor] = append(g.dynamic[n.DynamicAnchor], n)
		}
		if n.DynamicRef != nil {
			dynamicRefs++
		}
		add(inPlace(n))
		add(below(n))
		if len(all) > maxSubschemas {
			return nil, fmt.Errorf("more than %d subschemas", maxSubschemas)
		}
	}
	for _, targets := range g.dynamic {
		if dynamicRefs*len(targets) > maxDynamicEdges {
			return nil, errors.New("too many dynamic references")
		}
	}
	if err := g.sort(all); err != nil {
		return nil, err
	}
	g.root = g.index[root]
	for _, n := range g.nodes {
		g.edges = append(g.edges, g.edgesOf(n))
	}
	return g, nil
}

// sort orders the nodes so that costs can be computed in one pass.
func (g *graph) sort(all []*jsonschema.Schema) error {
	const entered = -1
	var visit func(n *jsonschema.Schema) error
	visit = func(n *jsonschema.Schema) error {
		if i, ok := g.index[n]; ok {
			if i == entered {
				return errSelfReference
			}
			return nil
		}
		g.index[n] = entered
		for _, sub := range g.inPlace(n) {
			if err := visit(sub); err != nil {
				return err
			}
		}
		g.index[n] = len(g.nodes)
		g.nodes = append(g.nodes, n)
		return nil
	}
	for _, n := range all {
		if err := visit(n); err != nil {
			return err
		}
	}
	return nil
}

// inPlace returns the subschemas that n applies to the same place of the value, with every
// subschema that a dynamic reference could mean.
func (g *graph) inPlace(n *jsonschema.Schema) []*jsonschema.Schema {
	subs := inPlace(n)
	if n.DynamicRef != nil && n.DynamicRef.Anchor != "" {
		for _, target := range g.dynamic[n.DynamicRef.Anchor] {
			if target != n.DynamicRef.Ref {
				subs = append(subs, target)
			}
		}
	}
	return subs
}

// indexes names nodes of a graph.
type indexes []int

func (list indexes) sum(of []float64) (total float64) {
	for _, i := range list {
		total += of[i]
	}
	return total
}

func (list indexes) most(of []float64) (most float64) {
	for _, i := range list {
		most = max(most, of[i])
	}
	return most
}

// edges is what one subschema applies, and where.
type edges struct {
	inPlace                   indexes // all of them, to the value itself
	names                     indexes // all, to the name of each member
	member, item              indexes // at most one, to each member or element
	members, items            indexes // all, to each member or element
	admitsObject, admitsArray bool    // whether values of the type are looked into
}

func (g *graph) edgesOf(n *jsonschema.Schema) edges {
	at := func(list []*jsonschema.Schema) indexes {
		out := make(indexes, len(list))
		for i, s := range list {
			out[i] = g.index[s]
		}
		return out
	}
	e := edges{
		inPlace:      at(g.inPlace(n)),
		names:        at(namesOf(n)),
		admitsObject: admitsType(n, "object"),
		admitsArray:  admitsType(n, "array"),
	}
	either, also := membersOf(n)
	e.member, e.members = at(either), at(also)
	either, also = itemsOf(n)
	e.item, e.items = at(either), at(also)
	return e
}
