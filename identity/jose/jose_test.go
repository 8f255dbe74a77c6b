package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func enc(s string) string { return b64.EncodeToString([]byte(s)) }

func TestParseRefusesWithAReason(t *testing.T) {
	h := enc(`{"alg":"EdDSA"}`)
	head := func(s string) string { return enc(s) + "." + enc(`{}`) + ".AA" }
	body := func(s string) string { return h + "." + enc(s) + ".AA" }
	for _, tt := range []struct {
		name, token string
		is          error
		want        string
	}{
		{"nothing", "", ErrMalformed, "malformed token: not three parts between two dots"},
		{"too long", strings.Repeat("a", MaxSize+1), ErrMalformed, "malformed token: longer than 8192 bytes"},
		{"flood of dots", strings.Repeat(".", MaxSize), ErrMalformed, "malformed token: not three parts between two dots"},
		{"two parts", h + ".AA", ErrMalformed, "malformed token: not three parts between two dots"},
		{"encrypted, five parts", h + ".AA.AA.AA.AA", ErrMalformed, "malformed token: not three parts between two dots"},
		{"empty header", ".AA.AA", ErrMalformed, "malformed token: header is empty"},
		{"empty claims", h + "..AA", ErrMalformed, "malformed token: claims is empty"},
		{"padding", h + ".e30=.AA", ErrMalformed, "malformed token: claims is not base64url"},
		{"standard alphabet", h + ".e30.+/+/", ErrMalformed, "malformed token: signature is not base64url"},
		{"line end", h + ".e3\n0.AA", ErrMalformed, "malformed token: claims is not base64url"},
		{"stray bits", h + ".e31.AA", ErrMalformed, "malformed token: claims is not canonical base64url"},
		{"impossible length", h + ".e30.AAAAA", ErrMalformed, "malformed token: signature is not canonical base64url"},
		{"byte order mark", head("\ufeff{}"), ErrMalformed, "malformed token: header: invalid JSON syntax, at byte 0"},
		{"header no object", head(`["EdDSA"]`), ErrMalformed, "malformed token: header is not a JSON object"},
		{"two algs", head(`{"alg":"none","alg":"EdDSA"}`), ErrDuplicate, "token with two meanings: header: the same member name twice in one object, at byte 14"},
		{"folded alg", head(`{"alg":"EdDSA","ALG":"none"}`), ErrDuplicate, `token with two meanings: header: member name "ALG" would be read as "alg" by a parser that ignores case, at byte 20`},
		{"folded kid", head("{\"alg\":\"EdDSA\",\"\u212aid\":\"x\"}"), ErrDuplicate, `token with two meanings: header: member name "\u212aid" would be read as "kid" by a parser that ignores case, at byte 22`},
		{"folded crit", head(`{"alg":"EdDSA","Crit":["x"]}`), ErrDuplicate, `token with two meanings: header: member name "Crit" would be read as "crit" by a parser that ignores case, at byte 21`},
		{"alg no string", head(`{"alg":null}`), ErrMalformed, "malformed token: header: alg is not a string"},
		{"kid no string", head(`{"alg":"EdDSA","kid":7}`), ErrMalformed, "malformed token: header: kid is not a string"},
		{"typ no string", head(`{"alg":"EdDSA","typ":["at+jwt"]}`), ErrMalformed, "malformed token: header: typ is not a string"},
		{"crit", head(`{"alg":"EdDSA","crit":["exp"]}`), ErrHeader, "token header not allowed: crit"},
		{"empty crit", head(`{"alg":"EdDSA","crit":[]}`), ErrHeader, "token header not allowed: crit"},
		{"b64", head(`{"alg":"EdDSA","b64":false}`), ErrHeader, "token header not allowed: b64"},
		{"jku", head(`{"alg":"EdDSA","jku":"http://169.254.169.254/"}`), ErrHeader, "token header not allowed: jku"},
		{"x5u", head(`{"alg":"EdDSA","x5u":"http://127.0.0.1/"}`), ErrHeader, "token header not allowed: x5u"},
		{"x5c", head(`{"alg":"EdDSA","x5c":[]}`), ErrHeader, "token header not allowed: x5c"},
		{"jwk", head(`{"alg":"EdDSA","jwk":{"kty":"OKP"}}`), ErrHeader, "token header not allowed: jwk"},
		{"zip", head(`{"alg":"EdDSA","zip":"DEF"}`), ErrHeader, "token header not allowed: zip"},
		{"enc", head(`{"alg":"dir","enc":"A128GCM"}`), ErrHeader, "token header not allowed: enc"},
		{"nested token", head(`{"alg":"EdDSA","cty":"jwt"}`), ErrHeader, "token header not allowed: cty"},
		{"nested token, full name", head(`{"alg":"EdDSA","cty":"application/JWT"}`), ErrHeader, "token header not allowed: cty"},
		{"deep header", head(`{"a":[[[[1]]]]}`), ErrMalformed, "malformed token: header: nested deeper than 4 levels, at byte 8"},
		{"claims no object", body(`[]`), ErrMalformed, "malformed token: claims is not a JSON object"},
		{"two claims documents", body(`{}{}`), ErrMalformed, "malformed token: claims: data after the end of the JSON value, at byte 3"},
		{"duplicate claim", body(`{"sub":"a","sub":"b"}`), ErrDuplicate, "token with two meanings: claims: the same member name twice in one object, at byte 11"},
		{"duplicate in escapes", body(`{"sub":"a","\u0073ub":"b"}`), ErrDuplicate, "token with two meanings: claims: the same member name twice in one object, at byte 11"},
		{"duplicate below", body(`{"a":[{"act":{"sub":"a","sub":"b"}}]}`), ErrDuplicate, "token with two meanings: claims: the same member name twice in one object, at byte 24"},
		{"siblings that fold alike, below", body(`{"x":{"y":1,"Y":2}}`), ErrDuplicate, "token with two meanings: claims: two member names differ only in case"},
		{"bad UTF-8", body("{\"sub\":\"\xff\"}"), ErrMalformed, "malformed token: claims: invalid UTF-8, at byte 8"},
		{"lone surrogate", body(`{"sub":"\ud800"}`), ErrMalformed, "malformed token: claims: invalid JSON syntax, at byte 8"},
		{"huge number", body(`{"exp":1e999}`), ErrMalformed, "malformed token: claims: a number outside the range of a 64-bit float, at byte 12"},
		{"deep claims", body(`{"a":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`), ErrMalformed, "malformed token: claims: nested deeper than 16 levels, at byte 20"},
	} {
		tok, err := Parse(tt.token)
		if tok != nil || !errors.Is(err, tt.is) || err.Error() != tt.want {
			t.Errorf("%s:\n got %v\nwant %v", tt.name, err, tt.want)
		}
	}
}

func TestHeadersWithoutDangerAreFree(t *testing.T) {
	tok, err := Parse(enc(`{"alg":"EdDSA","kid":"k","typ":"at+jwt","x5t":"abc","nonce":"n"}`) + "." + enc(`{"a":1}`) + ".AA")
	if err != nil || tok.Alg != EdDSA || tok.Kid != "k" || tok.Typ != "at+jwt" || string(tok.Claims) != `{"a":1}` {
		t.Errorf("Parse = %+v, %v", tok, err)
	}
}

// sign makes a token with header and any Ed25519 key.
func sign(header, claims string, private ed25519.PrivateKey) string {
	input := enc(header) + "." + enc(claims)
	return input + "." + enc(string(ed25519.Sign(private, []byte(input))))
}

func TestKeyDecidesTheAlgorithm(t *testing.T) {
	jwk := NewEd25519(make([]byte, ed25519.SeedSize))
	private, err := jwk.Signer()
	if err != nil {
		t.Fatal(err)
	}
	k, err := jwk.Key()
	if err != nil {
		t.Fatal(err)
	}
	for alg, want := range map[string]error{
		"EdDSA": nil, "Ed25519": nil,
		"eddsa": ErrAlgorithm, "none": ErrAlgorithm, "None": ErrAlgorithm, "": ErrAlgorithm, "HS256": ErrAlgorithm, "RS256": ErrAlgorithm, "ES256": ErrAlgorithm, "Ed448": ErrAlgorithm,
	} {
		tok, err := Parse(sign(`{"alg":"`+alg+`"}`, `{}`, private))
		if err != nil {
			t.Fatal(err)
		}
		if err := tok.Verify(k); !errors.Is(err, want) {
			t.Errorf("alg %q: %v; want %v", alg, err, want)
		}
	}
}

// CVE-2022-21449: signatures of zeros or of the curve's order verified everything.
func TestPsychicSignaturesAreRefused(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	order := elliptic.P256().Params().N.FillBytes(make([]byte, 32))
	zero := make([]byte, 32)
	k := Key{Alg: ES256, Public: &private.PublicKey}
	for _, sig := range [][]byte{append(zero[:32:32], zero...), append(order[:32:32], order...), append(zero[:32:32], order...), make([]byte, 63), {0}} {
		tok, err := Parse(enc(`{"alg":"ES256"}`) + "." + enc(`{}`) + "." + b64.EncodeToString(sig))
		if err != nil {
			t.Fatal(err)
		}
		if err := tok.Verify(k); !errors.Is(err, ErrSignature) {
			t.Errorf("%x: %v; want ErrSignature", sig, err)
		}
	}
}

func TestES256Verifies(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	input := enc(`{"alg":"ES256"}`) + "." + enc(`{}`)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, private, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	tok, err := Parse(input + "." + b64.EncodeToString(sig))
	if err != nil {
		t.Fatal(err)
	}
	if err := tok.Verify(Key{Alg: ES256, Public: &private.PublicKey}); err != nil {
		t.Errorf("Verify: %v", err)
	}
}

func TestTokenHasOneSpelling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "data")
		good := b64.EncodeToString(data)
		spelling := []byte(good)
		i := rapid.IntRange(0, len(good)).Draw(t, "at")
		c := rapid.Byte().Draw(t, "byte")
		if rapid.Bool().Draw(t, "insert") || i == len(good) {
			spelling = append(spelling[:i:i], append([]byte{c}, spelling[i:]...)...)
		} else {
			spelling[i] = c
		}
		if got, err := decode(string(spelling)); err == nil && string(spelling) != good && string(got) == string(data) {
			t.Fatalf("%q and %q decode alike", spelling, good)
		}
	})
}

func TestThumbprintTakesNoneOfTheOtherMembers(t *testing.T) {
	k := NewEd25519(make([]byte, ed25519.SeedSize))
	public, err := ParseJWK(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	if public.Thumbprint() != k.Kid || public.D != "" {
		t.Errorf("public half: thumbprint %s, d %q; want %s and none", public.Thumbprint(), public.D, k.Kid)
	}
	private, err := ParseJWK(k.Private())
	if err != nil || private.Thumbprint() != k.Kid || private.D != k.D {
		t.Errorf("private half: %v", err)
	}
	if got := (JWK{Kty: "oct"}).Thumbprint(); got != "" {
		t.Errorf("thumbprint of a symmetric key = %q; want none", got)
	}
	ec := JWK{Kty: "EC", Crv: "P-256", X: "a", Y: "b"}
	if want := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"a","y":"b"}`)); ec.Thumbprint() != b64.EncodeToString(want[:]) {
		t.Error("thumbprint of an EC key is not over crv, kty, x, y (RFC 7638 §3.2)")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(rfc8037Token)
	f.Add(rfc7515A3)
	f.Add(rfc7515A5)
	f.Add(enc(`{"alg":"EdDSA","alg":"none"}`) + ".e30.AA")
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := Parse(s)
		if err != nil {
			return
		}
		again := b64.EncodeToString(tok.Header) + "." + b64.EncodeToString(tok.Claims) + "." + b64.EncodeToString(tok.signature)
		if again != s {
			t.Error(fmt.Errorf("accepted a second spelling"))
		}
	})
}
