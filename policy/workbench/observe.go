package workbench

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// most distinct values that are remembered of one argument; what has more is diverse.
const mostDistinct = 256

// mostRoots is how many directories one argument may be confined to; what is spread wider is free.
const mostRoots = 5

// What was seen more rarely than once in rareIn times, or fewer than rareBelow times, is learned as it
// was and says nothing about others: one call, made by an attacker in the weeks that are learned from,
// must not open a directory or make an argument free.
const (
	rareIn    = 10
	rareBelow = 3
	mostRare  = 64 // directories, and texts of one of them, that are looked at
)

// seen is what was seen of one argument, or of the items of a list.
type seen struct {
	n        int
	values   map[string]json.RawMessage // distinct scalars, by their canonical text; nil once there are too many
	types    map[string]bool
	numbers  bool
	min, max float64
	whole    bool             // every number is an integer
	odd      bool             // a number that float64 does not hold
	texts    int              // strings, not distinct
	roots    map[string]*root // of absolute paths, by their first segment; nil once there are too many
	plain    root             // texts that are no such path
	items    *seen            // of lists
	longest  int              // items of the longest list
}

// root is what was seen of texts of one kind.
type root struct {
	n        int
	segments []string        // that they have in common
	texts    map[string]bool // nil once there are too many
}

func (r *root) add(text string) {
	r.n++
	if r.texts == nil && r.n == 1 {
		r.texts = map[string]bool{}
	}
	if r.texts == nil {
		return
	}
	if r.texts[text] = true; len(r.texts) > mostRare {
		r.texts = nil
	}
}

// rare reports whether they are too few of all to say anything about others.
func (r *root) rare(of int) bool { return r.texts != nil && (r.n < rareBelow || r.n*rareIn < of) }

func newSeen() *seen {
	return &seen{values: map[string]json.RawMessage{}, types: map[string]bool{}, roots: map[string]*root{}, whole: true, min: math.Inf(1), max: math.Inf(-1)}
}

// add notes one value. v is decoded with numbers as they are.
func (s *seen) add(v any) {
	s.n++
	switch v := v.(type) {
	case nil:
		s.scalar("null", v)
	case bool:
		s.scalar("boolean", v)
	case json.Number:
		s.scalar("number", v)
		s.number(v)
	case string:
		s.scalar("string", v)
		s.texts++
		s.path(v)
	case []any:
		s.types["array"] = true
		if s.items == nil {
			s.items = newSeen()
		}
		s.longest = max(s.longest, len(v))
		for _, item := range v {
			s.items.add(item)
		}
	default:
		s.types["object"] = true
	}
}

func (s *seen) scalar(kind string, v any) {
	s.types[kind] = true
	if s.values == nil {
		return
	}
	raw, err := marshal(v)
	if err != nil {
		s.values = nil
		return
	}
	if s.values[string(raw)] = raw; len(s.values) > mostDistinct {
		s.values = nil
	}
}

func (s *seen) number(v json.Number) {
	s.numbers = true
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || math.Abs(f) > 1<<53 {
		s.odd = true
		return
	}
	s.min, s.max = min(s.min, f), max(s.max, f)
	s.whole = s.whole && f == math.Trunc(f)
}

// path keeps what absolute paths have in common, and apart from them the texts that are none.
func (s *seen) path(text string) {
	segments := plainSegments(text)
	if segments == nil {
		s.plain.add(text)
		return
	}
	if s.roots == nil {
		return
	}
	known := s.roots[segments[0]]
	if known == nil {
		if len(s.roots) >= mostRare {
			s.roots = nil
			return
		}
		known = &root{segments: segments}
		s.roots[segments[0]] = known
	}
	known.add(text)
	n := 0
	for n < len(known.segments) && n < len(segments) && known.segments[n] == segments[n] {
		n++
	}
	known.segments = known.segments[:n]
}

// plainSegments splits an absolute path that everybody reads alike; nil for any other text.
func plainSegments(text string) []string {
	rest, absolute := strings.CutPrefix(text, "/")
	rest = strings.TrimSuffix(rest, "/")
	if !absolute || rest == "" || strings.ContainsAny(text, "\\%\x00\uff0e") {
		return nil
	}
	segments := strings.Split(rest, "/")
	for _, s := range segments {
		if t := strings.Trim(s, " ;\t"); t == "" || t == "." || t == ".." {
			return nil
		}
	}
	return segments
}

// distinct are the values in the order of their text.
func (s *seen) distinct() []json.RawMessage {
	out := make([]json.RawMessage, 0, len(s.values))
	for _, v := range s.values {
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b json.RawMessage) int { return bytes.Compare(a, b) })
	return out
}

// marshal is json.Marshal without the escapes for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// decode reads JSON with numbers as they are.
func decode(raw []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return dec.Decode(v)
}
