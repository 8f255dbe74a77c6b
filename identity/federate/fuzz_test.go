package federate

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// FuzzAgreesWithGolangJWT signs whatever it is given, with RSA or Ed25519: what we accept,
// golang-jwt must accept too and read in the same way, by both of its ways of reading claims.
func FuzzAgreesWithGolangJWT(f *testing.F) {
	i := newIssuer(f, "i")
	private := rsaKey(f)
	path := filepath.Join(f.TempDir(), "keys.json")
	write(f, path, `{"keys":[`+string(i.jwk.Public())+`,{"kty":"RSA","kid":"rsa","n":"`+base64.RawURLEncoding.EncodeToString(private.N.Bytes())+`","e":"AQAB"}]}`)
	fed := federation(f, Rule{Name: "x", Issuer: "https://idp.example", Audience: gateway, JWKSFile: path, Roles: []string{"r"}})
	claims := doc{"iss": "https://idp.example", "aud": gateway, "sub": "alice", "iat": start.Unix(), "exp": start.Unix() + 300}
	body := string(claims.bytes(f))
	for _, header := range []string{
		`{"alg":"EdDSA","typ":"JWT","kid":"` + i.jwk.Kid + `"}`, `{"alg":"Ed25519","kid":"` + i.jwk.Kid + `"}`, `{"alg":"RS256","typ":"JWT","kid":"rsa"}`,
		`{"alg":"PS256","kid":"rsa"}`, `{"alg":"none","alg":"RS256","kid":"rsa"}`, `{"alg":"RS256","kid":"rsa","crit":["exp"]}`, `{"alg":"RS256","KID":"rsa"}`,
	} {
		f.Add(header, body)
	}
	header := `{"alg":"RS256","kid":"rsa"}`
	f.Add(header, string(claims.but(doc{"aud": []string{gateway}, "nbf": start.Unix() - 600}).bytes(f)))
	f.Add(header, string(claims.but(doc{"aud": []string{"", gateway}}).bytes(f)))
	f.Add(header, string(claims.but(doc{"sub": "a:b%3Aé\u2028"}).bytes(f)))
	f.Add(header, strings.Replace(body, `"sub":"alice"`, `"sub":"alice","SUB":"admin"`, 1))
	f.Add(header, strings.Replace(body, `"sub":"alice"`, `"sub":"alice","sub":"admin"`, 1))
	f.Add(header, strings.Replace(body, `"sub":"alice"`, `"sub":"\u0061\ud83d\ude00"`, 1))
	f.Add(header, strings.Replace(body, "1800000300", "1.8000003e9", 1))
	f.Add(header, strings.Replace(body, "1800000300", "01800000300", 1))
	f.Fuzz(func(t *testing.T, header, claims string) {
		token := i.sign([]byte(header), []byte(claims))
		// What is no JSON or names no such algorithm is refused whoever signs, and RSA takes long.
		if strings.Contains(header, "S256") && json.Valid([]byte(header)) {
			token = signRSA(t, private, header, claims)
		}
		agree(t, fed, map[string]any{i.jwk.Kid: i.private.Public(), "rsa": &private.PublicKey}, token)
	})
}

// rsaKey reads a key that signs nothing but the tokens of tests. Making one takes each fuzzing
// process seconds.
func rsaKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "rsa.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	private, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

func signRSA(t *testing.T, private *rsa.PrivateKey, header, claims string) string {
	t.Helper()
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	sum := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func agree(t *testing.T, fed *Federation, keys map[string]any, token string) {
	t.Helper()
	id, err := fed.Verify(t.Context(), token, SubjectToken)
	if err != nil {
		return
	}
	// golang-jwt does not know the newer name of EdDSA (RFC 9864).
	if header, err := base64.RawURLEncoding.DecodeString(token[:strings.IndexByte(token, '.')]); err != nil || strings.Contains(string(header), "Ed25519") {
		return
	}
	// We allow another's clock to be 30 s ahead, but never a token that has ended.
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"EdDSA", "RS256"}), jwt.WithIssuer("https://idp.example"), jwt.WithAudience(gateway),
		jwt.WithExpirationRequired(), jwt.WithStrictDecoding(), jwt.WithLeeway(slack), jwt.WithTimeFunc(func() time.Time { return start }))
	for _, claims := range []jwt.Claims{jwt.MapClaims{}, &jwt.RegisteredClaims{}} {
		_, err := parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) { return keys[t.Header["kid"].(string)], nil })
		if err != nil {
			t.Errorf("%T: golang-jwt refuses what we accept: %v", claims, err)
			continue
		}
		same(t, id, claims)
	}
}

func same(t *testing.T, id *Identity, claims jwt.Claims) {
	t.Helper()
	sub, err := claims.GetSubject()
	var want strings.Builder
	if escape(&want, sub); err != nil || id.Subject != "x:"+want.String() {
		t.Errorf("%T: sub %q, %v; we read %q", claims, sub, err, id.Subject)
	}
	exp, err := claims.GetExpirationTime()
	if err != nil || !exp.Equal(id.Until) || !exp.After(start) {
		t.Errorf("%T: exp %v, %v; we read %v", claims, exp, err, id.Until)
	}
	aud, err := claims.GetAudience()
	if err != nil || len(aud) != 1 || aud[0] != gateway {
		t.Errorf("%T: aud %v, %v; we read one, ours", claims, aud, err)
	}
}
