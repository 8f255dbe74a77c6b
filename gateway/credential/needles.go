package credential

// needles are texts to be found in one pass. The search is that of Wu and Manber: a table says
// of every three bytes how far it is from them to the end of the shortest beginning of a needle
// that they could be in, so most bytes of a document are never looked at. Immutable.
type needles struct {
	width int                   // bytes of each needle that the table knows
	shift [1 << tableBits]uint8 // by hash of three bytes
	ends  map[uint32][]string   // needles by the three bytes that end their first width bytes
}

const (
	tableBits = 14
	block     = 3
	// More than this would not be skipped in one step.
	maxWidth = 32
)

func hash(b []byte) uint32 {
	_ = b[2]
	return (uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16) * 0x9E3779B1 >> (32 - tableBits)
}

func key(b string) uint32 { return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 }

// newNeedles wants texts of at least MinScrub bytes. It returns nil, which finds nothing, for none.
func newNeedles(all []string) *needles {
	if len(all) == 0 {
		return nil
	}
	n := &needles{width: maxWidth, ends: map[uint32][]string{}}
	for _, s := range all {
		n.width = min(n.width, len(s))
	}
	far := uint8(n.width - block + 1)
	for i := range n.shift {
		n.shift[i] = far
	}
	for _, s := range all {
		for end := block; end <= n.width; end++ {
			h := hash([]byte(s[end-block : end]))
			n.shift[h] = min(n.shift[h], uint8(n.width-end))
		}
		k := key(s[n.width-block : n.width])
		n.ends[k] = append(n.ends[k], s)
	}
	return n
}

// find appends where needles lie in the document that v is a view of.
func (n *needles) find(v view, found []hit) []hit {
	if n == nil {
		return found
	}
	text := v.text
	for i := n.width; i <= len(text); {
		last := text[i-block : i]
		if step := n.shift[hash(last)]; step > 0 {
			i += int(step)
			continue
		}
		start := i - n.width
		longest := 0
		for _, s := range n.ends[key(string(last))] {
			if len(s) > longest && len(text)-start >= len(s) && string(text[start:start+len(s)]) == s {
				longest = len(s)
			}
		}
		if longest > 0 {
			found = append(found, hit{v.span(start, start+longest), longest})
		}
		i++
	}
	return found
}
