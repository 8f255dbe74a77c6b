package gateway

import (
	"context"
	"errors"

	"sallyport/identity/grant"
)

// turn waits for a place among the requests of this grant that are read and decided: a body takes memory
// until it is decided about, and a decision can be made to take long.
func (x *exchange) turn(ctx context.Context) error {
	err := x.live.Turn(ctx, x.snap.Limits.BodyTimeout)
	if errors.Is(err, grant.ErrBusy) {
		return refuse(CodeLimited, "%d requests of this grant are being read and decided, and none has ended within %v; wait until one has", grant.MostTurns, x.snap.Limits.BodyTimeout)
	}
	if err != nil {
		return &Error{Code: CodeMalformed, Public: "the request was cancelled", Err: err}
	}
	x.inTurn = true
	x.setBodyDeadline() // from here on: it may have waited
	return nil
}

// endTurn gives the place back, once; without a place it does nothing.
func (x *exchange) endTurn() {
	if x.inTurn {
		x.inTurn = false
		x.live.EndTurn()
	}
}
