package strictjson

import "slices"

// Outline is what one strict pass has learned of a document, so that later looks at it, or at a
// part of it, need not read every byte again. It holds for exactly the bytes that were checked, and
// for others it knows nothing ([Outline.For]). The zero Outline knows nothing at all, and whoever
// uses it reads everything.
type Outline struct {
	doc   []byte  // that was checked
	large []large // objects and arrays near the root, by where they begin
	base  int     // where the part begins in the document
}

// large is an object or array that is worth a note.
type large struct {
	Span
	plain bool // every member name in it, at every depth, is ASCII without capitals, NULs and escapes
}

const (
	largeValue   = 256 // bytes: below, finding the end is as cheap as looking it up
	outlineLevel = 5   // params.arguments and the rows in it
	maxOutline   = 64
)

// Of is the outline of the value that lies at s.
func (o Outline) Of(s Span) Outline {
	if s.Empty() {
		return Outline{}
	}
	o.base += s.Start
	return o
}

// For is o where data is what o is about, by where it lies in memory, and the zero Outline otherwise.
func (o Outline) For(data []byte) Outline {
	if len(data) == 0 || o.base >= len(o.doc) || &data[0] != &o.doc[o.base] || len(data) > len(o.doc)-o.base {
		return Outline{}
	}
	return o
}

// EachMember is [EachMember] of an object that o outlines.
func (o Outline) EachMember(data []byte, f func(Member)) error {
	return o.For(data).eachMember(data, f)
}

// End returns where the value ends that begins at i, or false where the outline does not know it.
func (o Outline) End(i int) (int, bool) {
	end, _, ok := o.look(i)
	return end, ok
}

func (o Outline) look(i int) (end int, plain, ok bool) {
	at, ok := slices.BinarySearchFunc(o.large, i+o.base, func(l large, start int) int { return l.Start - start })
	if !ok {
		return 0, false, false
	}
	return o.large[at].End - o.base, o.large[at].plain, true
}

// skip is skip that need not look at what the outline knows.
func (o Outline) skip(data []byte, i int) int {
	if end, ok := o.End(i); ok {
		return end
	}
	return skip(data, i)
}

// marks are the large values that a pass has seen.
type marks struct {
	noted [maxOutline]large
	used  int
	mixed bool // a name in what is open since the last mark was not plain
}

// open notes the beginning of an object or array at a level, and returns where, or -1.
func (m *marks) open(i, level int) (slot int, mixed bool) {
	mixed = m.mixed
	if level > outlineLevel || m.used == len(m.noted) {
		return -1, mixed
	}
	m.mixed = false
	m.noted[m.used] = large{Span: Span{Start: i}}
	m.used++
	return m.used - 1, mixed
}

// close notes where it ends; mixed is what open has returned. A small one gives its place back.
func (m *marks) close(slot, end int, mixed bool) {
	if slot < 0 {
		return
	}
	if end-m.noted[slot].Start < largeValue {
		m.used = slot // what lies in it is smaller
	} else {
		m.noted[slot].End, m.noted[slot].plain = end, !m.mixed
	}
	m.mixed = m.mixed || mixed
}
