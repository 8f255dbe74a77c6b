package secrets

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"strings"
	"testing"

	"sallyport/gateway/guard/secrets/secretstest"
)

// scanned is the work that a JSON document with the text in a string makes.
func scanned(t *testing.T, s *Scanner, text string) (work, int) {
	t.Helper()
	doc := []byte(`{"content":[{"type":"text","text":` + secretstest.JSON(text) + `}]}`)
	l, err := s.layers(len(doc))
	if err != nil {
		t.Fatal(err)
	}
	l.scan(unescape(&view{text: doc}))
	return l.work, len(doc)
}

func bomb(size int) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	zeros := make([]byte, 1<<16)
	for ; size > 0; size -= len(zeros) {
		if _, err := z.Write(zeros); err != nil {
			panic(err)
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.String()
}

func to(n int, piece string) string { return strings.Repeat(piece, n/len(piece)+1) }

// TestWorkIsBounded counts, for texts that are made to be slow, what is matched and decoded.
func TestWorkIsBounded(t *testing.T) {
	s := newScanner(t, Options{Markers: []Marker{{"a", "aaaaaaaaab"}}})
	const size = 8 << 10
	nested := to(size/8, "key=zzzzzzzzzz1 ")
	for range 4 {
		nested = base64.StdEncoding.EncodeToString([]byte(nested))
	}
	for _, tt := range []struct{ name, text string }{
		{"names alone", to(size, "key")},
		{"names and assignments", to(size, `token="`)},
		{"values that are almost right", to(size, "adafruit=abcdefgh12345678abcdefgh1234567 ")},
		{"values of little entropy", to(size, "secret_key = abababababab1212121212 ")},
		{"values with a stop word", to(size, "secret_key = 8fq3zr1xwexample5tn7lb2vy9 ")},
		{"beginnings of keys without an end", to(size, "-----BEGIN PRIVATE KEY-----\n")},
		{"commands", to(size, "curl -H x ")},
		{"commands on one line", to(size, "curl")},
		{"beginnings of tokens", to(size, "eyJhbGciOiJIUzI1NiIs.eyJ")},
		{"a word of rules without an end", to(size, "xoxb-1234567890-1234567890a")},
		{"base64 of nothing", to(size, "QUJDREVGR0hJSktM")},
		{"hex of nothing", to(size, "4142434445464748")},
		{"base64 in base64 in base64 in base64", nested},
		{"escapes of escapes", to(size, `\\u005c`)},
		{"URL escapes of URL escapes", to(size, "%25252525")},
		{"hidden letters", to(size, "a\u200b")},
		{"the keyword of a rule without a form", "sourcegraph " + to(size, "0123456789abcdef ")},
		{"a bomb", secretstest.Base64(bomb(4 << 20))},
		{"a bomb in hex", secretstest.Hex(bomb(4 << 20))},
		{"bombs", to(size, secretstest.Base64(bomb(1<<20))+" ")},
		{"lines of base64 without an end", to(size, "QUJD\n")},
		{"almost a marker", to(size, "a")},
	} {
		w, n := scanned(t, s, tt.text)
		if w.matched > 2*n+64<<10 || w.decoded > 8*n+256<<10 {
			t.Errorf("%s: matched %d and decoded %d bytes of a document of %d", tt.name, w.matched, w.decoded, n)
		}
		if w.views > n/16+1000 {
			t.Errorf("%s: %d decoded texts of a document of %d bytes", tt.name, w.views, n)
		}
		t.Logf("%-40s %6d bytes: matched %7d, decoded %7d in %5d texts %s", tt.name, n, w.matched, w.decoded, w.views, w.why)
	}
}

// TestAScanThatStopsSaysSo shows what policies and records get to see.
func TestAScanThatStopsSaysSo(t *testing.T) {
	s := newScanner(t, Options{})
	for _, tt := range []struct{ name, text, want string }{
		{"a bomb", secretstest.Base64(bomb(4 << 20)), "it decodes to more than "},
		{"commands", to(16<<10, "curl -H x "), "more than "},
	} {
		r := s.JSON([]byte(secretstest.JSON(tt.text)))
		if r.Complete || !strings.HasPrefix(r.Why, tt.want) {
			t.Errorf("%s: complete %v, %q; want a scan that stopped since %s…", tt.name, r.Complete, r.Why, tt.want)
		}
	}
}

// TestOrdinaryTextIsScannedToItsEnd: a bound that ordinary results meet would be of no use.
func TestOrdinaryTextIsScannedToItsEnd(t *testing.T) {
	s := newScanner(t, Options{})
	var all strings.Builder
	for _, sample := range samples(t) {
		for _, text := range sample.True[:min(2, len(sample.True))] {
			all.WriteString(text + "\n")
		}
	}
	if r := s.JSON([]byte(secretstest.JSON(all.String()))); !r.Complete || len(r.Findings) < 200 {
		t.Errorf("%d secrets found, complete %v: %s; want all of a text that is nothing but secrets", len(r.Findings), r.Complete, r.Why)
	}
}
