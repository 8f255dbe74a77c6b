package grant

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPatternMatchesServerAndToolSplitAtTheFirstDot(t *testing.T) {
	for _, tt := range []struct {
		pattern, server, tool string
		want                  bool
	}{
		{"files.read_*", "files", "read_file", true},
		{"files.read_*", "files", "read_", true},
		{"files.read_*", "files", "write_file", false},
		{"files.read_*", "files2", "read_file", false},
		{"*.*", "files", "anything", true},
		{"fi*.read", "files", "read", true},
		{"files.a.b", "files", "a.b", true},
		{"files.a.*", "files", "a.b.c", true},
		{"files.*_x_*", "files", "a_x_b_x_c", true},
		{"files.***a***", "files", "bab", true},
		{"files.a*b", "files", "ab", true},
		{"files.a*b", "files", "abc", false},
		{"files.read", "files", "READ", false},
		{"*.c", ".a", "c", false},
		{"*.c", "a.b", "c", false}, // no server has a dot; "a" and "b.c" would read the same
	} {
		p, err := ParsePattern(tt.pattern)
		if err != nil {
			t.Errorf("ParsePattern(%q): %v", tt.pattern, err)
			continue
		}
		if got := p.Match(tt.server, tt.tool); got != tt.want {
			t.Errorf("pattern %q matches %q of %q: %t; want %t", tt.pattern, tt.tool, tt.server, got, tt.want)
		}
	}
	if (Pattern{}).Match("", "") || (Pattern{}).Covers(Pattern{}) {
		t.Error("the zero Pattern matches or covers something; want nothing")
	}
}

func TestBadPatternsSayWhatToWrite(t *testing.T) {
	for pattern, want := range map[string]string{
		"":                          `an empty pattern; write server.tool, such as files.read_*, or "*.*" for every tool`,
		"*":                         `pattern "*" names no tool; write "*.*" for every tool of every server`,
		"files":                     `pattern "files" names no tool; write "files.*" for all tools of files`,
		"files.":                    `pattern "files." names no tool; write "files.*" for all tools of files`,
		".read":                     `pattern ".read" names no server; write "*.read" for the tool on every server`,
		"files.read *":              `pattern "files.read *" has white space or control characters; write server.tool, such as files.read_*`,
		"a.\x1b[31m":                `pattern "a.\x1b[31m" has white space or control characters; write server.tool, such as files.read_*`,
		"a." + longName(maxPattern): `a pattern of 258 bytes; at most 256`,
	} {
		if _, err := ParsePattern(pattern); err == nil || err.Error() != want {
			t.Errorf("ParsePattern(%.20q) = %v; want %s", pattern, err, want)
		}
	}
}

func longName(n int) string { return strings.Repeat("x", n) }

func TestPatternCoversWhatIsPlainlyNarrower(t *testing.T) {
	for _, tt := range []struct {
		wide, narrow string
		want         bool
	}{
		{"files.read_*", "files.read_*", true},
		{"files.*", "files.read_*", true},
		{"*.*", "files.read_*", true},
		{"files.read_*", "files.read_file", true},
		{"files.read_*", "files.read_*_now", true},
		{"files.read_*", "files.*", false},
		{"files.read_*", "files.re*", false},
		{"files.*a*", "files.*ab*", true},
		{"files.*", "*.*", false},
		{"files.a", "files.b", false},
		{"files.**", "files.*", true},
	} {
		if got := mustPattern(t, tt.wide).Covers(mustPattern(t, tt.narrow)); got != tt.want {
			t.Errorf("%q covers %q: %t; want %t", tt.wide, tt.narrow, got, tt.want)
		}
	}
}

func mustPattern(t testing.TB, s string) Pattern {
	t.Helper()
	p, err := ParsePattern(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What a pattern covers it must match, or a child could do what its parent may not.
func TestCoveringPatternMatchesAllThatTheCoveredOneDoes(t *testing.T) {
	word, covered := rapid.StringMatching(`[ab*]{1,5}`), 0
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) Pattern {
			p, err := ParsePattern(word.Draw(t, name+" server") + "." + word.Draw(t, name+" tool"))
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		p, q := draw("wide"), draw("narrow")
		if !p.Covers(q) {
			return
		}
		covered++
		fill := func(glob string) string {
			var b strings.Builder
			for _, r := range glob {
				if r == '*' {
					b.WriteString(rapid.StringMatching(`[abc*]{0,3}`).Draw(t, "run"))
				} else {
					b.WriteRune(r)
				}
			}
			return b.String()
		}
		server, tool := fill(q.server), fill(q.tool)
		if !q.Match(server, tool) {
			t.Fatalf("%s does not match %q of %q, which was made from it", q, tool, server)
		}
		if !p.Match(server, tool) {
			t.Fatalf("%s covers %s, but matches not %q of %q", p, q, tool, server)
		}
	})
	if covered == 0 {
		t.Error("no pattern covered another; the test shows nothing")
	}
}
