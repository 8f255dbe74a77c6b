package catalog

import (
	"testing"
)

func TestCanonicalFormIsOneForWhatSaysTheSame(t *testing.T) {
	for _, tt := range []struct{ a, b string }{
		{`{"a":1,"b":[true,null]}`, " { \"b\" : [ true,\n null ] , \"a\":1 }\n"},
		{`"\u00e4\/\t"`, `"ä/\u0009"`},
		{`{"\u0061":{}}`, `{"a":{ }}`},
		{`{"a":"\ud83d\ude00"}`, `{"a":"😀"}`},
	} {
		if Digest([]byte(tt.a)) != Digest([]byte(tt.b)) {
			t.Errorf("%s and %s have two digests", tt.a, tt.b)
		}
	}
}

func TestCanonicalFormKeepsEveryOtherDifference(t *testing.T) {
	forms := []string{`1`, `1.0`, `1e0`, `"1"`, `[1]`, `[1,1]`, `[[1],1]`, `{"a":1}`, `{"a":1,"b":1}`, `{"b":1}`, `{"a":"1"}`, `{"A":1}`,
		`{"a":9007199254740993}`, `{"a":9007199254740992}`, `[true]`, `["true"]`, `null`, `""`, `" "`, `{}`, `[]`, `[1,2]`, `[2,1]`}
	seen := map[string]string{}
	for _, f := range forms {
		d := Digest([]byte(f))
		if other, ok := seen[d]; ok {
			t.Errorf("%s and %s have one digest", other, f)
		}
		seen[d] = f
	}
}

func TestCanonicalRefusesWhatIsNoJSON(t *testing.T) {
	for _, doc := range []string{``, ` `, `{"a"`, `"a`} {
		if form, err := Canonical([]byte(doc)); err == nil {
			t.Errorf("Canonical(%q) = %q", doc, form)
		}
	}
}

func TestReplaceChangesElementsAndNothingElse(t *testing.T) {
	doc := `{ "_meta":{"k":1}, "tools" : [ {"name":"a"} , {"name":"b"},{"x":1} ,{"name":"c"} ], "nextCursor":"n" }`
	p, err := ParsePage([]byte(doc), "tools")
	if err != nil {
		t.Fatal(err)
	}
	got := p.Replace(func(i int) []byte {
		return map[string][]byte{"a": []byte(`{"name":"a","v":2}`), "c": p.Elements[i].Of(p.Result)}[p.Names[i]]
	})
	want := `{ "_meta":{"k":1}, "tools" : [ {"name":"a","v":2} ,{"name":"c"} ], "nextCursor":"n" }`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	whole, err := ParsePage([]byte(`{"tools":[{"name":"a"}]}`), "tools")
	if err != nil {
		t.Fatal(err)
	}
	if same := whole.Replace(func(i int) []byte { return whole.Elements[i].Of(whole.Result) }); &same[0] != &whole.Result[0] {
		t.Error("a page of which nothing changes is copied")
	}
	if none := whole.Replace(func(int) []byte { return nil }); string(none) != `{"tools":[]}` {
		t.Errorf("a page without elements is %s", none)
	}
}
