package credential

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// forms are ways in which servers print a secret by accident; each holds it whole.
func printed(secret string) map[string]string {
	quote := func(s string) string {
		raw, err := json.Marshal(s)
		if err != nil {
			panic(err)
		}
		return string(raw)
	}
	every := func(format string) string {
		var b strings.Builder
		for _, c := range []byte(secret) {
			fmt.Fprintf(&b, format, c)
		}
		return b.String()
	}
	forms := map[string]string{
		"raw":                 secret,
		"JSON in JSON":        quote(secret),
		"hex":                 hex.EncodeToString([]byte(secret)),
		"HEX":                 strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"query":               url.QueryEscape(secret),
		"path":                url.PathEscape(secret),
		"every byte, upper":   every("%%%02X"),
		"every byte, lower":   every("%%%02x"),
		"base64 in a query":   url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(secret))),
		"between other words": "before " + secret + " after",
		"rot13":               strings.Map(rot13, secret),
	}
	back := []rune(secret)
	slices.Reverse(back)
	forms["backwards"] = string(back)
	for before := range 3 {
		whole := []byte("abc"[:before] + secret + "tail")
		forms[fmt.Sprintf("base64 +%d", before)] = base64.StdEncoding.EncodeToString(whole)
		forms[fmt.Sprintf("base64url +%d", before)] = base64.RawURLEncoding.EncodeToString(whole)
		forms[fmt.Sprintf("base64 +%d, wrapped", before)] = wrap(base64.StdEncoding.EncodeToString(whole), 7)
	}
	return forms
}

func wrap(s string, width int) string {
	var b strings.Builder
	for i, c := range []byte(s) {
		if i > 0 && i%width == 0 {
			b.WriteByte('\n')
		}
		b.WriteByte(c)
	}
	return b.String()
}

func TestScrubFindsASecretHoweverItIsPrinted(t *testing.T) {
	for _, secret := range []string{
		"correct-horse-battery", "p@ss w0rd?/+&=", `quo"te\back`, "12345678", "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl_-",
		"sécrèt-ünïcode", strings.Repeat("long", 300) + "!",
	} {
		var s Scrubber
		s.Learn(secret)
		for name, text := range printed(secret) {
			for spelling, doc := range map[string][]byte{"json": spell(text, false), "all escaped": spell(text, true)} {
				out, n := s.Scrub(doc)
				if n == 0 {
					t.Errorf("secret %q, %s, %s: not found in %.200s", secret, name, spelling, doc)
				}
				if !json.Valid(out) {
					t.Errorf("secret %q, %s, %s: no JSON any more: %.200s", secret, name, spelling, out)
				}
				if !bytes.Contains(out, []byte(Redacted)) {
					t.Errorf("secret %q, %s: nothing stands where it was: %.200s", secret, name, out)
				}
			}
			if out := s.ScrubText(text); out == text {
				t.Errorf("secret %q, %s: not found in text", secret, name)
			}
		}
	}
}

// spell writes a result with text in it, every character escaped where all is true.
func spell(text string, all bool) []byte {
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	if all {
		var b strings.Builder
		for _, r := range text {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		raw = []byte(`"` + b.String() + `"`)
	}
	return []byte(`{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":` + string(raw) + `}]}}`)
}

func TestScrubLeavesWhatHoldsNoSecretAlone(t *testing.T) {
	var s Scrubber
	for _, doc := range []string{"", "x", `{"text":"correct horse"}`, strings.Repeat(`a\n%41`, 100)} {
		in := []byte(doc)
		if out, n := s.Scrub(in); n != 0 || len(in) > 0 && &out[0] != &in[0] {
			t.Errorf("a scrubber that knows nothing changed %q", doc)
		}
		s.Learn("correct-horse-battery")
		if out, n := s.Scrub(in); n != 0 || len(in) > 0 && &out[0] != &in[0] {
			t.Errorf("%q was changed, or copied", doc)
		}
	}
}

func TestScrubCountsAndKeepsWhatIsAround(t *testing.T) {
	var s Scrubber
	s.Learn("correct-horse")
	s.Learn("horse-battery")
	s.Learn("short") // too short to be looked for
	out, n := s.Scrub([]byte(`{"a":"xcorrect-horsey","b":"correct-horse-battery","c":"short","d":"\u0063orrect-horse\n"}`))
	const want = `{"a":"x[redacted by the gateway]y","b":"[redacted by the gateway]","c":"short","d":"[redacted by the gateway]\n"}`
	if string(out) != want || n != 3 {
		t.Errorf("got %d, %s; want 3, %s", n, out, want)
	}
}

// The secrets before the last rotation are looked for as well, and their number is bounded.
func TestScrubberForgetsTheSecretsUsedLongestAgo(t *testing.T) {
	var s Scrubber
	name := func(i int) string { return fmt.Sprintf("secret-number-%06d", i) }
	for i := range maxLearned {
		s.Learn(name(i))
	}
	s.Learn(name(0)) // used again
	s.Learn(name(maxLearned))
	for i, want := range map[int]int{0: 1, 1: 0, maxLearned / 2: 1, maxLearned: 1} {
		if _, n := s.Scrub([]byte(name(i))); n != want {
			t.Errorf("secret %d found %d times; want %d", i, n, want)
		}
	}
}

func TestScrubberShowsNothingOfWhatItKnows(t *testing.T) {
	var s Scrubber
	s.Learn("correct-horse-battery")
	if text := fmt.Sprintf("%v %+v %#v %s", &s, &s, &s, &s); strings.Contains(text, "horse") {
		t.Errorf("printed %s", text)
	}
}

// Whatever stands around a secret, it is found, and what is left is what stood around it.
func TestScrubTakesTheSecretAndNothingElse(t *testing.T) {
	const secret = "correct-horse-battery"
	var s Scrubber
	s.Learn(secret)
	word := rapid.StringMatching(`[ -~]{0,40}`)
	rapid.Check(t, func(t *rapid.T) {
		before, after := word.Draw(t, "before"), word.Draw(t, "after")
		doc, err := json.Marshal(before + secret + after)
		if err != nil {
			t.Fatal(err)
		}
		out, n := s.Scrub(doc)
		var text string
		if err := json.Unmarshal(out, &text); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if want := before + Redacted + after; text != want || n != 1 {
			t.Fatalf("got %d %q; want %q", n, text, want)
		}
	})
}

// A secret that ends in hex digits or a percent sign may not make the views read past the end.
func FuzzScrub(f *testing.F) {
	for _, seed := range []string{`\`, `\u`, `\u12`, `%`, `%4`, `\ud83d\u`, `\ud83d\ude0`, "correct-horse%", `"\u0063orrect-horse"`} {
		f.Add([]byte(seed))
	}
	var s Scrubber
	s.Learn("correct-horse")
	f.Fuzz(func(t *testing.T, doc []byte) {
		out, n := s.Scrub(doc)
		if n == 0 && !bytes.Equal(out, doc) {
			t.Errorf("nothing found and %q became %q", doc, out)
		}
		if bytes.Contains(out, []byte("correct-horse")) && !bytes.Contains(doc, []byte(`\`)) {
			t.Errorf("%q is still in %q", "correct-horse", out)
		}
		s.ScrubText(string(doc))
	})
}

// BenchmarkScrub is over 1 MB that holds no secret: what every result costs.
func BenchmarkScrub(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	words := make([]byte, 1<<20)
	for i := range words {
		words[i] = "abcdefghijklmnopqrstuvwxyz      "[random.IntN(32)]
	}
	lines := bytes.Clone(words)
	for i := 60; i < len(lines)-1; i += 62 {
		lines[i], lines[i+1] = '\\', 'n'
	}
	based := []byte(base64.StdEncoding.EncodeToString(words[:3<<18]))
	for name, doc := range map[string][]byte{"plain": words, "escapes": lines, "base64": based} {
		for kind, secret := range map[string]string{"short": "hunter2-abc", "jwt": strings.Repeat("eyJhbGciOiJFZERTQSJ9", 40)} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				var s Scrubber
				s.Learn(secret)
				b.SetBytes(int64(len(doc)))
				b.ReportAllocs()
				for b.Loop() {
					if _, n := s.Scrub(doc); n != 0 {
						b.Fatal("found one")
					}
				}
			})
		}
	}
}
