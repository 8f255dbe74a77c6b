package secrets

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What is undone at once is what is undone escape by escape, and each edit stands where it says.
func TestUnescapeUndoesEachEscape(t *testing.T) {
	pieces := []string{`\n`, `\"`, `\\`, `\/`, `\u0041`, `\u00e9`, `\ud83d\ude00`, `\ud83d`, `\x41`, `\'`, "a", "é", strings.Repeat("b", 15), strings.Repeat("c", 40), `\q`, `\u12`, `\`}
	rapid.Check(t, func(t *rapid.T) {
		doc := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 12).Draw(t, "pieces"), "")
		var want strings.Builder
		escapes := 0
		for i := 0; i < len(doc); {
			b, n := []byte{doc[i]}, 1
			if doc[i] == '\\' {
				escapes++
				if e, m := escape([]byte(doc[i:])); m > 0 {
					b, n = e, m
				}
			}
			want.Write(b)
			i += n
		}
		v := unescape(&view{text: []byte(doc)})
		if string(v.text) != want.String() || len(v.edits) != escapes {
			t.Fatalf("%q: %q with %d edits; want %q with %d", doc, v.text, len(v.edits), want.String(), escapes)
		}
		at, from := 0, 0
		for _, e := range v.edits {
			same := int(e.at) - at
			if same < 0 || string(v.text[at:e.at]) != doc[from:from+same] || int(e.from) != from+same || doc[e.from] != '\\' {
				t.Fatalf("%q: edit %+v does not follow from %d and %d", doc, e, at, from)
			}
			at, from = int(e.at+e.n), int(e.from+e.m)
		}
		if string(v.text[at:]) != doc[from:] {
			t.Fatalf("%q: ends with %q; want %q", doc, v.text[at:], doc[from:])
		}
	})
}
