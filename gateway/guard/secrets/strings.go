package secrets

import (
	"bytes"
	"cmp"
	"slices"
)

// withinStrings cuts findings to the contents of the document's strings; one that reaches over
// several becomes several. Markers may lie outside of strings: then they are numbers, and
// nothing else of a document can be one.
func withinStrings(doc []byte, all []found) []found {
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b found) int { return cmp.Compare(a.start, b.start) })
	var out []found
	contents := stringContents(doc)
	first := 0 // the first string that may lie in this finding or a later one
	for _, f := range all {
		for first < len(contents) && contents[first].end <= f.start {
			first++
		}
		inside := false
		for _, c := range contents[first:] {
			if c.start >= f.end {
				break
			}
			piece := f
			piece.start, piece.end = max(f.start, c.start), min(f.end, c.end)
			if piece.start < piece.end {
				out, inside = append(out, piece), true
			}
		}
		if !inside && f.marker {
			out = append(out, f)
		}
	}
	return out
}

// stringContents returns where the contents of strings lie in doc.
func stringContents(doc []byte) []part {
	var all []part
	for i := 0; ; {
		k := bytes.IndexByte(doc[i:], '"')
		if k < 0 {
			return all
		}
		start := i + k + 1
		for i = start; i < len(doc) && doc[i] != '"'; i++ {
			if doc[i] == '\\' {
				i++
			}
		}
		if i >= len(doc) {
			return all
		}
		all = append(all, part{start, i})
		i++
	}
}
