package secrets

import (
	"bytes"
	"sort"
)

// view is a text that was made of a part of another one, and where its bytes come from.
type view struct {
	text []byte
	of   *view // nil: the text is the document itself
	base int   // where in of.text the part begins
	end  int   // and ends
	via  string

	// edits are where the text differs from of.text[base:end], in order. Between them it is the
	// same. Where opaque is true nothing is known but that all of it comes from the whole part.
	edits  []edit
	opaque bool

	plain bool // nothing hides in it that the normal form would show
	depth int  // how many encodings were undone
}

// edit says that text[at:at+n] comes from of.text[from:from+m].
type edit struct{ at, n, from, m int32 }

// in returns where text[start:end] comes from in the document. end must be beyond start.
func (v *view) in(start, end int) (int, int) {
	for ; v.of != nil; v = v.of {
		if v.opaque {
			start, end = v.base, v.end
			continue
		}
		start, end = v.first(start), v.last(end-1)
	}
	return start, end
}

// before returns the last edit that begins at or before text[i], or nil.
func (v *view) before(i int) *edit {
	k := sort.Search(len(v.edits), func(k int) bool { return int(v.edits[k].at) > i }) - 1
	if k < 0 {
		return nil
	}
	return &v.edits[k]
}

// first returns where in of.text the first byte begins that text[i] is made of.
func (v *view) first(i int) int {
	e := v.before(i)
	switch {
	case e == nil:
		return v.base + i
	case i < int(e.at+e.n):
		return int(e.from)
	}
	return int(e.from+e.m) + i - int(e.at+e.n)
}

// last returns where in of.text the last byte ends that text[i] is made of.
func (v *view) last(i int) int {
	if e := v.before(i); e != nil && i < int(e.at+e.n) {
		return int(e.from + e.m)
	}
	return v.first(i) + 1
}

// ways lists what was undone to get to the text, outermost first.
func (v *view) ways() []string {
	var all []string
	for ; v != nil; v = v.of {
		if v.via != "" {
			all = append([]string{v.via}, all...)
		}
	}
	return all
}

// maker makes a view by appending to it.
type maker struct {
	view
	next int // what of of.text is to be taken over next
}

func newMaker(of *view, base, end int) *maker {
	return &maker{view{of: of, base: base, end: end, depth: of.depth, text: make([]byte, 0, end-base)}, base}
}

// to takes over all up to of.text[i].
func (m *maker) to(i int) {
	m.text = append(m.text, m.of.text[m.next:i]...)
	m.next = i
}

// replace puts b in the place of the next n bytes.
func (m *maker) replace(n int, b ...byte) {
	m.edits = append(m.edits, edit{int32(len(m.text)), int32(len(b)), int32(m.next), int32(n)})
	m.text = append(m.text, b...)
	m.next += n
}

func (m *maker) done() *view {
	m.to(m.end)
	return &m.view
}

// query returns the view with spaces for the plus signs that were none of its edits, as the
// query of a URL has them.
func (v *view) query() *view {
	q := *v
	q.text = bytes.Clone(v.text)
	from := 0
	for _, e := range append(v.edits, edit{at: int32(len(q.text))}) {
		for i := from; i < int(e.at); i++ {
			if q.text[i] == '+' {
				q.text[i] = ' '
			}
		}
		from = int(e.at + e.n)
	}
	return &q
}
