package demo

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWrapBreaksAtSpacesElseAfterASlash(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"", []string{""}},
		{"one two three", []string{"one two", "three"}},
		{"http://host/path/x", []string{"http://", "host/path/", "x"}},
		{"abcdefghijklm", []string{"abcdefghij", "klm"}},
		{"a abcdefghijklm b", []string{"a", "abcdefghij", "klm b"}},
	} {
		if diff := cmp.Diff(tt.want, wrap(tt.text, 10)); diff != "" {
			t.Errorf("wrap(%q, 10) (-want +got):\n%s", tt.text, diff)
		}
	}
}

// What servers and messages say must not be able to move the cursor or to recolour the page.
func TestAForeignTextCannotSteerTheTerminal(t *testing.T) {
	var b bytes.Buffer
	p := page{w: &b}
	hostile := "a\x1b[2Jb\rc\u202ed\u00e9"
	p.line(2, "", hostile)
	p.quote(2, hostile)
	p.field(2, "answer", "", hostile)
	p.prose(2, "", hostile)
	if i := strings.IndexFunc(b.String(), func(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }); i >= 0 {
		t.Errorf("the page holds %q", b.String())
	}
}

func TestColoursOnlyWhenAsked(t *testing.T) {
	for _, colour := range []bool{false, true} {
		var b bytes.Buffer
		p := page{w: &b, c: palette(colour)}
		p.heading("Heading")
		p.field(2, "why", p.c.yellow, "because")
		if got := strings.Contains(b.String(), "\x1b["); got != colour {
			t.Errorf("colour %v: escape codes on the page = %v", colour, got)
		}
	}
}
