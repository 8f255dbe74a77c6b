package strictjson

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// walker applies the rules that jsontext does not know, to a document that it has accepted.
// Its methods take the index of the first byte of a value and return the index after it.
type walker struct {
	data    []byte
	lim     Limits
	spans   []Span
	scratch []byte // of unescaped names
	nul     bool   // a name could hold a NUL
	sound   bool   // what is free need not be looked at
	outline Outline
}

// shortNumber is the length from which a number without an exponent could leave the range of a
// float64.
const shortNumber = 300

// mayHoldNUL is a cheap test that spares nearly every document the look at each name.
func mayHoldNUL(data []byte) bool { return bytes.Contains(data, []byte(`\u0000`)) }

func (w *walker) value(i int, scope *Scope, depth int) (int, *located) {
	end, err := w.enter(i, scope, depth)
	if err == nil && scope != nil && scope.slot > 0 && scope.slot <= len(w.spans) {
		w.spans[scope.slot-1] = Span{i, end}
	}
	return end, err
}

func (w *walker) enter(i int, scope *Scope, depth int) (int, *located) {
	switch c := w.data[i]; {
	case c == '{' && !scope.free():
		return w.object(i, scope, depth+1)
	case c == '[' && !scope.free():
		return w.array(i, scope, depth+1)
	case c == '{' || c == '[':
		return w.unguarded(i, depth)
	case c == '"':
		return skipString(w.data, i), nil
	case isNumber(c):
		return w.number(i)
	default:
		return skipLiteral(w.data, i), nil
	}
}

func (w *walker) object(i int, scope *Scope, depth int) (int, *located) {
	if depth > w.lim.Depth {
		return i, w.tooDeep(i)
	}
	i = space(w.data, i+1)
	for w.data[i] != '}' {
		end := skipString(w.data, i)
		raw := w.data[i:end]
		child, err := w.member(raw, end, scope)
		if err != nil {
			return i, err
		}
		i, err = w.value(space(w.data, space(w.data, end)+1), child, depth)
		if err != nil {
			return i, err.under(memberToken(raw))
		}
		i = comma(w.data, i)
	}
	return i + 1, nil
}

// array gives each element the scope that the array itself has: a list of objects is as
// guarded as one object. Spans are not noted in it, since an element is not the place itself.
func (w *walker) array(i int, scope *Scope, depth int) (int, *located) {
	if depth > w.lim.Depth {
		return i, w.tooDeep(i)
	}
	outer := w.spans
	w.spans = nil
	i = space(w.data, i+1)
	for n := 0; w.data[i] != ']'; n++ {
		var err *located
		if i, err = w.value(i, scope, depth); err != nil {
			return i, err.under(strconv.Itoa(n))
		}
		i = comma(w.data, i)
	}
	w.spans = outer
	return i + 1, nil
}

// member checks one member name and returns the scope of its value.
func (w *walker) member(raw []byte, end int, scope *Scope) (*Scope, *located) {
	name := raw[1 : len(raw)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		w.scratch, _ = jsontext.AppendUnquote(w.scratch[:0], raw) // accepted before
		name = w.scratch
		if bytes.IndexByte(name, 0) >= 0 {
			return nil, w.fail(end, nulName)
		}
	}
	if child, ok := scope.members[string(name)]; ok {
		return child, nil // no imitation: see [Only]
	}
	if key, clash := scope.keys.clash(name); clash {
		return nil, w.fail(end, fmt.Sprintf("member name %s would be read as %q by a parser that ignores case", quoteName(name), key))
	}
	return scope.other, nil
}

// unguarded walks an object or array whose names are free: only depth, numbers and NULs count.
func (w *walker) unguarded(i, depth int) (int, *located) {
	if w.sound {
		return w.outline.skip(w.data, i), nil
	}
	for outer := depth; ; {
		switch c := w.data[i]; {
		case c == '"':
			end := skipString(w.data, i)
			if w.nul && w.data[space(w.data, end)] == ':' && mayHoldNUL(w.data[i:end]) {
				if err := w.nulIn(w.data[i:end], end); err != nil {
					return i, err
				}
			}
			i = end
			continue
		case c == '{' || c == '[':
			if depth++; depth > w.lim.Depth {
				return i, w.tooDeep(i)
			}
		case c == '}' || c == ']':
			if depth--; depth == outer {
				return i + 1, nil
			}
		case isNumber(c):
			end, err := w.number(i)
			if err != nil {
				return i, err
			}
			i = end
			continue
		}
		i++
	}
}

func (w *walker) nulIn(raw []byte, end int) *located {
	w.scratch, _ = jsontext.AppendUnquote(w.scratch[:0], raw) // accepted before
	if bytes.IndexByte(w.scratch, 0) >= 0 {
		return w.fail(end, nulName)
	}
	return nil
}

func (w *walker) number(i int) (int, *located) {
	end := skipLiteral(w.data, i)
	raw := w.data[i:end]
	if len(raw) > w.lim.NumberLen {
		return i, w.fail(end, fmt.Sprintf("a number of %d characters; the limit is %d", len(raw), w.lim.NumberLen))
	}
	// Short literals without an exponent cannot leave the range of a float64.
	if len(raw) < shortNumber && bytes.IndexByte(raw, 'e') < 0 && bytes.IndexByte(raw, 'E') < 0 {
		return end, nil
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f == 0 && bytes.ContainsAny(mantissa(raw), "123456789") {
		return i, w.fail(end, "a number outside the range of a 64-bit float")
	}
	return end, nil
}

func mantissa(raw []byte) []byte {
	if i := bytes.IndexAny(raw, "eE"); i >= 0 {
		return raw[:i]
	}
	return raw
}

func isNumber(c byte) bool { return c == '-' || '0' <= c && c <= '9' }
