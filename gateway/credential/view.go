package credential

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"

	"sallyport/internal/strictjson"
)

// view is a document with something undone, and where each of its bytes comes from.
type view struct {
	text []byte
	from []int32 // from[i] is where text[i] begins in the document, and from[len(text)] its end; nil where text is the document
}

func plain(doc []byte) view { return view{text: doc} }

// span is where text[start:end] lies in the document.
func (v view) span(start, end int) strictjson.Span {
	if v.from == nil {
		return strictjson.Span{Start: start, End: end}
	}
	return strictjson.Span{Start: int(v.from[start]), End: int(v.from[end])}
}

// at is where text[i] begins in the document.
func (v view) at(i int) int32 {
	if v.from == nil {
		return int32(i)
	}
	return v.from[i]
}

// maker makes a view by appending to it.
type maker struct {
	view
	doc view
}

func newMaker(doc view) *maker {
	n := len(doc.text)
	return &maker{view{make([]byte, 0, n), make([]int32, 0, n+1)}, doc}
}

// copy takes over doc.text[i:j].
func (m *maker) copy(i, j int) {
	m.text = append(m.text, m.doc.text[i:j]...)
	if m.doc.from != nil {
		m.from = append(m.from, m.doc.from[i:j]...)
		return
	}
	for ; i < j; i++ {
		m.from = append(m.from, int32(i))
	}
}

// add appends bytes that all come from doc.text[i:].
func (m *maker) add(i int, bytes ...byte) {
	m.text = append(m.text, bytes...)
	for range bytes {
		m.from = append(m.from, m.doc.at(i))
	}
}

func (m *maker) end() view {
	m.from = append(m.from, m.doc.at(len(m.doc.text)))
	return m.view
}

// unescaped undoes JSON's escapes.
func unescaped(doc []byte) view {
	next := bytes.IndexByte(doc, '\\')
	if next < 0 {
		return plain(doc)
	}
	m := newMaker(plain(doc))
	for i := 0; ; {
		if next < 0 {
			m.copy(i, len(doc))
			return m.end()
		}
		m.copy(i, next)
		i = next + m.unescape(next)
		if next = bytes.IndexByte(doc[i:], '\\'); next >= 0 {
			next += i
		}
	}
}

// unescape appends what the escape at i means and returns its length.
func (m *maker) unescape(i int) int {
	doc := m.doc.text
	if i+1 == len(doc) {
		m.copy(i, i+1)
		return 1
	}
	switch c := doc[i+1]; c {
	case 'b', 'f', 'n', 'r', 't':
		m.add(i, "\b\f\n\r\t"[bytes.IndexByte([]byte("bfnrt"), c)])
	case 'u':
		r, ok := hex4(doc[i+2:])
		if !ok {
			m.copy(i, i+2)
			return 2
		}
		size := len(`\u0000`)
		if utf16.IsSurrogate(r) && bytes.HasPrefix(doc[i+size:], []byte(`\u`)) {
			if low, ok := hex4(doc[i+size+2:]); ok {
				r, size = utf16.DecodeRune(r, low), 2*size
			}
		}
		m.add(i, utf8.AppendRune(nil, r)...)
		return size
	default:
		m.add(i, c)
	}
	return 2
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		d := digit(c)
		if d < 0 {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

func digit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// undone undoes a URL's escapes and those of JSON within JSON, and leaves line breaks out. other
// is false where there is nothing to undo.
func undone(v view) (_ view, other bool) {
	i := nextUndone(v.text, 0)
	if i == len(v.text) {
		return v, false
	}
	m := newMaker(v)
	m.copy(0, i)
	for i < len(v.text) {
		switch v.text[i] {
		case '%':
			i += m.percent(i)
		case '\\':
			i += m.unescape(i)
			if last := len(m.text) - 1; m.text[last] == '\n' || m.text[last] == '\r' {
				m.text, m.from = m.text[:last], m.from[:last]
			}
		default:
			i++
		}
		next := nextUndone(v.text, i)
		m.copy(i, next)
		i = next
	}
	return m.end(), true
}

func nextUndone(text []byte, i int) int {
	for ; i < len(text); i++ {
		if c := text[i]; c == '%' || c == '\\' || c == '\n' || c == '\r' {
			break
		}
	}
	return i
}

// percent appends what the %XX at i means and returns its length; a lone % is itself.
func (m *maker) percent(i int) int {
	text := m.doc.text
	if i+2 < len(text) {
		if high, low := digit(text[i+1]), digit(text[i+2]); high >= 0 && low >= 0 {
			m.add(i, byte(high<<4|low))
			return 3
		}
	}
	m.copy(i, i+1)
	return 1
}
