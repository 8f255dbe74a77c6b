package secrets

import "slices"

// pattern is a part of a rule's shape without gaps: three bytes of it are looked for, then it
// is compared, then the rule's expression has the last word.
type pattern struct {
	rule        *rule
	core        []element
	at          int  // of the three bytes in core
	before      int  // bytes that a match can have before core, or unbounded
	after       int  // bytes that a match can have after core, or unbounded
	left, right set  // what the bytes before and after core are
	name        bool // core is a name of an assignment, which goes on with the rule's values
	hint        bool // core is a keyword: it only says that the rule is to look at the whole text
}

// maxTriples bounds how many triples of bytes one pattern is found by.
const maxTriples = 4000

// newPattern chooses the part of s that is found least often by accident. ok is false where no
// part is fit to be looked for.
func newPattern(r *rule, s shape) (p *pattern, ok bool) {
	best := 0.0
	for i := 0; i+3 <= len(s); i++ {
		cost, n := 1.0, 1
		for _, e := range s[i : i+3] {
			if e.kind != oneOf {
				n = 0
				break
			}
			folded := e.set.folded()
			cost *= frequency(&folded)
			n *= folded.size()
		}
		if n == 0 || n > maxTriples || p != nil && cost >= best {
			continue
		}
		best = cost
		first, last := i, i+3
		for first > 0 && s[first-1].kind != gap {
			first--
		}
		for last < len(s) && s[last].kind != gap {
			last++
		}
		p = &pattern{rule: r, core: s[first:last], at: i - first, before: s[:first].longest(), after: s[last:].longest(), left: s[:first].bytes(), right: s[last:].bytes()}
	}
	return p, p != nil
}

// newName is newPattern for a name: core goes up to its end, where the assignment begins.
func newName(r *rule, s shape) (p *pattern, ok bool) {
	k := len(s)
	for k > 0 && s[k-1].kind != gap {
		k--
	}
	if p, ok = newPattern(r, s[k:]); ok {
		p.name, p.before, p.left = true, s[:k].longest(), s[:k].bytes()
	}
	return p, ok
}

// fits reports whether the core of p lies in text at i.
func (p *pattern) fits(text []byte, i int) bool {
	return i >= 0 && fits(p.core, text, i)
}

// fits reports whether the elements before the first gap lie in text at i.
func fits(s []element, text []byte, i int) bool {
	for k := range s {
		switch e := &s[k]; e.kind {
		case oneOf:
			if i >= len(text) || !e.set.has(text[i]) {
				return false
			}
			i++
		case end:
			return i >= len(text) || text[i] == '"' // see [layers.match]
		default:
			return true
		}
	}
	return true
}

// index finds patterns by three bytes in a row. Case is folded. Immutable.
type index struct {
	filter  [1 << (tripleBits - 6)]uint64 // which triples are in list
	bucket  []uint16                      // by triple
	buckets [][]*pattern
}

const (
	codeBits   = 6
	tripleBits = 3 * codeBits
	tripleMask = 1<<tripleBits - 1
)

// codes maps the bytes that triples are made of to 1..63, others to 0.
var codes = func() (c [256]uint8) {
	next := uint8(1)
	for _, b := range []byte("abcdefghijklmnopqrstuvwxyz0123456789_-.=:/~+|%") {
		c[b] = next
		next++
	}
	for b := 'A'; b <= 'Z'; b++ {
		c[b] = c[b-'A'+'a']
	}
	return c
}()

// folded is the set with a letter in lower case for each in either, and without bytes that no
// triple is made of.
func (s *set) folded() set {
	var out set
	for b := range 256 {
		if s.has(byte(b)) && codes[b] != 0 {
			c := byte(b)
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			out.add(c)
		} else if s.has(byte(b)) {
			return set{} // a match may have a byte here that cannot be looked for
		}
	}
	return out
}

// weights say about how often bytes are in a text, in percent of its letters. They need not be
// right, they only rank what to look for.
var weights = func() (w [256]float64) {
	for i := range w {
		w[i] = 1
	}
	for c := 'a'; c <= 'z'; c++ {
		w[c] = 3
	}
	for _, c := range "etaoinsr" {
		w[c] = 8
	}
	for _, c := range "kvxjqzw" {
		w[c] = 1
	}
	for c := '0'; c <= '9'; c++ {
		w[c] = 2
	}
	w['/'], w['.'], w[':'], w['~'], w['%'], w['|'] = 4, 2, 4, 0.1, 0.2, 0.2
	return w
}()

func frequency(s *set) float64 {
	sum := 0.0
	for b := range 256 {
		if s.has(byte(b)) {
			sum += weights[b]
		}
	}
	return sum
}

type indexBuilder struct {
	of  map[uint32][]*pattern
	all map[*rule][]*pattern
}

// add takes p in, or what it adds to a pattern of its rule with the same core.
func (b *indexBuilder) add(p *pattern) {
	for _, q := range b.all[p.rule] {
		if q.at == p.at && q.name == p.name && q.hint == p.hint && slices.Equal(q.core, p.core) {
			q.left, q.right = q.left.or(p.left), q.right.or(p.right)
			q.before, q.after = wider(q.before, p.before), wider(q.after, p.after)
			return
		}
	}
	if b.of == nil {
		b.of, b.all = map[uint32][]*pattern{}, map[*rule][]*pattern{}
	}
	b.all[p.rule] = append(b.all[p.rule], p)
	var sets [3][]byte
	for k := range sets {
		s := p.core[p.at+k].set.folded()
		for c := range 256 {
			if s.has(byte(c)) {
				sets[k] = append(sets[k], codes[c])
			}
		}
	}
	for _, x := range sets[0] {
		for _, y := range sets[1] {
			for _, z := range sets[2] {
				t := uint32(x)<<(2*codeBits) | uint32(y)<<codeBits | uint32(z)
				b.of[t] = append(b.of[t], p)
			}
		}
	}
}

func wider(a, b int) int {
	if a == unbounded || b == unbounded {
		return unbounded
	}
	return max(a, b)
}

func (b *indexBuilder) build() *index {
	ix := &index{bucket: make([]uint16, 1<<tripleBits)}
	for t, list := range b.of {
		ix.filter[t>>6] |= 1 << (t & 63)
		ix.bucket[t] = uint16(len(ix.buckets))
		ix.buckets = append(ix.buckets, list)
	}
	return ix
}

// next returns the patterns of which the three bytes end before text[i], for the first i at or
// behind the given one, and the number of the triple before it; none where there are none to the end.
func (ix *index) next(text []byte, i int, t uint32) (list []*pattern, end int, _ uint32) {
	for k, c := range text[i:] {
		t = (t<<codeBits | uint32(codes[c])) & tripleMask
		if ix.filter[t>>6]&(1<<(t&63)) != 0 {
			return ix.buckets[ix.bucket[t]], i + k + 1, t
		}
	}
	return nil, len(text), 0
}
