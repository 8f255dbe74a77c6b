package shim

import (
	"context"
	"errors"
	"time"
)

// Source gives tokens. Its first call may make a grant; later ones renew that grant's token and
// never make another, so that a revoked grant stays revoked.
type Source interface {
	// Token returns a new token. The error wraps ErrEnded where the grant has ended; every
	// other error may pass.
	Token(ctx context.Context, ask SourceAsk) (Token, error)
}

// SourceAsk is what a token shall be bound to.
type SourceAsk struct {
	JKT      string // thumbprint of the key that proofs are made with; "" without one
	Measured string // digest of the agent's own files; "" where none are measured

	// Proof makes a proof for a request to a token endpoint; nil without a key.
	Proof func(method, url, nonce string) (string, error)
}

// Token is an access token, whose bytes mean nothing here.
type Token struct {
	Value   string
	Expires time.Time // by this machine's clock
	Grant   string    // "" where it names none
	Bearer  bool      // sent as it is, without a proof, although there is a key
}

// ErrEnded is wrapped by errors of a Source whose grant has ended: nothing brings it back.
var ErrEnded = errors.New("the task grant has ended")

// EndedError is ErrEnded with what is known of it.
type EndedError struct {
	Grant string // its id
	Why   string // "revoked by operator", and so on; may be empty
}

func (e *EndedError) Error() string {
	text := "task grant has ended"
	if e.Grant != "" {
		text = "task grant " + e.Grant + " has ended"
	}
	if e.Why != "" {
		text += ": " + e.Why
	}
	return text + "; start the task again"
}

// Is makes errors.Is(err, ErrEnded) hold.
func (e *EndedError) Is(target error) bool { return target == ErrEnded }

// Key makes proofs of possession; *pop.Key is one. It must be safe for concurrent use.
type Key interface {
	JKT() string
	Proof(method, url, token, nonce string, now time.Time) (string, error)
}
