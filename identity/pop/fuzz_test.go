package pop_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sallyport/identity/identitytest"
	"sallyport/identity/jose"
	"sallyport/identity/pop"
)

// FuzzProofAgreesWithGolangJWT signs whatever it is given: what we accept, golang-jwt must
// accept too under the key in the header, and read the same request in it.
func FuzzProofAgreesWithGolangJWT(f *testing.F) {
	clk, k := newClock(), identitytest.NewProofKey(f)
	w := want(k.JKT)
	nonce := pop.NewChecker(pop.CheckerOptions{Now: clk.now, NonceKey: []byte("k")}).Nonce()
	doc, err := json.Marshal(k.Claims(w, nonce, clk.now()))
	if err != nil {
		f.Fatal(err)
	}
	good := string(doc)
	f.Add(`"typ":"dpop+jwt"`, good)
	f.Add(`"typ":"DPoP+JWT","kid":"k"`, good)
	f.Add(`"typ":"dpop+jwt","crit":[]`, good)
	f.Add(`"typ":"dpop+jwt","TYP":"JWT"`, good)
	f.Add(`"typ":"dpop+jwt"`, strings.Replace(good, `"htm":"POST"`, `"htm":"GET","htm":"POST"`, 1))
	f.Add(`"typ":"dpop+jwt"`, strings.Replace(good, `"htm":"POST"`, `"htm":"POST","HTM":"GET"`, 1))
	f.Add(`"typ":"dpop+jwt"`, strings.Replace(good, `"htm":"POST"`, `"htm":"\u0050OST","more":{"a":[1]}`, 1))
	f.Add(`"typ":"dpop+jwt"`, strings.Replace(good, `1800000000`, `1.8e9`, 1))
	f.Fuzz(func(t *testing.T, header, body string) {
		proof := k.Sign(`{"alg":"ES256","jwk":`+k.JWK()+`,`+header+`}`, body)
		c := pop.NewChecker(pop.CheckerOptions{Now: clk.now, NonceKey: []byte("k")})
		if _, err := c.Check(proof, w); err != nil {
			return
		}
		_, jwk, err := jose.ParseEmbedded(proof)
		if err != nil {
			t.Fatal(err)
		}
		key, err := jwk.Key()
		if err != nil {
			t.Fatal(err)
		}
		got := jwt.MapClaims{}
		parser := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
		if _, err := parser.ParseWithClaims(proof, got, func(*jwt.Token) (any, error) { return key.Public, nil }); err != nil {
			t.Fatalf("golang-jwt refuses what we accept: %v", err)
		}
		iat, err := got.GetIssuedAt()
		if got["htm"] != w.Method || got["htu"] == nil || err != nil || iat.Sub(clk.now()).Abs() > time.Minute {
			t.Errorf("golang-jwt reads %v, iat %v, %v; we read a proof of %+v", got, iat, err, w)
		}
	})
}
