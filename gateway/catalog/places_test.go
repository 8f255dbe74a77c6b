package catalog

import (
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/strictjson"
)

// What a schema names may not be imitated where it names it, however it says so; elsewhere names are free.
func TestNamesOfASchemaMayNotBeImitatedAtTheirPlace(t *testing.T) {
	const names = `{"type":"object","properties":{"path":{"type":"string"},"fileId":{}}}`
	for _, tt := range []struct{ schema, imitation, free string }{
		{`{"properties":{"opts":` + names + `}}`, `{"opts":{"Path":1}}`, `{"other":{"Path":1},"opts":{"x":{"Path":1}}}`},
		{`{"properties":{"opts":` + names + `}}`, `{"opts":{"fileid":1}}`, `{"opts":{"fileId":{"FileId":1}}}`},
		{`{"properties":{"opts":` + names + `,"env":{"type":"object"}}}`, `{"opts":{"PATH":""}}`, `{"env":{"PATH":"/bin"}}`},
		{`{"properties":{"a":{"properties":{"b":` + names + `}}}}`, `{"a":{"b":{"Path":1}}}`, `{"a":{"c":{"Path":1}}}`},
		{`{"properties":{"rows":{"items":` + names + `}}}`, `{"rows":[{},{"Path":1}]}`, `{"rows":{"Path":1}}`},
		{`{"properties":{"rows":{"prefixItems":[{},` + names + `]}}}`, `{"rows":[0,{"Path":1}]}`, `{"rows":[{"Path":1},0,{"Path":1}]}`},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"rows":{"items":[{}],"additionalItems":` + names + `}}}`, `{"rows":[0,{"Path":1}]}`, `{"rows":[{"Path":1}]}`},
		{`{"properties":{"rows":{"contains":` + names + `}}}`, `{"rows":[{"path":""},{"Path":1}]}`, `{"rows":[{"path":"","x":{"Path":1}}]}`},
		{`{"additionalProperties":` + names + `}`, `{"x":{"Path":1}}`, `{"x":{"y":{"Path":1}}}`},
		{`{"patternProperties":{"^x":` + names + `}}`, `{"x":{"Path":1}}`, `{"x":{"y":{"Path":1}}}`},
		{`{"properties":{"x1":{}},"patternProperties":{"^x":` + names + `}}`, `{"x1":{"Path":1}}`, `{"x1":{"path":{"Path":1}}}`},
		{`{"$defs":{"n":` + names + `},"properties":{"opts":{"$ref":"#/$defs/n"}}}`, `{"opts":{"Path":1}}`, `{"x":{"Path":1}}`},
		{`{"properties":{"next":{"$ref":"#"},"path":{}}}`, `{"next":{"next":{"next":{"Path":1}}}}`, `{"next":{"other":{"Path":1}}}`},
		// All that speak of a place speak together, also those that need not hold.
		{`{"properties":{"o":{"allOf":[{},` + names + `]}}}`, `{"o":{"Path":1}}`, `{"o":{"x":{"Path":1}}}`},
		{`{"properties":{"o":{"anyOf":[{"type":"object"},` + names + `]}}}`, `{"o":{"Path":1}}`, `{"o":{"x":{"Path":1}}}`},
		{`{"anyOf":[{"properties":{"o":{"type":"object"}}},{"properties":{"o":` + names + `}}]}`, `{"o":{"Path":1}}`, `{"o":{"x":{"Path":1}}}`},
		{`{"properties":{"o":{"not":` + names + `}}}`, `{"o":{"path":1,"x":1,"FileID":2}}`, `{"o":{"path":1}}`},
		{`{"properties":{"o":{"if":` + names + `,"then":{"properties":{"mode":{}}}}}}`, `{"o":{"Mode":1}}`, `{"o":{"mode":1}}`},
		{`{"properties":{"o":{"dependentSchemas":{"a":` + names + `}}}}`, `{"o":{"Path":1}}`, `{"o":{"a":1}}`},
		{`{"$dynamicAnchor":"n","properties":{"kids":{"items":{"$dynamicRef":"#n"}},"path":{}}}`, `{"kids":[{"kids":[{"Path":1}]}]}`, `{"x":[{"Path":1}]}`},
		// Names that are given without a schema of their own.
		{`{"properties":{"o":{"not":{"required":["path"]}}}}`, `{"o":{"Path":1}}`, `{"o":{"x":{"Path":1}}}`},
		{`{"properties":{"o":{"dependentRequired":{"force":["reason"]}}}}`, `{"o":{"Force":1}}`, `{"o":{"force":1,"reason":1}}`},
		{`{"properties":{"o":{"dependentRequired":{"force":["reason"]}}}}`, `{"o":{"Reason":1}}`, `{"o":{"x":{"Reason":1}}}`},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"o":{"dependencies":{"force":["reason"]}}}}`, `{"o":{"Reason":1}}`, `{"o":{"reason":1}}`},
		// Whoever tells two spellings apart is not misled by a third.
		{`{"properties":{"o":{"properties":{"k":{},"K":{},"path":{}}}}}`, `{"o":{"Path":1}}`, `{"o":{"k":1}}`},
	} {
		s := mustCompile(t, tt.schema)
		if err := strictjson.CheckArguments([]byte(tt.imitation), strictjson.Names{}, s.Names()); err == nil || !strings.Contains(err.Error(), "would be read as") {
			t.Errorf("%s: names in %s: %v; want one refused", tt.schema, tt.imitation, err)
		}
		if err := strictjson.CheckArguments([]byte(tt.free), strictjson.Names{}, s.Names()); err != nil {
			t.Errorf("%s: names in %s: %v; want them free", tt.schema, tt.free, err)
		}
	}
	if s := mustCompile(t, `{"type":"object","additionalProperties":{"type":"string"}}`); s.Names() != nil {
		t.Error("a schema that names nothing has places")
	}
}

// A schema can have as many places as its subschemas have subsets: then what it names counts everywhere.
func TestASchemaOfTooManyPlacesIsReadEverywhere(t *testing.T) {
	var defs, all []string
	const many = 18
	for i := range many { // at a place stands each subset of the definitions
		defs = append(defs, fmt.Sprintf(`"d%d":{"properties":{"p%d":{"$ref":"#/$defs/d%d"},"q%d":{"$ref":"#/$defs/d%d"}},"additionalProperties":{"$ref":"#/$defs/d%d"}}`, i, i, (i+1)%many, i, (i+5)%many, (i+7)%many))
		all = append(all, fmt.Sprintf(`{"properties":{"x":{"$ref":"#/$defs/d%d"},"y%d":{"$ref":"#/$defs/d%d"}}}`, i, i%5, i))
	}
	schema := `{"$defs":{` + strings.Join(defs, ",") + `},"anyOf":[` + strings.Join(all, ",") + `],"properties":{"deep":{"properties":{"path":{}}}}}`
	s, err := Compile([]byte(schema))
	if err != nil {
		t.Fatal(err)
	}
	if err := strictjson.CheckArguments([]byte(`{"elsewhere":[{"Path":1}]}`), strictjson.Names{}, s.Names()); err == nil {
		t.Error("an imitation passed")
	}
	if err := strictjson.CheckArguments([]byte(`{"elsewhere":[{"path":1}]}`), strictjson.Names{}, s.Names()); err != nil {
		t.Error(err)
	}
}
