package catalog

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sallyport/internal/strictjson"
)

// What a program matches among rows that are nearly alike is valid, and a row that it would not
// match alone it does not match among others.
func TestRowsMatchAsIfEachWereTheFirst(t *testing.T) {
	matched, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		item := genSchema(2).Draw(t, "item")
		s, err := Compile([]byte(fmt.Sprintf(`{"type":"array","items":%s,"$defs":{"d":{"type":"object"}}}`, item)))
		if err != nil || s.fast == nil {
			return
		}
		first := genInstance(2).Draw(t, "row")
		rows := []string{first, first}
		for range rapid.IntRange(0, 3).Draw(t, "more") {
			row := first
			if rapid.Bool().Draw(t, "other") {
				row = strings.Replace(first, rapid.SampledFrom([]string{`"p0"`, `"p1"`, `:`, `,`, `}`, `0`}).Draw(t, "part"),
					rapid.SampledFrom([]string{`"q0"`, `"p2"`, ` : `, ` , `, ` }`, `"a"`}).Draw(t, "instead"), 1)
			}
			rows = append(rows, row)
		}
		all := "[" + strings.Join(rows, ",") + "]"
		if strictjson.Check([]byte(all), strictjson.Limits{}) != nil {
			return
		}
		alone := true
		for _, row := range rows {
			alone = alone && s.fast.matches([]byte("["+row+"]"), strictjson.Outline{})
		}
		if got := s.fast.matches([]byte(all), strictjson.Outline{}); got != alone {
			t.Fatalf("%s\n%s\nmatched = %v; each row alone %v", item, all, got, alone)
		}
		if !alone {
			refused++
			return
		}
		matched++
		if err := s.validateFully([]byte(all)); err != nil {
			t.Fatalf("%s\nmatches %s, which is not valid: %v", item, all, err)
		}
	})
	if matched == 0 || refused == 0 {
		t.Errorf("%d matched, %d did not: the property says nothing", matched, refused)
	}
}

// What a program learned of one value must not help another: matchers are used again.
func TestNothingIsKeptFromOneValueToTheNext(t *testing.T) {
	strict, err := Compile([]byte(`{"type":"array","items":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}}`))
	if err != nil {
		t.Fatal(err)
	}
	loose, err := Compile([]byte(`{"type":"array","items":{"type":"object","additionalProperties":{"type":"integer"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if !loose.fast.matches([]byte(`[{"b":1},{"b":1}]`), strictjson.Outline{}) || !strict.fast.matches([]byte(`[{"a":1},{"a":1}]`), strictjson.Outline{}) {
			t.Fatal("a valid value does not match")
		}
		if strict.fast.matches([]byte(`[{"b":1},{"b":1}]`), strictjson.Outline{}) || strict.fast.matches([]byte(`[{"a":1},{"b":1}]`), strictjson.Outline{}) {
			t.Fatal("a member that the schema does not allow matches")
		}
	}
}
