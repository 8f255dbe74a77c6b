package catalog

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// ValidationError says why a value does not match its schema, written for the model that sent
// the value. Pointers and messages hold names of members and what the schema says; they never
// hold a value. Its length is bounded.
type ValidationError struct {
	Violations []Violation // at least one, in the order of their pointers
	More       int         // how many were left out
}

// Violation is one thing to fix.
type Violation struct {
	Pointer string // JSON Pointer of the place; "" is the value itself
	Message string // what must hold there: "must be string, got number"
}

func (e *ValidationError) Error() string {
	var b strings.Builder
	for i, v := range e.Violations {
		if i > 0 {
			b.WriteString("; ")
		}
		if v.Pointer != "" {
			b.WriteString(v.Pointer + ": ")
		}
		b.WriteString(v.Message)
	}
	if e.More > 0 {
		fmt.Fprintf(&b, "; and %d more", e.More)
	}
	return b.String()
}

const (
	maxViolations = 8
	maxCollected  = 1_000 // of which those are chosen; a value can have a mistake at every place
	maxPointer    = 160
	maxMessage    = 400
	maxQuoted     = 40 // of a name or a word of the schema
	maxListed     = 12 // names or words in one message
)

// refusal is a ValidationError with a single message about the value itself.
func refusal(message string) *ValidationError {
	return &ValidationError{Violations: []Violation{{Message: message}}}
}

// translate puts the validator's tree of errors into few words. nodes, where given, adds what
// the schema would have accepted.
func translate(err *jsonschema.ValidationError, nodes map[string]*jsonschema.Schema) *ValidationError {
	t := translator{nodes: nodes}
	t.add(err)
	if len(t.found) == 0 {
		return refusal("does not match the schema")
	}
	// The validator visits members in random order; the same mistake shall read the same.
	slices.SortFunc(t.found, func(a, b Violation) int {
		if c := strings.Compare(a.Pointer, b.Pointer); c != 0 {
			return c
		}
		return strings.Compare(a.Message, b.Message)
	})
	t.found = slices.Compact(t.found)
	out := &ValidationError{Violations: t.found, More: t.skipped}
	if n := len(t.found); n > maxViolations {
		out.Violations, out.More = slices.Clone(t.found[:maxViolations]), n-maxViolations+t.skipped
	}
	return out
}

type translator struct {
	nodes   map[string]*jsonschema.Schema
	found   []Violation
	skipped int // beyond maxCollected
}

func (t *translator) say(err *jsonschema.ValidationError, format string, args ...any) {
	if len(t.found) == maxCollected {
		t.skipped++
		return
	}
	t.found = append(t.found, Violation{
		Pointer: pointer(err.InstanceLocation),
		Message: truncate(fmt.Sprintf(format, args...), maxMessage),
	})
}

// add translates err and what caused it: only the leaves of the tree say something.
func (t *translator) add(err *jsonschema.ValidationError) {
	switch k := err.ErrorKind.(type) {
	case *kind.AnyOf:
		t.addChoice(err)
		return
	case *kind.OneOf:
		if len(k.Subschemas) == 0 {
			t.addChoice(err)
			return
		}
		t.say(err, "must match exactly one alternative, but matches at least two (numbers %d and %d)", k.Subschemas[0]+1, k.Subschemas[1]+1)
		return
	case *kind.PropertyNames:
		t.say(err, "property name %s is not allowed", quoteName(k.Property))
		return
	case *kind.Contains, *kind.MinContains:
		t.addLeaf(err)
		return
	}
	if len(err.Causes) == 0 {
		t.addLeaf(err)
		return
	}
	for _, cause := range err.Causes {
		t.add(cause)
	}
}

// addChoice translates a failed anyOf or oneOf. If all alternatives wanted another type or
// another word they are told together; else the alternative that came closest is told.
func (t *translator) addChoice(err *jsonschema.ValidationError) {
	var types, words []string
	got := ""
	for _, cause := range err.Causes {
		switch k := cause.ErrorKind.(type) {
		case *kind.Type:
			if slices.Equal(cause.InstanceLocation, err.InstanceLocation) {
				types, got = append(types, k.Want...), k.Got
			}
		case *kind.Const:
			if isScalar(k.Want) {
				words = append(words, word(k.Want))
			}
		}
	}
	switch n := len(err.Causes); {
	case n == 0:
		t.say(err, "must match one of the alternatives of the schema")
	case len(types) > 0 && !t.anyDeeper(err):
		t.say(err, "must be %s, got %s", orList(types), got)
	case len(words) == n:
		t.say(err, "must be one of %s", wordList(words))
	default:
		t.say(err, "must match one of %d alternatives", n)
		if best := closest(err); best != nil {
			t.add(best)
		}
	}
}

// anyDeeper reports whether some alternative failed for another reason than its type.
func (t *translator) anyDeeper(err *jsonschema.ValidationError) bool {
	for _, cause := range err.Causes {
		if _, ok := cause.ErrorKind.(*kind.Type); !ok || len(cause.InstanceLocation) != len(err.InstanceLocation) {
			return true
		}
	}
	return false
}

// closest returns the alternative with the fewest mistakes among those that had at least the
// right type and the right constant, where there are any.
func closest(err *jsonschema.ValidationError) *jsonschema.ValidationError {
	var best *jsonschema.ValidationError
	fewest := 0
	for _, cause := range err.Causes {
		score := leaves(cause)
		switch cause.ErrorKind.(type) {
		case *kind.Type, *kind.Const, *kind.Enum:
			if len(cause.InstanceLocation) == len(err.InstanceLocation) {
				continue
			}
		}
		if wrongTag(cause) {
			score += 1000
		}
		if best == nil || score < fewest {
			best, fewest = cause, score
		}
	}
	return best
}

func leaves(err *jsonschema.ValidationError) int {
	if len(err.Causes) == 0 {
		return 1
	}
	n := 0
	for _, c := range err.Causes {
		n += leaves(c)
	}
	return n
}

// wrongTag reports whether an alternative failed on a constant, as those of a tagged union
// do when another one is meant.
func wrongTag(err *jsonschema.ValidationError) bool {
	if _, ok := err.ErrorKind.(*kind.Const); ok {
		return true
	}
	return slices.ContainsFunc(err.Causes, wrongTag)
}

// addLeaf translates one mistake.
func (t *translator) addLeaf(err *jsonschema.ValidationError) {
	switch k := err.ErrorKind.(type) {
	case *kind.Type:
		t.say(err, "must be %s, got %s", orList(k.Want), k.Got)
	case *kind.Required:
		t.say(err, "missing %s", named("property", "properties", k.Missing))
	case *kind.AdditionalProperties:
		t.say(err, "unknown %s%s", named("property", "properties", k.Properties), t.known(err.SchemaURL))
	case *kind.Dependency:
		t.say(err, "missing %s, which %s needs", named("property", "properties", k.Missing), quoteName(k.Prop))
	case *kind.DependentRequired:
		t.say(err, "missing %s, which %s needs", named("property", "properties", k.Missing), quoteName(k.Prop))
	case *kind.Enum:
		t.say(err, "must be one of %s", anyWords(k.Want))
	case *kind.Const:
		t.say(err, "must be %s", word(k.Want))
	case *kind.FalseSchema:
		t.say(err, "must not be there")
	case *kind.Not:
		t.say(err, "must not match what the schema excludes (\"not\")")
	case *kind.Format:
		t.say(err, "must have the format %s", quoteName(k.Want))
	default:
		t.addLimit(err)
	}
}

// addLimit translates a mistake about a size or a number.
func (t *translator) addLimit(err *jsonschema.ValidationError) {
	switch k := err.ErrorKind.(type) {
	case *kind.MinLength:
		t.say(err, "must have at least %d characters", k.Want)
	case *kind.MaxLength:
		t.say(err, "must have at most %d characters", k.Want)
	case *kind.Pattern:
		t.say(err, "must match the pattern %s", truncate(strconv.Quote(k.Want), maxMessage/2))
	case *kind.Minimum:
		t.say(err, "must be at least %s", number(k.Want))
	case *kind.Maximum:
		t.say(err, "must be at most %s", number(k.Want))
	case *kind.ExclusiveMinimum:
		t.say(err, "must be more than %s", number(k.Want))
	case *kind.ExclusiveMaximum:
		t.say(err, "must be less than %s", number(k.Want))
	case *kind.MultipleOf:
		t.say(err, "must be a multiple of %s", number(k.Want))
	case *kind.MinItems:
		t.say(err, "must have at least %d items, has %d", k.Want, k.Got)
	case *kind.MaxItems:
		t.say(err, "must have at most %d items, has %d", k.Want, k.Got)
	case *kind.AdditionalItems:
		t.say(err, "has %d items too many", k.Count)
	case *kind.UniqueItems:
		t.say(err, "must not have equal items (numbers %d and %d)", k.Duplicates[0]+1, k.Duplicates[1]+1)
	case *kind.Contains:
		t.say(err, "no item is as the schema asks (\"contains\")")
	case *kind.MinContains:
		t.say(err, "must have at least %d items as the schema asks (\"contains\")", k.Want)
	case *kind.MaxContains:
		t.say(err, "must have at most %d items as the schema asks (\"contains\")", k.Want)
	case *kind.MinProperties:
		t.say(err, "must have at least %d properties, has %d", k.Want, k.Got)
	case *kind.MaxProperties:
		t.say(err, "must have at most %d properties, has %d", k.Want, k.Got)
	default:
		t.say(err, "does not match the schema")
	}
}

// known lists the properties that the schema at a location names.
func (t *translator) known(location string) string {
	n := t.nodes[location]
	if n == nil || len(n.Properties) == 0 {
		return ""
	}
	names := make([]string, 0, len(n.Properties))
	for name := range n.Properties {
		names = append(names, name)
	}
	return "; known: " + nameList(names)
}

func named(one, many string, names []string) string {
	if len(names) == 1 {
		return one + " " + quoteName(names[0])
	}
	return many + " " + nameList(names)
}

func nameList(names []string) string {
	names = slices.Sorted(slices.Values(names))
	quoted := make([]string, 0, maxListed)
	for _, n := range names[:min(len(names), maxListed)] {
		quoted = append(quoted, quoteName(n))
	}
	return strings.Join(quoted, ", ") + andMore(len(names)-maxListed)
}

func wordList(words []string) string {
	return strings.Join(words[:min(len(words), maxListed)], ", ") + andMore(len(words)-maxListed)
}

func andMore(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" and %d more", n)
}

func orList(types []string) string {
	types = slices.Clone(types)
	slices.Sort(types)
	return strings.Join(slices.Compact(types), " or ")
}

func anyWords(values []any) string {
	words := make([]string, 0, maxListed)
	for _, v := range values[:min(len(values), maxListed)] {
		words = append(words, word(v))
	}
	return strings.Join(words, ", ") + andMore(len(values)-maxListed)
}

// word writes a constant of the schema.
func word(v any) string {
	switch v := v.(type) {
	case string:
		return quoteName(v)
	case json.Number:
		return truncate(v.String(), maxQuoted)
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	default:
		return "the constant that the schema gives"
	}
}

func number(r *big.Rat) string {
	if r.IsInt() {
		return truncate(r.Num().String(), maxQuoted)
	}
	return truncate(strings.TrimRight(r.FloatString(12), "0"), maxQuoted)
}

// pointer writes a place; names in it are the caller's, so they are bounded and cannot bring
// control characters along.
func pointer(location []string) string {
	var b strings.Builder
	for _, name := range location {
		quoted := strconv.Quote(truncate(name, maxQuoted))
		b.WriteString("/" + pointerEscaper.Replace(quoted[1:len(quoted)-1]))
	}
	return truncate(b.String(), maxPointer)
}
