package hidden

import (
	"strings"
	"unicode/utf8"
)

const (
	esc = 0x1b
	bel = 0x07

	// maxPayload bounds what a terminal would swallow as the payload of a sequence. Beyond it,
	// and across lines, only the introducer goes: what a sender leaves open must not take the
	// rest of a text along.
	maxPayload = 4096
)

// sequence returns the length of the terminal control sequence that s begins with (ECMA-48; s
// begins with ESC or a C1 control): with its parameters, payload and end where it is whole, else
// of what introduces it.
func sequence(s string) int {
	r, size := utf8.DecodeRuneInString(s)
	kind := byte(r - 0x40) // a C1 control is ESC and the character 0x40 before it
	if r == esc {
		if len(s) < 2 {
			return size
		}
		kind, size = s[1], 2
	}
	switch kind {
	case '[':
		return size + csi(s[size:])
	case ']', 'P', 'X', '^', '_':
		return size + payload(s[size:])
	}
	if r != esc {
		return size
	}
	i := 1
	for i < len(s) && 0x20 <= s[i] && s[i] <= 0x2f {
		i++
	}
	if i < len(s) && 0x30 <= s[i] && s[i] <= 0x7e {
		return i + 1
	}
	return 1 // ESC before something that no sequence goes on with
}

// csi returns the length of parameters, intermediates and the final byte; without a final byte
// nothing of it was a sequence.
func csi(s string) int {
	i := 0
	for i < len(s) && 0x30 <= s[i] && s[i] <= 0x3f {
		i++
	}
	for i < len(s) && 0x20 <= s[i] && s[i] <= 0x2f {
		i++
	}
	if i < len(s) && 0x40 <= s[i] && s[i] <= 0x7e {
		return i + 1
	}
	return 0
}

// payload returns the length of a control string and its terminator (BEL, ST), or 0. Another
// sequence within breaks it off, as it does for terminals.
func payload(s string) int {
	s = s[:min(len(s), maxPayload)]
	if line := strings.IndexByte(s, '\n'); line >= 0 {
		s = s[:line]
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == bel:
			return i + 1
		case s[i] == esc && i+1 < len(s) && s[i+1] == '\\', strings.HasPrefix(s[i:], "\u009c"):
			return i + 2
		case s[i] == esc, s[i] == 0xc2 && i+1 < len(s) && s[i+1] < 0xa0:
			return 0
		}
	}
	return 0
}
