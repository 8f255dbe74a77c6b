package jose

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"sallyport/internal/strictjson"
)

// MaxSize is the longest token that is looked at, in bytes.
const MaxSize = 8 << 10

// maxDepth bounds the nesting of claims; ours need 5 (four actors inside the token).
const maxDepth = 16

// Token is a token whose form is sound. Nothing in it is true before Verify.
type Token struct {
	Alg, Kid, Typ string // empty where the header has none
	Header        []byte // one JSON object with one meaning
	Claims        []byte // likewise
	signingInput  string
	signature     []byte
}

// b64 refuses padding and stray bits in the last character. It still skips line ends, so
// decode checks the alphabet first.
var b64 = base64.RawURLEncoding.Strict()

// refusedHeaders would let the token choose its own key (jku, x5u, x5c, jwk) or give its bytes
// another meaning (crit, b64, zip, enc). We never understand an extension, so crit is always
// a reason to refuse (RFC 7515 §4.1.11).
var refusedHeaders = []string{"crit", "b64", "jku", "x5u", "x5c", "jwk", "zip", "enc"}

var headerScope = strictjson.NewScope(strictjson.NewKeySet(append([]string{"alg", "kid", "typ", "cty"}, refusedHeaders...)...), nil)

// Parse reads a compact JWS whose payload is a JSON object, of at most [MaxSize] bytes.
// The error wraps ErrMalformed, ErrDuplicate or ErrHeader.
func Parse(compact string) (*Token, error) { return parse(compact, refusedHeaders) }

// parse refuses the header members in refused.
func parse(compact string, refused []string) (*Token, error) {
	t, err := parseJWS(compact, refused)
	if err != nil {
		return nil, err
	}
	if err := checkJSON("claims", t.Claims, maxDepth, nil); err != nil {
		return nil, err
	}
	return t, nil
}

// parseJWS is Parse for any payload.
func parseJWS(compact string, refused []string) (*Token, error) {
	if len(compact) > MaxSize {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrMalformed, MaxSize)
	}
	// Counted first, so that a flood of dots costs one scan (CVE-2025-30204).
	if strings.Count(compact, ".") != 2 {
		return nil, fmt.Errorf("%w: not three parts between two dots", ErrMalformed)
	}
	parts := strings.SplitN(compact, ".", 3)
	t := &Token{signingInput: compact[:len(parts[0])+1+len(parts[1])]}
	for i, part := range []struct {
		name string
		dst  *[]byte
	}{{"header", &t.Header}, {"claims", &t.Claims}, {"signature", &t.signature}} {
		var err error
		if *part.dst, err = decode(parts[i]); err != nil {
			return nil, fmt.Errorf("%w: %s %w", ErrMalformed, part.name, err)
		}
	}
	if err := t.readHeader(refused); err != nil {
		return nil, err
	}
	return t, nil
}

type plainError string

func (e plainError) Error() string { return string(e) }

const (
	errEmpty        = plainError("is empty")
	errNotBase64    = plainError("is not base64url")
	errNotCanonical = plainError("is not canonical base64url")
)

// decode accepts exactly one spelling of each byte string: a second spelling of a token that
// verifies would not be found under the digest of the first.
func decode(s string) ([]byte, error) {
	if s == "" {
		return nil, errEmpty
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return nil, errNotBase64
		}
	}
	b, err := b64.DecodeString(s)
	if err != nil {
		return nil, errNotCanonical
	}
	return b, nil
}

func (t *Token) readHeader(refused []string) error {
	if err := checkJSON("header", t.Header, 4, headerScope); err != nil {
		return err
	}
	members, err := strictjson.Object(t.Header)
	if err != nil {
		return fmt.Errorf("%w: header is not an object", ErrMalformed)
	}
	for _, m := range members {
		if slices.Contains(refused, m.Name) {
			return fmt.Errorf("%w: %s", ErrHeader, m.Name)
		}
	}
	var cty string
	for _, m := range members {
		var dst *string
		switch m.Name {
		case "alg":
			dst = &t.Alg
		case "kid":
			dst = &t.Kid
		case "typ":
			dst = &t.Typ
		case "cty":
			dst = &cty
		default:
			continue
		}
		if *dst, err = strictjson.String(m.Value().Of(t.Header)); err != nil {
			return fmt.Errorf("%w: header: %s is not a string", ErrMalformed, m.Name)
		}
	}
	// A nested token: what is inside has not been verified (RFC 7519 §5.2).
	if bare, _ := strings.CutPrefix(strings.ToLower(cty), "application/"); bare == "jwt" {
		return fmt.Errorf("%w: cty", ErrHeader)
	}
	return nil
}

// Verify checks the signature with the algorithm that belongs to the key, whatever the token
// says of itself. The error is ErrAlgorithm or ErrSignature. A key of others (RSA) verifies
// nothing here.
func (t *Token) Verify(k Key) error {
	var method jwt.SigningMethod
	switch {
	case k.Alg == EdDSA && (t.Alg == EdDSA || t.Alg == "Ed25519"): // RFC 9864 names the curve
		method = jwt.SigningMethodEdDSA
	case k.Alg == ES256 && t.Alg == ES256:
		method = jwt.SigningMethodES256
	default:
		return ErrAlgorithm
	}
	return t.verify(method, k)
}

func (t *Token) verify(method jwt.SigningMethod, k Key) error {
	if err := method.Verify(t.signingInput, t.signature, k.Public); err != nil {
		return ErrSignature // golang-jwt's own error says no more
	}
	return nil
}
