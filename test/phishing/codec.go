package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"io"
	"math/big"
	"mime/quotedprintable"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// codec writes a text in other letters, and reads it back as the thief would. decode returns ""
// for what is not of its making.
type codec struct{ encode, decode func(string) string }

// then is the codec that applies c first and next to what came of it.
func (c codec) then(next codec) codec {
	return codec{
		func(s string) string { return next.encode(c.encode(s)) },
		func(s string) string { return c.decode(next.decode(s)) },
	}
}

// both is a codec that is its own inverse.
func both(f func(string) string) codec { return codec{f, f} }

// each writes every rune by itself.
func each(encode func(rune) string, decode func(string) string) codec {
	return codec{func(s string) string {
		var out strings.Builder
		for _, r := range s {
			out.WriteString(encode(r))
		}
		return out.String()
	}, decode}
}

// without takes the runes out that were put between the letters.
func without(drop func(rune) bool) func(string) string {
	return func(s string) string {
		return strings.Map(func(r rune) rune {
			if drop(r) {
				return -1
			}
			return r
		}, s)
	}
}

// between puts one rune behind every letter.
func between(mark rune) codec {
	return each(func(r rune) string { return string(r) + string(mark) }, without(func(r rune) bool { return r == mark }))
}

// shifted moves every byte up by a distance and every rune down again.
func shifted(distance rune) codec {
	move := func(by rune) func(string) string {
		return func(s string) string {
			return strings.Map(func(r rune) rune { return r + by }, s)
		}
	}
	return codec{move(distance), move(-distance)}
}

// ok is the text of a decoder that may fail.
func ok(b []byte, err error) string {
	if err != nil {
		return ""
	}
	return string(b)
}

// numbers writes every byte as a number.
func numbers(format string, base int) codec {
	return codec{func(s string) string {
		var all []string
		for _, b := range []byte(s) {
			all = append(all, fmt.Sprintf(format, b))
		}
		return strings.Join(all, " ")
	}, func(s string) string {
		var out []byte
		for _, word := range strings.Fields(s) {
			n, err := strconv.ParseUint(word, base, 8)
			if err != nil {
				return ""
			}
			out = append(out, byte(n))
		}
		return string(out)
	}}
}

// spelled writes every half byte as one of sixteen words.
func spelled(words string) codec {
	list := strings.Fields(words)
	return codec{func(s string) string {
		var all []string
		for _, b := range []byte(s) {
			all = append(all, list[b>>4], list[b&15])
		}
		return strings.Join(all, " ")
	}, func(s string) string {
		var digits strings.Builder
		for _, word := range strings.Fields(s) {
			for i, w := range list {
				if w == word {
					fmt.Fprintf(&digits, "%x", i)
				}
			}
		}
		return ok(hex.DecodeString(digits.String()))
	}}
}

var (
	plain  = both(func(s string) string { return s })
	inB64  = codec{func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }, func(s string) string { return ok(base64.StdEncoding.DecodeString(s)) }}
	inURL  = codec{func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }, func(s string) string { return ok(base64.RawURLEncoding.DecodeString(s)) }}
	inB32  = codec{func(s string) string { return base32.StdEncoding.EncodeToString([]byte(s)) }, func(s string) string { return ok(base32.StdEncoding.DecodeString(s)) }}
	inHex  = codec{func(s string) string { return hex.EncodeToString([]byte(s)) }, func(s string) string { return ok(hex.DecodeString(s)) }}
	zipped = codec{func(s string) string {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		_, _ = io.WriteString(z, s)
		_ = z.Close()
		return out.String()
	}, func(s string) string {
		z, err := gzip.NewReader(strings.NewReader(s))
		if err != nil {
			return ""
		}
		return ok(io.ReadAll(z))
	}}
	percent = each(func(r rune) string {
		var out strings.Builder
		for _, b := range []byte(string(r)) {
			fmt.Fprintf(&out, "%%%02X", b)
		}
		return out.String()
	}, func(s string) string { out, err := url.PathUnescape(s); return ok([]byte(out), err) })
	printable = codec{func(s string) string {
		var out bytes.Buffer
		w := quotedprintable.NewWriter(&out)
		w.Binary = true
		_, _ = io.WriteString(w, s)
		_ = w.Close()
		return out.String()
	}, func(s string) string { return ok(io.ReadAll(quotedprintable.NewReader(strings.NewReader(s)))) }}
	entities = each(func(r rune) string { return fmt.Sprintf("&#x%x;", r) }, html.UnescapeString)
	escapes  = each(func(r rune) string { return fmt.Sprintf(`\u%04x`, r) }, func(s string) string {
		out, err := strconv.Unquote(`"` + s + `"`)
		return ok([]byte(out), err)
	})
	bigNumber = codec{func(s string) string { return new(big.Int).SetBytes([]byte(s)).String() }, func(s string) string {
		n, _ := new(big.Int).SetString(s, 10)
		if n == nil {
			return ""
		}
		return string(n.Bytes())
	}}
	reversed = both(func(s string) string {
		runes := []rune(s)
		for i, j := 0, len(runes)-1; i < j; i, j = i+1, j-1 {
			runes[i], runes[j] = runes[j], runes[i]
		}
		return string(runes)
	})
	rot13 = both(func(s string) string {
		return strings.Map(func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z':
				return 'a' + (r-'a'+13)%26
			case r >= 'A' && r <= 'Z':
				return 'A' + (r-'A'+13)%26
			}
			return r
		}, s)
	})
	rot47 = both(func(s string) string {
		return strings.Map(func(r rune) rune {
			if r > ' ' && r <= '~' {
				return '!' + (r-'!'+47)%94
			}
			return r
		}, s)
	})
	swapped = both(func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsUpper(r) {
				return unicode.ToLower(r)
			}
			return unicode.ToUpper(r)
		}, s)
	})
	masked = both(func(s string) string {
		const pad = "kindly"
		out := []byte(s)
		for i := range out {
			out[i] ^= pad[i%len(pad)]
		}
		return string(out)
	})
)

// lowerB32 is base32 as a host name takes it.
var lowerB32 = codec{func(s string) string { return strings.ToLower(strings.TrimRight(inB32.encode(s), "=")) }, func(s string) string {
	return ok(base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(s)))
}}
