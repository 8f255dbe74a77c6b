package secrets

import (
	"encoding/binary"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// unshown finds, as a finder, the characters that the normal form (NFKC) turns into ASCII, and those that
// are not seen: control and format characters, marks that stand on others, terminal control
// sequences, NULs between the bytes of UTF-16.
type unshown struct{}

func (unshown) next(text []byte, i int) (at, n int, b []byte) {
	for i < len(text) {
		if i+8 <= len(text) {
			w := binary.LittleEndian.Uint64(text[i:])
			// No byte has its high bit set and none is below 0x20 (or is 0x7f).
			if (w|(w-0x2020202020202020)|(w+0x0101010101010101))&0x8080808080808080 == 0 {
				i += 8
				continue
			}
		}
		c := text[i]
		switch {
		case c == '\n' || c == '\t' || c == '\r' || ' ' <= c && c < 0x7f:
			i++
		case c < utf8.RuneSelf:
			return i, control(text[i:]), nil
		default:
			r, size := utf8.DecodeRune(text[i:])
			if b, ok := shown(r, text[i:i+size]); ok {
				return i, size, b
			}
			i += size
		}
	}
	return len(text), 0, nil
}

// control returns the length of the control character at the beginning of text, and of what a
// terminal would take along with it.
func control(text []byte) int {
	if text[0] != 0x1b || len(text) < 2 || text[1] != '[' {
		return 1
	}
	for i := 2; i < len(text) && i < 64; i++ {
		if c := text[i]; c < 0x20 || c > 0x7e {
			break
		} else if c >= 0x40 {
			return i + 1
		}
	}
	return 2
}

// shown returns what is seen of r, where that is not r itself or other letters that no rule
// knows.
func shown(r rune, raw []byte) (b []byte, ok bool) {
	if r < 1<<16 {
		if r == utf8.RuneError || special()[r>>6]>>(r&63)&1 == 0 {
			return nil, false
		}
	} else if 0x1f000 <= r && r <= 0x1faff && (r < 0x1f100 || r > 0x1f1ff) || 0x20000 <= r && r <= 0x2ffff {
		return nil, false // pictures, ideographs
	}
	switch {
	case unseen(r):
		return nil, true
	case unicode.Is(unicode.Zs, r) || r == 0x2028 || r == 0x2029:
		return []byte{' '}, true
	}
	b = norm.NFKC.Bytes(raw)
	for _, c := range b {
		if c < utf8.RuneSelf {
			return b, true
		}
	}
	return nil, false
}

// special are the characters of the first plane that have to be looked at. Most texts that are
// not in ASCII have few.
var special = sync.OnceValue(func() *[1 << 10]uint64 {
	var t [1 << 10]uint64
	for r := rune(utf8.RuneSelf); r < 1<<16; r++ {
		if r >= 0x4e00 && r <= 0x9fff || r >= 0xac00 && r <= 0xd7a3 {
			continue // ideographs and Hangul: half of the plane, and none is special
		}
		if unseen(r) || unicode.Is(unicode.Z, r) || norm.NFKC.PropertiesString(string(r)).Decomposition() != nil {
			t[r>>6] |= 1 << (r & 63)
		}
	}
	return &t
})

// unseen reports whether nothing is drawn for r, or only something over the character before.
func unseen(r rune) bool {
	switch r {
	case 0x034f, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x3164, 0xffa0, 0x2800:
		return true
	}
	return r < 0xa0 || 0xfff0 <= r && r <= 0xfff8 || 0xe0000 <= r && r <= 0xe0fff ||
		unicode.In(r, unicode.Cf, unicode.Mn, unicode.Me, unicode.Co)
}
