package secrets

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
)

// needle is one form of a marker, in lower case.
type needle struct {
	text   string
	marker int
	via    string
}

// needles are texts that are found in one pass, whatever case they are in. The search is that of
// Wu and Manber: a table says of every three bytes how far it is from them to the end of the
// shortest beginning of a needle that they could be in, so most bytes of a text are never looked
// at. Immutable.
type needles struct {
	width int
	shift [1 << shiftBits]uint8
	ends  map[uint32][]needle // by the three bytes that end their first width bytes
}

const (
	shiftBits = 12
	block     = 3
	maxWidth  = 32 // more would not be skipped in one step
)

// lower folds the case of ASCII.
var lower = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
	}
	for c := 'A'; c <= 'Z'; c++ {
		t[c] = byte(c + 'a' - 'A')
	}
	return t
}()

func tripleAt(b []byte) uint32 {
	_ = b[2]
	return uint32(lower[b[0]]) | uint32(lower[b[1]])<<8 | uint32(lower[b[2]])<<16
}

func shiftHash(t uint32) uint32 { return t * 0x9E3779B1 >> (32 - shiftBits) }

// newNeedles returns nil, which finds nothing, for none. Each has at least three bytes.
func newNeedles(all []needle) *needles {
	if len(all) == 0 {
		return nil
	}
	n := &needles{width: maxWidth, ends: map[uint32][]needle{}}
	for _, x := range all {
		n.width = min(n.width, len(x.text))
	}
	for i := range n.shift {
		n.shift[i] = uint8(n.width - block + 1)
	}
	for _, x := range all {
		for end := block; end <= n.width; end++ {
			h := shiftHash(tripleAt([]byte(x.text[end-block : end])))
			n.shift[h] = min(n.shift[h], uint8(n.width-end))
		}
		k := tripleAt([]byte(x.text[n.width-block : n.width]))
		n.ends[k] = append(n.ends[k], x)
	}
	return n
}

// find calls f for each needle that lies in text at start.
func (n *needles) find(text []byte, f func(x *needle, start int)) {
	if n == nil {
		return
	}
	for i := n.width; i <= len(text); {
		t := tripleAt(text[i-block : i])
		if step := n.shift[shiftHash(t)]; step > 0 {
			i += int(step)
			continue
		}
		list := n.ends[t]
		for k := range list {
			if start := i - n.width; hasFold(text[start:], list[k].text) {
				f(&list[k], start)
			}
		}
		i++
	}
}

// hasFold reports whether text begins with s, which is in lower case.
func hasFold(text []byte, s string) bool {
	if len(text) < len(s) {
		return false
	}
	for i := range len(s) {
		if lower[text[i]] != s[i] {
			return false
		}
	}
	return true
}

// formsOf are the texts in which a marker appears besides those that are undone in any text.
func formsOf(marker int, value string) []needle {
	var all []needle
	add := func(text, via string) {
		folded := []byte(text)
		for i, c := range folded {
			folded[i] = lower[c]
		}
		if len(text) >= MinMarker {
			all = append(all, needle{string(folded), marker, via})
		}
	}
	seen := normal(value)
	for _, s := range slices.Compact([]string{value, seen, strings.ReplaceAll(value, " ", "+")}) {
		add(s, "")
	}
	back := []rune(value)
	slices.Reverse(back)
	add(string(back), "reversed")
	add(strings.Map(rot13, value), "rot13")
	add(hex.EncodeToString([]byte(value)), "hex")
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			text := enc.EncodeToString([]byte("\x00\x00\x00"[:before] + value))
			// The first and the last character may hold bits of the neighbours.
			add(text[(8*before+5)/6:(before+len(value))*8/6], "base64")
		}
	}
	slices.SortStableFunc(all, func(a, b needle) int { return strings.Compare(a.text, b.text) })
	return slices.CompactFunc(all, func(a, b needle) bool { return a.text == b.text })
}

// normal is the text without what hides in it.
func normal(s string) string {
	v, out := &view{text: []byte(s)}, s
	undo(v, unshown{}, func(n *view) bool {
		out = s[:n.base] + string(n.text) + s[n.end:]
		return false
	})
	return out
}

func rot13(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z':
		return 'a' + (r-'a'+13)%26
	case 'A' <= r && r <= 'Z':
		return 'A' + (r-'A'+13)%26
	}
	return r
}
