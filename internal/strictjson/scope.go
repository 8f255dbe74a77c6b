package strictjson

// Scope says which names of an object a [KeySet] guards, and which scope each member opens.
// It is immutable. A nil Scope guards nothing, there or below.
type Scope struct {
	keys    *KeySet
	members map[string]*Scope
	other   *Scope
	slot    int // of the span that notes the value, plus one
}

// NewScope returns a scope in which names may not fold to a key without being it, at any
// depth. Members named in special open the scope given there. They are special in this object
// only: below the others the names are guarded, but a member called like one in special is
// just a member. Else a value could be noted ([Scope.Capture]) from a place where no protocol
// looks for it.
func NewScope(keys *KeySet, special map[string]*Scope) *Scope {
	rest := Only(keys, nil)
	rest.other = rest
	s := Only(keys, special)
	s.other = rest
	return s
}

// Only returns a scope that guards this object but nothing below it, save the members named
// in special. A name in special that imitates a key is a programming error and panics.
func Only(keys *KeySet, special map[string]*Scope) *Scope {
	for name := range special {
		if key, clash := keys.clash([]byte(name)); clash {
			panic("strictjson: scope member " + name + " imitates the key " + key)
		}
	}
	return &Scope{keys: keys, members: special}
}

// Each returns a scope for an object whose own names are free, but whose members all open
// scope.
func Each(scope *Scope) *Scope { return &Scope{other: scope} }

// Capture returns s for one place of which [CheckSpans] notes the value's span in
// spans[slot]. s may be nil. Nothing inside an array is noted, for there the place is not
// unique; for the same reason a captured scope must be opened by one place only.
func (s *Scope) Capture(slot int) *Scope {
	var c Scope
	if s != nil {
		c = *s
	}
	c.slot = slot + 1
	return &c
}

// free reports whether nothing is to be done with names at this place or below it.
func (s *Scope) free() bool { return s == nil || s.keys == nil && s.members == nil && s.other == nil }
