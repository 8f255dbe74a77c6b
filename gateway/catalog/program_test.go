package catalog

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sallyport/internal/strictjson"
)

// genSchema draws schemas from what programs can do, and a little of what they cannot.
func genSchema(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var parts []string
		add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
		n := func(name string) int { return rapid.IntRange(0, 4).Draw(t, name) }
		kind := rapid.SampledFrom([]string{"object", "object", "array", "string", "integer", "number", "boolean", "null", "any", "enum", "anyOf", "allOf", "oneOf", "union", "tuple", "format", "ref", "never", "rare"}).Draw(t, "kind")
		if depth == 0 && (kind == "object" || kind == "array" || kind == "anyOf" || kind == "allOf" || kind == "union" || kind == "tuple") {
			kind = "string"
		}
		switch kind {
		case "object":
			add(`"type":"object"`)
			var props []string
			for i := range n("properties") {
				props = append(props, fmt.Sprintf(`"p%d":%s`, i, genSchema(depth-1).Draw(t, "property")))
			}
			add(`"properties":{%s}`, strings.Join(props, ","))
			if rapid.Bool().Draw(t, "required") {
				add(`"required":["p%d"]`, n("name"))
			}
			switch n("rest") {
			case 0:
				add(`"additionalProperties":false`)
			case 1:
				add(`"additionalProperties":%s`, genSchema(depth-1).Draw(t, "rest"))
			case 2:
				add(`"maxProperties":%d`, n("max"))
			}
		case "array":
			add(`"type":["array","null"],"items":%s`, genSchema(depth-1).Draw(t, "items"))
			if rapid.Bool().Draw(t, "bounded") {
				add(`"minItems":%d,"maxItems":3`, n("min"))
			}
		case "string":
			add(`"type":"string"`)
			switch n("limit") {
			case 0:
				add(`"minLength":%d`, n("min"))
			case 1:
				add(`"maxLength":%d`, n("max"))
			case 2:
				add(`"pattern":"^[aé]+$"`)
			case 3:
				add(`"const":"a"`)
			}
		case "integer", "number":
			add(`"type":%q`, kind)
			if rapid.Bool().Draw(t, "bounded") {
				add(`%q:%d,%q:%s`, rapid.SampledFrom([]string{"minimum", "exclusiveMinimum"}).Draw(t, "lower"), n("min")-2,
					rapid.SampledFrom([]string{"maximum", "exclusiveMaximum"}).Draw(t, "upper"),
					rapid.SampledFrom([]string{"3", "1e30", "2.5", "-1", "9223372036854775807", "9007199254740992", "9007199254740992.5"}).Draw(t, "maximum"))
			}
			if n("step") == 0 {
				add(`"multipleOf":%s`, rapid.SampledFrom([]string{"2", "0.5", "1e30"}).Draw(t, "step"))
			}
		case "boolean", "null":
			add(`"type":%q`, kind)
		case "enum":
			add(`"enum":%s`, rapid.SampledFrom([]string{`["a","é"]`, `["a",1]`, `[]`, `["x\"y"]`, `[1,null,true]`, `[false,3,3.0,1e1]`, `[-0.5,"a",{}]`, `[[],9223372036854775808]`}).Draw(t, "enum"))
		case "anyOf":
			add(`"anyOf":[%s,%s]`, genSchema(depth-1).Draw(t, "first"), genSchema(depth-1).Draw(t, "second"))
		case "allOf":
			add(`"allOf":[%s,%s]`, genSchema(depth-1).Draw(t, "first"), genSchema(depth-1).Draw(t, "second"))
		case "oneOf":
			add(`"oneOf":%s`, rapid.SampledFrom([]string{`[{"type":"string"},{"type":"null"}]`, `[{"type":"number"},{"type":"integer"}]`, `[{"const":"a"},{"const":null},{"type":"object"}]`,
				`[{"type":"string"},{"$ref":"#/$defs/d"}]`, `[{"type":"array"},{"$ref":"#/$defs/d"}]`, `[{"type":"array"},{"enum":[1,[]]}]`, `[false,{"type":["boolean","null"]}]`}).Draw(t, "variants"))
		case "union":
			variant := func(tag, required string) string {
				return fmt.Sprintf(`{"type":"object","properties":{"p0":{"const":%q},"p1":%s},"required":[%q]}`, tag, genSchema(depth-1).Draw(t, "variant"), required)
			}
			second := rapid.SampledFrom([]string{"a", "aaaa"}).Draw(t, "tag")
			add(`"oneOf":[%s,%s]`, variant("a", "p0"), variant(second, rapid.SampledFrom([]string{"p0", "p0", "p1"}).Draw(t, "required")))
		case "tuple":
			add(`"type":"array","prefixItems":[%s],"items":%s`, genSchema(depth-1).Draw(t, "first"), genSchema(depth-1).Draw(t, "others"))
		case "format":
			add(`"type":["string","null"],"format":%q`, rapid.SampledFrom([]string{"email", "uri", "date", "ipv4", "unknown"}).Draw(t, "format"))
		case "ref":
			add(`"$ref":%s`, rapid.SampledFrom([]string{`"#"`, `"#/$defs/d"`}).Draw(t, "ref"))
		case "never":
			return "false"
		case "rare":
			add("%s", rapid.SampledFrom([]string{`"uniqueItems":true`, `"not":{"type":"string"}`, `"multipleOf":2`, `"oneOf":[{"type":"string"},{"minLength":2}]`,
				`"patternProperties":{"^p":{"type":"integer"}}`, `"dependentRequired":{"p0":["p1"]}`, `"contains":{"type":"integer"}`, `"prefixItems":[{"type":"null"}]`}).Draw(t, "rare"))
		}
		return "{" + strings.Join(parts, ",") + "}"
	})
}

func genInstance(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		kinds := 3
		if depth == 0 {
			kinds = 1
		}
		space := rapid.SampledFrom([]string{"", " ", "\n"}).Draw(t, "space")
		switch rapid.IntRange(0, kinds).Draw(t, "kind") {
		case 2:
			return "[" + space + strings.Join(rapid.SliceOfN(genInstance(depth-1), 0, 4).Draw(t, "array"), ","+space) + space + "]"
		case 3:
			var members []string
			for i, v := range rapid.SliceOfN(genInstance(depth-1), 0, 4).Draw(t, "object") {
				name := rapid.SampledFrom([]string{"p%d", "q%d", `\u0070%d`}).Draw(t, "name")
				members = append(members, fmt.Sprintf(`"`+name+`"%s:%s%s`, i, space, space, v))
			}
			return "{" + space + strings.Join(members, space+",") + space + "}"
		}
		return rapid.SampledFrom([]string{"null", "true", "false", "0", "-1", "2", "3", "3.0", "1e1", "9223372036854775808", "9007199254740993", "2.5", "-0", "1.0", "1e30", "-0.5", `"a@example.com"`, `"2020-01-01"`, `"ftp://x"`,
			`""`, `"a"`, `"é"`, `"\u00e9"`, `"aaaa"`, `"x\"y"`, `"😀"`, `"\ud83d\ude00"`, "{}", "[]"}).Draw(t, "scalar")
	})
}

// What a program matches, the complete implementation accepts.
func TestProgramMatchesOnlyWhatIsValid(t *testing.T) {
	matched, programs := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		doc := genSchema(3).Draw(t, "schema")
		dialect := rapid.SampledFrom([]string{"", `"$schema":"http://json-schema.org/draft-07/schema#",`}).Draw(t, "dialect") // which asserts formats
		if doc[0] == '{' {
			doc = "{" + dialect + `"$defs":{"d":{"type":["object","string"],"additionalProperties":{"$ref":"#/$defs/d"}}}` + strings.TrimSuffix(","+doc[1:], ",}")
			if doc[len(doc)-1] != '}' {
				doc += "}"
			}
		}
		s, err := Compile([]byte(doc))
		if err != nil {
			return // refused for its cost, or a reference to itself
		}
		if s.fast != nil {
			programs++
		}
		for range 8 {
			v := genInstance(3).Draw(t, "instance")
			if !json.Valid([]byte(v)) {
				t.Fatalf("instance %s is not JSON", v)
			}
			if !s.fast.matches([]byte(v), strictjson.Outline{}) {
				continue
			}
			matched++
			if err := s.validateFully([]byte(v)); err != nil {
				t.Fatalf("%s\nmatches %s, which is not valid: %v", doc, v, err)
			}
		}
	})
	if matched == 0 || programs == 0 {
		t.Errorf("%d programs, %d matches: the property says nothing", programs, matched)
	}
}

// The same for every case of the JSON Schema test suite.
func TestProgramAgreesWithTheSuite(t *testing.T) {
	matched := 0
	for file, groups := range readSuite(t) {
		for _, g := range groups {
			s, err := Compile(g.Schema)
			if err != nil {
				continue
			}
			for _, c := range g.Tests {
				if !s.fast.matches(c.Data, strictjson.Outline{}) {
					continue
				}
				matched++
				if !c.Valid {
					t.Errorf("%s: %s: %s: the program matches %s, which is not valid", file, g.Description, c.Description, c.Data)
				}
			}
		}
	}
	if matched < 100 {
		t.Errorf("programs matched %d cases of the suite; want most of the valid ones they can express", matched)
	}
}

// The schemas that tools have are programs, and valid calls need nothing else.
func TestUsualSchemasArePrograms(t *testing.T) {
	for schema, call := range map[string]string{
		`{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"path":{"type":"string","description":"x"},"head":{"type":"number"},"mode":{"type":"string","enum":["a","b"],"default":"a"}},"required":["path"],"additionalProperties":false}`: `{"path":"/a","head":3,"mode":"b"}`,
		`{"type":"object","properties":{"rows":{"type":"array","items":{"type":"object","properties":{"id":{"type":"integer","minimum":0}},"required":["id"]}}}}`:                                                                                                                `{"rows":[{"id":1},{"id":2,"x":[1,{"y":"]"}]}]}`,
		`{"type":"object","properties":{"q":{"anyOf":[{"type":"string"},{"type":"null"}],"title":"Q"},"n":{"$ref":"#/$defs/N"}},"$defs":{"N":{"type":"object","properties":{"next":{"$ref":"#/$defs/N"}}}}}`:                                                                     `{"q":null,"n":{"next":{"next":{}}}}`,
		`{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"a":{"type":"array","items":{"type":"string","maxLength":3}}}}`:                                                                                                                      `{"a":["é\u00e9x"]}`,
		// What generators of schemas write for types of programs: unions, numbers with bounds, formats.
		`{"type":"object","properties":{"t":{"type":"number","minimum":0,"exclusiveMaximum":2},"n":{"type":"integer","exclusiveMinimum":0,"multipleOf":5},"level":{"enum":[1,2,null]},"all":{"type":"boolean","const":true}}}`:                                                                                                                                                                                              `{"t":0.7,"n":10,"level":null,"all":true}`,
		`{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"url":{"type":"string","format":"uri"},"at":{"allOf":[{"type":"string"},{"format":"date"}]}}}`:                                                                                                                                                                                                                                  `{"url":"https://example.com/a","at":"2026-01-31"}`,
		`{"type":"object","properties":{"op":{"oneOf":[{"$ref":"#/$defs/Add"},{"$ref":"#/$defs/Del"}]},"or":{"oneOf":[{"type":"string"},{"type":"null"}]},"box":{"type":"array","prefixItems":[{"type":"number"},{"type":"number"}],"items":false}},"$defs":{"Add":{"type":"object","properties":{"op":{"const":"add"}},"required":["op"]},"Del":{"type":"object","properties":{"op":{"const":"del"}},"required":["op"]}}}`: `{"op":{"op":"del"},"or":null,"box":[1,2.5]}`,
		`{"type":"object"}`: `{"anything":[true,false,null,-1.5e3]}`,
	} {
		s, err := Compile([]byte(schema))
		if err != nil {
			t.Errorf("%s: %v", schema, err)
			continue
		}
		if !s.fast.matches([]byte(call), strictjson.Outline{}) {
			t.Errorf("%s\nis no program, or does not match %s", schema, call)
		}
	}
}

// Branches, white space and patterns cannot make a program run long; it gives up instead.
func TestProgramGivesUpInTime(t *testing.T) {
	s, err := Compile([]byte(`{"type":"object","properties":{"a":{"type":"string","pattern":"^(a|b|c|d){200}x"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	m := matcher{data: []byte(`{"a":"` + strings.Repeat("a", 1000) + `"}`), work: 1 << 20, patterns: 2000}
	if _, ok := m.value(0, s.fast); ok || m.patterns >= 0 {
		t.Errorf("matched = %v with %d left for patterns; want it to give up", ok, m.patterns)
	}
	// A filter tree whose branches fail late: each level looks at what is below it twice.
	filter, err := Compile([]byte(`{"$ref":"#/$defs/f","$defs":{"f":{"anyOf":[
		{"type":"object","properties":{"f":{"$ref":"#/$defs/f"},"and":{"type":"integer"}},"required":["and"],"additionalProperties":false},
		{"type":"object","properties":{"f":{"$ref":"#/$defs/f"},"or":{"type":"integer"}},"required":["or"],"additionalProperties":false},
		{"type":"null"}]}}}`))
	if err != nil || filter.fast == nil {
		t.Fatalf("the filter is no program: %v", err)
	}
	value := strings.Repeat(`{"f":`, 40) + strings.Repeat(" ", 10_000) + "null" + strings.Repeat("}", 40)
	m = matcher{data: []byte(value), work: 8 * len(value)}
	if _, ok := m.value(0, filter.fast); ok || m.work >= 0 || m.work < -2*len(value) {
		t.Errorf("matched = %v with %d of its work left; want it to give up at once", ok, m.work)
	}
	if s, err := Compile([]byte(`{"anyOf":[{"$ref":"#"},{"type":"string"}]}`)); err == nil && s.fast != nil {
		t.Error("a schema that is its own branch became a program")
	}
	for _, broken := range []string{`{"a`, `{"a":`, `[1,`, ``, `{`} {
		if s.fast.matches([]byte(broken), strictjson.Outline{}) {
			t.Errorf("%q matches", broken)
		}
	}
}

// What may be anything is passed over, whether the schema says so by {} or by true.
func TestAProgramPassesOverAnything(t *testing.T) {
	s := mustCompile(t, `{"type":"object","properties":{"a":{},"b":true},"additionalProperties":{}}`)
	for _, value := range []string{`{"a":["x"],"b":{"c":[1]},"d":"e"}`, `{"a":"x","b":"y","c":{"d":{}}}`, `{"a":{"b":1},"b":[[]],"c":[0]}`} {
		if !s.fast.matches([]byte(value), strictjson.Outline{}) {
			t.Errorf("%s is put to the complete implementation", value)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	s, err := Compile([]byte(`{"type":"object","properties":{"path":{"type":"string"},"rows":{"type":"array","items":{"type":"object","properties":{"id":{"type":"integer"},"name":{"type":"string"},"value":{"type":"number"},"tags":{"type":"array","items":{"type":"string"}},"done":{"type":"boolean"}},"required":["id"]}}},"required":["path"]}`))
	if err != nil {
		b.Fatal(err)
	}
	for _, rows := range []int{0, 110} {
		row := `{"id":7,"name":"record 7 of the list","value":7.25,"tags":["alpha","beta"],"done":false}`
		call := []byte(`{"path":"/srv/docs/a","rows":[` + strings.TrimSuffix(strings.Repeat(row+",", rows), ",") + `]}`)
		b.Run(fmt.Sprintf("%dB/program", len(call)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !s.fast.matches(call, strictjson.Outline{}) {
					b.Fatal("does not match")
				}
			}
		})
		b.Run(fmt.Sprintf("%dB/complete", len(call)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := s.validateFully(call); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
