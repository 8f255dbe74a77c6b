package workbench

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Bounds of what a list of values is learned as: more is taken for diverse. Of paths fewer, since a
// file that was read three times is no reason to name it.
const (
	mostEnum  = 10
	mostPaths = 3
)

// Rule is what one argument may be: a value that any of its parts accepts.
type Rule struct {
	Values []json.RawMessage `json:"values,omitempty"` // one of these
	Min    *float64          `json:"min,omitempty"`    // a number from Min to Max
	Max    *float64          `json:"max,omitempty"`
	Whole  bool              `json:"whole,omitempty"` // and an integer
	Below  []string          `json:"below,omitempty"` // a path below one of these
	Types  []string          `json:"types,omitempty"` // anything of these types
	Items  *Rule             `json:"items,omitempty"` // a list of such values,
	Most   *int              `json:"most,omitempty"`  // at most so many

	words []string
}

// infer is the narrowest rule that accepts what was seen, but for what is so diverse that its values
// say nothing about the next one. What was seen less than support times is never taken for diverse.
func (s *seen) infer(support int) *Rule {
	r := s.inferOne(support)
	if s.types["array"] {
		r.Items, r.Most = s.items.inferOne(support), &s.longest
		if s.items.types["array"] {
			r.Items.free("array", "a list, free: what is in it is not learned")
		}
		words := fmt.Sprintf("a list of at most %d: %s", s.longest, r.Items)
		if s.items.n == 0 {
			words = "an empty list"
		}
		r.words = append(r.words, words)
	}
	return r
}

// inferOne is infer but for lists.
func (s *seen) inferOne(support int) *Rule {
	r := &Rule{}
	if s.types["boolean"] || s.types["null"] {
		r.values(s, 't', 'f', 'n')
	}
	if s.numbers {
		s.inferNumber(r)
	}
	if s.types["string"] {
		s.inferText(r, support)
	}
	if s.types["object"] {
		r.free("object", "an object, free: what is in it is not learned")
	}
	return r
}

// values adds the values whose JSON begins with one of the letters.
func (r *Rule) values(s *seen, first ...byte) {
	var words []string
	for _, v := range s.distinct() {
		if slices.Contains(first, v[0]) {
			r.Values = append(r.Values, v)
			words = append(words, string(v))
		}
	}
	r.words = append(r.words, "one of "+strings.Join(words, ", "))
}

func (r *Rule) free(kind, words string) {
	r.Types = append(r.Types, kind)
	r.words = append(r.words, words)
}

func (s *seen) inferNumber(r *Rule) {
	if s.odd {
		r.free("number", "a number, free: some are beyond 2^53")
		return
	}
	r.Min, r.Max, r.Whole = &s.min, &s.max, s.whole
	r.words = append(r.words, fmt.Sprintf("from %s to %s", decimal(s.min), decimal(s.max)))
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

func (s *seen) inferText(r *Rule, support int) {
	distinct := 0
	for text := range s.values {
		if text[0] == '"' {
			distinct++
		}
	}
	below, rare, confined := s.directories()
	few := s.values != nil && (s.texts < support || distinct <= mostEnum && s.texts >= 2*distinct)
	if confined && s.texts >= support {
		few = s.values != nil && distinct <= mostPaths
	}
	switch {
	case few:
		r.values(s, '"')
	case confined:
		r.Below = below
		r.words = append(r.words, "a path below "+strings.Join(r.Below, ", "))
		r.exactly(rare)
	case s.values != nil:
		r.free("string", fmt.Sprintf("a text, free: %d different ones in %d", distinct, s.texts))
	default:
		r.free("string", fmt.Sprintf("a text, free: more than %d different ones in %d", mostDistinct, s.texts))
	}
}

// directories are those that nearly all texts are paths below, and the texts that are not. ok is false
// where the texts are not so.
func (s *seen) directories() (below, rare []string, ok bool) {
	if s.roots == nil || s.plain.n > 0 && !s.plain.rare(s.texts) {
		return nil, nil, false
	}
	rare = slices.Collect(maps.Keys(s.plain.texts))
	for _, first := range slices.Sorted(maps.Keys(s.roots)) {
		if r := s.roots[first]; r.rare(s.texts) {
			rare = append(rare, slices.Collect(maps.Keys(r.texts))...)
		} else {
			below = append(below, "/"+strings.Join(r.segments, "/")+"/")
		}
	}
	slices.Sort(rare)
	return below, rare, len(below) > 0 && len(below) <= mostRoots
}

// exactly adds texts as they were seen.
func (r *Rule) exactly(texts []string) {
	var words []string
	for _, t := range texts {
		raw, err := marshal(t)
		if err != nil {
			continue // no text of a JSON document is like this
		}
		r.Values = append(r.Values, raw)
		words = append(words, string(raw))
	}
	if len(words) > 0 {
		r.words = append(r.words, "exactly, since it was seen rarely (is it meant?), "+strings.Join(words, ", "))
	}
}

// String is the rule in words.
func (r *Rule) String() string { return strings.Join(r.words, "; or ") }
