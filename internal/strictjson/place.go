package strictjson

import (
	"maps"
	"slices"
)

// Place is what is known of the names of members at one place of a value, and below it. A nil Place knows
// of none. Places may lead back to themselves. They are not changed once they are in use.
type Place struct {
	Members map[string]*Place // of each known name, what is known of the member's value
	Rest    *Place            // of the values of other members
	First   []*Place          // of the first elements of an array
	Items   *Place            // of the others

	names Names
	mixed bool // here or below is a name that a plain one can imitate
}

// Seal completes places whose fields have been set, and returns those that know of a name, here or below:
// the others are replaced by nil wherever they are referred to.
func Seal(places []*Place) map[*Place]bool {
	useful := map[*Place]bool{}
	for _, p := range places {
		p.names = NewNames(slices.Collect(maps.Keys(p.Members)))
		p.mixed = p.names.mixed
		useful[p] = len(p.Members) > 0
	}
	for changed := true; changed; { // until nothing more follows
		changed = false
		for _, p := range slices.Backward(places) { // mostly, what a place refers to stands behind it
			p.each(func(child **Place) {
				if !useful[*child] {
					return
				}
				if !useful[p] || (*child).mixed && !p.mixed {
					useful[p], p.mixed, changed = true, p.mixed || (*child).mixed, true
				}
			})
		}
	}
	for _, p := range places {
		p.each(func(child **Place) {
			if !useful[*child] {
				*child = nil
			}
		})
	}
	return useful
}

// each visits what p refers to.
func (p *Place) each(visit func(child **Place)) {
	for name, child := range p.Members {
		visit(&child)
		p.Members[name] = child
	}
	for i := range p.First {
		visit(&p.First[i])
	}
	visit(&p.Rest)
	visit(&p.Items)
}

// element is the place of the element with that index.
func (p *Place) element(n int) *Place {
	switch {
	case p == nil:
		return nil
	case n < len(p.First):
		return p.First[n]
	}
	return p.Items
}
