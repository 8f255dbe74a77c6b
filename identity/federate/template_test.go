package federate

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

// values that try to reach past their place.
var values = rapid.OneOf(rapid.StringMatching(`[a:%{}/~@.x-]{1,6}`), rapid.SampledFrom([]string{"a:b", "a%3Ab", "a", ":", "%", "é", "a b", "x:ci"}))

func TestTwoIdentitiesNeverGiveOneSubject(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		literal := rapid.StringMatching(`[a:x/-]{0,3}`)
		source := literal.Draw(t, "begin") + "{a}" + literal.Draw(t, "between") + ":" + literal.Draw(t, "between") + "{b}" + literal.Draw(t, "end")
		tpl, err := parseTemplate(source)
		if err != nil {
			t.Fatal(err)
		}
		first, second := drawClaims(t, "first"), drawClaims(t, "second")
		s, _ := tpl.fill(&claims{raw: encode(first)})
		u, _ := tpl.fill(&claims{raw: encode(second)})
		if s == u && (first["a"] != second["a"] || first["b"] != second["b"]) {
			t.Fatalf("%s makes %q of %v and of %v", source, s, first, second)
		}
	})
}

// Where two templates give one subject, meets has said that they can.
func TestTemplatesThatMeetAreFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		template := func(name string) template {
			literal := rapid.StringMatching(`[a:]{0,2}`)
			source := literal.Draw(t, name) + "{a}" + literal.Draw(t, name)
			if rapid.Bool().Draw(t, name+" has two") {
				source += ":{b}" + literal.Draw(t, name)
			}
			tpl, err := parseTemplate(source)
			if err != nil {
				t.Fatal(err)
			}
			return tpl
		}
		a, b := template("one"), template("two")
		small := rapid.StringMatching(`a{1,3}`)
		draw := func() map[string]string {
			return map[string]string{"a": small.Draw(t, "a"), "b": small.Draw(t, "b")}
		}
		s, _ := a.fill(&claims{raw: encode(draw())})
		u, _ := b.fill(&claims{raw: encode(draw())})
		if s == u && !a.meets(b) {
			t.Fatalf("%v and %v both make %q, but are said not to meet", a, b, s)
		}
		if a.meets(b) != b.meets(a) {
			t.Fatalf("%v meets %v in one direction only", a, b)
		}
	})
}

func drawClaims(t *rapid.T, name string) map[string]string {
	return map[string]string{"a": values.Draw(t, name+" a"), "b": values.Draw(t, name+" b")}
}

func encode(claims map[string]string) []byte {
	b, _ := json.Marshal(claims) // strings always can be
	return b
}
