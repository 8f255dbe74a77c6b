package shim

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"sallyport/identity/jose"
)

// assertionLife is how long an assertion is good: it is used at once.
const assertionLife = time.Minute

// KeyCredential is a client that proves itself by signing (private_key_jwt, RFC 7523). The key
// in the file is an Ed25519 JWK, or Ed25519 or P-256 in PKCS #8 PEM; it is read anew for each
// exchange. now may be nil.
func KeyCredential(path, client string, now func() time.Time) Credential {
	if now == nil {
		now = time.Now
	}
	return &keyCredential{path, client, now}
}

type keyCredential struct {
	path, client string
	now          func() time.Time
}

func (k *keyCredential) Prove(_ context.Context, issuer string) (Proof, error) {
	data, err := os.ReadFile(k.path)
	if err != nil {
		return Proof{}, fmt.Errorf("read the client's key: %w", err)
	}
	key, kid, err := readSigner(data)
	if err != nil {
		return Proof{}, fmt.Errorf("read the client's key in %s: %w", k.path, err)
	}
	now := k.now()
	claims := map[string]any{"iss": k.client, "sub": k.client, "aud": issuer, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix()}
	assertion, err := signJWT(key, kid, claims)
	if err != nil {
		return Proof{}, fmt.Errorf("sign as client: %w", err)
	}
	return Proof{ClientID: k.client, ClientAssertion: assertion}, nil
}

// readSigner reads a private key. Where the file names no kid it is the key's thumbprint, under
// which the gateway finds a public key that has none either.
func readSigner(data []byte) (key crypto.Signer, kid string, err error) {
	block, _ := pem.Decode(data)
	if block == nil {
		jwk, err := jose.ParseJWK(data)
		if err != nil {
			return nil, "", errors.New("neither a JWK nor PEM")
		}
		signer, err := jwk.Signer()
		return signer, cmp.Or(jwk.Kid, jwk.Thumbprint()), err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, "", errors.New("not an unencrypted PKCS #8 key")
	}
	switch k := parsed.(type) {
	case ed25519.PrivateKey:
		return k, jose.NewEd25519(k.Seed()).Kid, nil
	case *ecdsa.PrivateKey:
		if k.Curve == elliptic.P256() {
			point, err := k.PublicKey.Bytes()
			return k, jose.NewP256(point).Thumbprint(), err
		}
	}
	return nil, "", errors.New("want a key on Ed25519 or P-256")
}

// signJWT makes a compact JWS.
func signJWT(key crypto.Signer, kid string, claims map[string]any) (string, error) {
	header := map[string]string{"typ": "JWT", "alg": jose.EdDSA, "kid": kid}
	if _, ok := key.(*ecdsa.PrivateKey); ok {
		header["alg"] = jose.ES256
	}
	head, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	input := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body)
	var signature []byte
	switch k := key.(type) {
	case ed25519.PrivateKey:
		signature = ed25519.Sign(k, []byte(input))
	case *ecdsa.PrivateKey:
		digest := sha256.Sum256([]byte(input))
		r, s, err := ecdsa.Sign(rand.Reader, k, digest[:])
		if err != nil {
			return "", err
		}
		signature = make([]byte, 64) // RFC 7518, section 3.4
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
	default:
		return "", errors.New("no algorithm for this key")
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
