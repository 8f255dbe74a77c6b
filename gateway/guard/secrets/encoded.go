package secrets

import (
	"bytes"
	"compress/gzip"
	"io"
	"unicode/utf8"
)

const (
	// minRun is how many characters of base64 or hex in a row are looked at. What a rule wants is
	// longer, and of markers shorter pieces have forms of their own.
	minRun = 16

	// A piece is decoded where this many groups in a row decode to ASCII: by accident that is
	// rare, and every secret that a rule finds is longer.
	minQuads = 4  // of base64, each three bytes
	minPairs = 12 // of hex, each one byte

	// A longer run is decoded also where it holds no ASCII but text all the same: letters with
	// something unseen between them.
	minForeign = 64
)

// sextet is the value of a character of base64, of either alphabet, or 255.
var sextet = func() (t [256]uint8) {
	for i := range t {
		t[i] = 255
	}
	for i := range uint8(26) {
		t['A'+i], t['a'+i] = i, 26+i
	}
	for i := range uint8(10) {
		t['0'+i] = 52 + i
	}
	t['+'], t['/'], t['-'], t['_'] = 62, 63, 62, 63
	return t
}()

// run is a stretch of characters of base64 in a text, and the same without line breaks.
type run struct {
	start, end int
	chars      []byte
	block      int // of chars, how many lie in lines up to the first that is shorter than the one before; 0: all
}

// runs calls f for each run in text. A run goes on over line breaks, and over what indents the
// line behind them.
func runs(text []byte, f func(run) bool) {
	for i := minRun - 1; i < len(text); {
		if !inRun[text[i]] {
			i += minRun
			continue
		}
		start, end := i, i
		broken := sextet[text[i]] == 255
		for start > 0 && inRun[text[start-1]] {
			start--
			broken = broken || sextet[text[start]] == 255
		}
		for {
			for end < len(text) && sextet[text[end]] != 255 {
				end++
			}
			next := continued(text, end)
			if next == end {
				break
			}
			end, broken = next, true
		}
		r := run{start: start, end: end, chars: text[start:end]}
		if broken {
			r = r.joined(text)
		}
		if len(r.chars) >= minRun && !f(r) {
			return
		}
		i = max(i, end) + minRun
	}
}

// inRun are the bytes that runs are made of.
var inRun = func() (t [256]bool) {
	for c := range t {
		t[c] = sextet[c] != 255 || c == '\n' || c == '\r'
	}
	return t
}()

// continued returns where a run that came to text[i] goes on: behind a line break and what
// indents the next line; i where it does not.
func continued(text []byte, i int) int {
	k := i
	for k < len(text) && (text[k] == '\n' || text[k] == '\r') {
		k++
	}
	if k == i {
		return i
	}
	for k < len(text) && (text[k] == ' ' || text[k] == '\t') {
		k++
	}
	if k < len(text) && sextet[text[k]] != 255 {
		return k
	}
	return i
}

// joined returns r without line breaks, inside and around it.
func (r run) joined(text []byte) run {
	for r.start < r.end && sextet[text[r.start]] == 255 {
		r.start++
	}
	for r.end > r.start && sextet[text[r.end-1]] == 255 {
		r.end--
	}
	r.chars = make([]byte, 0, r.end-r.start)
	last, this := 0, 0 // lengths of lines
	for _, c := range text[r.start:r.end] {
		if sextet[c] != 255 {
			r.chars = append(r.chars, c)
			this++
			continue
		}
		if this > 0 && this < last && r.block == 0 {
			r.block = len(r.chars)
		}
		if this > 0 {
			last, this = this, 0
		}
	}
	return r
}

// part is a part of a run's characters that decodes to text.
type part struct{ start, end int }

// base64Parts returns, for each of the four ways to divide the characters into groups, where
// they decode to ASCII for long enough. Parts that are near each other are one.
func base64Parts(chars []byte) (parts [4][]part) {
	const (
		first, second, third = 32, 8, 2 // the bits that are 0 where all three bytes are below 128
		nearby               = 4 * 64
	)
	var since [4]int
	for i := 0; i+4 <= len(chars); i++ {
		k := i & 3
		if sextet[chars[i]]&first == 0 && sextet[chars[i+1]]&second == 0 && sextet[chars[i+2]]&third == 0 {
			since[k]++
			if since[k] < minQuads {
				continue
			}
			p := part{i - 4*(since[k]-1), i + 4}
			if n := len(parts[k]); n > 0 && p.start-parts[k][n-1].end <= nearby {
				parts[k][n-1].end = p.end
			} else {
				parts[k] = append(parts[k], p)
			}
			continue
		}
		since[k] = 0
	}
	for k := range parts { // the groups around may hold the first or last byte, and padding was none
		for j := range parts[k] {
			p := &parts[k][j]
			p.start = max(k, p.start-4*margin)
			p.end = min(len(chars), p.end+4*margin)
		}
	}
	return parts
}

// margin is how many groups around a part are decoded as well.
const margin = 2

// trimmed cuts off what the groups around a part hold of something else: a rule may ask that
// nothing comes before or after a secret.
func trimmed(text []byte) []byte {
	const n = 3 * margin
	for i := min(n, len(text)) - 1; i >= 0; i-- {
		if text[i] >= utf8.RuneSelf {
			text = text[i+1:]
			break
		}
	}
	for i := max(0, len(text)-n-2); i < len(text); i++ {
		if text[i] >= utf8.RuneSelf {
			return text[:i]
		}
	}
	return text
}

// foreign reports whether there is text in characters that decode to no ASCII: letters with
// something unseen between them. A rule wants so many letters that a look now and then finds
// them. size is how many characters the encoding takes together.
func foreign(chars []byte, size int, decode func([]byte) []byte) bool {
	const every, look, around = 48, 16, 48
	for i := 0; i+look <= len(chars); i += every {
		if begins(decode(chars[i : i+look])) {
			from, to := max(0, i-around), min(len(chars), i+look+around)
			if readable(decode(chars[from-from%size : to])) {
				return true
			}
		}
	}
	return false
}

// begins reports whether text can be a part of UTF-8.
func begins(text []byte) bool {
	for i := 0; i < 3 && len(text) > 0 && text[0]&0xc0 == 0x80; i++ {
		text = text[1:]
	}
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n <= 1 {
			return !utf8.FullRune(text)
		}
		if r < ' ' && r != '\n' && r != '\t' && r != '\r' {
			return false
		}
		text = text[n:]
	}
	return true
}

// readable reports whether there is text in what was decoded: at least 24 bytes of UTF-8 of
// which 6 are ASCII.
func readable(text []byte) bool {
	long, plain := 0, 0
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		i += n
		switch {
		case r == utf8.RuneError && n <= 1, r < ' ' && r != '\n' && r != '\t' && r != '\r':
			long, plain = 0, 0
			continue
		case r < utf8.RuneSelf:
			plain++
		}
		long += n
		if long >= 24 && plain >= 6 {
			return true
		}
	}
	return false
}

// decode64 decodes characters that all are of base64. A group at the end that is not whole
// gives the bytes that it has.
func decode64(chars []byte) []byte {
	out := make([]byte, 0, len(chars)*3/4+3)
	for ; len(chars) >= 4; chars = chars[4:] {
		w := uint32(sextet[chars[0]])<<18 | uint32(sextet[chars[1]])<<12 | uint32(sextet[chars[2]])<<6 | uint32(sextet[chars[3]])
		out = append(out, byte(w>>16), byte(w>>8), byte(w))
	}
	switch len(chars) {
	case 2:
		out = append(out, sextet[chars[0]]<<2|sextet[chars[1]]>>4)
	case 3:
		out = append(out, sextet[chars[0]]<<2|sextet[chars[1]]>>4, sextet[chars[1]]<<4|sextet[chars[2]]>>2)
	}
	return out
}

// hexParts is base64Parts for hex, which can be divided in two ways.
func hexParts(chars []byte) (parts [2][]part) {
	const nearby = 2 * 64
	var since [2]int
	for i := 0; i+2 <= len(chars); i++ {
		k := i & 1
		if hexDigit[chars[i]] < 8 && hexDigit[chars[i+1]] < 16 {
			since[k]++
			if since[k] < minPairs {
				continue
			}
			p := part{i - 2*(since[k]-1), i + 2}
			n := len(parts[k])
			switch {
			case n > 0 && p.start <= parts[k][n-1].end, n > 0 && p.start-parts[k][n-1].end <= nearby && hexOnly(chars[parts[k][n-1].end:p.start]):
				parts[k][n-1].end = p.end
			default:
				parts[k] = append(parts[k], p)
			}
			continue
		}
		since[k] = 0
	}
	return parts
}

func hexOnly(chars []byte) bool {
	for _, c := range chars {
		if hexDigit[c] > 15 {
			return false
		}
	}
	return true
}

func decodeHex(chars []byte) []byte {
	out := make([]byte, 0, len(chars)/2)
	for ; len(chars) >= 2 && hexDigit[chars[0]] < 16 && hexDigit[chars[1]] < 16; chars = chars[2:] {
		out = append(out, hexDigit[chars[0]]<<4|hexDigit[chars[1]])
	}
	return out
}

// What gzip begins with, as it is, in base64 and in hex.
var (
	gzipMagic  = []byte{0x1f, 0x8b, 8}
	gzipBase64 = []byte("H4sI")
	gzipHex    = [][]byte{[]byte("1f8b08"), []byte("1F8B08")}
)

// gunzip returns up to limit bytes of what b holds, and whether that is all.
func gunzip(b []byte, limit int) (out []byte, all bool) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, true
	}
	// What is left of a stream that was cut off counts, as far as it goes.
	out, _ = io.ReadAll(io.LimitReader(z, int64(limit)+1))
	if len(out) > limit {
		return out[:limit], false
	}
	return out, true
}
