package jose

import (
	"errors"
	"fmt"
	"slices"

	"sallyport/internal/strictjson"
)

// Bounds of a key set from outside.
const (
	MaxKeys    = 64
	MaxSetSize = 1 << 20 // bytes
)

// KeySet holds the keys of a JWK Set. The zero KeySet has none.
type KeySet struct {
	ByID map[string]Key // by kid: what may verify tokens of its issuer, RSA keys included
	// LeftOut says by kid why a key of the set may not verify: of another kind or use, too weak.
	LeftOut map[string]string
}

var setScope = strictjson.NewScope(strictjson.NewKeySet(append([]string{"keys"}, jwkNames...)...), nil)

// ParseKeySet reads a JWK Set (RFC 7517 §5) of another issuer. A key counts whose use is absent,
// "sig" or one of uses. It refuses the whole set when it holds a symmetric key or a private one
// (published, so anybody could sign), a kid twice (two keys, one name), or more than [MaxKeys]. A
// key without a kid is found by its RFC 7638 thumbprint.
func ParseKeySet(data []byte, uses ...string) (KeySet, error) {
	if len(data) > MaxSetSize {
		return KeySet{}, fmt.Errorf("read key set: longer than %d bytes", MaxSetSize)
	}
	if err := strictjson.CheckScope(data, strictjson.Limits{Depth: 6}, setScope); err != nil {
		return KeySet{}, fmt.Errorf("read key set: %w", err)
	}
	span, ok := strictjson.Find(data, "keys")
	if !ok {
		return KeySet{}, errors.New("read key set: no member \"keys\"")
	}
	list := span.Of(data)
	spans, err := strictjson.Array(list)
	if err != nil {
		return KeySet{}, errors.New("read key set: \"keys\" is not a list")
	}
	if len(spans) > MaxKeys {
		return KeySet{}, fmt.Errorf("read key set: %d keys; the limit is %d", len(spans), MaxKeys)
	}
	set := KeySet{ByID: map[string]Key{}, LeftOut: map[string]string{}}
	for _, s := range spans {
		if err := set.add(s.Of(list), uses); err != nil {
			return KeySet{}, fmt.Errorf("read key set: %w", err)
		}
	}
	return set, nil
}

// add takes one key of the set. An error refuses all of it.
func (set KeySet) add(doc []byte, uses []string) error {
	k, err := ParseJWK(doc)
	if err != nil {
		return err
	}
	_, taken := set.ByID[k.Kid]
	_, left := set.LeftOut[k.Kid]
	switch {
	case k.Kty == "oct":
		return fmt.Errorf("key %q is symmetric: who can verify with it can sign", k.Kid)
	case k.D != "":
		return fmt.Errorf("key %q is there with its private half: who can read it can sign", k.Kid)
	case k.Kid != "" && (taken || left):
		return fmt.Errorf("kid %q twice", k.Kid)
	}
	if slices.Contains(uses, k.Use) {
		k.Use = "sig"
	}
	key, err := k.ForeignKey()
	if k.Kid == "" { // Certificates in a SPIFFE bundle have none, and are no keys of tokens.
		if print := k.Thumbprint(); err == nil && print != "" {
			key.ID = print
			set.ByID[print] = key
		}
		return nil
	}
	if err != nil {
		set.LeftOut[k.Kid] = err.Error()
		return nil
	}
	set.ByID[k.Kid] = key
	return nil
}
