package hidden

// Clean reports whether nothing is hidden in a JSON text, for certain: [Strip] would return
// each of its strings as it is. It is fast and one-sided: where it would have to look closer
// (at escapes of characters, joiners, emoji that are made of several) it says no.
func Clean(b []byte) bool {
	for i := 0; i < len(b); i++ {
		c := b[i]
		if plain[c] == 0 {
			continue
		}
		if c == '\\' {
			// \u is for Strip to decode; \b and \f are control characters; \r may stand alone.
			if i+1 >= len(b) || plainEscape(b[i+1:]) == 0 {
				return false
			}
			i += plainEscape(b[i+1:])
			continue
		}
		n := plainRune(b[i:])
		if n == 0 {
			return false
		}
		i += n - 1
	}
	return true
}

// plainEscape returns the length of what follows a backslash and stands for nothing hidden.
func plainEscape(b []byte) int {
	switch b[0] {
	case '"', '\\', '/', 'n', 't':
		return 1
	case 'r':
		if len(b) > 2 && b[1] == '\\' && b[2] == 'n' {
			return 3
		}
	}
	return 0
}

// cleanText is Clean for a text that is no JSON.
func cleanText(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != '\r' && plain[c] == 0 || c == '\\' {
			continue
		}
		n := plainRune(s[i:])
		if n == 0 {
			return false
		}
		i += n - 1
	}
	return true
}

// plain is 0 for the bytes that need no second look. White space between JSON values is among
// them, and stands in no JSON string by itself.
var plain = func() (t [256]byte) {
	for c := range t {
		if c < ' ' && c != '\n' && c != '\t' && c != '\r' || c >= 0x7f || c == '\\' {
			t[c] = 1
		}
	}
	return t
}()

// plainRune returns the length of the character that b begins with if it is hidden nowhere,
// else 0. It goes by the first bytes of its UTF-8; those of hidden characters are few.
func plainRune[T string | []byte](b T) int {
	if b[0] < 0xc2 || len(b) < 2 {
		return 0
	}
	switch lead := b[0]; {
	case lead == 0xc2: // C1 and the soft hyphen
		if b[1] < 0xa0 || b[1] == 0xad {
			return 0
		}
	case lead >= 0xe4 && lead <= 0xed: // ideographs, Hangul
	case lead == 0xcd && b[1] == 0x8f, lead == 0xd8 && b[1] == 0x9c, lead == 0xe1, lead == 0xee, lead == 0xef:
		return 0
	case lead == 0xe2:
		if b[1] == 0x80 && (len(b) < 3 || b[2] >= 0x8b && b[2] <= 0x8f || b[2] >= 0xa8 && b[2] <= 0xae) || b[1] == 0x81 {
			return 0
		}
	case lead == 0xe3:
		if b[1] == 0x85 {
			return 0
		}
	case lead == 0xf0:
		// U+1F000 to U+1FBFF. The black flag may begin a flag of tags, which are not F0.
		if b[1] != 0x9f || len(b) < 3 || b[2] >= 0xb0 {
			return 0
		}
	case lead > 0xf0:
		return 0
	}
	n := 2
	switch {
	case b[0] >= 0xf0:
		n = 4
	case b[0] >= 0xe0:
		n = 3
	}
	if len(b) < n {
		return 0
	}
	for i := 1; i < n; i++ {
		if b[i]&0xc0 != 0x80 {
			return 0
		}
	}
	return n
}
