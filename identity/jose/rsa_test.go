package jose

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
)

// rsaKey makes a key of 2048 bits; each costs a tenth of a second.
func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

func rsaDoc(n *big.Int, e, more string) string {
	return `{"kty":"RSA","kid":"k","n":"` + b64.EncodeToString(n.Bytes()) + `","e":"` + e + `"` + more + `}`
}

func TestForeignKeyRefusesWithAReason(t *testing.T) {
	good := rsaKey(t).N
	even := new(big.Int).Sub(good, big.NewInt(1))
	short := new(big.Int).Rsh(good, 1)
	long := new(big.Int).Lsh(good, 8192-2048+1)
	for _, tt := range []struct{ name, doc, want string }{
		{"1 bit too short", rsaDoc(short, "AQAB", ""), `key "k" has 2047 bits; RSA keys have 2048 to 8192`},
		{"too long", rsaDoc(long, "AQAB", ""), `key "k" has 8193 bits; RSA keys have 2048 to 8192`},
		{"even modulus", rsaDoc(even, "AQAB", ""), `key "k" has an even modulus`},
		{"exponent 1", rsaDoc(good, "AQ", ""), `key "k": e is not an odd number from 65537 to 2147483647`},
		{"exponent 3", rsaDoc(good, "Aw", ""), `key "k": e is not an odd number from 65537 to 2147483647`},
		{"even exponent", rsaDoc(good, "AQAC", ""), `key "k": e is not an odd number from 65537 to 2147483647`},
		{"huge exponent", rsaDoc(good, "AQAAAAAAAAAB", ""), `key "k": e is not an odd number from 65537 to 2147483647`},
		{"zeros before the exponent", rsaDoc(good, "AAEAAQ", ""), `key "k": n or e is not a whole number in base64url, without zeros in front`},
		{"no modulus", `{"kty":"RSA","kid":"k","e":"AQAB"}`, `key "k": n or e is not a whole number in base64url, without zeros in front`},
		{"RS384", rsaDoc(good, "AQAB", `,"alg":"RS384"`), `key "k" is an RSA key declared for "RS384"`},
		{"HS256", rsaDoc(good, "AQAB", `,"alg":"HS256"`), `key "k" is an RSA key declared for "HS256"`},
		{"for encryption", rsaDoc(good, "AQAB", `,"use":"enc"`), `key "k" is for "enc", not for signatures`},
		{"may not verify", rsaDoc(good, "AQAB", `,"key_ops":["encrypt"]`), `key "k" may not verify: key_ops has no "verify"`},
		{"symmetric", `{"kty":"oct","k":"AQAB","kid":"k"}`, `key "k" has type "oct" and curve ""; tokens are signed with Ed25519 or P-256`},
	} {
		jwk, err := ParseJWK([]byte(tt.doc))
		if err != nil {
			t.Fatal(tt.name, err)
		}
		if _, err = jwk.ForeignKey(); err == nil || err.Error() != tt.want {
			t.Errorf("%s:\n got %v\nwant %s", tt.name, err, tt.want)
		}
	}
}

// The key of a published ROCA vector is refused for what it is, not for its length.
func TestKeysThatCanBeFactoredAreRefused(t *testing.T) {
	var file jwsFile
	readCorpus(t, "json_web_key_test.json", &file)
	for _, g := range file.TestGroups {
		if g.Tests[0].Comment != "rejectsKeyWithRocaVulnerability" {
			continue
		}
		var set struct{ Keys []json.RawMessage }
		if err := json.Unmarshal(g.Public, &set); err != nil {
			t.Fatal(err)
		}
		jwk, err := ParseJWK(set.Keys[0])
		if err != nil {
			t.Fatal(err)
		}
		const want = `key "kid-rsa-roca-sign" was made by a faulty library and can be factored (ROCA, CVE-2017-15361)`
		if _, err := jwk.ForeignKey(); err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
		return
	}
	t.Error("no ROCA key in the corpus")
}

// An RSA key is for what it is declared for, and for no token of ours.
func TestRSAVerifiesTokensOfOthersAlone(t *testing.T) {
	private := rsaKey(t)
	signed := func(alg string) *Token {
		input := enc(`{"alg":"`+alg+`"}`) + "." + enc(`{}`)
		sum := sha256.Sum256([]byte(input))
		sig, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, sum[:])
		if strings.HasPrefix(alg, "PS") {
			sig, err = rsa.SignPSS(rand.Reader, private, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		if err != nil {
			t.Fatal(err)
		}
		tok, err := Parse(input + "." + b64.EncodeToString(sig))
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	for _, tt := range []struct {
		declared, token string
		want            error
	}{
		{"", RS256, nil}, {RS256, RS256, nil}, {PS256, PS256, nil},
		{"", PS256, ErrAlgorithm}, {RS256, PS256, ErrAlgorithm}, {PS256, RS256, ErrAlgorithm},
		{"", "HS256", ErrAlgorithm}, {"", "none", ErrAlgorithm}, {"", "rs256", ErrAlgorithm}, {"", EdDSA, ErrAlgorithm}, {"", "RS512", ErrAlgorithm},
	} {
		more := ""
		if tt.declared != "" {
			more = `,"alg":"` + tt.declared + `"`
		}
		jwk, err := ParseJWK([]byte(rsaDoc(private.N, "AQAB", more)))
		if err != nil {
			t.Fatal(err)
		}
		key, err := jwk.ForeignKey()
		if err != nil {
			t.Fatal(err)
		}
		tok := signed(tt.token)
		if err := tok.VerifyForeign(key); !errors.Is(err, tt.want) {
			t.Errorf("key for %q, token of %q: %v; want %v", tt.declared, tt.token, err, tt.want)
		}
		if err := tok.Verify(key); !errors.Is(err, ErrAlgorithm) {
			t.Errorf("as a token of ours, key for %q, token of %q: %v; want ErrAlgorithm", tt.declared, tt.token, err)
		}
		if _, err := jwk.Key(); err == nil {
			t.Error("an RSA key was taken for one of ours")
		}
	}
}
