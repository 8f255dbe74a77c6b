package workbench

import (
	"slices"
	"strings"
)

// verb is how a condition is said of one value, of several, and denied.
type verb struct {
	one, many, not, none string
	either               bool // several values are alternatives
}

var (
	is       = &verb{"is", "is one of", "is not", "is none of", true}
	starts   = &verb{"starts with", "starts with one of", "does not start with", "starts with none of", true}
	ends     = &verb{"ends with", "ends with one of", "does not end with", "ends with none of", true}
	contains = &verb{"contains", "contains one of", "does not contain", "contains none of", true}
	globs    = &verb{"matches the glob", "matches one of the globs", "does not match the glob", "matches none of the globs", true}
	matches  = &verb{"matches the pattern", "matches one of the patterns", "does not match the pattern", "matches none of the patterns", true}
	has      = &verb{"has", "has one of", "has not", "has none of", true}
	above    = &verb{one: ">", not: "is not >"}
	from     = &verb{one: "≥", not: "is not ≥"}
	below    = &verb{one: "<", not: "is not <"}
	upTo     = &verb{one: "≤", not: "is not ≤"}
	given    = &verb{one: "is given", not: "is not given"}
	holds    = &verb{one: "is given and not false", not: "is absent or false"}
	equals   = &verb{one: "equals", not: "does not equal"}
	number   = &verb{one: "is a number", not: "is no number"}
)

// cond is one thing that must hold. It has a verb, or groups, or prose alone.
type cond struct {
	subject string
	verb    *verb
	values  []string
	negated bool
	mayMiss bool     // the subject can be absent, and a negation then holds
	absent  bool     // or the subject is absent
	needs   []string // the parts of input that the subject is made of and that can be absent
	some    bool     // the subject is some member of something: what is denied of one may hold of another
	compare string

	groups [][]cond // none of them holds, each being a list of which all hold
	prose  string   // key and text of everything else
}

// alternative reports whether more values make the condition wider.
func (c cond) alternative() bool { return c.verb != nil && c.verb.either && !c.negated }

func (c cond) text() string {
	switch {
	case c.groups != nil:
		return "not: " + anyOf(c.groups)
	case c.verb == nil:
		return c.prose
	case c.subject == "flow.labels" && c.verb == has:
		return c.label()
	}
	said := c.verb.one
	switch {
	case c.negated && len(c.values) > 1:
		said = c.verb.none
	case c.negated:
		said = c.verb.not
	case len(c.values) > 1:
		said = c.verb.many
	}
	if c.absent || c.negated && c.mayMiss && c.verb != holds && c.verb != given && c.verb != equals {
		said = "is absent or " + said
	}
	text := c.subject + " " + said
	if len(c.values) > 0 {
		text += " " + strings.Join(c.values, ", ")
	}
	if c.negated && c.mayMiss && c.verb == equals {
		text += " (or one of them is absent)"
	}
	return text + c.compare
}

// label says what the flow has touched.
func (c cond) label() string {
	switch names := strings.Join(unquoted(c.values), " or "); {
	case c.negated:
		return "flow has no label " + names
	case len(c.values) == 1:
		return "flow has the label " + names
	default:
		return "flow has one of the labels " + strings.Join(unquoted(c.values), ", ")
	}
}

func unquoted(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = strings.Trim(v, `"`)
	}
	return out
}

// anyOf says that one of several lists of conditions holds.
func anyOf(groups [][]cond) string {
	said := make([]string, len(groups))
	for i, g := range groups {
		said[i] = "(" + strings.Join(texts(g), ", and ") + ")"
	}
	return strings.Join(said, " or ")
}

func texts(conds []cond) []string {
	out := make([]string, len(conds))
	for i, c := range conds {
		out[i] = c.text()
	}
	return out
}

// same reports whether two conditions speak of the same thing.
func (c cond) same(d cond) bool {
	return c.verb != nil && c.verb == d.verb && c.subject == d.subject && c.absent == d.absent
}

// opposite is the negation of a comparison, in an order of all values.
var opposite = map[*verb]*verb{above: upTo, upTo: above, from: below, below: from}

// denied is the negation of a condition that has a verb.
func (c cond) denied() cond {
	if v := opposite[c.verb]; v != nil {
		c.verb, c.absent = v, c.mayMiss && !c.absent
		if c.compare != "" {
			c.compare = acrossTypes(v)
		}
		return c
	}
	c.negated = !c.negated
	return c
}

// acrossTypes is what else holds where a value is compared with a number: in Rego null and booleans
// are below every number, all other values above.
func acrossTypes(v *verb) string {
	if v == above || v == from {
		return " (or is text, a list or an object)"
	}
	return " (or is null, true or false)"
}

// ruledOutBy reports whether c cannot hold where all of the others do.
func (c cond) ruledOutBy(others []cond) bool {
	for _, g := range c.groups {
		if !slices.ContainsFunc(g, func(x cond) bool { return !x.followsFrom(others) }) {
			return true
		}
	}
	return slices.ContainsFunc(others, func(d cond) bool {
		switch {
		case c.verb != nil && opposite[c.verb] == d.verb && c.subject == d.subject && !(c.absent && d.absent):
			return subset(c.values, d.values)
		case !c.same(d) || c.negated == d.negated:
			return false
		case c.negated:
			return subset(d.values, c.values)
		}
		return subset(c.values, d.values)
	})
}

// followsFrom reports whether c holds where all of the others do.
func (c cond) followsFrom(others []cond) bool {
	return slices.ContainsFunc(others, func(d cond) bool {
		switch {
		case c.verb == nil || d.verb == nil:
			return c.verb == nil && d.verb == nil && c.text() == d.text()
		case !c.same(d) || c.negated != d.negated:
			return false
		case c.negated:
			return subset(c.values, d.values)
		}
		return subset(d.values, c.values)
	})
}

// subset reports whether all of a are in b.
func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(x string) bool { return !slices.Contains(b, x) })
}

// finish joins what is said twice, and drops "is absent or" where something else in the list says
// that the subject is there.
func finish(conds []cond) []cond {
	var out []cond
	for _, c := range conds {
		if i := slices.IndexFunc(out, func(d cond) bool { return c.negated && d.negated && c.same(d) }); i >= 0 && c.verb.either {
			out[i].values = union(out[i].values, c.values)
		} else if !slices.ContainsFunc(out, func(d cond) bool { return d.text() == c.text() }) {
			out = append(out, c)
		}
	}
	positive := map[string][]*verb{}
	for _, c := range out {
		if c.verb != nil && !c.negated && !c.absent {
			positive[c.subject] = append(positive[c.subject], c.verb)
		}
	}
	kept := out[:0]
	for _, c := range out {
		if c.verb == given && !c.negated && len(positive[c.subject]) > 1 {
			continue
		}
		absent := slices.ContainsFunc(c.needs, func(part string) bool { return len(positive[part]) == 0 })
		if (len(positive[c.subject]) > 0 || len(c.needs) > 0 && !absent) && (c.negated || c.absent) {
			c.mayMiss, c.absent = false, false
		}
		if slices.Contains(positive[c.subject], number) {
			c.compare = ""
		}
		kept = append(kept, c)
	}
	return kept
}
