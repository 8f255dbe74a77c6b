package hidden

import "unicode"

const (
	zwnj      = 0x200c
	zwj       = 0x200d
	blackFlag = 0x1f3f4
)

// contextual reports whether r is hidden but where the characters around it need it.
func contextual(r rune) bool {
	return r == zwj || r == zwnj || unicode.Is(unicode.Variation_Selector, r) || 0x13430 <= r && r <= 0x1345f
}

// visibleFormat are format characters (Cf) that are seen: signs that stand over or under
// numbers.
var visibleFormat = &unicode.RangeTable{
	R16: []unicode.Range16{{0x0600, 0x0605, 1}, {0x06dd, 0x06dd, 1}, {0x070f, 0x070f, 1}, {0x0890, 0x0891, 1}, {0x08e2, 0x08e2, 1}},
	R32: []unicode.Range32{{0x110bd, 0x110bd, 1}, {0x110cd, 0x110cd, 1}},
}

// blank are characters of other kinds that nothing is drawn for: the joiner of graphemes, the
// fillers of Hangul, two vowels of Khmer, and what Unicode keeps free for more of them.
var blank = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x034f, 0x034f, 1}, {0x115f, 0x1160, 1}, {0x17b4, 0x17b5, 1}, {0x180b, 0x180f, 1},
		{0x2060, 0x206f, 1}, {0x3164, 0x3164, 1}, {0xffa0, 0xffa0, 1}, {0xfff0, 0xfffb, 1},
	},
	R32: []unicode.Range32{{0x1bca0, 0x1bca3, 1}, {0x1d173, 0x1d17a, 1}, {0xe0000, 0xe0fff, 1}},
}

// isHidden reports whether r is a control, format, private-use or non-character, or blank.
func isHidden(r rune) bool {
	switch {
	case r < ' ' || 0x7f <= r && r <= 0x9f:
		return true
	case r < 0xad:
		return false
	case unicode.Is(unicode.Cf, r):
		return !unicode.Is(visibleFormat, r)
	case unicode.Is(unicode.Co, r), r&0xfffe == 0xfffe, 0xfdd0 <= r && r <= 0xfdef:
		return true
	}
	return unicode.Is(blank, r)
}

// pictographs are the characters that emoji are made of (Extended_Pictographic, roughly: what
// is near them and no letter does no harm here).
var pictographs = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x00a9, 0x00a9, 1}, {0x00ae, 0x00ae, 1}, {0x203c, 0x203c, 1}, {0x2049, 0x2049, 1}, {0x2122, 0x2122, 1}, {0x2139, 0x2139, 1},
		{0x2190, 0x21ff, 1}, {0x2300, 0x23ff, 1}, {0x24c2, 0x24c2, 1}, {0x25a0, 0x27bf, 1}, {0x2900, 0x297f, 1}, {0x2b00, 0x2bff, 1},
		{0x3030, 0x3030, 1}, {0x303d, 0x303d, 1}, {0x3297, 0x3297, 1}, {0x3299, 0x3299, 1},
	},
	R32: []unicode.Range32{{0x1f000, 0x1f1e5, 1}, {0x1f200, 0x1f3fa, 1}, {0x1f400, 0x1fafd, 1}},
}

func pictograph(r rune) bool { return r >= 0xa9 && unicode.Is(pictographs, r) }

func keycap(r rune) bool { return '0' <= r && r <= '9' || r == '#' || r == '*' }

func ideograph(r rune) bool { return r > 0x2e7f && unicode.Is(unicode.Ideographic, r) }

func mongolian(r rune) bool {
	return unicode.Is(unicode.Mongolian, r) && unicode.In(r, unicode.Letter, unicode.Nd)
}

func hieroglyph(r rune) bool {
	return 0x13000 <= r && r <= 0x1342f || 0x13460 <= r && r <= 0x143fa
}

// joining are the scripts whose spelling uses joiners.
func joining(r rune) bool {
	if r < 0x0600 || contextual(r) || isHidden(r) || !unicode.In(r, unicode.Letter, unicode.Mn, unicode.Mc) {
		return false
	}
	return unicode.In(r, unicode.Arabic, unicode.Syriac, unicode.Mandaic, unicode.Nko, unicode.Mongolian, unicode.Phags_Pa,
		unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi, unicode.Gujarati, unicode.Oriya, unicode.Tamil, unicode.Telugu,
		unicode.Kannada, unicode.Malayalam, unicode.Sinhala, unicode.Khmer, unicode.Myanmar, unicode.Tibetan, unicode.Javanese,
		unicode.Balinese, unicode.Lao, unicode.Thai, unicode.Chakma, unicode.Limbu, unicode.Grantha, unicode.Newa, unicode.Tirhuta)
}

// viramas take the vowel of a letter away; a joiner after one asks for a half form, also at the
// end of a word.
func virama(r rune) bool {
	switch r {
	case 0x094d, 0x09cd, 0x0a4d, 0x0acd, 0x0b4d, 0x0bcd, 0x0c4d, 0x0ccd, 0x0d4d, 0x0dca:
		return true
	}
	return false
}
