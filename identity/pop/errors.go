package pop

import "errors"

// Errors of [Checker.Check], for the operator's log. A client learns of ErrNonce, since the
// cure is to ask again with the nonce, and of the others that it was refused. None holds a part
// of a proof.
var (
	ErrProof = errors.New("proof of possession refused")
	// ErrNonce is a proof that is good but for its nonce, which is missing, old or another's.
	ErrNonce = errors.New("proof of possession needs the gateway's current nonce")
	// ErrReplay is a proof that has been taken before.
	ErrReplay = errors.New("proof of possession was used before")
	// ErrFull is a proof that is good but could not be remembered.
	ErrFull = errors.New("no room to remember another proof of possession")
)
