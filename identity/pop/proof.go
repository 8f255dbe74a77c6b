package pop

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"sallyport/identity/jose"
	"sallyport/internal/strictjson"
)

// maxID is the longest jti in bytes. An id that is unique needs a sixth of it; the rest would be
// the client's own use of our memory and time.
const maxID = 128

// claims are those of a proof (RFC 9449 §4.2), read but not yet judged.
type claims struct {
	id, method, url, hash, nonce string
	issued                       int64
}

var names = strictjson.Only(strictjson.NewKeySet("jti", "htm", "htu", "iat", "ath", "nonce", "exp", "nbf"), nil)

// read takes a proof apart and checks everything that needs no context: form, type, key and
// signature.
func read(proof string) (c claims, jkt string, err error) {
	t, jwk, err := jose.ParseEmbedded(proof)
	if err != nil {
		return c, "", fmt.Errorf("%w: %w", ErrProof, err)
	}
	if strings.ToLower(t.Typ) != "dpop+jwt" {
		return c, "", fmt.Errorf("%w: its type is not dpop+jwt", ErrProof)
	}
	key, err := jwk.Key()
	if err != nil { // whose text quotes the client's
		return c, "", fmt.Errorf("%w: its key is not a public key for ES256 or EdDSA", ErrProof)
	}
	if err := t.Verify(key); err != nil {
		return c, "", fmt.Errorf("%w: %w", ErrProof, err)
	}
	if c, err = readClaims(t.Claims); err != nil {
		return c, "", fmt.Errorf("%w: %w", ErrProof, err)
	}
	return c, jwk.Thumbprint(), nil
}

func readClaims(raw []byte) (c claims, err error) {
	if err := strictjson.CheckScope(raw, strictjson.Limits{}, names); err != nil {
		return c, fmt.Errorf("%w: claims: %w", jose.ErrDuplicate, err)
	}
	members, err := strictjson.Object(raw)
	if err != nil {
		return c, errors.New("claims are not an object")
	}
	given := map[string]strictjson.Span{}
	for _, m := range members {
		given[m.Name] = m.Value()
	}
	for _, m := range []struct {
		name     string
		dst      *string
		required bool
	}{{"jti", &c.id, true}, {"htm", &c.method, true}, {"htu", &c.url, true}, {"ath", &c.hash, false}, {"nonce", &c.nonce, false}} {
		span, there := given[m.name]
		if !there {
			if m.required {
				return c, fmt.Errorf("%s is missing", m.name)
			}
			continue
		}
		if *m.dst, err = strictjson.String(span.Of(raw)); err != nil {
			return c, fmt.Errorf("%s is not a string", m.name)
		}
	}
	if c.id == "" || len(c.id) > maxID {
		return c, fmt.Errorf("jti is not of 1 to %d bytes", maxID)
	}
	span, there := given["iat"]
	if !there {
		return c, errors.New("iat is missing")
	}
	if c.issued, there = seconds(span.Of(raw)); !there {
		return c, errors.New("iat is not a whole number of seconds")
	}
	return c, nil
}

// seconds reads a NumericDate that is a plain integer before the year 10000.
func seconds(v []byte) (int64, bool) {
	if len(v) > 12 {
		return 0, false
	}
	var n int64
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// hash is what ath must be for a token (RFC 9449 §4.2).
func hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
