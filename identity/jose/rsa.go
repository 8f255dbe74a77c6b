package jose

import (
	"crypto"
	"crypto/rsa"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// Algorithms of tokens of others. Nothing of ours is signed with RSA, so a key of these verifies
// in [Token.VerifyForeign] alone.
const (
	RS256 = "RS256"
	PS256 = "PS256"
)

// Bounds of RSA keys: below the least a modulus can be factored, above the most each forged
// signature costs us milliseconds (NIST SP 800-131A; the public exponent as in FIPS 186-5).
const (
	minRSABits  = 2048
	maxRSABits  = 8192
	minExponent = 65537
	maxExponent = 1<<31 - 1
)

// ps256 wants the salt as long as the hash, as RFC 7518 §3.5 has it. golang-jwt's own method
// takes a salt of any length.
var ps256 = &jwt.SigningMethodRSAPSS{
	SigningMethodRSA: jwt.SigningMethodPS256.SigningMethodRSA,
	Options:          &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256},
}

// ForeignKey is [JWK.Key] for a key of another issuer, which may also be RSA: of 2048 to 8192
// bits, with an odd exponent of at least 65537, and not one of those that can be factored
// (ROCA). It verifies RS256, or PS256 where it is declared for that.
func (k JWK) ForeignKey() (Key, error) {
	if k.Kty != "RSA" {
		return k.Key()
	}
	if err := k.mayVerify(); err != nil {
		return Key{}, err
	}
	alg := k.Alg
	switch alg {
	case "":
		alg = RS256
	case RS256, PS256:
	default:
		return Key{}, fmt.Errorf("key %q is an RSA key declared for %q", k.Kid, k.Alg)
	}
	n, errN := unsigned(k.N)
	e, errE := unsigned(k.E)
	if errN != nil || errE != nil {
		return Key{}, fmt.Errorf("key %q: n or e is not a whole number in base64url, without zeros in front", k.Kid)
	}
	switch bits := n.BitLen(); {
	case bits < minRSABits || bits > maxRSABits:
		return Key{}, fmt.Errorf("key %q has %d bits; RSA keys have %d to %d", k.Kid, bits, minRSABits, maxRSABits)
	case n.Bit(0) == 0:
		return Key{}, fmt.Errorf("key %q has an even modulus", k.Kid)
	case e.Bit(0) == 0 || e.Cmp(big.NewInt(minExponent)) < 0 || e.Cmp(big.NewInt(maxExponent)) > 0:
		return Key{}, fmt.Errorf("key %q: e is not an odd number from %d to %d", k.Kid, minExponent, maxExponent)
	case madeByROCA(n):
		return Key{}, fmt.Errorf("key %q was made by a faulty library and can be factored (ROCA, CVE-2017-15361)", k.Kid)
	}
	return Key{ID: k.Kid, Alg: alg, Public: &rsa.PublicKey{N: n, E: int(e.Int64())}}, nil
}

// unsigned reads a Base64urlUInt (RFC 7518 §2), which has one spelling: no zeros in front.
func unsigned(s string) (*big.Int, error) {
	b, err := decode(s)
	if err != nil {
		return nil, err
	}
	if b[0] == 0 {
		return nil, errNotCanonical
	}
	return new(big.Int).SetBytes(b), nil
}

// rocaPrimes are the primes by which the fingerprint of ROCA is told.
var rocaPrimes = [...]uint64{3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89,
	97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167}

// madeByROCA tells whether n is a product of primes of the form k·M + 65537^a mod M, which the
// library of CVE-2017-15361 made: then it is a power of 65537 modulo every small prime. A sound
// modulus passes for one with a chance of about 2^-28.
func madeByROCA(n *big.Int) bool {
	for _, p := range rocaPrimes {
		if !isPowerOf(minExponent%p, new(big.Int).Mod(n, new(big.Int).SetUint64(p)).Uint64(), p) {
			return false
		}
	}
	return true
}

// isPowerOf reports whether x is a power of g modulo p.
func isPowerOf(g, x, p uint64) bool {
	power := uint64(1)
	for range p {
		if power == x {
			return true
		}
		power = power * g % p
	}
	return false
}

// VerifyForeign is [Token.Verify] for a token of another issuer, whose key may also be RSA.
func (t *Token) VerifyForeign(k Key) error {
	var method jwt.SigningMethod
	switch {
	case k.Alg == RS256 && t.Alg == RS256:
		method = jwt.SigningMethodRS256
	case k.Alg == PS256 && t.Alg == PS256:
		method = ps256
	default:
		return t.Verify(k)
	}
	return t.verify(method, k)
}
