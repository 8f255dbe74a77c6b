package pop_test

import (
	"crypto/x509"
	"strings"
	"testing"

	"sallyport/identity"
	"sallyport/identity/jose"
	"sallyport/identity/pop"
)

func TestProofSaysWhatItIsFor(t *testing.T) {
	k, now := newKey(t), newClock().now()
	ids := map[string]bool{}
	for _, tt := range []struct{ token, nonce, want string }{
		{"", "", `"htm":"POST","htu":"https://gw.example/a\"b","iat":1800000000}`},
		{"t", "n\n", `"htm":"POST","htu":"https://gw.example/a\"b","iat":1800000000,"ath":"47mKTaMaEn1L3m5DAz9muidMqw636xxw7EFAK_YnPdg","nonce":"n\n"}`},
	} {
		proof, err := k.Proof("POST", `https://gw.example/a"b`, tt.token, tt.nonce, now)
		if err != nil {
			t.Fatal(err)
		}
		token, jwk, err := jose.ParseEmbedded(proof)
		if err != nil {
			t.Fatal(err)
		}
		id, rest, _ := strings.Cut(string(token.Claims), ",")
		if rest != tt.want || ids[id] {
			t.Errorf("claims %s; want %s after an id of its own", token.Claims, tt.want)
		}
		ids[id] = true
		if jwk.Thumbprint() != k.JKT() || identity.CheckThumbprint(k.JKT()) != nil || token.Typ != "dpop+jwt" {
			t.Errorf("type %q, key %q; want dpop+jwt and %q", token.Typ, jwk.Thumbprint(), k.JKT())
		}
	}
}

func TestKeysAreDifferent(t *testing.T) {
	if a, b := newKey(t), newKey(t); a.JKT() == b.JKT() {
		t.Errorf("two keys with the thumbprint %q", a.JKT())
	}
}

func TestZeroKeyProvesNothing(t *testing.T) {
	for _, k := range []*pop.Key{nil, {}} {
		if proof, err := k.Proof("GET", testURL, "", "", newClock().now()); proof != "" || err == nil || err.Error() != "prove possession: there is no key" {
			t.Errorf("proof %q, %v; want none", proof, err)
		}
	}
}

func TestNothingIsBoundToNoCertificate(t *testing.T) {
	for _, cert := range []*x509.Certificate{nil, {}} {
		if got := pop.X5T(cert); got != "" {
			t.Errorf("thumbprint %q; want none", got)
		}
	}
	if got := pop.X5T(&x509.Certificate{Raw: []byte("t")}); got != "47mKTaMaEn1L3m5DAz9muidMqw636xxw7EFAK_YnPdg" {
		t.Errorf("thumbprint %q; want the SHA-256 of the bytes", got)
	}
}
