package mint

import (
	neturl "net/url"
	"testing"

	"pgregory.net/rapid"
)

// A body that is taken says the same to net/url, and nothing more.
func TestFormIsReadAsOthersReadIt(t *testing.T) {
	part := rapid.SampledFrom([]string{"a", "token", "=", "&", "%", "%41", "%26", "%3d", "%00", "%ff", "+", ";", " ", "\x00", "é", "%c3%a9", "=b&"})
	taken := 0
	rapid.Check(t, func(t *rapid.T) {
		body := ""
		for _, p := range rapid.SliceOfN(part, 0, 8).Draw(t, "parts") {
			body += p
		}
		got, refusal := parseForm(body)
		if refusal != nil {
			return
		}
		taken++
		want, err := neturl.ParseQuery(body)
		if err != nil || len(want) != len(got) {
			t.Fatalf("%q = %v; net/url says %v, %v", body, got, want, err)
		}
		for name, values := range want {
			if len(values) != 1 || got[name] != values[0] {
				t.Fatalf("%q: %s = %q; net/url says %q", body, name, got[name], values)
			}
		}
	})
	if taken == 0 {
		t.Error("no body was taken, so nothing was compared")
	}
}
