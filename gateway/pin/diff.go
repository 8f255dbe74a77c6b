package pin

import (
	"strconv"
	"strings"

	"sallyport/gateway/catalog"
	"sallyport/gateway/guard/hidden"
	"sallyport/internal/strictjson"
)

// Change is one difference between two definitions.
type Change struct {
	Path  string   `json:"path"`          // of the member, as inputSchema.properties.path
	What  string   `json:"what"`          // added, removed or changed
	Lines []string `json:"lines"`         // "-" and what was, "+" and what is, " " and what stays
	Old   string   `json:"old,omitempty"` // JSON, whole
	New   string   `json:"new,omitempty"`
}

// Diff says what differs between two definitions, field by field, so that a person sees all of it:
// texts by lines, everything else as JSON, and characters that are not seen as ⟨U+200B⟩. Without an
// old one everything is added. Both must have passed the strict check.
func Diff(old, new []byte) []Change {
	var d differ
	d.values("", old, new)
	return d.out
}

type differ struct{ out []Change }

func (d *differ) values(pointer string, old, new []byte) {
	switch {
	case old != nil && new != nil && catalog.Digest(old) == catalog.Digest(new):
		return
	case isObject(new) && (isObject(old) || old == nil && pointer == ""):
		d.objects(pointer, old, new)
		return
	case isArray(old) && isArray(new):
		if d.arrays(pointer, old, new) {
			return
		}
	}
	c := Change{Path: path(pointer), What: "changed", Old: string(old), New: string(new)}
	switch {
	case old == nil:
		c.What = "added"
	case new == nil:
		c.What = "removed"
	}
	c.Lines = lines(linesOf(old), linesOf(new))
	d.out = append(d.out, c)
}

func isObject(v []byte) bool { return len(v) > 0 && v[0] == '{' }
func isArray(v []byte) bool  { return len(v) > 0 && v[0] == '[' }

func path(pointer string) string {
	if pointer == "" {
		return "the text"
	}
	return Visible(strings.ReplaceAll(pointer[1:], "/", "."))
}

func (d *differ) objects(pointer string, old, new []byte) {
	members := func(v []byte) (names []string, values map[string][]byte) {
		values = map[string][]byte{}
		if v == nil {
			return nil, values
		}
		_ = strictjson.EachMember(v, func(m strictjson.Member) { // an object
			names = append(names, m.Name)
			values[m.Name] = m.Value().Of(v)
		})
		return names, values
	}
	before, was := members(old)
	after, is := members(new)
	for _, name := range before {
		d.values(pointer+"/"+name, was[name], is[name])
	}
	for _, name := range after {
		if _, known := was[name]; !known {
			d.values(pointer+"/"+name, nil, is[name])
		}
	}
}

// arrays compares element by element where only elements differ; else false.
func (d *differ) arrays(pointer string, old, new []byte) bool {
	a, err := strictjson.Array(old)
	b, other := strictjson.Array(new)
	if err != nil || other != nil || len(a) != len(b) {
		return false
	}
	for i := range a {
		d.values(pointer+"/"+strconv.Itoa(i), a[i].Of(old), b[i].Of(new))
	}
	return true
}

// linesOf are the lines of a text, or of the JSON that a value is.
func linesOf(v []byte) []string {
	if v == nil {
		return nil
	}
	if text, err := strictjson.String(v); err == nil {
		return strings.Split(text, "\n")
	}
	return []string{string(v)}
}

// maxCompared bounds the table of a line diff.
const maxCompared = 1_000_000

// lines is what differs between two lists of lines, with all that stays.
func lines(old, new []string) []string {
	keep := common(old, new)
	var out []string
	i, j := 0, 0
	for _, pair := range append(keep, [2]int{len(old), len(new)}) {
		for ; i < pair[0]; i++ {
			out = append(out, "-"+Visible(old[i]))
		}
		for ; j < pair[1]; j++ {
			out = append(out, "+"+Visible(new[j]))
		}
		if i < len(old) && j < len(new) {
			out = append(out, " "+Visible(old[i]))
			i, j = i+1, j+1
		}
	}
	return out
}

// common is a longest common subsequence, as pairs of indexes; none where that costs too much.
func common(old, new []string) [][2]int {
	if len(old)*len(new) > maxCompared {
		return nil
	}
	most := make([][]int, len(old)+1)
	for i := range most {
		most[i] = make([]int, len(new)+1)
	}
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(new) - 1; j >= 0; j-- {
			most[i][j] = max(most[i+1][j], most[i][j+1])
			if old[i] == new[j] {
				most[i][j] = most[i+1][j+1] + 1
			}
		}
	}
	var pairs [][2]int
	for i, j := 0, 0; i < len(old) && j < len(new); {
		switch {
		case old[i] == new[j]:
			pairs = append(pairs, [2]int{i, j})
			i, j = i+1, j+1
		case most[i+1][j] >= most[i][j+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}

// Visible returns a text of a server for a terminal: what is not seen, or steers it, is written as
// ⟨U+200B ZERO WIDTH SPACE⟩; so is what would pass for that.
func Visible(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '⟨', r == '⟩', !strconv.IsPrint(r), hidden.Check(s[i:i+width(r)]) != nil:
			b.WriteString("⟨" + hidden.Name(r) + "⟩")
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func width(r rune) int { return len(string(r)) }
