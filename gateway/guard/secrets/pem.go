package secrets

import (
	"bytes"
)

// pemBody is what the expression for PEM private keys has behind the line that one begins with:
// anything up to the line that it ends with. An expression would look for that to the end of
// the text, once for each beginning.
const pemBody = `[\s\S-]{64,}?KEY(?: BLOCK)?-----`

const (
	leastPEM = 64
	// The longest keys in use have 13 KB. What begins and does not end within this is none, and
	// must not take half a document along.
	mostPEM = 32 << 10
)

var dashes = []byte("-----")

// matchPEM is match for keys between lines of dashes. ends keeps where the last one was found.
func (l *layers) matchPEM(v *view, r *rule, start, stop int, ends *part) int {
	m := r.opening.FindIndex(v.text[start:stop])
	if m == nil {
		return 0
	}
	from := start + m[1] + leastPEM
	if from < ends.start || from > ends.end {
		*ends = part{from, pemEnd(v.text, from)}
	}
	if ends.end > len(v.text) || ends.end-from > mostPEM {
		return 0
	}
	l.report(v, r, []int{start + m[0], ends.end})
	return ends.end
}

// pemEnd returns where the first line that ends a key at or behind text[from] ends; beyond the text where none does.
func pemEnd(text []byte, from int) int {
	for i := from; i < len(text); {
		k := bytes.Index(text[i:], dashes)
		if k < 0 {
			break
		}
		i += k
		for _, word := range []string{"KEY", "KEY BLOCK"} {
			if i-from >= len(word) && bytes.EqualFold(text[i-len(word):i], []byte(word)) {
				return i + len(dashes)
			}
		}
		i++
	}
	return len(text) + 1
}
