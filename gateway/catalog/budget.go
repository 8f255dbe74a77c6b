package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sallyport/internal/strictjson"
)

// The budgets of a schema. A definition that real servers send is far below all of them; the
// numbers are set by what the worst document within them costs (TestCompileCostIsBounded).
const (
	maxSchemaBytes  = 256 << 10
	maxSchemaDepth  = 64    // of JSON nesting: 32 subschemas deep, two levels each
	maxObjects      = 5_000 // objects and booleans in the document, any of which $ref can make a schema
	maxRefs         = 1_000 // the compiler copies its index for a $ref to an unusual place
	maxSubschemas   = 2_000
	maxDynamicEdges = 20_000

	maxPatternBytes = 4 << 10
	maxPatternInsts = 4_000
	// Of all patterns together, which keep some 80 bytes for each: 16 MiB at worst.
	maxAllPatternInsts = 200_000

	// What a caller brings, for as long as a task lives, is bounded far below what a server does.
	maxSmallBytes = 16 << 10
	maxSmallInsts = 4_000

	// maxBranches bounds how often validating visits one place of the value, as far as the
	// schema alone decides it (anyOf of $ref of anyOf …). Beyond it is a bomb.
	maxBranches = 5_000

	// What validating one value may cost: visits, and bytes times pattern instructions.
	// About half a second of CPU each at worst.
	maxVisits      = 1_000_000
	maxPatternWork = 50_000_000
)

// maxValueDepth is the nesting of a value that costs are estimated for; deeper values, which
// the strict check refuses by default, are not validated.
const maxValueDepth = strictjson.DefaultDepth

// admit decodes a schema document that is within the budgets that can be told before it is
// compiled. It also says where the dynamic anchors are.
func admit(inputSchema []byte) (doc any, anchored []string, err error) {
	if len(inputSchema) > maxSchemaBytes {
		return nil, nil, fmt.Errorf("%d bytes; the limit is %d", len(inputSchema), maxSchemaBytes)
	}
	if err := strictjson.Check(inputSchema, strictjson.Limits{Depth: maxSchemaDepth}); err != nil {
		return nil, nil, err
	}
	doc, err = jsonschema.UnmarshalJSON(bytes.NewReader(inputSchema))
	if err != nil {
		return nil, nil, fmt.Errorf("decode: %w", clip(err))
	}
	c := census{}
	if err := c.visit(doc, ""); err != nil {
		return nil, nil, err
	}
	if root, ok := doc.(map[string]any); ok {
		if err := checkDialect(root); err != nil {
			return nil, nil, err
		}
	}
	return doc, c.anchored, nil
}

// census counts what can become a subschema. It does not know which objects are data (enum,
// default, examples), since a $ref may point into those.
type census struct {
	objects, refs int
	anchored      []string // JSON pointers to the objects with a $dynamicAnchor
}

func (c *census) visit(v any, pointer string) error {
	switch v := v.(type) {
	case bool:
		c.objects++
	case []any:
		for i, e := range v {
			if err := c.visit(e, pointer+"/"+strconv.Itoa(i)); err != nil {
				return err
			}
		}
	case map[string]any:
		c.objects++
		if err := c.object(v, pointer); err != nil {
			return err
		}
		for name, e := range v {
			if err := c.visit(e, pointer+"/"+pointerEscaper.Replace(name)); err != nil {
				return err
			}
		}
	}
	if c.objects > maxObjects {
		return fmt.Errorf("more than %d objects and booleans", maxObjects)
	}
	if c.refs > maxRefs {
		return fmt.Errorf("more than %d references", maxRefs)
	}
	return nil
}

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

func (c *census) object(v map[string]any, pointer string) error {
	if _, ok := v["$recursiveRef"]; ok {
		return errors.New("$recursiveRef is not supported")
	}
	if _, ok := v["$dynamicAnchor"]; ok {
		c.anchored = append(c.anchored, pointer)
	}
	for _, key := range []string{"$ref", "$dynamicRef"} {
		if _, ok := v[key].(string); ok {
			c.refs++
		}
	}
	for _, key := range []string{"minLength", "maxLength", "minItems", "maxItems",
		"minProperties", "maxProperties", "minContains", "maxContains"} {
		// The compiler keeps these in 64 bits and lets larger ones wrap around.
		if n, ok := v[key].(json.Number); ok && tooLarge(n) {
			return fmt.Errorf("%s is beyond any length", key)
		}
	}
	if _, resource := v["$id"].(string); resource {
		return checkDialect(v)
	}
	return nil
}

func tooLarge(n json.Number) bool {
	r, ok := new(big.Rat).SetString(n.String())
	return !ok || r.Cmp(big.NewRat(1<<53, 1)) > 0
}

func checkDialect(obj map[string]any) error {
	name, ok := obj["$schema"].(string)
	if !ok || dialects[trimHash(name)] {
		return nil // a $schema of another type is refused by the metaschema
	}
	return fmt.Errorf("$schema %s is not a dialect that is understood", quoteName(name))
}

func trimHash(s string) string {
	if n := len(s); n > 0 && s[n-1] == '#' {
		return s[:n-1]
	}
	return s
}
