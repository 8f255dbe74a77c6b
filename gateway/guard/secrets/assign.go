package secrets

import "math/bits"

// Kinds of bytes between a name and its value, as the rules have them.
const (
	inName  = 1 << iota // [ \t\w.-]
	quote               // [\s'"]
	opening             // [\x60'"\s=]
	colon
	equals
	single // = > : ,
	pipe
	question
	greater
)

var between = func() (t [256]uint16) {
	for c := range 256 {
		b := byte(c)
		if b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b == '_' || b == '.' || b == '-' || b == ' ' || b == '\t' {
			t[c] |= inName
		}
		switch b {
		case ' ', '\t', '\n', '\r', '\f', '"', '\'':
			t[c] |= quote | opening
		case '`':
			t[c] |= opening
		case '=':
			t[c] |= opening | equals | single
		case ':':
			t[c] |= colon | single
		case '>':
			t[c] |= single | greater
		case ',':
			t[c] |= single
		case '|':
			t[c] |= pipe
		case '?':
			t[c] |= question
		}
	}
	return t
}()

// isWord are the bytes that values are made of.
var isWord = func() (t [256]bool) {
	for c := '!'; c <= '~'; c++ {
		t[c] = c != '"' && c != '\'' && c != '`' && c != '<' && c != '>' && c != ';'
	}
	return t
}()

// mostBetween is how far a value can begin behind the name: 20 bytes more of the name, 3
// quotes, an assignment of 4, and 5 quotes.
const mostBetween = 20 + 3 + 4 + 5

// valuesAfter returns, as bits, at which distances from text[i] a value can begin whose name
// ends there. It follows the expression that assignment is, all ways at once.
func valuesAfter(text []byte, i int) uint64 {
	text = text[i:min(len(text), i+mostBetween+1)]
	n := 0 // bytes of the name
	for n < 20 && n < len(text) && between[text[n]]&inName != 0 {
		n++
	}
	if n == len(text) || between[text[n]]&^inName == 0 {
		return 0 // most words that look like a name: neither a quote nor an assignment follows
	}
	var quotes, openings, colons, equal, singles, pipes, questions, greaters uint64
	for k, c := range text {
		t, bit := between[c], uint64(1)<<k
		if k > n && t&^inName == 0 {
			break
		}
		if t&quote != 0 {
			quotes |= bit
		}
		if t&opening != 0 {
			openings |= bit
		}
		if t&single != 0 {
			singles |= bit
		}
		switch {
		case t&colon != 0:
			colons |= bit
		case t&equals != 0:
			equal |= bit
		case t&pipe != 0:
			pipes |= bit
		case t&question != 0:
			questions |= bit
		case t&greater != 0:
			greaters |= bit
		}
	}
	at := uint64(1)<<(n+1) - 1
	for range 3 {
		at |= at & quotes << 1
	}
	var behind uint64
	behind |= at & singles << 1
	behind |= at & pipes & (pipes >> 1) << 2
	behind |= at & equal & (greaters >> 1) << 2
	behind |= at & questions & (equal >> 1) << 2
	for c, k := at&colons, 1; k <= 3 && c != 0; k++ { // c: where k colons begin
		behind |= c & (equal >> k) << (k + 1)
		c &= colons >> k
	}
	for range 5 {
		behind |= behind & openings << 1
	}
	return behind
}

// assigned reports whether a value that r looks for can follow a name that ends at text[i].
func (r *rule) assigned(text []byte, i int) bool {
	for at := valuesAfter(text, i); at != 0; at &= at - 1 {
		begin := i + bits.TrailingZeros64(at)
		if begin >= len(text) {
			break
		}
		for _, s := range r.values {
			if fits(s, text, begin) && !r.poor(text, begin) {
				return true
			}
		}
	}
	return false
}

// poor reports whether the rule would leave every value alone that begins at text[i], since it
// has too few different characters or nothing but letters.
func (r *rule) poor(text []byte, i int) bool {
	if r.distinct <= 1 && !r.needsSymbol {
		return false
	}
	var seen set
	symbol := false
	for _, c := range text[i:min(len(text), i+maxWord)] {
		if !isWord[c] {
			break
		}
		seen.add(c)
		symbol = symbol || between[c]&inName == 0 || '0' <= c && c <= '9'
	}
	return seen.size() < r.distinct || r.needsSymbol && !symbol
}
