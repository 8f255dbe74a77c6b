package catalog

import (
	"testing"

	"sallyport/internal/strictjson"
)

// A oneOf is a program only where no value can match two of its schemas, and what matches two is
// refused in any case.
func TestVariantsThatCanMeetAreNoProgram(t *testing.T) {
	variant := func(tag string) string {
		return `{"type":"object","properties":{"op":{"const":` + tag + `}},"required":["op"]}`
	}
	for _, tt := range []struct {
		variants, value string
		program, valid  bool
	}{
		{variant(`"add"`) + `,` + variant(`"del"`), `{"op":"del"}`, true, true},
		{variant(`"add"`) + `,` + variant(`"add"`), `{"op":"add"}`, false, false},
		{variant(`"add"`) + `,{"type":"object","properties":{"op":{"const":"del"}}}`, `{}`, false, true},
		{`{"properties":{"op":{"const":"add"}},"required":["op"]},{"properties":{"op":{"const":"del"}},"required":["op"]}`, `7`, false, false},
		{variant(`1`) + `,` + variant(`1.0`), `{"op":1}`, false, false},
		{`{"type":"number"},{"type":"integer"}`, `1`, false, false},
		{`{"type":"number"},{"type":"string"}`, `1`, true, true},
		{`{"const":1},{"const":1.5}`, `1`, false, true},
		{`true,{"type":"null"}`, `null`, false, false},
		{`false,{"type":"null"}`, `null`, true, true},
	} {
		s, err := Compile([]byte(`{"oneOf":[` + tt.variants + `]}`))
		if err != nil {
			t.Errorf("%s: %v", tt.variants, err)
			continue
		}
		if got := s.fast != nil; got != tt.program {
			t.Errorf("%s: a program: %v; want %v", tt.variants, got, tt.program)
		}
		if got := s.Validate([]byte(tt.value)) == nil; got != tt.valid {
			t.Errorf("%s: %s valid: %v; want %v", tt.variants, tt.value, got, tt.valid)
		}
		if got := s.fast.matches([]byte(tt.value), strictjson.Outline{}); got != (tt.program && tt.valid) {
			t.Errorf("%s: %s matches: %v; want %v", tt.variants, tt.value, got, tt.program && tt.valid)
		}
	}
}
