package wire

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"

	"sallyport/internal/strictjson"
)

// HeaderBinding says that an argument travels in a header as well (x-mcp-header, SEP-2243).
type HeaderBinding struct {
	Header string   // full name in canonical form, Mcp-Param-…
	Path   []string // of property names, from the root of the arguments
	Type   string   // "string", "integer" or "boolean"; "" where the schema allows several
}

const annotation = "x-mcp-header"

// HeaderBindings reads the x-mcp-header annotations of an input schema, sorted by header. The
// schema must have passed strictjson.Check. An error means that an annotation breaks the rules
// of the protocol; then the tool's definition is invalid and clients must not see it (MCP
// 2026-07-28, Streamable HTTP, "Schema Extension").
func HeaderBindings(inputSchema []byte) ([]HeaderBinding, error) {
	if !bytes.Contains(inputSchema, []byte(annotation)) && !bytes.Contains(inputSchema, []byte(`\u`)) {
		return nil, nil
	}
	r := bindingReader{seen: map[string]bool{}}
	if err := r.schema(bytes.TrimSpace(inputSchema), nil, true); err != nil {
		return nil, err
	}
	slices.SortFunc(r.found, func(a, b HeaderBinding) int { return strings.Compare(a.Header, b.Header) })
	return r.found, nil
}

type bindingReader struct {
	found []HeaderBinding
	seen  map[string]bool // by canonical name
}

// schema reads one schema. reachable says that only "properties" lead to it from the root.
func (r *bindingReader) schema(s []byte, path []string, reachable bool) error {
	if len(s) == 0 || s[0] == '[' {
		return r.list(s, path)
	}
	if s[0] != '{' {
		return nil // true, false, or the value of a keyword that holds no schema
	}
	members, err := strictjson.Object(s)
	if err != nil {
		return err
	}
	for _, m := range members {
		v := m.Value().Of(s)
		switch m.Name {
		case annotation:
			err = r.annotation(s, v, path, reachable)
		case "properties":
			err = r.properties(v, path, reachable)
		case "patternProperties", "$defs", "definitions", "dependentSchemas":
			err = r.properties(v, path, false)
		case "const", "enum", "default", "examples":
			// Values, not schemas: the name means nothing in them.
		default:
			err = r.schema(v, path, false)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *bindingReader) list(s []byte, path []string) error {
	if len(s) == 0 {
		return nil
	}
	spans, err := strictjson.Array(s)
	if err != nil {
		return err
	}
	for _, span := range spans {
		if err := r.schema(span.Of(s), path, false); err != nil {
			return err
		}
	}
	return nil
}

func (r *bindingReader) properties(s []byte, path []string, reachable bool) error {
	if s[0] != '{' {
		return nil // not a schema; the compiler of schemas says so
	}
	members, err := strictjson.Object(s)
	if err != nil {
		return err
	}
	for _, m := range members {
		if err := r.schema(m.Value().Of(s), append(slices.Clip(path), m.Name), reachable); err != nil {
			return err
		}
	}
	return nil
}

func (r *bindingReader) annotation(schema, value []byte, path []string, reachable bool) error {
	where := strconv.QuoteToASCII(strings.Join(path, "."))
	if len(path) == 0 || !reachable {
		return fmt.Errorf("%s at %s: only properties that are reached through properties alone may have it", annotation, where)
	}
	name, err := strictjson.String(value)
	if err != nil || !isToken(name) {
		return fmt.Errorf("%s at %s: must be a header name", annotation, where)
	}
	typ, ok := primitive(schema)
	if !ok {
		return fmt.Errorf("%s at %s: only a string, an integer or a boolean can have it", annotation, where)
	}
	header := http.CanonicalHeaderKey(HeaderParamPrefix + name)
	if r.seen[header] {
		return fmt.Errorf("%s at %s: the name is used twice", annotation, where)
	}
	r.seen[header] = true
	r.found = append(r.found, HeaderBinding{Header: header, Path: path, Type: typ})
	return nil
}

// primitive returns the type of a schema that allows nothing but strings, integers, booleans
// and null; "" where it allows several of the first three.
func primitive(schema []byte) (string, bool) {
	span, ok := strictjson.Find(schema, "type")
	if !ok {
		return "", false
	}
	raw := span.Of(schema)
	spans := []strictjson.Span{{Start: 0, End: len(raw)}}
	if raw[0] == '[' {
		spans, _ = strictjson.Array(raw) // it is one
	}
	var types []string
	for _, s := range spans {
		switch name, _ := strictjson.String(s.Of(raw)); name {
		case "string", "integer", "boolean":
			types = append(types, name)
		case "null":
		default:
			return "", false
		}
	}
	if len(types) == 1 {
		return types[0], true
	}
	return "", len(types) > 0
}

// isToken reports whether s is a field name of HTTP (RFC 9110 §5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if ('a' > c || c > 'z') && ('A' > c || c > 'Z') && ('0' > c || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// CheckParamHeaders holds the Mcp-Param headers of a modern call against its arguments. A
// bound argument that is present must be mirrored; one that is absent or null must not be.
// Headers that no argument is bound to mean nothing here and are forwarded, unless a server
// could take one for a header that is bound.
func CheckParamHeaders(h http.Header, bindings []HeaderBinding, args []byte) *Error {
	for _, b := range bindings {
		raw, present := lookup(args, b.Path)
		values := h[b.Header]
		switch {
		case len(values) > 1:
			return mismatch("the header %s is there %d times", b.Header, len(values))
		case present && len(values) == 0:
			return mismatch("the header %s is missing", b.Header)
		case !present && len(values) > 0:
			return mismatch("the header %s mirrors an argument that is not there", b.Header)
		case !present:
			continue
		}
		decoded, ok := mcp.DecodeHeaderValue(values[0])
		if !ok {
			return mismatch("the header %s is not valid base64", b.Header)
		}
		if !safeValue(values[0]) || !sameScalar(decoded, raw) {
			return mismatch("the header %s disagrees with the body", b.Header)
		}
	}
	return checkTwins(h, bindings)
}

// checkTwins refuses a header that differs from a bound one in - and _ alone: behind a CGI-like
// interface (RFC 3875 §4.1.18) the two are one variable.
func checkTwins(h http.Header, bindings []HeaderBinding) *Error {
	if len(bindings) == 0 {
		return nil
	}
	for name := range h {
		if !strings.HasPrefix(name, HeaderParamPrefix) {
			continue
		}
		var twin string
		for _, b := range bindings {
			if b.Header == name {
				twin = ""
				break
			}
			if variable(b.Header) == variable(name) {
				twin = b.Header
			}
		}
		if twin != "" {
			return mismatch("the header %s can be taken for %s", name, twin)
		}
	}
	return nil
}

func variable(header string) string { return strings.ToUpper(strings.ReplaceAll(header, "_", "-")) }

// lookup follows a path of names and reports whether a value other than null is at its end.
func lookup(v []byte, path []string) ([]byte, bool) {
	for _, name := range path {
		if len(v) == 0 {
			return nil, false
		}
		span, ok := strictjson.Find(v, name)
		if !ok {
			return nil, false
		}
		v = span.Of(v)
	}
	return v, string(v) != "null"
}

// sameScalar compares a header with a JSON string, boolean or number; numbers by value, as the
// protocol advises. Beyond 2^53 two integers can be one float, so there only equal text is equal.
func sameScalar(header string, raw []byte) bool {
	switch c := raw[0]; {
	case c == '"':
		s, err := strictjson.String(raw)
		return err == nil && s == header
	case c == '{' || c == '[':
		return false
	case header == string(raw):
		return true
	case c == 't' || c == 'f' || strictjson.Check([]byte(header), strictjson.Limits{}) != nil:
		return false // the check keeps ParseFloat to numbers as JSON writes them
	}
	const exact = 1 << 53
	a, errA := strconv.ParseFloat(header, 64)
	b, errB := strconv.ParseFloat(string(raw), 64)
	return errA == nil && errB == nil && a == b && -exact < a && a < exact
}
