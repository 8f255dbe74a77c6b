package strictjson

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// Span is a half-open range of bytes in a document.
type Span struct{ Start, End int }

// Of returns the bytes of data that the span covers.
func (s Span) Of(data []byte) []byte { return data[s.Start:s.End:s.End] }

// Empty reports whether the span covers nothing, as the zero Span does.
func (s Span) Empty() bool { return s.Start >= s.End }

// Member is one member of an object: its decoded name, and the spans of the quoted name and
// of the value.
type Member struct {
	Name                           string
	NameStart, NameEnd, Start, End int
}

// Value returns the span of the member's value.
func (m Member) Value() Span { return Span{m.Start, m.End} }

// Object returns the members of the object in data, in order, without looking below them.
// data must have passed [Check]; the error says only that it is not an object.
func Object(data []byte) ([]Member, error) {
	members := make([]Member, 0, 8)
	err := EachMember(data, func(m Member) { members = append(members, m) })
	return members, err
}

// EachMember is [Object] that calls f for each member instead of making a list.
func EachMember(data []byte, f func(Member)) error { return Outline{}.eachMember(data, f) }

func (o Outline) eachMember(data []byte, f func(Member)) error {
	i := space(data, 0)
	if i >= len(data) || data[i] != '{' {
		return fmt.Errorf("%w: not an object", ErrStrict)
	}
	i = space(data, i+1)
	for i < len(data) && data[i] != '}' {
		m := Member{NameStart: i, NameEnd: skip(data, i)}
		name, err := String(data[m.NameStart:m.NameEnd])
		if err != nil {
			return err
		}
		m.Name = name
		colon := space(data, m.NameEnd)
		m.Start = space(data, min(colon+1, len(data)))
		m.End = o.skip(data, m.Start)
		if m.End == m.Start { // only in a document that was not checked
			return fmt.Errorf("%w: a member without a value", ErrStrict)
		}
		f(m)
		i = comma(data, m.End)
	}
	return nil
}

// Find returns the span of the value of the member with exactly this name, and whether there
// is one. data must be an object that has passed [Check].
func Find(data []byte, name string) (Span, bool) {
	var found Span
	var ok bool
	if err := EachMember(data, func(m Member) {
		if m.Name == name {
			found, ok = m.Value(), true
		}
	}); err != nil {
		return Span{}, false
	}
	return found, ok
}

// Array returns the spans of the elements of the array in data, which must have passed
// [Check]; the error says only that it is not an array.
func Array(data []byte) ([]Span, error) {
	i := space(data, 0)
	if i >= len(data) || data[i] != '[' {
		return nil, fmt.Errorf("%w: not an array", ErrStrict)
	}
	var spans []Span
	i = space(data, i+1)
	for i < len(data) && data[i] != ']' {
		end := skip(data, i)
		if end == i { // only in a document that was not checked
			return nil, fmt.Errorf("%w: an element without a value", ErrStrict)
		}
		spans = append(spans, Span{i, end})
		i = comma(data, end)
	}
	return spans, nil
}

// String decodes a raw JSON string.
func String(raw []byte) (string, error) {
	if len(raw) < 2 || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return "", fmt.Errorf("%w: not a string", ErrStrict)
	}
	if !hasEscape(raw) {
		return string(raw[1 : len(raw)-1]), nil
	}
	b, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return "", errors.Join(ErrStrict, err)
	}
	return string(b), nil
}

// AppendString appends s as a JSON string, in which invalid UTF-8 is replaced by U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // its only error is about what it has replaced
	return dst
}

// Equal reports whether two raw JSON values are the same identifier: equal bytes, or strings
// that decode alike.
func Equal(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	sa, errA := String(a)
	sb, errB := String(b)
	return errA == nil && errB == nil && sa == sb
}

func hasEscape(raw []byte) bool { return bytes.IndexByte(raw, '\\') >= 0 }

func space(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\r' || data[i] == '\t') {
		i++
	}
	return i
}

// comma moves past white space and a comma to the next member, element or closing bracket.
func comma(data []byte, i int) int {
	if i = space(data, i); i < len(data) && data[i] == ',' {
		i = space(data, i+1)
	}
	return i
}

// skip returns the end of the value that starts at i. It relies on data having been checked.
func skip(data []byte, i int) int {
	if i >= len(data) {
		return i
	}
	switch data[i] {
	case '"':
		return skipString(data, i)
	case '{', '[':
		depth := 0
		for i < len(data) {
			switch data[i] {
			case '"':
				i = skipString(data, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return i
	default:
		return skipLiteral(data, i)
	}
}

// skipLiteral returns the end of the number, true, false or null that starts at i.
func skipLiteral(data []byte, i int) int {
	for ; i < len(data); i++ {
		switch data[i] {
		case ',', ']', '}', ' ', '\n', '\r', '\t':
			return i
		}
	}
	return i
}

// StringEnd returns the index after the string whose opening quote is at i, in a document that has
// passed [Check]; in another it may be any index up to the document's length.
func StringEnd(data []byte, i int) int { return skipString(data, i) }

// skipString is StringEnd.
func skipString(data []byte, i int) int {
	const short = 64 // beyond, a call of what looks at many bytes at once pays for itself
	start := i
	i = plainText(data[:min(len(data), start+short)], start+1, top)
	for ; i < len(data) && i < start+short; i = plainText(data[:min(len(data), start+short)], i+1, top) {
		if data[i] == '"' {
			return i + 1
		}
		if data[i] == '\\' {
			i++
		}
	}
	for quote := -1; i < len(data); {
		if quote < i { // looked for once, however many escapes stand before it
			n := bytes.IndexByte(data[i:], '"')
			if n < 0 {
				return len(data)
			}
			quote = i + n
		}
		slash := bytes.IndexByte(data[i:quote], '\\')
		if slash < 0 {
			return quote + 1
		}
		i += slash + 2
	}
	return len(data)
}
