package secrets

import (
	"math/bits"
	"regexp/syntax"
)

// set is a set of bytes.
type set [4]uint64

func (s *set) add(b byte)      { s[b>>6] |= 1 << (b & 63) }
func (s *set) has(b byte) bool { return s[b>>6]>>(b&63)&1 != 0 }
func (s *set) size() int {
	return bits.OnesCount64(s[0]) + bits.OnesCount64(s[1]) + bits.OnesCount64(s[2]) + bits.OnesCount64(s[3])
}

// element is one step of a shape: a byte of a set, the end of the text, or up to a number of
// bytes of a set.
type element struct {
	kind kind
	set  set
	max  int // of a gap, in bytes; unbounded is less than 0
}

type kind uint8

const (
	oneOf kind = iota // a byte of set
	end               // the end of the text
	gap               // up to max bytes of set
)

const (
	unbounded = -1

	// What a regular expression is unfolded to is bounded: what is cut off becomes a gap.
	maxShapes   = 48
	maxElements = 120
)

// shape is a sequence of elements that every match of one alternative of a regular expression
// has. It may allow more than the expression does, never less.
type shape []element

// gapOf is a gap of up to max bytes of which the shapes are made.
func gapOf(max int, shapes ...shape) []shape {
	e := element{kind: gap, max: max}
	for _, s := range shapes {
		e.set = e.set.or(s.bytes())
	}
	return []shape{{e}}
}

// anything is a gap for what is not unfolded.
func anything(re *syntax.Regexp) []shape {
	return []shape{{{kind: gap, max: longest(re), set: full}}}
}

var full = set{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}

func (s set) or(t set) set { return set{s[0] | t[0], s[1] | t[1], s[2] | t[2], s[3] | t[3]} }

// bytes are those that the shape is made of.
func (s shape) bytes() set {
	var all set
	for i := range s {
		all = all.or(s[i].set)
	}
	return all
}

// shapesOf returns shapes of which each match of re has one. Characters beyond ASCII stand for
// themselves as bytes where they are literal and are gaps otherwise; the conditions \b and ^ hold everywhere.
func shapesOf(re *syntax.Regexp) []shape {
	switch re.Op {
	case syntax.OpLiteral:
		var out shape
		for _, r := range re.Rune {
			out = append(out, runeElement(foldable([]rune{r, r}, re.Flags&syntax.FoldCase != 0)))
		}
		return []shape{out}
	case syntax.OpCharClass:
		return []shape{{runeElement(re.Rune)}}
	case syntax.OpEndText, syntax.OpEndLine:
		return []shape{{{kind: end}}}
	case syntax.OpCapture:
		return shapesOf(re.Sub[0])
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		return repeated(re)
	case syntax.OpConcat:
		out := []shape{{}}
		for _, sub := range re.Sub {
			out = joined(out, shapesOf(sub))
		}
		return out
	case syntax.OpAlternate:
		var out []shape
		for _, sub := range re.Sub {
			out = append(out, shapesOf(sub)...)
		}
		if len(out) > maxShapes {
			return gapOf(longest(re), out...)
		}
		return out
	case syntax.OpEmptyMatch, syntax.OpBeginText, syntax.OpBeginLine, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return []shape{{}}
	}
	return anything(re)
}

// joined appends each of next to each of out, or a gap where that would be too many.
func joined(out, next []shape) []shape {
	if len(out)*len(next) > maxShapes {
		most := 0
		for _, s := range next {
			if n := s.longest(); n == unbounded || most == unbounded {
				most = unbounded
			} else {
				most = max(most, n)
			}
		}
		next = gapOf(most, next...)
	}
	var all []shape
	for _, a := range out {
		for _, b := range next {
			all = append(all, append(append(make(shape, 0, len(a)+len(b)), a...), b...))
		}
	}
	return all
}

// repeated unfolds what must be there; what may is a gap.
func repeated(re *syntax.Regexp) []shape {
	least, most := re.Min, re.Max
	switch re.Op {
	case syntax.OpStar:
		least, most = 0, -1
	case syntax.OpPlus:
		least, most = 1, -1
	case syntax.OpQuest:
		// Both ways are worth their own shape: a terminator may or may not follow.
		return append([]shape{{}}, shapesOf(re.Sub[0])...)
	}
	sub := shapesOf(re.Sub[0])
	each := longest(re.Sub[0])
	out := []shape{{}}
	for i := range least {
		if len(out)*len(sub) > maxShapes || len(out[0]) > maxElements {
			return joined(out, gapOf(times(most-i, each, most), sub...))
		}
		out = joined(out, sub)
	}
	if most != least {
		out = joined(out, gapOf(times(most-least, each, most), sub...))
	}
	return out
}

func times(n, each, most int) int {
	if most < 0 || each < 0 {
		return unbounded
	}
	return n * each
}

// longest is how many bytes a match of re can have.
func longest(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpLiteral:
		n := 0
		for _, r := range re.Rune {
			n += widest(foldable([]rune{r, r}, re.Flags&syntax.FoldCase != 0))
		}
		return n
	case syntax.OpCharClass:
		return widest(re.Rune)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 4
	case syntax.OpStar, syntax.OpPlus:
		return unbounded
	case syntax.OpRepeat:
		return times(re.Max, longest(re.Sub[0]), re.Max)
	case syntax.OpCapture, syntax.OpQuest, syntax.OpConcat, syntax.OpAlternate:
		n := 0
		for _, sub := range re.Sub {
			m := longest(sub)
			if m < 0 {
				return unbounded
			}
			if re.Op == syntax.OpAlternate {
				n = max(n, m)
			} else {
				n += m
			}
		}
		return n
	}
	return 0
}

func (s shape) longest() int {
	n := 0
	for _, e := range s {
		switch {
		case e.kind == gap && e.max < 0:
			return unbounded
		case e.kind == gap:
			n += e.max
		case e.kind == oneOf:
			n++
		}
	}
	return n
}

// runeElement is the element for a class of characters, given as pairs. Where the class has
// characters beyond ASCII it is those of ASCII alone if they are forms of them (the sign for
// Kelvin is a k to (?i)): texts are scanned with such characters replaced. Classes that are open
// to all of Unicode become gaps.
func runeElement(pairs []rune) element {
	var s set
	for i := 0; i+1 < len(pairs); i += 2 {
		lo, hi := pairs[i], pairs[i+1]
		if hi > 0x7f && hi != 0x17f && hi != 0x212a {
			return element{kind: gap, max: 4, set: full}
		}
		for r := lo; r <= hi && r < 0x80; r++ {
			s.add(byte(r))
		}
	}
	return element{kind: oneOf, set: s}
}

func foldable(pair []rune, fold bool) []rune {
	r := pair[0]
	if !fold || r > 0x7f {
		return pair
	}
	switch {
	case 'a' <= r && r <= 'z':
		return append(pair, r-'a'+'A', r-'a'+'A')
	case 'A' <= r && r <= 'Z':
		return append(pair, r-'A'+'a', r-'A'+'a')
	}
	return pair
}

func widest(pairs []rune) int {
	for i := 1; i < len(pairs); i += 2 {
		if hi := pairs[i]; hi > 0x7f && hi != 0x17f && hi != 0x212a {
			return 4
		}
	}
	return 1
}
