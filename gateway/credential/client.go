package credential

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// prove adds to a request what shows which client it comes from.
func (o *oauth) prove(ctx context.Context, header http.Header, form url.Values) error {
	if o.cfg.Auth == PrivateKeyJWT {
		assertion, err := o.clientAssertion(time.Now())
		if err != nil {
			return err
		}
		form.Set("client_id", o.cfg.ClientID)
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
		return nil
	}
	secret, err := o.cfg.Secret.Get(ctx, Who{})
	if err != nil {
		return fmt.Errorf("the client's secret: %w", err)
	}
	if o.cfg.Auth == SecretPost {
		form.Set("client_id", o.cfg.ClientID)
		form.Set("client_secret", secret.Value)
		return nil
	}
	// Both are form-encoded first (RFC 6749 section 2.3.1).
	pair := url.QueryEscape(o.cfg.ClientID) + ":" + url.QueryEscape(secret.Value)
	header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	return nil
}

// assertionLife is long enough for one request and a clock that is a little off.
const assertionLife = time.Minute

// clientAssertion is what private_key_jwt sends: each is used once.
func (o *oauth) clientAssertion(now time.Time) (string, error) {
	key, err := readKey(o.cfg.KeyFile)
	if err != nil {
		return "", err
	}
	header := map[string]string{"alg": key.alg, "typ": "JWT"}
	if o.cfg.KeyID != "" {
		header["kid"] = o.cfg.KeyID
	}
	claims := map[string]any{"iss": o.cfg.ClientID, "sub": o.cfg.ClientID, "aud": o.cfg.SignedFor, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix()}
	var parts [2]string
	for i, part := range []any{header, claims} {
		raw, err := json.Marshal(part)
		if err != nil {
			return "", fmt.Errorf("write the client's assertion: %w", err)
		}
		parts[i] = base64.RawURLEncoding.EncodeToString(raw)
	}
	input := parts[0] + "." + parts[1]
	signature, err := key.sign([]byte(input))
	if err != nil {
		return "", fmt.Errorf("sign the client's assertion: %w", err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// clientKey is a private key and the algorithm that it dictates.
type clientKey struct {
	alg    string
	signer crypto.Signer
}

func readKey(path string) (clientKey, error) {
	raw, err := readSecretFile("key", path, false)
	if err != nil {
		return clientKey{}, err
	}
	block, _ := pem.Decode([]byte(raw))
	if block == nil {
		return clientKey{}, fmt.Errorf("key %s is not PEM", path)
	}
	var parsed any
	switch block.Type {
	case "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return clientKey{}, fmt.Errorf("key %s holds %.40q; wanted is a private key that is not encrypted (PRIVATE KEY)", path, block.Type)
	}
	if err != nil {
		return clientKey{}, fmt.Errorf("key %s holds no private key that can be read", path)
	}
	switch k := parsed.(type) {
	case ed25519.PrivateKey:
		return clientKey{"EdDSA", k}, nil
	case *ecdsa.PrivateKey:
		if k.Curve == elliptic.P256() {
			return clientKey{"ES256", k}, nil
		}
	case *rsa.PrivateKey:
		if k.N.BitLen() >= 2048 {
			return clientKey{"RS256", k}, nil
		}
	}
	return clientKey{}, fmt.Errorf("key %s is of a kind that cannot be used; known are Ed25519, P-256 and RSA of at least 2048 bits", path)
}

func (k clientKey) sign(input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	switch k.alg {
	case "EdDSA":
		return k.signer.Sign(rand.Reader, input, crypto.Hash(0))
	case "RS256":
		return k.signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	}
	r, s, err := ecdsa.Sign(rand.Reader, k.signer.(*ecdsa.PrivateKey), digest[:])
	if err != nil {
		return nil, err
	}
	// JWS wants the two numbers side by side (RFC 7518 section 3.4).
	const size = 32
	out := make([]byte, 2*size)
	r.FillBytes(out[:size])
	s.FillBytes(out[size:])
	return out, nil
}
