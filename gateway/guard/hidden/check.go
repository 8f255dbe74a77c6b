package hidden

import (
	"fmt"
	"strconv"
	"unicode"
)

// Check says which character of a name or a description is hidden or steers a terminal, and
// where: what [Strip] would take out, line and paragraph separators, and characters that
// Unicode has not assigned, of which nobody can say what a reader will see. It returns nil for
// a text without such; line feeds and tabs are no matter here.
func Check(s string) error {
	for sc := (scan{s: s}); sc.next(); {
		if !sc.keep || sc.r >= 0x80 && unshown(sc.r) {
			return fmt.Errorf("%s at byte %d", Name(sc.r), sc.start)
		}
	}
	return nil
}

// unshown holds for what a text may hold and a name may not: separators of lines, and what is
// not assigned.
func unshown(r rune) bool {
	return r == 0x2028 || r == 0x2029 || !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.Cc, unicode.Cf, unicode.Co)
}

var names = map[rune]string{
	0x00: "NULL", 0x07: "BELL", 0x08: "BACKSPACE", '\t': "TAB", '\n': "LINE FEED", '\r': "CARRIAGE RETURN", 0x1b: "ESCAPE", 0x7f: "DELETE",
	0x85: "NEXT LINE", 0x9b: "CONTROL SEQUENCE INTRODUCER", 0x9d: "OPERATING SYSTEM COMMAND", 0xad: "SOFT HYPHEN",
	0x034f: "COMBINING GRAPHEME JOINER", 0x061c: "ARABIC LETTER MARK", 0x115f: "HANGUL CHOSEONG FILLER", 0x1160: "HANGUL JUNGSEONG FILLER",
	0x180e: "MONGOLIAN VOWEL SEPARATOR", 0x200b: "ZERO WIDTH SPACE", 0x200c: "ZERO WIDTH NON-JOINER", 0x200d: "ZERO WIDTH JOINER",
	0x200e: "LEFT-TO-RIGHT MARK", 0x200f: "RIGHT-TO-LEFT MARK", 0x2028: "LINE SEPARATOR", 0x2029: "PARAGRAPH SEPARATOR",
	0x202a: "LEFT-TO-RIGHT EMBEDDING", 0x202b: "RIGHT-TO-LEFT EMBEDDING", 0x202c: "POP DIRECTIONAL FORMATTING",
	0x202d: "LEFT-TO-RIGHT OVERRIDE", 0x202e: "RIGHT-TO-LEFT OVERRIDE", 0x2060: "WORD JOINER", 0x2066: "LEFT-TO-RIGHT ISOLATE",
	0x2067: "RIGHT-TO-LEFT ISOLATE", 0x2068: "FIRST STRONG ISOLATE", 0x2069: "POP DIRECTIONAL ISOLATE", 0x3164: "HANGUL FILLER",
	0xfeff: "ZERO WIDTH NO-BREAK SPACE", 0xffa0: "HALFWIDTH HANGUL FILLER", 0xfffd: "no UTF-8",
}

// Name returns the number of a character and what it is called, or of what kind it is.
func Name(r rune) string {
	number := fmt.Sprintf("U+%04X ", r)
	if name, ok := names[r]; ok {
		return number + name
	}
	switch {
	case unicode.Is(unicode.Variation_Selector, r):
		return number + "VARIATION SELECTOR"
	case 0xe0020 <= r && r <= 0xe007e:
		return number + "TAG " + strconv.QuoteRune(r-0xe0000)
	case 0xe0000 <= r && r <= 0xe007f:
		return number + "TAG"
	case unicode.Is(unicode.Cc, r):
		return number + "control character"
	case unicode.Is(unicode.Cf, r):
		return number + "format character"
	case unicode.Is(unicode.Co, r):
		return number + "private-use character"
	case r&0xfffe == 0xfffe || 0xfdd0 <= r && r <= 0xfdef:
		return number + "not a character"
	case isHidden(r):
		return number + "blank character"
	case unshown(r):
		return number + "character that is not assigned"
	}
	return number + strconv.QuoteRune(r)
}
