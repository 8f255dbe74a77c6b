package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"sallyport/identity/jose"
	"sallyport/identity/pop"
)

// MaxLifetime is the longest life of a token that is accepted. It is a constant so that no
// configuration can bring back keys that live for months.
const MaxLifetime = 15 * time.Minute

// futureSlack is how far ahead of our clock an issue time may be. Expiry has no slack.
const futureSlack = 30 * time.Second

const defaultCacheSize = 10_000

// KeySet is an immutable set of verification keys.
type KeySet struct {
	ByID map[string]jose.Key // by kid
	// Epoch is another number whenever a key has left the set or changed: tokens that were
	// verified under another epoch are verified again.
	Epoch uint64
}

// KeySource gives the keys that are good now. A nil set has no keys.
type KeySource interface{ Keys() *KeySet }

// VerifierConfig is what a Verifier needs. Issuer, Audience and Keys are required.
type VerifierConfig struct {
	Issuer    string           // exact iss
	Audience  string           // exact and only aud: <publicURL>/mcp
	Keys      KeySource        // the issuer's keys
	PublicURL string           // scheme and authority that clients use, which proofs must name; empty: bound tokens are refused
	Proofs    *pop.Checker     // checks DPoP proofs; nil: tokens bound to a DPoP key are refused
	CacheSize int              // verified tokens kept; default 10,000
	Now       func() time.Time // default time.Now
}

// Verifier verifies access tokens. It is safe for concurrent use. The zero Verifier refuses
// every token.
type Verifier struct {
	cfg VerifierConfig
	// cache holds only tokens that verified, under the SHA-256 of their bytes. It answers
	// "whose token is this", never "is its grant alive" and never "was possession proven".
	cache *lru.Cache[[sha256.Size]byte, verified]

	hits, misses atomic.Int64
}

// CacheUse says how many tokens were found in the cache since the start, and how many had to be verified.
func (v *Verifier) CacheUse() (hits, misses int64) { return v.hits.Load(), v.misses.Load() }

type verified struct {
	who   *Principal
	epoch uint64
}

// NewVerifier refuses an empty issuer or audience and absent keys: each would switch a check
// off.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	if cfg.Issuer == "" || cfg.Audience == "" || cfg.Keys == nil {
		return nil, errors.New("a token verifier needs an issuer, an audience and keys")
	}
	if cfg.CacheSize <= 0 {
		cfg.CacheSize = defaultCacheSize
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cache, err := lru.New[[sha256.Size]byte, verified](cfg.CacheSize)
	if err != nil {
		return nil, fmt.Errorf("make token cache: %w", err)
	}
	return &Verifier{cfg: cfg, cache: cache}, nil
}

// Issuer returns the only issuer whose tokens are accepted.
func (v *Verifier) Issuer() string { return v.cfg.Issuer }

// Audience returns the only audience for which tokens are accepted.
func (v *Verifier) Audience() string { return v.cfg.Audience }

// Verify returns the principal that the request's token speaks for, after the request has
// proven that it holds whatever the token is bound to. The error wraps one of the errors of this
// package, and then the principal is nil. A DPoP proof is taken once, so verify a request once.
func (v *Verifier) Verify(_ context.Context, r *Request) (*Principal, error) {
	r.Nonce = ""
	token, dpop, err := r.credential()
	if err != nil {
		return nil, err
	}
	who, err := v.VerifyUnproven(token)
	if err != nil {
		return nil, err
	}
	if err := v.prove(who, r, token, dpop); err != nil {
		return nil, err
	}
	return who, nil
}

// VerifyToken is [Verifier.Verify] for a bare token, which proves nothing: a bound token is
// ErrProof.
func (v *Verifier) VerifyToken(token string) (*Principal, error) {
	who, err := v.VerifyUnproven(token)
	if err == nil && who.Proof != ProofNone {
		return nil, ErrProof
	}
	return who, err
}

// VerifyUnproven returns the principal of a token as if its proof had been seen. Before the
// caller does anything for that principal it must hold its JKT and X5T against what the request
// has proven in another way, or know that the token is only asked about.
func (v *Verifier) VerifyUnproven(token string) (*Principal, error) {
	if v.cache == nil {
		return nil, ErrUnknownKey
	}
	if len(token) > jose.MaxSize { // before it is hashed
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrMalformed, jose.MaxSize)
	}
	sum := sha256.Sum256([]byte(token))
	keys, now := v.keys(), v.cfg.Now()
	if hit, ok := v.cache.Get(sum); ok && hit.epoch == keys.Epoch && len(keys.ByID) > 0 && !hit.who.IssuedAt.After(now.Add(futureSlack)) {
		if !now.Before(hit.who.Expires) {
			v.cache.Remove(sum)
			return nil, ErrExpired
		}
		v.hits.Add(1)
		return hit.who, nil
	}
	v.misses.Add(1)
	who, err := v.verify(token, keys, now)
	if err != nil {
		return nil, err
	}
	// With the epoch of the keys that verified it: if they changed meanwhile, it is no hit.
	v.cache.Add(sum, verified{who, keys.Epoch})
	return who, nil
}

// VerifyAt says how the token would be judged at another time, past the cache, from the holder
// of whatever it is bound to.
func (v *Verifier) VerifyAt(token string, now time.Time) (*Principal, error) {
	return v.verify(token, v.keys(), now)
}

func (v *Verifier) keys() *KeySet {
	if v.cfg.Keys != nil {
		if keys := v.cfg.Keys.Keys(); keys != nil {
			return keys
		}
	}
	return &KeySet{}
}

// verify goes from cheap to dear: form, type, key, signature, claims.
func (v *Verifier) verify(token string, keys *KeySet, now time.Time) (*Principal, error) {
	t, err := jose.Parse(token)
	if err != nil {
		return nil, err
	}
	// The type tells an access token from every other document that the same key may sign
	// (RFC 9068 §4, RFC 8725 §3.11).
	if typ := strings.ToLower(t.Typ); typ != "at+jwt" && typ != "application/at+jwt" {
		return nil, ErrType
	}
	key, ok := keys.ByID[t.Kid]
	if !ok || t.Kid == "" {
		return nil, ErrUnknownKey
	}
	if err := t.Verify(key); err != nil {
		return nil, err
	}
	c, err := readClaims(t.Claims)
	if err != nil {
		return nil, err
	}
	if err := v.accept(c, now); err != nil {
		return nil, err
	}
	return c.principal(), nil
}

// accept applies the rules of the profile to the claims of a token of ours.
func (v *Verifier) accept(c *claims, now time.Time) error {
	switch {
	case c.iss != v.cfg.Issuer || c.iss == "":
		return ErrIssuer
	// Exactly one: a token for two audiences is one that another party may replay at us.
	case len(c.aud) != 1 || c.aud[0] != v.cfg.Audience || c.aud[0] == "":
		return ErrAudience
	case c.exp <= c.iat || c.exp-c.iat > int64(MaxLifetime/time.Second):
		return fmt.Errorf("%w: exp − iat must be from 1s to 15m", ErrLifetime)
	case time.Unix(c.iat, 0).After(now.Add(futureSlack)), time.Unix(c.nbf, 0).After(now):
		return ErrNotYet
	case !now.Before(time.Unix(c.exp, 0)):
		return ErrExpired
	}
	return nil
}
