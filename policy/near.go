package policy

import (
	"strings"
)

// mostNames is how many names a message offers.
const mostNames = 5

// orNear ends a message about a name that is not there: with the names that are near it, else
// with the first of those that there are, after intro.
func orNear(name string, there []string, intro string) string {
	near := nearest(name, there)
	switch {
	case len(near) > 0:
		return "; did you mean " + strings.Join(near, " or ") + "?"
	case len(there) > mostNames:
		return "; " + intro + " " + strings.Join(there[:mostNames], ", ") + " and others"
	case len(there) > 0:
		return "; " + intro + " " + strings.Join(there, ", ")
	}
	return ""
}

// nearest returns the names at the least distance from name, where that is small enough for a
// slip of the pen: a third of the last part of the name, but 1 at least.
func nearest(name string, there []string) []string {
	last := len(name[strings.LastIndexByte(name, '.')+1:])
	best := min(max(1, last/3), last-1) // of one letter nothing would be left
	var near []string
	for _, candidate := range there {
		switch d := distance(name, candidate); {
		case d > best:
		case d < best:
			best, near = d, []string{candidate}
		default:
			near = append(near, candidate)
		}
	}
	return near[:min(len(near), mostNames)]
}

// distance is how many bytes must be changed, added, taken away or swapped with the next to make b of
// a, letter case aside.
func distance(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
