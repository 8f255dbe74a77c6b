package identity

import (
	"errors"

	"sallyport/identity/jose"
	"sallyport/identity/pop"
)

// Errors of Verify. They are for the operator's log and for `sallyport token inspect`; a
// client learns "401" and no more. None holds a part of the token.
var (
	ErrMissing    = errors.New("no token")
	ErrQueryToken = errors.New("token in the query string")
	ErrScheme     = errors.New("not exactly one Authorization header with a Bearer or DPoP token")
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

	// ErrProof is a bound token without a proof: under Bearer, without a DPoP header, or on a
	// connection without a verified client certificate.
	ErrProof = errors.New("token is bound to a key and the request proves none")
	// ErrUnbound is scheme DPoP with a token that any holder may use: whoever sends it believes
	// in a protection that is not there.
	ErrUnbound     = errors.New("scheme DPoP with a token that is bound to no such key")
	ErrCertificate = errors.New("token is bound to another client certificate")

	ErrBadProof   = pop.ErrProof
	ErrNonce      = pop.ErrNonce // the only one whose cure is told to the client
	ErrReplay     = pop.ErrReplay
	ErrProofsFull = pop.ErrFull
)
