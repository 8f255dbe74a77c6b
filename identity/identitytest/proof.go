package identitytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"testing"
	"time"

	"sallyport/identity/jose"
	"sallyport/identity/pop"
)

// ProofKey is a client's key that signs whatever it is given, unlike [pop.Key].
type ProofKey struct {
	JKT string

	t       testing.TB
	private *ecdsa.PrivateKey
	jwk     jose.JWK
}

// NewProofKey makes a P-256 key.
func NewProofKey(t testing.TB) *ProofKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	jwk := jose.NewP256(point)
	return &ProofKey{JKT: jwk.Thumbprint(), t: t, private: private, jwk: jwk}
}

// Proof returns a good proof of w for a server whose nonce that is.
func (k *ProofKey) Proof(w pop.Want, nonce string, now time.Time) string {
	return k.With(k.Claims(w, nonce, now), nil)
}

// Claims returns the claims of a good proof, to be changed and signed by [ProofKey.With].
func (k *ProofKey) Claims(w pop.Want, nonce string, now time.Time) map[string]any {
	claims := map[string]any{"jti": rand.Text(), "htm": w.Method, "htu": w.URL, "iat": now.Unix(), "nonce": nonce}
	if w.Token != "" {
		sum := sha256.Sum256([]byte(w.Token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return claims
}

// With signs claims with changes on top; a nil value deletes a claim.
func (k *ProofKey) With(claims, changes map[string]any) string {
	return k.Sign(k.header(nil), k.body(claims, changes))
}

// Sign signs exactly these bytes with ES256, whatever they say. Fuzz targets may call it.
func (k *ProofKey) Sign(header, claims string) string {
	input := enc(header) + "." + enc(claims)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, k.private, digest[:])
	if err != nil {
		k.t.Fatal(err)
	}
	var raw [64]byte
	r.FillBytes(raw[:32])
	s.FillBytes(raw[32:])
	return input + "." + enc(string(raw[:]))
}

// JWK returns the public key as it stands in the header of a proof.
func (k *ProofKey) JWK() string { return k.body(k.public(nil), nil) }

// header is that of a good proof with changes on top.
func (k *ProofKey) header(changes map[string]any) string {
	return k.body(map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": k.public(nil)}, changes)
}

func (k *ProofKey) public(changes map[string]any) map[string]any {
	jwk := map[string]any{"kty": "EC", "crv": "P-256", "x": k.jwk.X, "y": k.jwk.Y}
	maps.Copy(jwk, changes)
	return jwk
}

func (k *ProofKey) body(members, changes map[string]any) string {
	members = maps.Clone(members)
	for name, v := range changes {
		members[name] = v
		if v == nil {
			delete(members, name)
		}
	}
	body, err := json.Marshal(members)
	if err != nil {
		k.t.Fatal(err)
	}
	return string(body)
}

// MintBound is [Issuer.Mint] for a token that only the holder of a key may use: jkt is the
// key's thumbprint.
func (i *Issuer) MintBound(jkt, subject string, roles ...string) string {
	return i.With(i.Claims(subject, roles...), map[string]any{"cnf": map[string]any{"jkt": jkt}})
}

// ProofHeader returns the header of a request with a bound token and proofs, of which a good
// request has one.
func ProofHeader(token string, proofs ...string) http.Header {
	return http.Header{"Authorization": {"DPoP " + token}, "Dpop": proofs}
}
