package jose

import (
	"fmt"
	"slices"

	"sallyport/internal/strictjson"
)

// secretMembers hold the private half of a JWK, or all of a symmetric one (RFC 7518 §6).
var secretMembers = []string{"d", "k", "p", "q", "dp", "dq", "qi", "oth"}

var refusedBesideKey = slices.DeleteFunc(slices.Clone(refusedHeaders), func(name string) bool { return name == "jwk" })

// ParseEmbedded is [Parse] for a token that carries the key that signed it, as a DPoP proof
// does (RFC 9449 §4.2): it proves possession of that key and nothing else. It returns the
// token and its key, which holds no secret; whether the key may verify, [JWK.Key] says.
func ParseEmbedded(compact string) (*Token, JWK, error) {
	t, err := parse(compact, refusedBesideKey)
	if err != nil {
		return nil, JWK{}, err
	}
	span, there := strictjson.Find(t.Header, "jwk")
	if !there {
		return nil, JWK{}, fmt.Errorf("%w: no jwk", ErrHeader)
	}
	doc := span.Of(t.Header)
	key, err := ParseJWK(doc)
	if err != nil {
		return nil, JWK{}, fmt.Errorf("%w: jwk is not a key", ErrHeader)
	}
	members, err := strictjson.Object(doc)
	if err != nil {
		return nil, JWK{}, fmt.Errorf("%w: jwk is not a key", ErrHeader)
	}
	for _, m := range members {
		if slices.Contains(secretMembers, m.Name) {
			return nil, JWK{}, fmt.Errorf("%w: jwk holds a secret", ErrHeader)
		}
	}
	return t, key, nil
}

// NewP256 makes the public JWK of a P-256 key from its uncompressed point (SEC 1 §2.3.3), as
// ecdsa.PublicKey.Bytes returns it; of anything else it makes the zero JWK, which verifies nothing.
func NewP256(point []byte) JWK {
	if len(point) != 65 || point[0] != 4 {
		return JWK{}
	}
	return JWK{Kty: "EC", Crv: "P-256", X: b64.EncodeToString(point[1:33]), Y: b64.EncodeToString(point[33:])}
}
