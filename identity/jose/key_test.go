package jose

import (
	"crypto/ed25519"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	ed25519X = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
	p256X    = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
	p256Y    = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
)

func TestKeyRefusesWithAReason(t *testing.T) {
	for _, tt := range []struct{ name, doc, want string }{
		{"not JSON", `{`, "read JWK: the JSON value ends too early, at byte 1"},
		{"a list", `[]`, "read JWK: not strict JSON: not an object"},
		{"two x", `{"kty":"OKP","x":"a","x":"b"}`, "read JWK: the same member name twice in one object, at byte 21"},
		{"folded", `{"kty":"OKP","X":"a"}`, `read JWK: member name "X" would be read as "x" by a parser that ignores case, at byte 16`},
		{"x no string", `{"kty":"OKP","x":1}`, "read JWK: x is not a string"},
		{"key_ops no list", `{"kty":"OKP","key_ops":"verify"}`, "read JWK: key_ops is not a list of strings"},
		{"for encryption", `{"kty":"OKP","crv":"Ed25519","use":"enc","kid":"k","x":"` + ed25519X + `"}`, `key "k" is for "enc", not for signatures`},
		{"may not verify", `{"kty":"OKP","crv":"Ed25519","key_ops":["sign"],"kid":"k","x":"` + ed25519X + `"}`, `key "k" may not verify: key_ops has no "verify"`},
		{"may do nothing", `{"kty":"OKP","crv":"Ed25519","key_ops":[],"kid":"k","x":"` + ed25519X + `"}`, `key "k" may not verify: key_ops has no "verify"`},
		{"RSA", `{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"k"}`, `key "k" has type "RSA" and curve ""; tokens are signed with Ed25519 or P-256`},
		{"symmetric", `{"kty":"oct","k":"AQAB","kid":"k"}`, `key "k" has type "oct" and curve ""; tokens are signed with Ed25519 or P-256`},
		{"P-224", `{"kty":"EC","crv":"P-224","kid":"k"}`, `key "k" has type "EC" and curve "P-224"; tokens are signed with Ed25519 or P-256`},
		{"another algorithm", `{"kty":"OKP","crv":"Ed25519","alg":"HS256","kid":"k","x":"` + ed25519X + `"}`, `key "k" is an Ed25519 key declared for "HS256"`},
		{"another algorithm, EC", `{"kty":"EC","crv":"P-256","alg":"ES384","kid":"k","x":"` + p256X + `","y":"` + p256Y + `"}`, `key "k" is a P-256 key declared for "ES384"`},
		{"short x", `{"kty":"OKP","crv":"Ed25519","kid":"k","x":"AAAA"}`, `key "k": x is not 32 bytes of base64url`},
		{"no y", `{"kty":"EC","crv":"P-256","kid":"k","x":"` + p256X + `"}`, `key "k": x or y is not 32 bytes of base64url`},
		{"off the curve", `{"kty":"EC","crv":"P-256","kid":"k","x":"` + p256Y + `","y":"` + p256X + `"}`, `key "k" is not a point of its curve`},
	} {
		jwk, err := ParseJWK([]byte(tt.doc))
		if err == nil {
			_, err = jwk.Key()
		}
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s:\n got %v\nwant %s", tt.name, err, tt.want)
		}
	}
}

func TestSignerRefusesWithAReason(t *testing.T) {
	good := NewEd25519(make([]byte, ed25519.SeedSize))
	public, other, ec := good, good, good
	public.D = ""
	other.X = ed25519X
	ec.Kty, ec.Crv = "EC", "P-256"
	for want, k := range map[string]JWK{
		"not a private Ed25519 key":                                      public,
		"the public half of the key does not belong to the private half": other,
		"not an Ed25519 key":                                             ec,
	} {
		if _, err := k.Signer(); err == nil || err.Error() != want {
			t.Errorf("%v; want %s", err, want)
		}
	}
}

func TestKeySetTakesOnlyKeysThatVerify(t *testing.T) {
	ok := `{"kty":"OKP","crv":"Ed25519","kid":"a","x":"` + ed25519X + `"}`
	set, err := ParseKeySet([]byte(`{"keys":[`+ok+`,{"kty":"EC","crv":"P-256","kid":"b","x":"`+p256X+`","y":"`+p256Y+`"},
		{"kty":"RSA","kid":"c"},{"kty":"OKP","crv":"Ed25519","use":"enc","kid":"d","x":"`+ed25519X+`"},{"kty":"OKP","crv":"Ed25519","x":"`+ed25519X+`"},
		{"kty":"OKP","crv":"Ed25519","use":"jwt-svid","kid":"e","x":"`+ed25519X+`"},{"kty":"EC","crv":"P-384","use":"x509-svid"},{"kty":"EC","crv":"P-384","use":"x509-svid"}]}`), "jwt-svid")
	print := JWK{Kty: "OKP", Crv: "Ed25519", X: ed25519X}.Thumbprint() // of the one without a kid
	if err != nil || len(set.ByID) != 4 || set.ByID[print].ID != print || set.ByID["a"].Alg != EdDSA || set.ByID["b"].Alg != ES256 || set.ByID["e"].Alg != EdDSA {
		t.Errorf("ParseKeySet = %v, %v; want a, b, e and the one without a kid", set.ByID, err)
	}
	want := map[string]string{"c": `key "c": n or e is not a whole number in base64url, without zeros in front`, "d": `key "d" is for "enc", not for signatures`}
	if diff := cmp.Diff(want, set.LeftOut); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	many := make([]string, MaxKeys+1)
	for i := range many {
		many[i] = strings.Replace(ok, `"a"`, `"`+strconv.Itoa(i)+`"`, 1)
	}
	for _, tt := range []struct{ name, doc, want string }{
		{"a kid twice", `{"keys":[` + ok + `,` + ok + `]}`, `read key set: kid "a" twice`},
		{"a symmetric key", `{"keys":[` + ok + `,{"kty":"oct","kid":"s","k":"AQ"}]}`, `read key set: key "s" is symmetric: who can verify with it can sign`},
		{"a private key", `{"keys":[{"kty":"RSA","kid":"s","d":"AQ"}]}`, `read key set: key "s" is there with its private half: who can read it can sign`},
		{"a kid twice, one of a kind left out", `{"keys":[{"kty":"RSA","kid":"a"},` + ok + `]}`, `read key set: kid "a" twice`},
		{"a key that is none", `{"keys":[1]}`, "read key set: read JWK: not strict JSON: not an object"},
		{"too many", `{"keys":[` + strings.Join(many, ",") + `]}`, "read key set: 65 keys; the limit is 64"},
		{"too long", strings.Repeat(" ", MaxSetSize+1), "read key set: longer than 1048576 bytes"},
		{"no keys", `{}`, `read key set: no member "keys"`},
		{"no list", `{"keys":{}}`, `read key set: "keys" is not a list`},
		{"two lists", `{"keys":[],"keys":[]}`, "read key set: the same member name twice in one object, at byte 11"},
	} {
		if _, err := ParseKeySet([]byte(tt.doc)); err == nil || err.Error() != tt.want {
			t.Errorf("%s:\n got %v\nwant %s", tt.name, err, tt.want)
		}
	}
}
