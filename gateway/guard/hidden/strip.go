package hidden

import (
	"strings"
	"unicode/utf8"
)

// Strip returns s without what hides in a text or steers a terminal, and how many characters
// or sequences that were; s itself and 0 when there is nothing. Terminal control sequences go
// as a whole, with what they carry. Tab and line feed stay; a carriage return stays before a
// line feed and becomes one elsewhere, for by itself it lets a line overwrite itself. Joiners
// and variation selectors stay where a script or an emoji needs them, one at a place.
//
// Strip of what Strip returned changes nothing.
func Strip(s string) (out string, n int) {
	if cleanText(s) {
		return s, 0
	}
	sc := scan{s: s}
	var b strings.Builder
	kept := 0 // s[:kept] is in b
	for sc.next() {
		if sc.keep {
			continue
		}
		if n == 0 {
			b.Grow(len(s))
		}
		n++
		b.WriteString(s[kept:sc.start])
		b.WriteString(sc.with)
		kept = sc.end
	}
	if n == 0 {
		return s, 0
	}
	b.WriteString(s[kept:])
	return b.String(), n
}

// scan steps through a text, one character or control sequence at a time.
type scan struct {
	s          string
	start, end int
	keep       bool
	with       string // what stands for a piece that is not kept
	r          rune   // the character, or the one that begins the sequence

	prev rune // the last character that was kept, which joiners and selectors belong to
	base rune // before a variation selector or joiner that was kept: what it belongs to
}

func (c *scan) next() bool {
	c.start, c.with = c.end, ""
	if c.start >= len(c.s) {
		return false
	}
	r, size := utf8.DecodeRuneInString(c.s[c.start:])
	c.r, c.end = r, c.start+size
	switch {
	case r == '\t' || r == '\n' || r >= ' ' && r < 0x7f:
		c.take(r)
	case r == '\r':
		if c.end < len(c.s) && c.s[c.end] == '\n' {
			c.take(r)
			break
		}
		c.keep, c.with, c.prev = false, "\n", '\n'
	case r == esc || 0x80 <= r && r <= 0x9f:
		c.keep, c.end = false, c.start+sequence(c.s[c.start:])
	case r == utf8.RuneError && size == 1: // no UTF-8: not for a reader to see as anything
		c.keep = false
	case r == blackFlag:
		c.take(r)
		c.end += flagTags(c.s[c.end:])
	case c.needed(r):
		c.keep, c.base, c.prev = true, c.prev, r
	case contextual(r) || isHidden(r):
		c.keep = false
	default:
		c.take(r)
	}
	return true
}

func (c *scan) take(r rune) { c.keep, c.prev, c.base = true, r, 0 }

// following is the character after the current one.
func (c *scan) following() rune {
	r, _ := utf8.DecodeRuneInString(c.s[c.end:])
	return r
}

// needed reports whether a joiner or selector is part of how the character before it is
// written. There is one at a place: a run of them writes nothing and can carry a message.
func (c *scan) needed(r rune) bool {
	switch {
	case r == zwj:
		return emojiPart(c.prev, c.base) && pictograph(c.following()) || c.joinsLetters(r)
	case r == zwnj:
		return c.joinsLetters(r)
	case r == 0xfe0e || r == 0xfe0f:
		return pictograph(c.prev) || keycap(c.prev) && c.following() == 0x20e3 || ideograph(c.prev)
	case 0xfe00 <= r && r <= 0xfe0d, 0xe0100 <= r && r <= 0xe01ef:
		return ideograph(c.prev)
	case 0x180b <= r && r <= 0x180f:
		return mongolian(c.prev)
	case 0x13430 <= r && r <= 0x1343f:
		return hieroglyph(c.prev) && hieroglyph(c.following())
	}
	return false
}

// joinsLetters holds between two letters of one of the scripts that are written with joiners,
// and after the sign that takes a letter's vowel away.
func (c *scan) joinsLetters(r rune) bool {
	return joining(c.prev) && (joining(c.following()) || r == zwj && virama(c.prev))
}

// emojiPart reports whether an emoji may go on after r: a pictograph, a skin tone, or the
// selector of one.
func emojiPart(r, base rune) bool {
	return pictograph(r) || 0x1f3fb <= r && r <= 0x1f3ff || r == 0xfe0f && pictograph(base)
}

// flagTags returns the length of the tags after a black flag that make the flag of England,
// Scotland or Wales, the only ones that are in use; else 0.
func flagTags(s string) int {
	for _, region := range []string{"gbeng", "gbsct", "gbwls"} {
		var tags strings.Builder
		for _, c := range region {
			tags.WriteRune(0xe0000 + c)
		}
		tags.WriteRune(0xe007f)
		if strings.HasPrefix(s, tags.String()) {
			return tags.Len()
		}
	}
	return 0
}
