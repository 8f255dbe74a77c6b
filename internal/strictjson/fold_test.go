package strictjson

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

func TestNamesThatALenientParserConfusesFoldAlike(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"name", "NAME", true}, {"params", "param\u017f", true}, {"taskId", "tas\u212aid", true}, {"na\x00me", "name", true},
		{"id", "\u0131d", true}, {"id", "\u0130D", true}, {"straße", "STRAẞE", true}, {"σ", "ς", true}, {"é", "É", true},
		{"name", "name", false}, {"name", "nаme", false}, {"name", "name ", false}, {"é", "e", false}, {"ss", "ß", false}, {"_meta", "meta", false},
	} {
		if got := FoldsTo(tt.a, tt.b); got != tt.want {
			t.Errorf("FoldsTo(%q, %q) = %v; want %v", tt.a, tt.b, got, tt.want)
		}
		if FoldsTo(tt.a, tt.b) != FoldsTo(tt.b, tt.a) {
			t.Errorf("FoldsTo(%q, %q) depends on the order", tt.a, tt.b)
		}
	}
}

func TestFoldCoversCaseFolding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.String().Draw(t, "a")
		b := []rune(a)
		for i := range b {
			for range rapid.IntRange(0, 3).Draw(t, "steps") {
				b[i] = unicode.SimpleFold(b[i])
			}
		}
		if Fold(a) != Fold(string(b)) || !strings.EqualFold(a, string(b)) || Fold(Fold(a)) != Fold(a) {
			t.Errorf("%q and %q fold to %q and %q", a, string(b), Fold(a), Fold(string(b)))
		}
		keys := NewKeySet("name", "taskId")
		for _, key := range []string{"name", "taskId"} {
			if _, clash := keys.clash([]byte(a)); clash != (FoldsTo(a, "name") || FoldsTo(a, "taskId")) {
				t.Errorf("clash(%q) = %v with %s", a, clash, key)
			}
		}
	})
}

// What Check accepts, encoding/json reads, and the shallow readers see the same.
func TestObjectAgreesWithEncodingJSON(t *testing.T) {
	names := rapid.OneOf(rapid.SampledFrom([]string{"a", "b", "", "\"", "\\", "{", "é", "a/b~"}), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.OneOf(
			rapid.Map(rapid.String(), func(s string) any { return s }), rapid.Map(rapid.Float64(), func(f float64) any { return f }),
			rapid.Map(rapid.MapOfN(names, rapid.Int(), 0, 3), func(m map[string]int) any { return m }), rapid.Just[any](nil), rapid.Just[any]([]any{"]", "}"}),
		)
		in := rapid.MapOfN(names, values, 0, 6).Draw(t, "object")
		doc, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		hasNUL := false
		for name, v := range in {
			hasNUL = hasNUL || strings.Contains(name, "\x00")
			if m, ok := v.(map[string]int); ok {
				for name := range m {
					hasNUL = hasNUL || strings.Contains(name, "\x00")
				}
			}
		}
		if err := Check(doc, Limits{}); (err != nil) != hasNUL {
			t.Fatalf("Check(%s) = %v", doc, err)
		}
		if hasNUL {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(doc, &want); err != nil {
			t.Fatal(err)
		}
		members, err := Object(doc)
		if err != nil || len(members) != len(want) {
			t.Fatalf("Object(%s) = %d members, %v", doc, len(members), err)
		}
		for _, m := range members {
			if got := string(m.Value().Of(doc)); got != string(want[m.Name]) {
				t.Errorf("%s: %q = %s; want %s", doc, m.Name, got, want[m.Name])
			}
			if span, ok := Find(doc, m.Name); !ok || !reflect.DeepEqual(span, m.Value()) {
				t.Errorf("%s: Find(%q) = %v, %v", doc, m.Name, span, ok)
			}
		}
	})
}

func TestEqualComparesIdentifiers(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{`1`, `1`, true}, {`"a"`, `"\u0061"`, true}, {`"1"`, `1`, false}, {`1`, `1.0`, false}, {`"a"`, `"A"`, false},
		{`9007199254740993`, `9007199254740992`, false}, {``, ``, true}, {``, `""`, false},
	} {
		if got := Equal([]byte(tt.a), []byte(tt.b)); got != tt.want {
			t.Errorf("Equal(%s, %s) = %v; want %v", tt.a, tt.b, got, tt.want)
		}
	}
}
