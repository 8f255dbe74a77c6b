package workbench

import (
	"slices"
	"strings"
)

// mergeWays makes one of ways that differ in nothing but the value of one condition: what allows a
// and what allows b allows a or b.
func mergeWays(ways []way) []way {
	var out []way
	seen := map[string]int{} // the text of a way, or that without the values of one condition → its place in out
	grown := map[int]int{}   // of a way in out that has been joined: the condition in which
	for _, x := range ways {
		if _, twice := seen[x.key(-1)]; twice {
			continue
		}
		seen[x.key(-1)] = len(out)
		if joined(out, seen, grown, x) {
			continue
		}
		for i := range x.when {
			if key := x.key(i); x.when[i].alternative() {
				if _, there := seen[key]; !there {
					seen[key] = len(out)
				}
			}
		}
		x.when = slices.Clone(x.when) // a way that joins it must change nobody else's
		out = append(out, x)
	}
	return out
}

// mergeRefusals does the same for refusals with one reason.
func mergeRefusals(refusals []refusal) []refusal {
	var reasons []string
	by := map[string][]way{}
	for _, r := range refusals {
		if by[r.reason] == nil {
			reasons = append(reasons, r.reason)
		}
		by[r.reason] = append(by[r.reason], way{when: r.when})
	}
	var out []refusal
	for _, reason := range reasons {
		for _, x := range mergeWays(by[reason]) {
			out = append(out, refusal{reason, x.when})
		}
	}
	return out
}

// joined adds x to a way that differs from it in one condition.
func joined(out []way, seen map[string]int, grown map[int]int, x way) bool {
	for i := range x.when {
		at, there := seen[x.key(i)]
		if !there || !x.when[i].alternative() || at >= len(out) {
			continue
		}
		if j, wider := grown[at]; wider && j != i {
			continue // it is wider in another condition than x is
		}
		grown[at] = i
		into := out[at].when
		into[i].values = union(into[i].values, x.when[i].values)
		return true
	}
	return false
}

// key is a way's text, without the values of its condition i.
func (x way) key(i int) string {
	var b strings.Builder
	for j, c := range x.when {
		if j == i {
			c.values = []string{"\x02"}
		}
		b.WriteString(c.text() + "\x00")
	}
	for _, u := range x.unless {
		b.WriteString("\x01" + u.reason + strings.Join(texts(u.when), "\x00"))
	}
	return b.String()
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, x := range b {
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}
