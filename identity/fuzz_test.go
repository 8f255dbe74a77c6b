package identity_test

import (
	"encoding/base64"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sallyport/identity"
	"sallyport/identity/identitytest"
)

// FuzzAgreesWithGolangJWT signs whatever it is given: what we accept, golang-jwt must accept
// too and read in the same way, by both of its ways of reading claims.
func FuzzAgreesWithGolangJWT(f *testing.F) {
	i := identitytest.At(f, at(start))
	header := `{"alg":"EdDSA","typ":"at+jwt","kid":"KID"}`
	body := i.Body(i.Claims("alice"), nil)
	f.Add(header, body)
	f.Add(header, i.Body(i.Claims("alice"), map[string]any{"aud": []string{identitytest.Audience}, "nbf": start.Unix()}))
	f.Add(header, i.Body(i.Claims("alice"), map[string]any{"cnf": map[string]any{"jkt": thumb}}))
	f.Add(header, strings.Replace(body, `"sub":"alice"`, `"sub":"alice","SUB":"admin"`, 1))
	f.Add(header, strings.Replace(body, `"sub":"alice"`, `"sub":"alice","sub":"admin"`, 1))
	f.Add(header, strings.Replace(body, `"sub":"alice"`, `"sub":"\u0061\ud83d\ude00"`, 1))
	f.Add(header, strings.Replace(body, strconv.FormatInt(start.Unix()+300, 10), "1.8000001e9", 1))
	f.Add(`{"alg":"EdDSA","typ":"at+jwt","kid":"KID","crit":["exp"]}`, body)
	f.Add(`{"alg":"none","typ":"at+jwt","kid":"KID","alg":"EdDSA"}`, body)
	f.Fuzz(func(t *testing.T, header, claims string) {
		agree(t, i, i.Sign(strings.ReplaceAll(header, "KID", i.Kid), claims))
	})
}

// FuzzForgery changes one byte of a good token anywhere: no such token is accepted.
func FuzzForgery(f *testing.F) {
	i := identitytest.At(f, at(start))
	good := i.Mint("alice")
	for _, pos := range []uint{0, 30, 60, 200, 400, uint(len(good)) - 1} {
		f.Add(pos, byte('A'))
		f.Add(pos, byte('.'))
		f.Add(pos, byte('\n'))
	}
	f.Fuzz(func(t *testing.T, pos uint, c byte) {
		forged := []byte(good)
		forged[pos%uint(len(forged))] = c
		if _, err := i.Verifier.VerifyToken(string(forged)); err == nil && string(forged) != good {
			t.Errorf("accepted with byte %d changed to %q", pos%uint(len(forged)), c)
		}
	})
}

func agree(t *testing.T, i *identitytest.Issuer, token string) {
	t.Helper()
	who, err := i.Verifier.VerifyAt(token, start)
	if err != nil {
		return
	}
	// golang-jwt does not know the newer name of EdDSA (RFC 9864).
	if header, err := base64.RawURLEncoding.DecodeString(token[:strings.IndexByte(token, '.')]); err != nil || strings.Contains(string(header), "Ed25519") {
		return
	}
	key := func(*jwt.Token) (any, error) { return i.Keys().ByID[i.Kid].Public, nil }
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithIssuer(identitytest.URL), jwt.WithAudience(identitytest.Audience),
		jwt.WithExpirationRequired(), jwt.WithStrictDecoding(), jwt.WithTimeFunc(func() time.Time { return start }))
	for _, claims := range []jwt.Claims{jwt.MapClaims{}, &jwt.RegisteredClaims{}} {
		if _, err := parser.ParseWithClaims(token, claims, key); err != nil {
			t.Errorf("%T: golang-jwt refuses what we accept: %v", claims, err)
			continue
		}
		same(t, who, claims)
	}
}

func same(t *testing.T, who *identity.Principal, claims jwt.Claims) {
	t.Helper()
	sub, err := claims.GetSubject()
	if err != nil || sub != who.Subject {
		t.Errorf("%T: sub %q, %v; we read %q", claims, sub, err, who.Subject)
	}
	exp, err := claims.GetExpirationTime()
	if err != nil || !exp.Equal(who.Expires) {
		t.Errorf("%T: exp %v, %v; we read %v", claims, exp, err, who.Expires)
	}
	aud, err := claims.GetAudience()
	if err != nil || len(aud) != 1 || aud[0] != identitytest.Audience {
		t.Errorf("%T: aud %v, %v; we read one, ours", claims, aud, err)
	}
	iat, err := claims.GetIssuedAt()
	if err != nil || !iat.Equal(who.IssuedAt) {
		t.Errorf("%T: iat %v, %v; we read %v", claims, iat, err, who.IssuedAt)
	}
}
