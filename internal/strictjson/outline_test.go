package strictjson

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// looks compares what is said of a document with and without an outline of it: where each value near
// the root ends, and what the rules on names say of its members.
func looks(t *testing.T, data []byte) {
	t.Helper()
	o, err := CheckOutline(data, Limits{}, nil, nil)
	if err != nil {
		return
	}
	row := &Place{Members: map[string]*Place{"ID": nil, "name": nil}}
	known := &Place{Members: map[string]*Place{"path": nil, "Rows": nil, "rows": {Items: row}, "b": {Items: row}}}
	known.Rest = known
	if len(data)%3 == 0 {
		delete(known.Members, "Rows")
		row.Members = map[string]*Place{"id": nil}
	}
	Seal([]*Place{known, row, known.Members["rows"], known.Members["b"]})
	read := NewNames([]string{"a", "name"})
	if len(data)%2 == 0 {
		read = NewNames([]string{"a", "iD"}) // which a plain name can imitate
	}
	var visit func(part []byte, o Outline, level int)
	visit = func(part []byte, o Outline, level int) {
		got, want := o.CheckArguments(part, read, known), CheckArguments(part, read, known)
		if (got == nil) != (want == nil) || got != nil && got.Error() != want.Error() {
			t.Errorf("%.300s: with an outline %v; without %v", part, got, want)
		}
		var read, outlined []Member
		errRead, errKnown := EachMember(part, func(m Member) { read = append(read, m) }), o.EachMember(part, func(m Member) { outlined = append(outlined, m) })
		if !slices.Equal(read, outlined) || (errRead == nil) != (errKnown == nil) {
			t.Errorf("%.300s: members %v with an outline; %v without", part, outlined, read)
		}
		if end, ok := o.End(space(part, 0)); ok && end != skip(part, space(part, 0)) {
			t.Errorf("%.300s: ends at %d by the outline; at %d by reading", part, end, skip(part, space(part, 0)))
		}
		if level == 4 {
			return
		}
		if members, err := Object(part); err == nil {
			for _, m := range members {
				visit(m.Value().Of(part), o.Of(m.Value()), level+1)
			}
		}
		if elements, err := Array(part); err == nil {
			for _, s := range elements {
				visit(s.Of(part), o.Of(s), level+1)
			}
		}
	}
	visit(data, o, 0)
}

func outlined() []string {
	row := `{"id":7,"name":"record 7 of the list","tags":["alpha","beta"]}`
	rows := "[" + strings.TrimSuffix(strings.Repeat(row+",", 40), ",") + "]"
	long := `"` + strings.Repeat("a", 300) + `"`
	return []string{
		`{"params":{"arguments":{"path":"a","rows":` + rows + `,"b":{}}}}`,
		` { "a" : ` + rows + ` , "b" : [ ` + rows + ` , [ ` + long + ` ] ] } `,
		`{"rows":` + rows + `,"Rows":` + rows + `}`, `{"a":{"x":` + long + `,"X":1}}`, `{"a":{"b":{"c":{"d":{"e":{"f":` + rows + `}}}}}}`,
		`{"a":{"K":` + long + `,"k":1}}`, `{"a":{"\u0061":` + long + `}}`, `{"PATH":` + long + `}`, `{"a":[` + strings.Repeat("["+long+"],", 80) + `1]}`,
		`{}`, `[]`, `""`, `7`, `{"a":1e5,"b":` + rows + `}`, `{"a":"` + strings.Repeat(`\"}]`, 200) + `","b":` + rows + `}`,
	}
}

func TestAnOutlineSaysWhatReadingSays(t *testing.T) {
	for _, doc := range outlined() {
		looks(t, []byte(doc))
	}
}

// A part that is not there has no outline: that of the whole would be wrong for it.
func TestNoPartNoOutline(t *testing.T) {
	doc := []byte(`{"a":"` + strings.Repeat("x", 300) + `"}`)
	o, err := CheckOutline(doc, Limits{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if end, ok := o.End(0); !ok || end != len(doc) {
		t.Errorf("the whole ends at %d, %v; want %d", end, ok, len(doc))
	}
	if end, ok := o.Of(Span{}).End(0); ok {
		t.Errorf("a part that is not there ends at %d", end)
	}
}

// What is free is not read again, but its limits hold.
func TestLimitsHoldWhereNamesAreFree(t *testing.T) {
	scope := Only(NewKeySet("params"), nil)
	for doc, want := range map[string]string{
		`{"a":{"b":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}}`: "nested deeper than 64 levels",
		`{"a":{"b":1e999}}`:                             "a number outside the range",
		`{"a":{"b":` + strings.Repeat("1", 2000) + `}}`: "a number of 2000 characters",
		`{"a":{"b":` + strings.Repeat("9", 400) + `}}`:  "a number outside the range",
		`{"a":{"b\u0000":1}}`:                           "NUL",
	} {
		if err := CheckScope([]byte(doc), Limits{}, scope); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v; want an error with %q", doc, err, want)
		}
	}
}

// An outline says nothing of other bytes, be they equal to those it is about.
func TestAnOutlineIsAboutItsBytesOnly(t *testing.T) {
	doc := []byte(`{"a":{"b":"` + strings.Repeat("x", 300) + `"}}`)
	o, err := CheckOutline(doc, Limits{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	inner := Span{5, len(doc) - 1}
	if got := o.Of(inner).For(inner.Of(doc)); len(got.large) == 0 {
		t.Error("nothing is known of a part of the document")
	}
	for name, other := range map[string][]byte{"a copy": bytes.Clone(doc), "another part": doc[1:], "nothing": nil, "more than it": append(doc[:len(doc):len(doc)], ' ')} {
		if got := o.For(other); len(got.large) != 0 {
			t.Errorf("%s: the outline says %v", name, got.large)
		}
	}
	if got := o.Of(inner).For(doc[5:]); len(got.large) == 0 {
		t.Error("nothing is known of what follows the place that was asked for")
	}
}

func FuzzOutline(f *testing.F) {
	for _, doc := range outlined() {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, data []byte) { looks(t, data) })
}
