package secrets

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

// encoding is a way to write a text so that a scanner of plain text does not know it.
type encoding struct {
	name string
	do   func(string) string
}

func std64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func raw64url(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func hexed(s string) string { return hex.EncodeToString([]byte(s)) }

func percented(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

func spaced(s, what string) string {
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

func wrapped(s string, width int, with string) string {
	var b strings.Builder
	for ; len(s) > width; s = s[width:] {
		b.WriteString(s[:width] + with)
	}
	return b.String() + s
}

func gzipped(s string) string {
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

func quoted(s string) string {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func unicoded(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, `\u%04x`, u)
	}
	return b.String()
}

// undoes are the encodings that are found, all of them by the condition of at least 98 percent.
var undoes = []encoding{
	{"plain", func(s string) string { return s }},
	{"base64", std64},
	{"base64, URL alphabet, no padding", raw64url},
	{"base64 within a path", func(s string) string { return "https://example.com/c/" + raw64url(s) + "/x.png" }},
	{"base64 in lines of 76", func(s string) string { return wrapped(std64(s), 76, "\r\n") }},
	{"base64 in lines of 20, indented", func(s string) string { return "data:\n  " + wrapped(std64(s), 20, "\n  ") + "\nend" }},
	{"base64 of UTF-16", func(s string) string { return std64(utf16le(s)) }},
	{"hex", hexed},
	{"hex, upper case", func(s string) string { return strings.ToUpper(hexed(s)) }},
	{"URL, each byte", percented},
	{"URL, query", url.QueryEscape},
	{"URL twice", func(s string) string { return url.PathEscape(url.PathEscape(s)) }},
	{"zero-width space", func(s string) string { return spaced(s, "\u200b") }},
	{"soft hyphen", func(s string) string { return spaced(s, "\u00ad") }},
	{"combining mark", func(s string) string { return spaced(s, "\u0332") }},
	{"tag characters", func(s string) string { return spaced(s, "\U000e0041") }},
	{"terminal sequences", func(s string) string { return spaced(s, "\x1b[0m") }},
	{"full width (NFKC)", wide},
	{"JSON in JSON", quoted},
	{`\uXXXX in a text`, unicoded},
	{"gzip in base64", func(s string) string { return std64(gzipped(s)) }},
	{"gzip in hex", func(s string) string { return hexed(gzipped(s)) }},
	{"base64 of hex of base64", func(s string) string { return std64(hexed(std64(s))) }},
	{"URL of base64 with zero-width", func(s string) string { return percented(std64(spaced(s, "\u200b"))) }},
}

func backwards(s string) string {
	r := []rune(s)
	slices.Reverse(r)
	return string(r)
}
