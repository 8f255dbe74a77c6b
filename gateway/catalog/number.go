package catalog

import (
	"math/big"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// numbers are the rules of a schema about numbers.
type numbers struct {
	least, most *limit
	step        int64 // what it must be a multiple of; 0: any; -1: more than is known here
}

// limit is a bound of numbers.
type limit struct {
	float   float64 // the nearest to it
	integer int64   // it, if whole
	whole   bool
	strict  bool // the bound itself is beyond it
}

func numbersOf(n *jsonschema.Schema) *numbers {
	out := numbers{least: tighter(n.Minimum, n.ExclusiveMinimum, 1), most: tighter(n.Maximum, n.ExclusiveMaximum, -1)}
	if n.MultipleOf != nil {
		if out.step = -1; n.MultipleOf.IsInt() && n.MultipleOf.Num().IsInt64() && n.MultipleOf.Sign() > 0 {
			out.step = n.MultipleOf.Num().Int64()
		}
	}
	if out == (numbers{}) {
		return nil
	}
	return &out
}

// tighter returns the limit that leaves less: sign is 1 for lower limits and -1 for upper ones.
func tighter(inclusive, exclusive *big.Rat, sign int) *limit {
	switch {
	case exclusive == nil && inclusive == nil:
		return nil
	case exclusive == nil, inclusive != nil && inclusive.Cmp(exclusive) == sign:
		return limitOf(inclusive, false)
	default:
		return limitOf(exclusive, true)
	}
}

func limitOf(r *big.Rat, strict bool) *limit {
	l := &limit{strict: strict}
	l.float, _ = r.Float64()
	if r.IsInt() && r.Num().IsInt64() {
		l.integer, l.whole = r.Num().Int64(), true
	}
	return l
}

// number reports whether a number is certainly valid. whole says that raw has neither point nor
// exponent.
func (p *program) number(raw []byte, whole bool) bool {
	switch {
	case !whole && (p.types&isNumber == 0 || p.listed != nil), whole && p.types&isInteger == 0:
		return false
	case p.numbers == nil && p.listed == nil:
		return true
	case !whole:
		f, err := strconv.ParseFloat(string(raw), 64)
		return err == nil && p.numbers.step == 0 && p.numbers.least.below(f, 1) && p.numbers.most.below(f, -1)
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || p.listed != nil && !p.listed.integers[n] {
		return false
	}
	return p.numbers == nil || p.numbers.least.admits(n, 1) && p.numbers.most.admits(n, -1) &&
		(p.numbers.step == 0 || p.numbers.step > 0 && n%p.numbers.step == 0)
}

// below reports whether a lower limit (sign 1) is certainly below the number that f is nearest to,
// or an upper one (sign -1) above it. To round to the nearest keeps the order, so that two numbers
// whose nearest floats differ are in the order of those.
func (l *limit) below(f float64, sign int) bool {
	return l == nil || sign > 0 && f > l.float || sign < 0 && f < l.float
}

// admits reports whether a whole number is certainly within the limit.
func (l *limit) admits(n int64, sign int) bool {
	switch {
	case l == nil:
		return true
	case !l.whole:
		return l.below(float64(n), sign)
	case n == l.integer:
		return !l.strict
	}
	return n > l.integer == (sign > 0)
}
