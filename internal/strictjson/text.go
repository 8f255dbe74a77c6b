package strictjson

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Eight bytes of a string are looked at in one word.
const (
	each     = 0x0101010101010101
	top      = 0x80 * each
	quotes   = '"' * each
	slashes  = '\\' * each
	controls = 0x20 * each
)

// special has the top bit of the first byte set that ends a string, begins an escape, is a control
// character or, where wide is 0, not ASCII; wide is top where such bytes need no look. What it says
// of the bytes above the first may be wrong.
func special(w, wide uint64) uint64 {
	quote, slash := w^quotes, w^slashes
	return ((quote-each)&^quote | (slash-each)&^slash | (w-controls)&^w | w&^wide) & top
}

// plainText returns the index of the first byte from i on that is special, or near the end of data
// that of a byte from which on it must be read one by one.
func plainText(data []byte, i int, wide uint64) int {
	const word = 8
	for ; len(data)-i >= word; i += word {
		if s := special(binary.LittleEndian.Uint64(data[i:]), wide); s != 0 {
			return i + bits.TrailingZeros64(s)/8
		}
	}
	return i
}

// text returns the index after the string whose quote is at i, or -1, and whether it has an
// escape.
func (q *quick) text(i int) (end int, escaped bool) {
	start := i + 1
	var wide uint64 // top once something is not ASCII
	for i = plainText(q.data, start, 0); i < len(q.data); i = plainText(q.data, i+1, wide) {
		switch c := q.data[i]; {
		case c == '"':
			if wide != 0 && !utf8.Valid(q.data[start:i]) {
				return -1, escaped
			}
			return i + 1, escaped
		case c == '\\':
			escaped = true
			n := q.escape(i + 1)
			if n == 0 {
				return -1, true
			}
			i += n
		case c < ' ':
			return -1, escaped
		case c >= utf8.RuneSelf:
			wide = top
		}
	}
	return -1, escaped
}
