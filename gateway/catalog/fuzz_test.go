package catalog

import (
	"testing"

	"sallyport/internal/strictjson"
)

// What a program matches, the complete implementation accepts, for any schema and any value.
func FuzzProgram(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"type":"object","properties":{"a":{"type":"integer","exclusiveMinimum":1,"multipleOf":3}},"required":["a"],"additionalProperties":false}`, `{"a":9}`},
		{`{"type":"array","prefixItems":[{"const":"a"}],"items":{"enum":[1,null,true]},"minItems":1}`, `["a",1,null]`},
		{`{"oneOf":[{"type":"string","maxLength":2},{"type":"number","maximum":2.5}]}`, `9007199254740993`},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","allOf":[{"format":"date"},{"pattern":"^2"}]}`, `"2026-01-31"`},
		{`{"type":"array","items":{"$ref":"#/$defs/r"},"$defs":{"r":{"type":"object","properties":{"r":{"$ref":"#/$defs/r"}},"maxProperties":1}}}`, `[{"r":{}},{"r":{}},{"q":1}]`},
		{`{"type":"string","minLength":2}`, `"\ud83d\ude00é"`},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, schema, value []byte) {
		s, err := Compile(schema)
		if err != nil || strictjson.Check(value, strictjson.Limits{}) != nil || !s.fast.matches(value, strictjson.Outline{}) {
			return
		}
		if err := s.validateFully(value); err != nil && err != error(errTooCostly) {
			t.Errorf("%s\nmatches %s, which is not valid: %v", schema, value, err)
		}
	})
}
