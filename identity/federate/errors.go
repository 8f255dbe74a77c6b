package federate

import (
	"errors"
	"strings"

	"sallyport/identity"
	"sallyport/identity/jose"
)

// Errors of Verify. They are for the operator: they name rules and claims, never values. Those
// of the same name in package identity are the same.
var (
	// ErrNoRule is a token that no rule takes. The error is a *[NoRuleError].
	ErrNoRule = errors.New("no federation rule takes the token")
	// ErrKeys is an issuer whose keys cannot be read, or are older than a day.
	ErrKeys       = errors.New("keys of the issuer are not available")
	ErrUnknownKey = identity.ErrUnknownKey
	ErrMalformed  = identity.ErrMalformed
	ErrDuplicate  = identity.ErrDuplicate
	ErrHeader     = identity.ErrHeader
	ErrAlgorithm  = jose.ErrAlgorithm
	ErrSignature  = jose.ErrSignature
	ErrClaim      = identity.ErrClaim
	ErrNotYet     = identity.ErrNotYet
	ErrExpired    = identity.ErrExpired
	// ErrReplay is a client's assertion that has been used, or may have been used before this
	// process began to remember.
	ErrReplay = errors.New("assertion has been used before")
	// ErrFull is a client with more assertions under way than are remembered. Forgetting one
	// would let it be used twice.
	ErrFull = errors.New("too many assertions of one client")
)

// Reason says why one rule does not take a token.
type Reason struct{ Rule, Why string }

// NoRuleError says of each rule why it does not take a token. It wraps [ErrNoRule].
type NoRuleError struct{ Reasons []Reason }

func (e *NoRuleError) Error() string {
	if len(e.Reasons) == 0 {
		return ErrNoRule.Error() + ": there are none; identity.federation in the configuration has them"
	}
	var b strings.Builder
	b.WriteString(ErrNoRule.Error())
	for i, r := range e.Reasons {
		b.WriteString([]string{": ", "; "}[min(i, 1)] + r.Rule + ": " + r.Why)
	}
	return b.String()
}

// Unwrap makes errors.Is(err, ErrNoRule) hold.
func (e *NoRuleError) Unwrap() error { return ErrNoRule }
