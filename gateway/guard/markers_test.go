package guard

import (
	"strings"
	"testing"

	"sallyport/gateway/guard/secrets"
)

// A canary is taken out of every answer, also where no policy asks about secrets; what the rules would
// find then stays.
func TestMarkersAreLookedForUnasked(t *testing.T) {
	const canary, key = "marker-in-the-drawer", "ghp_012345678901234567890123456789abcdef"
	for _, tt := range []struct {
		name    string
		markers []secrets.Marker
		ask     Ask
		canary  bool // stays
		key     bool
	}{
		{"nothing asked", []secrets.Marker{{Name: "canary", Value: canary}}, Ask{}, false, true},
		{"asked", []secrets.Marker{{Name: "canary", Value: canary}}, Ask{Redact: Secrets}, false, false},
		{"no markers, nothing asked", nil, Ask{}, true, true},
		{"no markers, asked", nil, Ask{Redact: Secrets}, true, false},
	} {
		scanner, err := secrets.New(secrets.Options{Markers: tt.markers})
		if err != nil {
			t.Fatal(err)
		}
		door, err := New(Config{Content: []string{"text"}, Secrets: scanner})
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := door.Judge(ToolResult, []byte(`{"content":[{"type":"text","text":"`+canary+` token=`+key+`"}]}`), &tt.ask)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got := strings.Contains(string(out), canary); got != tt.canary {
			t.Errorf("%s: the canary stays: %v; want %v: %s", tt.name, got, tt.canary, out)
		}
		if got := strings.Contains(string(out), key); got != tt.key {
			t.Errorf("%s: the key stays: %v; want %v: %s", tt.name, got, tt.key, out)
		}
	}
}
