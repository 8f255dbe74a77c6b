package catalog

import (
	"fmt"
	"regexp"
	"regexp/syntax"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// pattern is a compiled regular expression that knows how much work one byte can be.
type pattern struct {
	*regexp.Regexp
	insts int // instructions of its program
}

// patternSet is the engine that a schema is compiled with. It compiles each pattern once, for
// the metaschema asks for them as well. Compile takes known away when it is done: the format
// "regex", which drafts before 2019-09 assert, brings the engine text of callers at any time
// later and in many goroutines, and none of that may be kept.
type patternSet struct {
	known map[string]*pattern
	insts int // of all that are known
	most  int // of those
}

func (set *patternSet) compile(expr string) (jsonschema.Regexp, error) {
	if set.known == nil {
		_, err := parsePattern(expr) // nothing is matched against it
		return nil, err
	}
	if p, ok := set.known[expr]; ok {
		return p, nil
	}
	p, err := compilePattern(expr)
	if err != nil {
		return nil, err
	}
	if set.insts += p.insts; set.insts > set.most {
		return nil, fmt.Errorf("the patterns together have more than %d instructions", set.most)
	}
	set.known[expr] = p
	return p, nil
}

func parsePattern(expr string) (*syntax.Regexp, error) {
	if len(expr) > maxPatternBytes {
		return nil, fmt.Errorf("pattern of %d bytes; the limit is %d", len(expr), maxPatternBytes)
	}
	return syntax.Parse(expr, syntax.Perl)
}

func compilePattern(expr string) (*pattern, error) {
	tree, err := parsePattern(expr)
	if err != nil {
		return nil, err
	}
	// Counted before it is unrolled, which alone takes a tenth of a second for 4 KiB of (x{1000}).
	n := instructions(tree)
	if n > maxPatternInsts {
		return nil, fmt.Errorf("pattern of %d instructions; the limit is %d", n, maxPatternInsts)
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, err
	}
	return &pattern{Regexp: re, insts: n}, nil
}

// instructions bounds the length of the program that a pattern compiles to. The parser limits
// repetition, so the count cannot overflow.
func instructions(re *syntax.Regexp) int {
	n := 0
	for _, sub := range re.Sub {
		n += instructions(sub) + 1
	}
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune)
	case syntax.OpRepeat:
		return n*max(re.Max, re.Min+1) + 1
	case syntax.OpCapture:
		return n + 1
	}
	return n + 1
}
