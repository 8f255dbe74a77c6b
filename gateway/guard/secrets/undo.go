package secrets

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// near is how far around an edit a text is scanned again with the edit made. What a rule looks
// at together lies within it, and so do edits that are made together.
const near = 512

// unescape returns the document with the escapes of its strings undone, as one text with the
// punctuation around the strings: a rule needs to see a name and its value.
func unescape(doc *view) *view {
	i := bytes.IndexByte(doc.text, '\\')
	if i < 0 {
		return doc
	}
	from := doc.text
	text := make([]byte, len(from)) // an escape is longer than what it means
	edits := make([]edit, 0, bytes.Count(from[i:], []byte{'\\'}))
	n := copy(text, from[:i])
	for i < len(from) {
		at, begin := n, i
		if i+1 < len(from) && meant[from[i+1]] != 0 {
			text[n] = meant[from[i+1]]
			n, i = n+1, i+2
		} else if b, m := escape(from[i:]); m > 0 {
			n, i = n+copy(text[n:], b), i+m
		} else {
			text[n] = from[i] // in no sound document
			n, i = n+1, i+1
		}
		edits = append(edits, edit{int32(at), int32(n - at), int32(begin), int32(i - begin)})
		k := copyPlain(text[n:], from[i:])
		n, i = n+k, i+k
	}
	return &view{of: doc, end: len(from), depth: doc.depth, text: text[:n], edits: edits}
}

// meant is what an escape of one letter means; 0 for letters that are none.
var meant = [256]byte{'"': '"', '\\': '\\', '/': '/', '\'': '\'', 'n': '\n', 't': '\t', 'r': '\r', 'b': '\b', 'f': '\f'}

// copyPlain copies what stands before the next backslash and returns how much. Between escapes there
// is mostly little, which is copied sooner than it could be measured.
func copyPlain(dst, from []byte) int {
	const little = 16
	for i := range min(len(from), little) {
		if from[i] == '\\' {
			return i
		}
		dst[i] = from[i]
	}
	if len(from) <= little {
		return len(from)
	}
	k := bytes.IndexByte(from[little:], '\\')
	if k < 0 {
		k = len(from) - little
	}
	return little + copy(dst[little:], from[little:little+k])
}

// escape returns what the escape at the beginning of text means and how long it is; n is 0 where it is none.
func escape(text []byte) (b []byte, n int) {
	if len(text) < 2 {
		return nil, 0
	}
	switch c := text[1]; c {
	case '"', '\\', '/', '\'':
		return text[1:2], 2
	case 'n':
		return oneByte('\n'), 2
	case 't':
		return oneByte('\t'), 2
	case 'r':
		return oneByte('\r'), 2
	case 'b':
		return oneByte('\b'), 2
	case 'f':
		return oneByte('\f'), 2
	case 'x':
		if r, ok := digits(text[2:], 2); ok {
			return oneByte(byte(r)), 4
		}
	case 'u':
		r, ok := digits(text[2:], 4)
		if !ok {
			return nil, 0
		}
		n = 6
		if utf16.IsSurrogate(r) && bytes.HasPrefix(text[6:], []byte(`\u`)) {
			if low, ok := digits(text[8:], 4); ok {
				r, n = utf16.DecodeRune(r, low), 12
			}
		}
		return utf8.AppendRune(nil, r), n
	}
	return nil, 0
}

// percent is escape for the escapes of URLs.
func percent(text []byte) (b []byte, n int) {
	if len(text) < 3 {
		return nil, 0
	}
	r, ok := digits(text[1:], 2)
	if !ok {
		return nil, 0
	}
	return oneByte(byte(r)), 3
}

// bytesInOrder holds each byte at its own place.
var bytesInOrder = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
	}
	return t
}()

// oneByte is a slice of the byte that nobody has to make. It must not be written to.
func oneByte(c byte) []byte { return bytesInOrder[c : int(c)+1 : int(c)+1] }

func digits(text []byte, n int) (rune, bool) {
	if len(text) < n {
		return 0, false
	}
	var r rune
	for _, c := range text[:n] {
		d := hexDigit[c]
		if d > 15 {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

// hexDigit is the value of a hexadecimal digit, or 255.
var hexDigit = func() (t [256]uint8) {
	for i := range t {
		t[i] = 255
	}
	for i := range uint8(10) {
		t['0'+i] = i
	}
	for i := range uint8(6) {
		t['a'+i], t['A'+i] = 10+i, 10+i
	}
	return t
}()

// finder finds edits: at text[i] or behind it the next n bytes become b. at is len(text) where
// there is none. It is asked with growing i.
type finder interface {
	next(text []byte, i int) (at, n int, b []byte)
}

// undo calls each with the parts of v around the edits that f finds, the edits made, until it
// returns false.
func undo(v *view, f finder, each func(*view) bool) {
	text := v.text
	at, n, b := f.next(text, 0)
	for at < len(text) {
		m := newMaker(v, snap(text, max(0, at-near)), min(len(text), at+near))
		for last := at; at < len(text) && at-last < 2*near; at, n, b = f.next(text, m.next) {
			m.to(at)
			m.replace(n, b...)
			last = m.next
		}
		m.end = snap(text, min(len(text), m.next+near))
		if !each(m.done()) {
			return
		}
	}
}

// snap moves i back to where a character begins.
func snap(text []byte, i int) int {
	for k := 0; k < utf8.UTFMax && i > 0 && i < len(text) && !utf8.RuneStart(text[i]); k++ {
		i--
	}
	return i
}

// escapes finds escapes of URLs, and of JSON and source code within a text.
type escapes struct {
	percent, slash int // where the next ones are; before the place that is asked for: not known
}

func newEscapes() *escapes { return &escapes{-1, -1} }

func (e *escapes) next(text []byte, i int) (at, n int, b []byte) {
	for {
		e.percent = following(text, e.percent, i, '%')
		e.slash = following(text, e.slash, i, '\\')
		at = min(e.percent, e.slash)
		switch {
		case at == len(text):
			return at, 0, nil
		case at == e.percent:
			b, n = percent(text[at:])
		default:
			b, n = escape(text[at:])
		}
		if n > 0 {
			return at, n, b
		}
		i = at + 1
	}
}

// following returns where c is in text at i or behind it, or len(text). at is an earlier answer.
func following(text []byte, at, i int, c byte) int {
	if at >= i {
		return at
	}
	if k := bytes.IndexByte(text[i:], c); k >= 0 {
		return i + k
	}
	return len(text)
}
