package jose

import (
	"errors"
	"fmt"

	"sallyport/internal/strictjson"
)

// Bounds of a key set from outside.
const (
	MaxKeys    = 64
	maxSetSize = 1 << 20
)

// ParseKeySet reads a JWK Set (RFC 7517 §5) and returns by kid the keys that may verify
// tokens. Keys of other kinds and uses are left out. It refuses the whole set when it holds
// a symmetric key (published, so anybody could sign), a kid twice (two keys, one name), or
// more than [MaxKeys].
func ParseKeySet(data []byte) (map[string]Key, error) {
	if len(data) > maxSetSize {
		return nil, fmt.Errorf("read key set: longer than %d bytes", maxSetSize)
	}
	scope := strictjson.NewScope(strictjson.NewKeySet("keys", "kty", "crv", "x", "y", "d", "kid", "use", "alg", "key_ops"), nil)
	if err := strictjson.CheckScope(data, strictjson.Limits{Depth: 6}, scope); err != nil {
		return nil, fmt.Errorf("read key set: %w", err)
	}
	span, ok := strictjson.Find(data, "keys")
	if !ok {
		return nil, errors.New("read key set: no member \"keys\"")
	}
	list := span.Of(data)
	spans, err := strictjson.Array(list)
	if err != nil {
		return nil, errors.New("read key set: \"keys\" is not a list")
	}
	if len(spans) > MaxKeys {
		return nil, fmt.Errorf("read key set: %d keys; the limit is %d", len(spans), MaxKeys)
	}
	keys, seen := map[string]Key{}, map[string]bool{}
	for _, s := range spans {
		k, err := ParseJWK(s.Of(list))
		if err != nil {
			return nil, err
		}
		if k.Kty == "oct" {
			return nil, fmt.Errorf("read key set: key %q is symmetric", k.Kid)
		}
		if seen[k.Kid] {
			return nil, fmt.Errorf("read key set: kid %q twice", k.Kid)
		}
		seen[k.Kid] = true
		if key, err := k.Key(); err == nil && k.Kid != "" { // a key without a name cannot be asked for
			keys[k.Kid] = key
		}
	}
	return keys, nil
}
