package pop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"sallyport/identity/jose"
	"sallyport/internal/strictjson"
)

var b64 = base64.RawURLEncoding

// X5T returns the thumbprint by which a token is bound to a certificate (x5t#S256, RFC 8705
// §3.1). Of no certificate it is empty, and nothing may be bound to that.
func X5T(cert *x509.Certificate) string {
	if cert == nil || len(cert.Raw) == 0 {
		return ""
	}
	sum := sha256.Sum256(cert.Raw)
	return b64.EncodeToString(sum[:])
}

// Key is a client's key. It is made in memory and has no way out of it; only proofs leave. It
// is safe for concurrent use. The zero Key signs nothing.
type Key struct {
	private *ecdsa.PrivateKey
	jkt     string
	header  string // of every proof, encoded
}

// NewKey makes a P-256 key.
func NewKey() (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key to prove possession with: %w", err)
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		return nil, fmt.Errorf("make a key to prove possession with: %w", err)
	}
	jwk := jose.NewP256(point)
	header := `{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"EC","crv":"P-256","x":"` + jwk.X + `","y":"` + jwk.Y + `"}}`
	return &Key{private: private, jkt: jwk.Thumbprint(), header: b64.EncodeToString([]byte(header))}, nil
}

// JKT returns the RFC 7638 thumbprint of the public key: what a token is bound to.
func (k *Key) JKT() string { return k.jkt }

// Proof returns a proof for one request, for the DPoP header (RFC 9449 §4.1). url is the
// request's, without query and fragment; token is empty at a token endpoint; nonce is the last
// that the server sent in DPoP-Nonce, empty where there was none.
func (k *Key) Proof(method, url, token, nonce string, now time.Time) (string, error) {
	if k == nil || k.private == nil {
		return "", errors.New("prove possession: there is no key")
	}
	c := []byte(`{"jti":"` + rand.Text() + `","htm":`)
	c = strictjson.AppendString(c, method)
	c = append(c, `,"htu":`...)
	c = strictjson.AppendString(c, url)
	c = fmt.Appendf(c, `,"iat":%d`, now.Unix())
	if token != "" {
		c = append(c, `,"ath":"`+hash(token)+`"`...)
	}
	if nonce != "" {
		c = append(c, `,"nonce":`...)
		c = strictjson.AppendString(c, nonce)
	}
	input := k.header + "." + b64.EncodeToString(append(c, '}'))
	return k.sign(input)
}

// sign appends an ES256 signature, which is r and s of 32 bytes each (RFC 7518 §3.4).
func (k *Key) sign(input string) (string, error) {
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, k.private, digest[:])
	if err != nil {
		return "", fmt.Errorf("prove possession: %w", err)
	}
	var raw [64]byte
	r.FillBytes(raw[:32])
	s.FillBytes(raw[32:])
	return input + "." + b64.EncodeToString(raw[:]), nil
}
