package strictjson

import "sync"

// shape is how the newest object of a level is written: all that stands between its values. The
// rows of a list are mostly written like the one before them. Bytes that were read in a state are
// read in the same state to the same end, so where they are equal one comparison is enough: for the
// grammar, and for the names, which were found different from each other before.
type shape struct {
	steps [shapeNames]step
	used  int
}

// step is what leads to one value of an object.
type step struct {
	Span       // from the end of the value before it, or the brace, to the value
	name  Span // in it, with its quotes
	mixed bool // the name is not plain, see [large]
}

const (
	shapeNames  = 16 // names of an object that are kept
	shapeLevels = 8
)

func (s *step) width() int { return s.End - s.Start }

// has reports whether the shape goes on for an n-th value.
func (s *shape) has(n int) bool { return n < s.used }

// learn makes a step the n-th, if it is one that is kept, and the last for now: all before it are of
// the same object.
func (s *shape) learn(n int, st step) {
	if s != nil && n < shapeNames {
		s.steps[n] = st
		s.used = n + 1
	}
}

// shape is that of a level, or nil.
func (q *quick) shape(level int) *shape {
	if level < 0 || level >= shapeLevels {
		return nil
	}
	return &q.shapes[level]
}

// again reports whether the bytes of a step stand at i as well.
func (q *quick) again(i int, s *step) bool {
	n := s.width()
	return len(q.data)-i >= n && string(q.data[i:i+n]) == string(q.data[s.Start:s.End])
}

// repeat notes the name of a step among those since first, and reports whether there was room. It is
// a name that the object has not had, since it has had no others than the shape's up to here.
func (q *quick) repeat(s *step, first int) bool {
	if q.used-first >= maxQuickNames || q.used == len(q.names) {
		return false
	}
	q.names[q.used] = s.name
	q.used++
	q.marks.mixed = q.marks.mixed || s.mixed
	return true
}

var scanners = sync.Pool{New: func() any { return new(quick) }}

// quickly is a quick scan: whether it is certain of the document, what it has learned of it, and
// whether there is a number in it that is long or has an exponent.
func quickly(data []byte, depth int) (o Outline, odd, ok bool) {
	q := scanners.Get().(*quick)
	defer scanners.Put(q)
	q.begin(data, depth)
	if ok = q.certain(); ok {
		o, odd = q.outline(), q.odd
	}
	q.data = nil
	return o, odd, ok
}

// begin forgets the document before.
func (q *quick) begin(data []byte, depth int) {
	q.data, q.depth, q.used, q.odd = data, depth, 0, false
	q.marks.used, q.marks.mixed = 0, false
	for i := range q.shapes {
		q.shapes[i].used = 0
	}
}
