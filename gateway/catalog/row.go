package catalog

import (
	"sync"

	"sallyport/internal/strictjson"
)

// row is how the newest object of a level was written, and what its program says of each member. The
// rows of a list are mostly written like the one before, and one comparison then finds the member.
type row struct {
	of    *program
	steps [rowSteps]rowStep
	used  int
}

// rowStep is what stood between two values of an object: from the end of the one, or the brace, to
// the other.
type rowStep struct {
	strictjson.Span
	member
}

const (
	rowSteps  = 16 // members of an object that are kept
	rowLevels = 6
)

// row is what is known of objects at this level for a program, or nil where nothing is kept.
func (m *matcher) row(p *program) *row {
	if m.level >= rowLevels {
		return nil
	}
	r := &m.rows[m.level]
	if r.of != p {
		r.of, r.used = p, 0
	}
	return r
}

// learn makes a step the n-th, and the last for now: all before it are of the same object.
func (r *row) learn(n int, s rowStep) {
	if r != nil && n < rowSteps {
		r.steps[n] = s
		r.used = n + 1
	}
}

// again reports whether the bytes at s stand at i as well.
func (m *matcher) again(i int, s strictjson.Span) bool {
	n := s.End - s.Start
	return len(m.data)-i >= n && string(m.data[i:i+n]) == string(m.data[s.Start:s.End])
}

var matchers = sync.Pool{New: func() any { return new(matcher) }}

func (m *matcher) begin(data []byte, o strictjson.Outline) {
	m.data, m.outline, m.level = data, o.For(data), 0
	m.work, m.patterns = 8*len(data)+4096, maxPatternWork
	for i := range m.rows {
		m.rows[i].of = nil
	}
}

// end gives m back, without the value and its outline.
func (m *matcher) end() {
	m.data, m.outline = nil, strictjson.Outline{}
	matchers.Put(m)
}
