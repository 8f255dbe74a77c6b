package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func mustCompile(t testing.TB, schema string) *Schema {
	t.Helper()
	s, err := Compile([]byte(schema))
	if err != nil {
		t.Fatalf("Compile(%.200s) = %v", schema, err)
	}
	return s
}

func TestCompileRefusesWithAMessage(t *testing.T) {
	const outside = "refers to something outside the document, which is never loaded"
	for _, tt := range []struct{ schema, want string }{
		{``, "no JSON value, at byte 0"},
		{`{"type":"object","type":"string"}`, "the same member name twice in one object, at byte 17"},
		{`{"a":1e999}`, "a number outside the range of a 64-bit float, at byte 10"},
		{`7`, "not a valid schema: must be boolean or object, got number"},
		{`{"type":"objekt"}`, `not a valid schema`},
		{`{"type":7}`, `not a valid schema`},
		{`{"properties":[]}`, `not a valid schema: /properties: must be object, got array`},
		{`{"minLength":-1}`, `not a valid schema: /minLength: must be at least 0`},
		{`{"maxLength":1e300}`, "maxLength is beyond any length"},
		{`{"maxItems":18446744073709551617}`, "maxItems is beyond any length"},

		{`{"$ref":"file:///etc/passwd"}`, `"file:///etc/passwd" ` + outside},
		{`{"$ref":"http://169.254.169.254/latest/meta-data"}`, `"http://169.254.169.254/latest/meta-data" ` + outside},
		{`{"properties":{"a":{"$ref":"https://example.com/a.json#/$defs/b"}}}`, `"https://example.com/a.json" ` + outside},
		{`{"$ref":"other.json"}`, outside},
		{`{"$ref":"//evil.example/x"}`, outside},
		{`{"$id":"http://evil.example/a/","properties":{"a":{"$ref":"b.json"}}}`, `"http://evil.example/a/b.json" ` + outside},
		{`{"$dynamicRef":"http://evil.example/x#a"}`, outside},
		{`{"$defs":{"a":{"$id":"file:///tmp/","$ref":"x"}},"$ref":"#/$defs/a"}`, `"file:///tmp/x" ` + outside},
		{`{"$ref":"#/$defs/missing"}`, "missing"},
		{`{"$recursiveRef":"#"}`, "$recursiveRef is not supported"},

		{`{"$schema":"https://json-schema.org/draft/2099-01/schema"}`, `$schema "https://json-schema.org/draft/2099-01/sc…" is not a dialect that is understood`},
		{`{"$schema":"http://json-schema.org/draft-03/schema#"}`, "is not a dialect that is understood"},
		{`{"$schema":"file:///etc/passwd"}`, `$schema "file:///etc/passwd" is not a dialect that is understood`},
		{`{"$schema":""}`, "is not a dialect that is understood"},
		{`{"$defs":{"a":{"$id":"http://x.example/","$schema":"http://x.example/meta"}}}`, "is not a dialect that is understood"},

		{`{"pattern":"(?=a)"}`, "pattern \"(?=a)\": error parsing regexp: invalid or unsupported Perl syntax: `(?=`"},
		{`{"properties":{"a":{"pattern":"("}}}`, "pattern \"(\": error parsing regexp: missing closing )"},
		{`{"patternProperties":{"(?!x)":true}}`, "pattern \"(?!x)\": error parsing regexp: invalid or unsupported Perl syntax: `(?!`"},
		{`{"pattern":"` + strings.Repeat("a", 5000) + `"}`, "pattern of 5000 bytes; the limit is 4096"},

		{`{"$ref":"#"}`, "a subschema refers to itself without going into the value: it cannot be validated"},
		{`{"allOf":[{"$ref":"#"}]}`, "a subschema refers to itself without going into the value"},
		{`{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"not":{"$ref":"#/$defs/a"}}},"$ref":"#/$defs/a"}`, "a subschema refers to itself without going into the value"},
		{`{"$dynamicAnchor":"n","$dynamicRef":"#n"}`, "a subschema refers to itself without going into the value"},
	} {
		s, err := Compile([]byte(tt.schema))
		if err == nil || !strings.HasPrefix(err.Error(), "compile schema: ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Compile(%.100s) = %v, %v; want %s", tt.schema, s, err, tt.want)
		}
		if err != nil && (len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\n\r\x1b")) {
			t.Errorf("Compile(%.100s): an error of %d bytes, or more than one line", tt.schema, len(err.Error()))
		}
		if err := s.Validate([]byte(`{}`)); err == nil {
			t.Errorf("Compile(%.100s) gave a schema that accepts", tt.schema)
		}
	}
}

func TestEachDialectIsUnderstoodAsItself(t *testing.T) {
	// prefixItems came with 2020-12, dependentRequired with 2019-09, const with draft-06 and if
	// with draft-07; a boolean exclusiveMinimum is draft-04.
	for dialect := range dialects {
		for _, hash := range []string{"", "#"} {
			s, err := Compile([]byte(`{"$schema":"` + dialect + hash + `","type":"array","prefixItems":[{"type":"string"}]}`))
			if err != nil {
				t.Errorf("%s: %v", dialect, err)
				continue
			}
			newest := strings.Contains(dialect, "2020-12") || dialect == "http://json-schema.org/schema"
			if refused := s.Validate([]byte(`[1]`)) != nil; refused != newest {
				t.Errorf("%s: prefixItems asserted %v; want %v", dialect, refused, newest)
			}
		}
	}
	s := mustCompile(t, `{"$schema":"http://json-schema.org/draft-04/schema#","minimum":3,"exclusiveMinimum":true}`)
	if s.Validate([]byte(`3`)) == nil || s.Validate([]byte(`4`)) != nil {
		t.Error("draft-04 is not read as draft-04")
	}
}

func TestReferencesWithinTheDocumentWork(t *testing.T) {
	for _, tt := range []struct{ schema, good, bad string }{
		{`{"$defs":{"p":{"type":"string"}},"properties":{"a":{"$ref":"#/$defs/p"}}}`, `{"a":"x"}`, `{"a":1}`},
		{`{"$defs":{"p":{"$anchor":"q","type":"string"}},"properties":{"a":{"$ref":"#q"}}}`, `{"a":"x"}`, `{"a":1}`},
		{`{"$id":"http://x.example/root","$defs":{"p":{"$id":"p","type":"string"}},"properties":{"a":{"$ref":"p"}}}`, `{"a":"x"}`, `{"a":1}`},
		{`{"type":"object","properties":{"next":{"$ref":"#"},"n":{"type":"integer"}}}`, `{"next":{"next":{"n":1}}}`, `{"next":{"next":{"n":"x"}}}`},
		{`{"$dynamicAnchor":"node","type":"object","properties":{"kids":{"type":"array","items":{"$dynamicRef":"#node"}}}}`, `{"kids":[{"kids":[]}]}`, `{"kids":[{"kids":[1]}]}`},
		{`{"$id":"http://x.example/strict","$dynamicAnchor":"node","$ref":"tree","unevaluatedProperties":false,
			"$defs":{"tree":{"$id":"tree","$dynamicAnchor":"node","type":"object","properties":{"kids":{"type":"array","items":{"$dynamicRef":"#node"}}}}}}`,
			`{"kids":[{"kids":[]}]}`, `{"kids":[{"typo":1}]}`},
	} {
		s := mustCompile(t, tt.schema)
		if err := s.Validate([]byte(tt.good)); err != nil {
			t.Errorf("%s: Validate(%s) = %v", tt.schema, tt.good, err)
		}
		if err := s.Validate([]byte(tt.bad)); err == nil {
			t.Errorf("%s: Validate(%s) accepted", tt.schema, tt.bad)
		}
	}
}

// doubling nests n schemas each of which applies the next one twice: 2^n visits of one place.
func doubling(n int, keyword string) string {
	var b strings.Builder
	b.WriteString(`{"$ref":"#/$defs/d0","$defs":{`)
	for i := range n {
		fmt.Fprintf(&b, `"d%d":{"%s":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]},`, i, keyword, i+1, i+1)
	}
	fmt.Fprintf(&b, `"d%d":{"type":"object"}}}`, n)
	return b.String()
}

// recursive is a schema whose every level of the value is visited twice as often as the last.
func recursive(keyword string) string {
	return `{"$defs":{"n":{"type":"object","properties":{"a":{"` + keyword + `":[{"$ref":"#/$defs/n"},{"$ref":"#/$defs/n"}]}}}},"$ref":"#/$defs/n"}`
}

func nestedValue(depth int, leaf string) string {
	return strings.Repeat(`{"a":`, depth) + leaf + strings.Repeat(`}`, depth)
}

func TestCompileCostIsBounded(t *testing.T) {
	object := func(n int, member func(i int) string) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = member(i)
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	for _, tt := range []struct{ name, schema, want string }{
		{"bytes", `{"description":"` + strings.Repeat("x", maxSchemaBytes) + `"}`, "bytes; the limit is 262144"},
		{"depth", strings.Repeat(`{"not":`, 65) + "true" + strings.Repeat("}", 65), "nested deeper than 64 levels"},
		{"objects", `{"enum":[` + strings.TrimSuffix(strings.Repeat("{},", maxObjects), ",") + `]}`, "more than 5000 objects and booleans"},
		{"references", `{"properties":` + object(maxRefs+1, func(i int) string { return `"p` + strconv.Itoa(i) + `":{"$ref":"#/$defs/a"}` }) + `,"$defs":{"a":{}}}`, "more than 1000 references"},
		{"subschemas", `{"properties":` + object(maxSubschemas+1, func(i int) string { return `"p` + strconv.Itoa(i) + `":{}` }) + `}`, "more than 2000 subschemas"},
		{"allOf doubling", doubling(30, "allOf"), "its branches multiply"},
		{"anyOf doubling", doubling(30, "anyOf"), "its branches multiply"},
		{"oneOf doubling", doubling(30, "oneOf"), "its branches multiply"},
		{"a thousand doublings", doubling(400, "allOf"), "its branches multiply: one value could be visited"},
		{"doubling in a schema that recurs", strings.Replace(doubling(14, "allOf"), `{"type":"object"}`, `{"type":"object","properties":{"a":{"$ref":"#/$defs/d0"}}}`, 1), "its branches multiply: one value could be visited"},
		{"dynamic doubling", `{"$dynamicAnchor":"x","properties":{"a":{"allOf":[` + strings.TrimSuffix(strings.Repeat(`{"$dynamicRef":"#x"},`, 900), ",") + `]}}}`, ""},
		{"legitimate: 200 properties of 50 words", `{"properties":` + object(200, func(i int) string {
			return `"p` + strconv.Itoa(i) + `":{"enum":["` + strings.Repeat(`w","`+strconv.Itoa(i), 1) + `"],"description":"` + strings.Repeat("d", 200) + `"}`
		}) + `}`, ""},
		{"legitimate: a tagged union of 60", `{"anyOf":[` + strings.TrimSuffix(strings.Repeat(`{"type":"object","properties":{"k":{"const":"a"},"v":{"type":"string"}},"required":["k"]},`, 60), ",") + `]}`, ""},
		{"legitimate: a filter that recurs", `{"$defs":{"f":{"anyOf":[{"type":"object","properties":{"and":{"type":"array","items":{"$ref":"#/$defs/f"}}}},{"type":"object","properties":{"eq":{"type":"string"}}}]}},"$ref":"#/$defs/f"}`, ""},
	} {
		start := time.Now()
		s, err := Compile([]byte(tt.schema))
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: took %v", tt.name, took)
		}
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: Compile = %v, %v; want %q", tt.name, s != nil, err, tt.want)
		}
	}
}

// A schema that recurs is judged with the value: small ones are checked, deep ones refused
// before the work begins.
func TestValidateCostIsBounded(t *testing.T) {
	wide := "[" + strings.TrimSuffix(strings.Repeat(`"`+strings.Repeat("a", 60)+`",`, 4000), ",") + "]"
	for _, tt := range []struct{ name, schema, small, large string }{
		{"allOf recursion", recursive("allOf"), nestedValue(3, "{}"), nestedValue(60, "{}")},
		{"anyOf recursion", recursive("anyOf"), nestedValue(3, "{}"), nestedValue(60, "7")},
		{"oneOf recursion", strings.Replace(recursive("oneOf"), `"oneOf":[`, `"oneOf":[{"const":1},`, 1), `{"a":1}`, nestedValue(60, "7")},
		{"dynamic recursion", `{"$dynamicAnchor":"x","type":"object","properties":{"a":{"allOf":[{"$dynamicRef":"#x"},{"$dynamicRef":"#x"}]}}}`, nestedValue(3, "{}"), nestedValue(60, "{}")},
		{"a dynamic reference to what is outside", `{"$id":"http://x.example/r","$ref":"list","$defs":{"list":{"$id":"list","type":"array","items":{"$dynamicRef":"#n"},"$defs":{"n":{"$dynamicAnchor":"n"}}},"big":{"$dynamicAnchor":"n","$ref":"#/$defs/d0"},` +
			strings.TrimPrefix(doubling(10, "allOf"), `{"$ref":"#/$defs/d0","$defs":{`), `[{}]`, "[" + strings.TrimSuffix(strings.Repeat("{},", 1000), ",") + "]"},
		{"patterns", `{"items":{"pattern":"^(a{0,900}b?)(a{0,900}b?)$"}}`, `["aaa"]`, wide},
		{"depth", `{}`, nestedValue(64, "1"), nestedValue(65, "1")},
	} {
		s := mustCompile(t, tt.schema)
		if err := s.Validate([]byte(tt.small)); err != nil {
			t.Errorf("%s: Validate(%s) = %v", tt.name, tt.small, err)
		}
		start := time.Now()
		err := s.Validate([]byte(tt.large))
		if err == nil || err.Error() != "too large or too deep to be checked against this schema; send less at once" {
			t.Errorf("%s: large value: %v", tt.name, err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: took %v", tt.name, took)
		}
	}
}

func TestTheZeroSchemaAcceptsNothing(t *testing.T) {
	var none *Schema
	for _, s := range []*Schema{none, {}} {
		for _, v := range []string{``, `{}`, `null`} {
			if err := s.Validate([]byte(v)); err == nil || err.Error() != "there is no schema to check this against" {
				t.Errorf("Validate(%s) = %v", v, err)
			}
		}
	}
}

func TestAbsentArgumentsAreAnEmptyObject(t *testing.T) {
	if err := mustCompile(t, `{"type":"object"}`).Validate(nil); err != nil {
		t.Errorf("Validate(nil) = %v", err)
	}
	if err := mustCompile(t, `{"type":"object","required":["a"]}`).Validate(nil); err == nil || err.Error() != `missing property "a"` {
		t.Errorf("Validate(nil) = %v", err)
	}
}

func TestNumbersKeepTheirDigits(t *testing.T) {
	s := mustCompile(t, `{"type":"integer","maximum":9007199254740992}`)
	if s.Validate([]byte(`9007199254740992`)) != nil || s.Validate([]byte(`9007199254740993`)) == nil {
		t.Error("9007199254740993 and …992 are one number to the validator")
	}
	if err := mustCompile(t, `{"type":"integer"}`).Validate([]byte(`1.0`)); err != nil {
		t.Errorf("1.0 is no integer: %v", err)
	}
}

func TestSchemasAreSafeForConcurrentUse(t *testing.T) {
	s := mustCompile(t, `{"$defs":{"n":{"type":"object","properties":{"a":{"$ref":"#/$defs/n"},"s":{"type":"string","pattern":"^[a-z]+$","maxLength":9}},"unevaluatedProperties":false}},"$ref":"#/$defs/n"}`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if err := s.Validate([]byte(`{"a":{"a":{"s":"abc"}}}`)); err != nil {
					t.Error(err)
				}
				if err := s.Validate([]byte(`{"a":{"a":{"s":"ABC","t":1}}}`)); err == nil {
					t.Error("accepted")
				}
			}
		})
	}
	wg.Wait()
}

func TestCompileDoesNotKeepItsInput(t *testing.T) {
	in := []byte(`{"type":"object","properties":{"a":{"const":"xx"}}}`)
	s := mustCompile(t, string(in))
	other, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	for i := range in {
		in[i] = ' '
	}
	for _, s := range []*Schema{s, other} {
		if s.Validate([]byte(`{"a":"xx"}`)) != nil || s.Validate([]byte(`{"a":"yy"}`)) == nil {
			t.Error("the schema changed with the bytes it was compiled from")
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{`{}`, `true`, doubling(3, "allOf"), recursive("anyOf"), `{"$ref":"file:///x"}`, `{"$id":"%","$ref":"#/%zz"}`, `{"$dynamicRef":"#a","$defs":{"a":{"$dynamicAnchor":"a"}}}`} {
		f.Add([]byte(s), []byte(`{"a":[1,"x",null]}`))
	}
	f.Fuzz(func(t *testing.T, schema, value []byte) {
		s, err := Compile(schema)
		if err != nil || !json.Valid(value) {
			return
		}
		// TestCompileCostIsBounded and errTooCostly bound what this takes.
		if err := s.Validate(value); err != nil {
			if why := (*ValidationError)(nil); !errors.As(err, &why) || strings.Contains(why.Error(), "panicked") {
				t.Errorf("%s of %s: %v", schema, value, err)
			}
		}
	})
}

func BenchmarkValidateSmallCall(b *testing.B) {
	s := mustCompile(b, `{"type":"object","properties":{"path":{"type":"string","minLength":1},"limit":{"type":"integer","minimum":1,"maximum":1000},"recursive":{"type":"boolean"}},"required":["path"],"additionalProperties":false}`)
	value := []byte(`{"path":"/srv/docs/readme.md","limit":100,"recursive":false}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Validate(value); err != nil {
			b.Fatal(err)
		}
	}
}
