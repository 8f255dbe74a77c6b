package secrets

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"sallyport/gateway/guard/secrets/secretstest"
)

// document draws a sound JSON document with secrets, encoded or not, among other text, and
// spelled with more escapes than there have to be.
func document(t *rapid.T, pieces []string) []byte {
	var b strings.Builder
	text := func() string {
		var s strings.Builder
		for range rapid.IntRange(0, 2).Draw(t, "pieces") {
			piece := rapid.OneOf(rapid.SampledFrom(pieces), rapid.StringN(0, 8, 32), rapid.SampledFrom([]string{`\`, `"`, "\n", "%", "=", "key: ", "é", "😀", "\u200b"})).Draw(t, "piece")
			s.WriteString(rapid.SampledFrom(secretstest.Undone()).Draw(t, "encoding").Do(piece))
		}
		return escaped(t, s.String())
	}
	b.WriteByte('{')
	for i := range rapid.IntRange(1, 2).Draw(t, "members") {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, `"%d%s" : ["%s",%d,"%s"]`, i, text(), text(), i, text())
	}
	b.WriteByte('}')
	return []byte(b.String())
}

// escaped is the content of a JSON string.
func escaped(t *rapid.T, s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "")
	if rapid.Bool().Draw(t, "escape all") {
		return secretstest.Unicoded(s)
	}
	q := secretstest.JSON(s)
	return q[1 : len(q)-1]
}

func TestReplacingWhatWasFoundLeavesSoundJSON(t *testing.T) {
	var pieces []string
	for _, sample := range samples(t) {
		pieces = append(pieces, sample.True[0])
	}
	pieces = append(pieces, "marker é-42", pat, "-----BEGIN PRIVATE KEY-----\n"+strings.Repeat("Ab1/", 30)+"\n-----END PRIVATE KEY-----\n")
	s := newScanner(t, Options{Markers: []Marker{{"marker", "marker é-42"}}})
	rapid.Check(t, func(t *rapid.T) {
		doc := document(t, pieces)
		if err := sound(doc); err != nil {
			t.Skip(err) // two names are the same
		}
		r := s.JSON(doc)
		contents := stringContents(doc)
		for _, f := range r.Findings {
			if f.Start >= f.End || !slices.ContainsFunc(contents, func(c part) bool { return c.start <= f.Start && f.End <= c.end }) {
				t.Fatalf("%v is not within one string of %s", f, doc)
			}
			if !utf8.Valid(doc[f.Start:f.End]) {
				t.Fatalf("%v cuts a character of %s", f, doc)
			}
		}
		out := replaced(doc, r.Findings)
		if err := sound(out); err != nil && !strings.Contains(err.Error(), "twice") {
			t.Fatalf("%v\n%s\n%s", err, doc, out)
		}
	})
}

func TestATextOfAnyBytesHasFindingsWithinIt(t *testing.T) {
	s := newScanner(t, Options{Markers: []Marker{{"marker", "\xff\xfe\x80abcde"}}})
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOf(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte("\xff\xfe\x80abcde%41\\u0041=\"\n")))).Draw(t, "text")
		for _, f := range s.Text(text).Findings {
			if f.Start < 0 || f.Start >= f.End || f.End > len(text) {
				t.Fatalf("%v is not within %q", f, text)
			}
		}
	})
}
