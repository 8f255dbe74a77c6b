package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"sallyport/internal/strictjson"
)

// Algorithms of our tokens. "Ed25519" (RFC 9864) is read as EdDSA where the key is one.
const (
	EdDSA = "EdDSA"
	ES256 = "ES256"
)

// Key is a public key and the one algorithm that it verifies. The zero Key verifies nothing.
type Key struct {
	ID     string           // kid
	Alg    string           // EdDSA or ES256; of others also RS256 or PS256
	Public crypto.PublicKey // ed25519.PublicKey, *ecdsa.PublicKey on P-256 or *rsa.PublicKey
}

// JWK is a JSON Web Key, with its members as they stand in the document. D is the private
// half; only what [NewEd25519] and [ParseJWK] return may hold one.
type JWK struct {
	Kty, Crv, X, Y, N, E, D, Kid, Use, Alg string
	KeyOps                                 []string
}

var jwkNames = []string{"kty", "crv", "x", "y", "n", "e", "d", "kid", "use", "alg", "key_ops"}

var jwkScope = strictjson.NewScope(strictjson.NewKeySet(jwkNames...), nil)

// ParseJWK reads one key of any type, without judging whether it may verify; [JWK.Key] does.
func ParseJWK(data []byte) (JWK, error) {
	var k JWK
	if err := strictjson.CheckScope(data, strictjson.Limits{Depth: 4}, jwkScope); err != nil {
		return JWK{}, fmt.Errorf("read JWK: %w", err)
	}
	members, err := strictjson.Object(data)
	if err != nil {
		return JWK{}, fmt.Errorf("read JWK: %w", err)
	}
	texts := map[string]*string{"kty": &k.Kty, "crv": &k.Crv, "x": &k.X, "y": &k.Y, "n": &k.N, "e": &k.E, "d": &k.D, "kid": &k.Kid, "use": &k.Use, "alg": &k.Alg}
	for _, m := range members {
		v := m.Value().Of(data)
		if m.Name == "key_ops" {
			if k.KeyOps, err = Strings(v); err != nil {
				return JWK{}, errors.New("read JWK: key_ops is not a list of strings")
			}
			continue
		}
		if dst, ok := texts[m.Name]; ok {
			if *dst, err = strictjson.String(v); err != nil {
				return JWK{}, fmt.Errorf("read JWK: %s is not a string", m.Name)
			}
		}
	}
	return k, nil
}

// Strings reads a JSON array of strings that has been checked. The list is not nil.
func Strings(raw []byte) ([]string, error) {
	spans, err := strictjson.Array(raw)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(spans))
	for _, s := range spans {
		str, err := strictjson.String(s.Of(raw))
		if err != nil {
			return nil, err
		}
		out = append(out, str)
	}
	return out, nil
}

// Key returns the verification key, or an error that says why the JWK may not verify tokens:
// not for signatures, not Ed25519 or P-256, or declared for an algorithm of another kind.
func (k JWK) Key() (Key, error) {
	if err := k.mayVerify(); err != nil {
		return Key{}, err
	}
	switch {
	case k.Kty == "OKP" && k.Crv == "Ed25519":
		return k.ed25519()
	case k.Kty == "EC" && k.Crv == "P-256":
		return k.p256()
	}
	return Key{}, fmt.Errorf("key %q has type %q and curve %q; tokens are signed with Ed25519 or P-256", k.Kid, k.Kty, k.Crv)
}

// mayVerify returns an error where the key is declared for another use.
func (k JWK) mayVerify() error {
	if k.Use != "" && k.Use != "sig" {
		return fmt.Errorf("key %q is for %q, not for signatures", k.Kid, k.Use)
	}
	if k.KeyOps != nil && !slices.Contains(k.KeyOps, "verify") {
		return fmt.Errorf("key %q may not verify: key_ops has no \"verify\"", k.Kid)
	}
	return nil
}

func (k JWK) ed25519() (Key, error) {
	if k.Alg != "" && k.Alg != EdDSA && k.Alg != "Ed25519" {
		return Key{}, fmt.Errorf("key %q is an Ed25519 key declared for %q", k.Kid, k.Alg)
	}
	x, err := decode(k.X)
	if err != nil || len(x) != ed25519.PublicKeySize {
		return Key{}, fmt.Errorf("key %q: x is not %d bytes of base64url", k.Kid, ed25519.PublicKeySize)
	}
	return Key{ID: k.Kid, Alg: EdDSA, Public: ed25519.PublicKey(x)}, nil
}

func (k JWK) p256() (Key, error) {
	if k.Alg != "" && k.Alg != ES256 {
		return Key{}, fmt.Errorf("key %q is a P-256 key declared for %q", k.Kid, k.Alg)
	}
	x, errX := decode(k.X)
	y, errY := decode(k.Y)
	if errX != nil || errY != nil || len(x) != 32 || len(y) != 32 {
		return Key{}, fmt.Errorf("key %q: x or y is not 32 bytes of base64url", k.Kid)
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil {
		return Key{}, fmt.Errorf("key %q is not a point of its curve", k.Kid)
	}
	return Key{ID: k.Kid, Alg: ES256, Public: pub}, nil
}

// Thumbprint returns the RFC 7638 SHA-256 thumbprint of an OKP or EC key, base64url; it is
// the same for the public and the private JWK. For other types it is empty.
func (k JWK) Thumbprint() string {
	var doc []byte
	switch k.Kty {
	case "OKP":
		doc = appendMembers(nil, "crv", k.Crv, "kty", k.Kty, "x", k.X)
	case "EC":
		doc = appendMembers(nil, "crv", k.Crv, "kty", k.Kty, "x", k.X, "y", k.Y)
	default:
		return ""
	}
	sum := sha256.Sum256(doc)
	return b64.EncodeToString(sum[:])
}

// appendMembers appends an object of strings: names and values in turn.
func appendMembers(dst []byte, pairs ...string) []byte {
	dst = append(dst, '{')
	for i, s := range pairs {
		switch {
		case i%2 == 1:
			dst = append(dst, ':')
		case i > 0:
			dst = append(dst, ',')
		}
		dst = strictjson.AppendString(dst, s)
	}
	return append(dst, '}')
}
