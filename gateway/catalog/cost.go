package catalog

import (
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sallyport/internal/strictjson"
)

// cost bounds the work of the full validator, which visits a place of a value once for every
// path through the schema that leads there, remembers nothing and cannot be stopped.
//
// visits[d] bounds the visits of any one place at most d levels down, and patterns[d] the
// pattern instructions run for each byte of it. Both count enumerations and the like as more
// than one visit.
type cost struct {
	visits, patterns [maxValueDepth + 1]float64
}

// estimate computes the bounds and refuses a schema that is expensive whatever the value.
func estimate(g *graph) (*cost, error) {
	visits := g.spread(visitWeight)
	if visits.worst > maxBranches {
		return nil, fmt.Errorf("its branches multiply: one value could be visited %.3g times; the limit is %d", visits.worst, maxBranches)
	}
	// A schema that recurs can be as expensive as it likes in theory, since its values can be
	// as deep; what one value costs is then decided when there is one.
	if most := visits.most[maxValueDepth]; !visits.endless && most > maxVisits {
		return nil, fmt.Errorf("its branches multiply: one value could be visited %.3g times; the limit is %d", most, maxVisits)
	}
	return &cost{visits: visits.most, patterns: g.spread(patternWeight).most}, nil
}

// spread is what a kind of weight comes to, for a schema and a place of a value. Sums too
// large for a float64 are +Inf, which every limit refuses.
type spread struct {
	most    [maxValueDepth + 1]float64 // the largest sum that meets in one place at most so deep
	worst   float64                    // the largest sum of one subschema in the place it applies to
	endless bool                       // the schema reaches below maxValueDepth
}

func (g *graph) spread(weight func(*jsonschema.Schema) float64) spread {
	var s spread
	at := make([]float64, len(g.nodes))
	for i, n := range g.nodes {
		at[i] = weight(n) + g.edges[i].inPlace.sum(at)
		s.worst = max(s.worst, at[i])
	}
	s.most[0] = at[g.root]
	names := at
	for d := 1; d <= maxValueDepth; d++ {
		at, s.endless = g.deeper(at, names)
		s.most[d] = max(s.most[d-1], at[g.root])
		names = nil // the name of a member has nothing below it
	}
	return s
}

// deeper computes the sums one level further down: what a subschema brings to a place d
// levels below is what those it applies one level below bring to d-1 levels below. A value is
// an object or an array, never both, so the two are kept apart: else any schema that recurs
// through both would seem to double at each level.
func (g *graph) deeper(below, names []float64) (both []float64, some bool) {
	objects := make([]float64, len(g.nodes))
	arrays := make([]float64, len(g.nodes))
	both = make([]float64, len(g.nodes))
	for i, e := range g.edges {
		if e.admitsObject {
			objects[i] = e.inPlace.sum(objects) + e.member.most(below) + e.members.sum(below)
			if names != nil {
				objects[i] += e.names.sum(names)
			}
		}
		if e.admitsArray {
			arrays[i] = e.inPlace.sum(arrays) + e.item.most(below) + e.items.sum(below)
		}
		both[i] = max(objects[i], arrays[i])
		some = some || both[i] > 0
	}
	return both, some
}

// admitsType reports whether the validator looks any further into a value of this type.
func admitsType(n *jsonschema.Schema, typ string) bool {
	if n.Types != nil && !n.Types.IsEmpty() {
		found := false
		for _, t := range n.Types.ToStrings() {
			found = found || t == typ
		}
		if !found {
			return false
		}
	}
	if n.Const != nil && isScalar(*n.Const) {
		return false
	}
	if n.Enum == nil {
		return true
	}
	for _, v := range n.Enum.Values {
		if !isScalar(v) {
			return true
		}
	}
	return false
}

func isScalar(v any) bool {
	switch v.(type) {
	case []any, map[string]any:
		return false
	}
	return true
}

func visitWeight(n *jsonschema.Schema) float64 {
	w := 1 + float64(len(n.Required)+len(n.DependentRequired))/16
	if n.Enum != nil {
		w += float64(len(n.Enum.Values)) / 16
	}
	if n.UniqueItems {
		w += 50 // compares up to 20 elements pairwise, with all that is in them
	}
	return w
}

func patternWeight(n *jsonschema.Schema) float64 {
	w := 0.0
	if p, ok := n.Pattern.(*pattern); ok {
		w += float64(p.insts)
	}
	for re := range n.PatternProperties {
		if p, ok := re.(*pattern); ok {
			w += float64(p.insts)
		}
	}
	return w
}

// affordable reports whether validating value is certain to stay within the budget.
func (c *cost) affordable(value []byte) bool {
	places, depth := measure(value)
	if depth > maxValueDepth {
		return false
	}
	visits := float64(places) * c.visits[depth]
	work := float64(len(value)) * c.patterns[depth]
	return visits <= maxVisits && work <= maxPatternWork
}

// measure counts the values and member names of a document, and how deep they nest.
func measure(value []byte) (places, depth int) {
	places = 1
	level := 0
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '"':
			i = stringEnd(value, i) - 1
		case '{', '[':
			level++
			places++
			depth = max(depth, level)
		case '}', ']':
			level--
		case ',', ':':
			places++
		}
	}
	return places, depth
}

// stringEnd returns the index after the string whose opening quote is at i.
func stringEnd(b []byte, i int) int { return strictjson.StringEnd(b, i) }
