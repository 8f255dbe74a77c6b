package catalog

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sallyport/internal/strictjson"
)

// A row whose value stands after more white space than in the row before must not be read out of step, so
// that the content of a string is taken for structure.
func TestARowWithMoreSpaceIsReadInStep(t *testing.T) {
	for _, c := range []struct{ name, schema, value string }{
		{"a string for an integer", `{"type":"array","items":{"type":"object","properties":{"n":{"type":"integer"}}}}`,
			`[{"n":1},{"n": "x","k":":tru"}]`},
		{"an array for a string", `{"type":"object","properties":{"rows":{"type":"array","items":{"type":"object","properties":{"n":{"type":"integer"},"path":{"type":"string"}},"required":["n","path"]}}},"required":["rows"]}`,
			`{"rows":[{"n":1,"path":"/srv/a"},{"n": "x","path":["/etc/shadow"],"k":":0,Xpath","m":":tru"}]}`},
		{"a grant's constraint, any other string for a constant", `{"type":"object","properties":{"rows":{"type":"array","items":{"type":"object","properties":{"n":{"type":"integer"},"path":{"const":"/srv/a"}},"required":["n","path"]}}},"required":["rows"]}`,
			`{"rows":[{"n":1,"path":"/srv/a"},{"n": "x","path":"/etc/shadow","k":":0,Xpath","/srv/a":":tru"}]}`},
		{"the same with a pattern", `{"type":"object","properties":{"rows":{"type":"array","items":{"type":"object","properties":{"n":{"type":"integer"},"path":{"type":"string","pattern":"^/srv/"}},"required":["n","path"]}}},"required":["rows"]}`,
			`{"rows":[{"n":1,"path":"/srv/a"},{"n": "x","path":"/etc/shadow","k":":0,Xpath","/srv/a":":tru"}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := CompileSmall([]byte(c.schema))
			if err != nil {
				t.Fatal(err)
			}
			if err := strictjson.Check([]byte(c.value), strictjson.Limits{}); err != nil {
				t.Fatal(err)
			}
			if full := s.validateFully([]byte(c.value)); full == nil {
				t.Fatal("the complete implementation accepts it")
			}
			if err := s.Validate([]byte(c.value)); err == nil {
				t.Errorf("%s is accepted", c.value)
			}
		})
	}
}

// Rows whose names, space and texts are made to be taken for one another: what matches is valid.
func TestRowsMadeToBeMisreadAreNot(t *testing.T) {
	s, err := Compile([]byte(`{"type":"array","items":{"type":"object","properties":{"n":{"type":"integer"},"p":{"type":"string","pattern":"^/srv"},"o":{"type":"object","properties":{"n":{"type":"boolean"}}}},"required":["n","p"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	matched, refused := 0, 0
	one := func(rt *rapid.T) {
		space := rapid.SampledFrom([]string{"", "", " ", "\n", "  "})
		name := rapid.SampledFrom([]string{"n", "p", "o", "k", "/srv", ":0", ",", "}"})
		value := rapid.SampledFrom([]string{"1", "-2", `"x"`, `"/srv/a"`, `"/etc"`, `["/etc"]`, `":0,Xp"`, `":tru"`, `":tru,"`, `"},{"`, "true", "null", `{"n":true}`, `{"n": 1}`, `{"n":true, "k":":0"}`})
		var doc strings.Builder
		doc.WriteString(`[{"n":1,"p":"/srv/a"}`)
		for range rapid.IntRange(1, 3).Draw(rt, "rows") {
			doc.WriteString(`,` + space.Draw(rt, "space") + `{`)
			for i, n := range append([]string{"n", "p"}, rapid.SliceOfNDistinct(name.Filter(func(s string) bool { return s != "n" && s != "p" }), 0, 3, rapid.ID[string]).Draw(rt, "names")...) {
				if i > 0 {
					doc.WriteString(`,` + space.Draw(rt, "space"))
				}
				doc.WriteString(`"` + n + `"` + space.Draw(rt, "space") + `:` + space.Draw(rt, "space") + value.Draw(rt, "value"))
			}
			doc.WriteString(space.Draw(rt, "space") + `}`)
		}
		doc.WriteString(`]`)
		all := []byte(doc.String())
		if err := strictjson.Check(all, strictjson.Limits{}); err != nil {
			rt.Fatalf("%s: %v", all, err)
		}
		if !s.fast.matches(all, strictjson.Outline{}) {
			refused++
			return
		}
		matched++
		if err := s.validateFully(all); err != nil {
			rt.Fatalf("%s matches, and is not valid: %v", all, err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		for range 30 {
			one(rt)
		}
	})
	if matched == 0 || refused == 0 {
		t.Errorf("%d matched, %d did not: the property says nothing", matched, refused)
	}
}
