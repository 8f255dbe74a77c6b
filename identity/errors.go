package identity

import (
	"errors"

	"sallyport/identity/jose"
)

// Errors of Verify. They are for the operator's log and for `sallyport token inspect`; a
// client learns "401" and no more. None holds a part of the token.
var (
	ErrMissing    = errors.New("no token")
	ErrQueryToken = errors.New("token in the query string")
	ErrScheme     = errors.New("not exactly one Authorization header with a Bearer token")
	ErrMalformed  = jose.ErrMalformed
	ErrDuplicate  = jose.ErrDuplicate
	ErrHeader     = jose.ErrHeader
	ErrType       = errors.New("wrong token type")
	ErrUnknownKey = errors.New("unknown signing key")
	ErrAlgorithm  = jose.ErrAlgorithm
	ErrSignature  = jose.ErrSignature
	ErrClaim      = errors.New("bad claim")
	ErrIssuer     = errors.New("wrong issuer")
	ErrAudience   = errors.New("wrong audience")
	ErrLifetime   = errors.New("token lives too long")
	ErrNotYet     = errors.New("token is not valid yet")
	ErrExpired    = errors.New("token has expired")
	ErrProof      = errors.New("token is bound to a key and the request proves none")
)
