package catalog

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestViolationsTellTheModelWhatToDo(t *testing.T) {
	for _, tt := range []struct{ schema, value, want string }{
		{`{"properties":{"a":{"type":"string"}}}`, `{"a":1}`, `/a: must be string, got number`},
		{`{"properties":{"a":{"type":["string","null"]}}}`, `{"a":{}}`, `/a: must be null or string, got object`},
		{`{"required":["a","b","c"]}`, `{"b":1}`, `missing properties "a", "c"`},
		{`{"properties":{"path":{},"limit":{}},"additionalProperties":false}`, `{"pth":1}`, `unknown property "pth"; known: "limit", "path"`},
		{`{"properties":{"a":{"enum":["x","y",null,3,true]}}}`, `{"a":"z"}`, `/a: must be one of "x", "y", null, 3, true`},
		{`{"properties":{"a":{"const":"x"}}}`, `{"a":"z"}`, `/a: must be "x"`},
		{`{"properties":{"a":{"minLength":2,"pattern":"^a"}}}`, `{"a":"b"}`, `/a: must have at least 2 characters; /a: must match the pattern "^a"`},
		{`{"properties":{"a":{"maxLength":2}}}`, `{"a":"bbb"}`, `/a: must have at most 2 characters`},
		{`{"properties":{"a":{"minimum":1.5}}}`, `{"a":1}`, `/a: must be at least 1.5`},
		{`{"properties":{"a":{"maximum":1}}}`, `{"a":2}`, `/a: must be at most 1`},
		{`{"properties":{"a":{"exclusiveMinimum":1}}}`, `{"a":1}`, `/a: must be more than 1`},
		{`{"properties":{"a":{"exclusiveMaximum":1}}}`, `{"a":1}`, `/a: must be less than 1`},
		{`{"properties":{"a":{"multipleOf":0.25}}}`, `{"a":0.3}`, `/a: must be a multiple of 0.25`},
		{`{"items":{"type":"integer"}}`, `[1,"x"]`, `/1: must be integer, got string`},
		{`{"minItems":2}`, `[1]`, `must have at least 2 items, has 1`},
		{`{"maxItems":1}`, `[1,2]`, `must have at most 1 items, has 2`},
		{`{"uniqueItems":true}`, `["a","b","a"]`, `must not have equal items (numbers 1 and 3)`},
		{`{"contains":{"const":1}}`, `[2]`, `no item is as the schema asks ("contains")`},
		{`{"minProperties":1}`, `{}`, `must have at least 1 properties, has 0`},
		{`{"maxProperties":1}`, `{"a":1,"b":2}`, `must have at most 1 properties, has 2`},
		{`{"propertyNames":{"pattern":"^a$"}}`, `{"b":1}`, `property name "b" is not allowed`},
		{`{"dependentRequired":{"a":["b"]}}`, `{"a":1}`, `missing property "b", which "a" needs`},
		{`{"properties":{"a":false}}`, `{"a":1}`, `/a: must not be there`},
		{`{"not":{"required":["a"]}}`, `{"a":1}`, `must not match what the schema excludes ("not")`},
		{`{"anyOf":[{"type":"string"},{"type":"number"}]}`, `{}`, `must be number or string, got object`},
		{`{"oneOf":[{"const":"a"},{"const":"b"}]}`, `"c"`, `must be one of "a", "b"`},
		{`{"oneOf":[{"type":"object"},{"required":["a"]}]}`, `{"a":1}`, `must match exactly one alternative, but matches at least two (numbers 1 and 2)`},
		{`{"anyOf":[{"properties":{"k":{"const":"a"},"v":{"type":"string"}}},{"properties":{"k":{"const":"b"},"v":{"type":"number"}}}]}`, `{"k":"b","v":"x"}`, `must match one of 2 alternatives; /v: must be number, got string`},
		{`{"unevaluatedProperties":false}`, `{"a":1}`, `/a: must not be there`},
		{`{"properties":{"a/b~c":{"type":"string"}}}`, `{"a/b~c":1}`, `/a~1b~0c: must be string, got number`},
		{`{"additionalProperties":{"type":"string"}}`, `{"a\nb":1}`, `/a\nb: must be string, got number`},
	} {
		err := mustCompile(t, tt.schema).Validate([]byte(tt.value))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: Validate(%s) = %v; want %s", tt.schema, tt.value, err, tt.want)
		}
	}
}

func TestViolationsAreBounded(t *testing.T) {
	s := mustCompile(t, `{"items":{"type":"integer"},"additionalProperties":{"type":"integer"},"maxProperties":1}`)
	long := strings.Repeat(`\u0001x`, 5000)
	for _, value := range []string{
		"[" + strings.TrimSuffix(strings.Repeat(`"x",`, 100_000), ",") + "]",
		`{"` + long + `":"x","b` + long + `":"x"}`,
		nestedValue(40, `"x"`),
	} {
		err := s.Validate([]byte(value))
		if err == nil {
			t.Fatalf("Validate(%.50s) accepted", value)
		}
		if n := len(err.Error()); n > 8*(maxPointer+maxMessage)+200 {
			t.Errorf("Validate(%.50s): a message of %d bytes", value, n)
		}
	}
	err := s.Validate([]byte("[" + strings.TrimSuffix(strings.Repeat(`"x",`, 20_000), ",") + "]"))
	if !strings.HasSuffix(err.Error(), "; and 19992 more") {
		t.Errorf("Validate = %v; want the others counted", err)
	}
}

// The answer to a model goes through logs and transcripts: whatever is wrong with a call, no
// value of it is in the answer.
func TestViolationsNeverHoldValues(t *testing.T) {
	schemas := []string{
		`{"properties":{"v":{"type":"integer"}}}`, `{"properties":{"v":{"const":"x"}}}`, `{"properties":{"v":{"enum":["x",1]}}}`,
		`{"properties":{"v":{"maxLength":1}}}`, `{"properties":{"v":{"minLength":1000}}}`, `{"properties":{"v":{"pattern":"^x$"}}}`,
		`{"properties":{"v":{"type":"object"}}}`, `{"properties":{"v":{"maximum":3}}}`, `{"properties":{"v":{"multipleOf":7}}}`,
		`{"properties":{"v":{"anyOf":[{"type":"integer"},{"const":"x"}]}}}`, `{"properties":{"v":{"oneOf":[true,true]}}}`,
		`{"properties":{"v":{"not":true}}}`, `{"properties":{"v":false}}`, `{"properties":{"v":{"items":{"type":"null"}}}}`,
		`{"properties":{"v":{"uniqueItems":true}}}`, `{"properties":{"v":{"contains":{"const":"x"}}}}`, `{"additionalProperties":false}`,
		`{"maxProperties":0}`, `{"required":["w"]}`, `{"propertyNames":{"maxLength":0}}`, `{"properties":{"v":{"additionalProperties":{"type":"null"}}}}`,
		`{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"v":{"format":"ipv4"}}}`,
		`{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"v":{"format":"date-time"}}}`,
		`{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"v":{"format":"regex","pattern":"^x$"}}}`,
		`{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"v":{"contentEncoding":"base64","contentMediaType":"application/json"}}}`,
		`{"properties":{"v":{"if":true,"then":false}}}`, `{"allOf":[{"properties":{"v":{"$ref":"#/$defs/n"}}}],"$defs":{"n":{"type":"boolean"}}}`,
		`{"unevaluatedProperties":false}`, `{"properties":{"v":{"prefixItems":[{"type":"null"}],"items":false}}}`, `{"dependentRequired":{"v":["w"]}}`,
	}
	compiled := make([]*Schema, len(schemas))
	for i, s := range schemas {
		compiled[i] = mustCompile(t, s)
	}
	refused := map[int]bool{}
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.OneOf(
			rapid.StringMatching(`[A-Z]{8}[a-z0-9]{8}`), rapid.StringMatching(`9[0-9]{12}`), rapid.StringMatching(`SECRET\([A-Z]{6}`),
		).Draw(t, "secret")
		quoted := strconv.Quote(secret)
		forms := []string{quoted, `[` + quoted + `]`, `[` + quoted + `,` + quoted + `]`, `{"x":` + quoted + `}`, `[[` + quoted + `]]`}
		if secret[0] == '9' {
			forms = append(forms, secret, secret+".5", "-"+secret, "["+secret+","+secret+"]")
		}
		for i, s := range compiled {
			for _, form := range forms {
				value := `{"v":` + form + `}`
				err := s.Validate([]byte(value))
				if err == nil {
					continue
				}
				refused[i] = true
				if strings.Contains(err.Error(), secret) || strings.Contains(fmt.Sprintf("%+v", err), secret) {
					t.Fatalf("%s: Validate(%s) = %v", schemas[i], value, err)
				}
			}
		}
	})
	for i, s := range schemas {
		if !refused[i] && !strings.Contains(s, "content") {
			t.Errorf("%s refused nothing: it tests nothing", s)
		}
	}
}
