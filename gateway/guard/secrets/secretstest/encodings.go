// Package secretstest has ways to write a text so that a scanner of plain text does not know it.
//
// It is for tests and measurements of gateway/guard/secrets, and finds nothing itself.
package secretstest

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"
)

// Encoding is a way to write a text.
type Encoding struct {
	Name string
	Do   func(string) string
}

// Base64 is base64 with padding.
func Base64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func raw64url(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// Hex is hex in lower case.
func Hex(s string) string { return hex.EncodeToString([]byte(s)) }

// Percent has an escape of URLs for each byte.
func Percent(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// Spaced puts what behind each character.
func Spaced(s, what string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
		b.WriteString(what)
	}
	return b.String()
}

func wide(s string) string {
	return strings.Map(func(r rune) rune {
		if '!' <= r && r <= '~' {
			return r - '!' + '！'
		}
		return r
	}, s)
}

// Wrapped puts with between every width bytes.
func Wrapped(s string, width int, with string) string {
	var b strings.Builder
	for ; len(s) > width; s = s[width:] {
		b.WriteString(s[:width] + with)
	}
	return b.String() + s
}

// Gzip is the text compressed.
func Gzip(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(s)); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.String()
}

func utf16le(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

// JSON is a JSON string.
func JSON(s string) string {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// Unicoded has a JSON escape for each character.
func Unicoded(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, `\u%04x`, u)
	}
	return b.String()
}

// Undone are the encodings that scanners undo, the plain text first.
func Undone() []Encoding {
	return []Encoding{
		{"plain", func(s string) string { return s }},
		{"base64", Base64},
		{"base64, URL alphabet, no padding", raw64url},
		{"base64 within a path", func(s string) string { return "https://example.com/c/" + raw64url(s) + "/x.png" }},
		{"base64 in lines of 76", func(s string) string { return Wrapped(Base64(s), 76, "\r\n") }},
		{"base64 in lines of 20, indented", func(s string) string { return "data:\n  " + Wrapped(Base64(s), 20, "\n  ") + "\nend" }},
		{"base64 of UTF-16", func(s string) string { return Base64(utf16le(s)) }},
		{"hex", Hex},
		{"hex, upper case", func(s string) string { return strings.ToUpper(Hex(s)) }},
		{"URL, each byte", Percent},
		{"URL, query", url.QueryEscape},
		{"URL twice", func(s string) string { return url.PathEscape(url.PathEscape(s)) }},
		{"zero-width space", func(s string) string { return Spaced(s, "\u200b") }},
		{"soft hyphen", func(s string) string { return Spaced(s, "\u00ad") }},
		{"combining mark", func(s string) string { return Spaced(s, "\u0332") }},
		{"tag characters", func(s string) string { return Spaced(s, "\U000e0041") }},
		{"terminal sequences", func(s string) string { return Spaced(s, "\x1b[0m") }},
		{"full width (NFKC)", wide},
		{"JSON in JSON", JSON},
		{`\uXXXX in a text`, Unicoded},
		{"gzip in base64", func(s string) string { return Base64(Gzip(s)) }},
		{"gzip in hex", func(s string) string { return Hex(Gzip(s)) }},
		{"base64 of hex of base64", func(s string) string { return Base64(Hex(Base64(s))) }},
		{"URL of base64 with zero-width", func(s string) string { return Percent(Base64(Spaced(s, "\u200b"))) }},
	}
}

// NotUndone are encodings that scanners do not undo for what rules find. Of markers they know
// the forms in the first two.
func NotUndone() []Encoding {
	return []Encoding{
		{"reversed", Reversed},
		{"ROT13", ROT13},
		{"a space after each letter", func(s string) string { return Spaced(s, " ") }},
		{"base64 four deep", func(s string) string { return Base64(Base64(Base64(Base64(s)))) }},
	}
}

// Reversed is the text from its end to its beginning.
func Reversed(s string) string {
	r := []rune(s)
	slices.Reverse(r)
	return string(r)
}

// ROT13 moves each letter of ASCII by half of the alphabet.
func ROT13(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return 'a' + (r-'a'+13)%26
		case 'A' <= r && r <= 'Z':
			return 'A' + (r-'A'+13)%26
		}
		return r
	}, s)
}
