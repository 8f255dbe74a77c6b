package grant

import (
	"regexp"
	"strings"
	"testing"
)

// A pattern matches what a plain reading of it says, and one that covers another matches all that the
// other matches.
func FuzzPattern(f *testing.F) {
	for _, s := range [][4]string{{"files.read_*", "files", "read_file", "files.*"}, {"*.*", "a", "b.c", "*.b*"}, {"a*b.c*", "ab", "c", "**.**"}, {"x.y.z", "x", "y.z", "x.*z"}} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	f.Fuzz(func(t *testing.T, text, server, tool, wider string) {
		p, err := ParsePattern(text)
		if err != nil {
			if p.Match(server, tool) {
				t.Fatalf("%q was refused and matches %q %q", text, server, tool)
			}
			return
		}
		left, right, _ := strings.Cut(text, ".")
		want := !strings.Contains(server, ".") && plain(left).MatchString(server) && plain(right).MatchString(tool)
		if got := p.Match(server, tool); got != want {
			t.Fatalf("%q matches %q %q: %v; a plain reading says %v", text, server, tool, got, want)
		}
		if q, err := ParsePattern(wider); err == nil && q.Covers(p) && want && !q.Match(server, tool) {
			t.Fatalf("%q covers %q, which matches %q %q, and does not match it itself", wider, text, server, tool)
		}
	})
}

func plain(glob string) *regexp.Regexp {
	return regexp.MustCompile(`(?s)^` + strings.ReplaceAll(regexp.QuoteMeta(glob), `\*`, `.*`) + `$`)
}
