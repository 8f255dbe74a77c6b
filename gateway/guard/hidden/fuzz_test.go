package hidden

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// What was stripped holds nothing more to strip, nothing is added, and a text that is clean stays as it
// is.
func FuzzStrip(f *testing.F) {
	for _, s := range []string{"plain", "a\u200bb", "\x1b[31mred\x1b[0m", "\U000e0041\U000e0042", "a\rb\r\nc", "👩\u200d💻", "\xff\xfe", "\u202eabc\u202c", "x\ufe0f", "\x1b]8;;http://x\x07t\x1b]8;;\x07"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out, n := Strip(s)
		if again, more := Strip(out); more != 0 || again != out {
			t.Fatalf("Strip(%q) = %q, of which Strip takes %d more: %q", s, out, more, again)
		}
		if n == 0 && out != s {
			t.Fatalf("nothing was taken from %q, and it became %q", s, out)
		}
		if len(out) > len(s) {
			t.Fatalf("%q grew into %q", s, out)
		}
		if utf8.ValidString(s) && !utf8.ValidString(out) {
			t.Fatalf("%q became %q, which is not UTF-8", s, out)
		}
		if utf8.ValidString(s) && strings.ContainsAny(out, "\x1b\u200b\u202e\u2066") {
			t.Fatalf("%q became %q", s, out)
		}
	})
}
