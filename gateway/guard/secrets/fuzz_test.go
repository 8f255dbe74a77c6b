package secrets

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"testing"
)

// A marker is found in whatever text it stands, under each encoding that the documentation names;
// findings lie within the document.
func FuzzMarkerIsFound(f *testing.F) {
	const marker = "canary-7f3c9e21"
	s, err := New(Options{Markers: []Marker{{"canary", marker}}, NoRules: true})
	if err != nil {
		f.Fatal(err)
	}
	for i, p := range []string{"", "a", "\"\\", "key = ", "\n", "dGV4dA==", "%41", "\u200b", "π"} {
		f.Add(p, p, uint8(i))
	}
	f.Fuzz(func(t *testing.T, before, after string, form uint8) {
		hidden := marker
		switch form % 4 {
		case 1:
			hidden = hex.EncodeToString([]byte(marker))
		case 2:
			hidden = base64.StdEncoding.EncodeToString([]byte(marker))
		case 3:
			hidden = url.QueryEscape(marker)
		}
		// Apart from what stands beside it: base64 that runs on into other base64 is another text.
		doc, err := json.Marshal(map[string]string{"text": before + " " + hidden + " " + after})
		if err != nil {
			t.Fatal(err) // a map of strings is always written
		}
		r := s.JSON(doc)
		if r.Why == "" && !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Marker }) {
			t.Fatalf("the marker was not found in %s", doc)
		}
		for _, x := range r.Findings {
			if x.Start < 0 || x.Start >= x.End || x.End > len(doc) {
				t.Fatalf("%v is not within %s", x, doc)
			}
		}
	})
}
