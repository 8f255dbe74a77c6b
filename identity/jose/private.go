package jose

import (
	"crypto/ed25519"
	"errors"
)

// NewEd25519 makes a private signing key from a seed of ed25519.SeedSize bytes. Its kid is
// its thumbprint.
func NewEd25519(seed []byte) JWK {
	private := ed25519.NewKeyFromSeed(seed)
	k := JWK{Kty: "OKP", Crv: "Ed25519", Use: "sig", Alg: EdDSA,
		X: b64.EncodeToString(private[ed25519.SeedSize:]), D: b64.EncodeToString(seed)}
	k.Kid = k.Thumbprint()
	return k
}

// Signer returns the private half of an Ed25519 JWK. It refuses a key whose halves do not
// belong together: signing with such a pair can give the private half away.
func (k JWK) Signer() (ed25519.PrivateKey, error) {
	if k.Kty != "OKP" || k.Crv != "Ed25519" {
		return nil, errors.New("not an Ed25519 key")
	}
	seed, err := decode(k.D)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, errors.New("not a private Ed25519 key")
	}
	if NewEd25519(seed).X != k.X {
		return nil, errors.New("the public half of the key does not belong to the private half")
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// Public returns an Ed25519 key as a JSON document without its private half.
func (k JWK) Public() []byte {
	return appendMembers(nil, "kty", k.Kty, "crv", k.Crv, "x", k.X, "kid", k.Kid, "use", "sig", "alg", EdDSA)
}

// Private returns an Ed25519 key as a JSON document with its private half.
func (k JWK) Private() []byte {
	return appendMembers(nil, "kty", k.Kty, "crv", k.Crv, "x", k.X, "d", k.D, "kid", k.Kid, "use", "sig", "alg", EdDSA)
}
