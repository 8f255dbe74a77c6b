package lint

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// bound is an end of a range.
type bound struct {
	value ast.Value
	open  bool // the value itself is outside
}

// domain is what a value may be, as far as the expressions about it say. The zero domain is nothing;
// begin with anything().
type domain struct {
	finite   bool
	only     []ast.Value // where finite
	not      []ast.Value
	kinds    kinds
	lo, hi   *bound // by the order of Rego, in which every string is greater than every number
	prefixes []string
}

func anything() *domain { return &domain{kinds: anyKind} }

// oneOf leaves the values.
func (d *domain) oneOf(values []ast.Value) {
	if !d.finite {
		d.finite, d.only = true, values
		return
	}
	d.only = slices.DeleteFunc(slices.Clone(d.only), func(v ast.Value) bool { return !among(values, v) })
}

func among(values []ast.Value, v ast.Value) bool {
	return slices.ContainsFunc(values, func(w ast.Value) bool { return ast.Compare(v, w) == 0 })
}

// add narrows the domain by a comparison. What it does not understand changes nothing.
func (d *domain) add(c comparison) {
	if values := c.equals(); values != nil {
		d.oneOf(values)
		return
	}
	op := c.op
	if c.swapped {
		op = map[string]string{ast.LessThan.Name: ast.GreaterThan.Name, ast.LessThanEq.Name: ast.GreaterThanEq.Name,
			ast.GreaterThan.Name: ast.LessThan.Name, ast.GreaterThanEq.Name: ast.LessThanEq.Name, ast.NotEqual.Name: ast.NotEqual.Name}[op]
	}
	switch op {
	case ast.NotEqual.Name:
		d.not = append(d.not, c.constant)
	case ast.LessThan.Name, ast.LessThanEq.Name:
		d.below(&bound{c.constant, op == ast.LessThan.Name})
	case ast.GreaterThan.Name, ast.GreaterThanEq.Name:
		d.above(&bound{c.constant, op == ast.GreaterThan.Name})
	case ast.StartsWith.Name:
		if s, ok := c.constant.(ast.String); ok {
			d.prefixes = append(d.prefixes, string(s))
		}
	}
}

func (d *domain) below(b *bound) {
	if d.hi == nil || ast.Compare(b.value, d.hi.value) < 0 || ast.Compare(b.value, d.hi.value) == 0 && b.open {
		d.hi = b
	}
}

func (d *domain) above(b *bound) {
	if d.lo == nil || ast.Compare(b.value, d.lo.value) > 0 || ast.Compare(b.value, d.lo.value) == 0 && b.open {
		d.lo = b
	}
}

// from narrows the domain by what a schema says.
func (d *domain) from(p place) {
	d.kinds &= p.kinds
	if len(p.enum) > 0 {
		d.oneOf(p.enum)
	}
	if p.kinds != kindNumber {
		return // a bound of numbers says nothing of others
	}
	number := func(n *json.Number) *bound { return &bound{ast.Number(*n), false} }
	if p.min != nil {
		d.above(number(p.min))
	}
	if p.max != nil {
		d.below(number(p.max))
	}
}

// empty says why no value is left; "" where one may be.
func (d *domain) empty() string {
	if d.finite {
		if slices.ContainsFunc(d.only, d.takes) {
			return ""
		}
		return "nothing that it is compared with is left"
	}
	switch {
	case d.kinds == 0:
		return "it would have to be of two types"
	case d.lo != nil && d.hi != nil && (ast.Compare(d.lo.value, d.hi.value) > 0 || ast.Compare(d.lo.value, d.hi.value) == 0 && (d.lo.open || d.hi.open)):
		return fmt.Sprintf("nothing lies between %s and %s", d.lo.value, d.hi.value)
	}
	for _, p := range d.prefixes {
		for _, q := range d.prefixes {
			if !strings.HasPrefix(p, q) && !strings.HasPrefix(q, p) {
				return fmt.Sprintf("nothing starts with both %q and %q", p, q)
			}
		}
	}
	return ""
}

func (d *domain) takes(v ast.Value) bool {
	k := kindOf(v)
	if among(d.not, v) || k != 0 && d.kinds&k == 0 {
		return false
	}
	if d.lo != nil {
		if c := ast.Compare(v, d.lo.value); c < 0 || c == 0 && d.lo.open {
			return false
		}
	}
	if d.hi != nil {
		if c := ast.Compare(v, d.hi.value); c > 0 || c == 0 && d.hi.open {
			return false
		}
	}
	s, text := v.(ast.String)
	return !slices.ContainsFunc(d.prefixes, func(p string) bool { return !text || !strings.HasPrefix(string(s), p) })
}
