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

// seen is what was seen of one argument, or of the items of a list.
type seen struct {
	n        int
	values   map[string]json.RawMessage // distinct scalars, by their canonical text; nil once there are too many
	types    map[string]bool
	numbers  bool
	min, max float64
	whole    bool                // every number is an integer
	odd      bool                // a number that float64 does not hold
	texts    int                 // strings, not distinct
	roots    map[string][]string // of absolute paths: common segments, by the first one; nil where a text is none
	items    *seen               // of lists
	longest  int                 // items of the longest list
}

func newSeen() *seen {
	return &seen{values: map[string]json.RawMessage{}, types: map[string]bool{}, roots: map[string][]string{}, whole: true, min: math.Inf(1), max: math.Inf(-1)}
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

// path keeps what absolute paths have in common. The first text that is none ends it.
func (s *seen) path(text string) {
	segments := plainSegments(text)
	if s.roots == nil || segments == nil {
		s.roots = nil
		return
	}
	first := segments[0]
	known, ok := s.roots[first]
	if !ok {
		if len(s.roots) >= mostRoots {
			s.roots = nil
			return
		}
		s.roots[first] = segments
		return
	}
	n := 0
	for n < len(known) && n < len(segments) && known[n] == segments[n] {
		n++
	}
	s.roots[first] = known[:n]
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
