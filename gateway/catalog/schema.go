package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"sallyport/internal/strictjson"
)

// Schema is a compiled JSON Schema. The zero Schema and nil accept nothing. It is immutable
// and safe for concurrent use.
type Schema struct {
	root *jsonschema.Schema
	cost *cost
	// names are the members that the schema names, by their place.
	names *strictjson.Place
	fast  *program // nil where the schema uses what a program cannot do

	nodes map[string]*jsonschema.Schema // by location, for messages
}

// base is where a schema document is said to lie. The scheme has no loader, so that no
// relative reference can leave the document.
const base = "schema:///input"

// dialects are the values of $schema that are understood, without a final "#". Absent means
// 2020-12 (MCP 2026-07-28, basic, "JSON Schema Usage").
var dialects = map[string]bool{
	"https://json-schema.org/draft/2020-12/schema": true,
	"https://json-schema.org/draft/2019-09/schema": true,
	"http://json-schema.org/draft-07/schema":       true,
	"http://json-schema.org/draft-06/schema":       true,
	"http://json-schema.org/draft-04/schema":       true,
	"https://json-schema.org/draft-07/schema":      true,
	"http://json-schema.org/schema":                true,
}

// Compile compiles one schema document: draft 2020-12 unless $schema names another that is
// known. It refuses, with an error that says which rule was broken: a document that is not
// strict JSON or over the budgets of size, depth and number of subschemas; one that could make
// validating cost more than the budget of branches; references outside the document (which are
// never followed), dialects and patterns that it does not know (RE2 syntax, as in package
// regexp). Formats are annotations, except in draft-07 and older, where they are asserted.
func Compile(inputSchema []byte) (s *Schema, err error) {
	return compile(inputSchema, maxAllPatternInsts)
}

// CompileSmall is [Compile] for schemas that callers bring: at most 16 KiB, whose patterns have at
// most 4,000 instructions together, so that one keeps less than a megabyte.
func CompileSmall(schema []byte) (*Schema, error) {
	if len(schema) > maxSmallBytes {
		return nil, fmt.Errorf("compile schema: %d bytes; the limit is %d", len(schema), maxSmallBytes)
	}
	return compile(schema, maxSmallInsts)
}

func compile(inputSchema []byte, patternInsts int) (s *Schema, err error) {
	// The compiler panics on some malformed identifiers. A schema that does that is refused;
	// it must not take the gateway along.
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, errors.New("compile schema: the compiler panicked")
		}
	}()
	doc, anchored, err := admit(inputSchema)
	if err != nil {
		return nil, fmt.Errorf("compile schema: %w", err)
	}
	patterns := patternSet{known: map[string]*pattern{}, most: patternInsts}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(refuseLoader{})
	c.UseRegexpEngine(patterns.compile)
	if err := c.AddResource(base, doc); err != nil {
		return nil, fmt.Errorf("compile schema: %w", clip(err))
	}
	root, err := c.Compile(base)
	if err != nil {
		return nil, fmt.Errorf("compile schema: %w", compileError(err))
	}
	g, err := walk(root, dynamicTargets(c, anchored))
	if err != nil {
		return nil, fmt.Errorf("compile schema: %w", err)
	}
	cost, err := estimate(g)
	if err != nil {
		return nil, fmt.Errorf("compile schema: %w", err)
	}
	s = &Schema{root: root, cost: cost, fast: programOf(root), names: g.places(), nodes: map[string]*jsonschema.Schema{}}
	for _, n := range g.nodes {
		s.nodes[n.Location] = n
	}
	patterns.known = nil // from here on the engine sees text of callers, in many goroutines
	return s, nil
}

// dynamicTargets returns the subschemas at the given pointers. They are compiled already if
// they are subschemas at all; what is not compiles to nothing and cannot be a target.
func dynamicTargets(c *jsonschema.Compiler, pointers []string) []*jsonschema.Schema {
	var targets []*jsonschema.Schema
	for _, p := range pointers {
		if n, err := c.Compile(base + "#" + url.PathEscape(p)); err == nil {
			targets = append(targets, n)
		}
	}
	return targets
}

// refuseLoader answers every reference that leaves the document.
type refuseLoader struct{}

var errExternal = errors.New("refers to something outside the document, which is never loaded")

func (refuseLoader) Load(string) (any, error) { return nil, errExternal }

// compileError makes the compiler's error short and free of the places it made up.
func compileError(err error) error {
	if le := (*jsonschema.LoadURLError)(nil); errors.As(err, &le) {
		return fmt.Errorf("%s %w", quoteName(le.URL), errExternal)
	}
	if re := (*jsonschema.InvalidRegexError)(nil); errors.As(err, &re) {
		return fmt.Errorf("pattern %s: %w", quoteName(re.Regex), clip(re.Err))
	}
	if se := (*jsonschema.SchemaValidationError)(nil); errors.As(err, &se) {
		if ve := (*jsonschema.ValidationError)(nil); errors.As(se.Err, &ve) {
			if f := badPattern(ve); f != nil {
				text, _ := f.Got.(string)
				return fmt.Errorf("pattern %s: %w", quoteName(text), clip(f.Err))
			}
			return fmt.Errorf("not a valid schema: %w", translate(ve, nil))
		}
	}
	return clip(err)
}

// badPattern returns why the metaschema found a pattern that does not compile, or nil.
func badPattern(err *jsonschema.ValidationError) *kind.Format {
	if f, ok := err.ErrorKind.(*kind.Format); ok && f.Want == "regex" && f.Err != nil {
		return f
	}
	for _, cause := range err.Causes {
		if f := badPattern(cause); f != nil {
			return f
		}
	}
	return nil
}

// Validate checks a value against the schema. value must have passed the strict check; an
// empty value stands for {}, as absent arguments do. A value that does not match gives a
// [*ValidationError], as does one that would cost more to check than the budget allows. The
// error never holds anything of value but the names of members.
func (s *Schema) Validate(value []byte) error { return s.ValidateOutlined(value, strictjson.Outline{}) }

// ValidateOutlined is [Schema.Validate] of a value that o outlines: what the schema says nothing of
// is not read again.
func (s *Schema) ValidateOutlined(value []byte, o strictjson.Outline) error {
	if s == nil || s.root == nil {
		return refusal("there is no schema to check this against")
	}
	if len(value) == 0 {
		value = []byte("{}")
	}
	if s.fast.matches(value, o) {
		return nil
	}
	return s.validateFully(value)
}

var errTooCostly = refusal("too large or too deep to be checked against this schema; send less at once")

// validateFully decodes the value and has it validated by the complete implementation, if
// that is certain to end soon.
func (s *Schema) validateFully(value []byte) (err error) {
	if !s.cost.affordable(value) {
		return errTooCostly
	}
	defer func() {
		if p := recover(); p != nil {
			err = refusal("the validator panicked on it")
		}
	}()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(value)) // numbers keep their digits
	if err != nil {
		return refusal("not valid JSON")
	}
	err = s.root.Validate(v)
	if err == nil {
		return nil
	}
	if ve := (*jsonschema.ValidationError)(nil); errors.As(err, &ve) {
		return translate(ve, s.nodes)
	}
	return refusal("does not match the schema")
}

// Names are the names of members that the schema gives, wherever in it (allOf, $ref, …), by the place
// where it gives them, for [strictjson.CheckArguments].
func (s *Schema) Names() *strictjson.Place { return s.names }

// distinct refuses a schema that names two members of the value itself that fold alike: a parser that
// ignores case reads one for the other, whatever is decided.
func (s *Schema) distinct() error {
	props := map[string]string{}
	seen := map[*jsonschema.Schema]bool{}
	var visit func(n *jsonschema.Schema) error
	visit = func(n *jsonschema.Schema) error {
		if seen[n] {
			return nil
		}
		seen[n] = true
		for name := range n.Properties {
			fold := strictjson.Fold(name)
			if other, dup := props[fold]; dup && other != name {
				return fmt.Errorf("properties %s and %s differ only in case", quoteName(min(name, other)), quoteName(max(name, other)))
			}
			props[fold] = name
		}
		for _, sub := range inPlace(n) {
			if err := visit(sub); err != nil {
				return err
			}
		}
		return nil
	}
	return visit(s.root)
}
