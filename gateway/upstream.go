package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Upstream is one MCP server behind the gateway.
//
// Both methods return a Reply whose Body the caller closes, or an error that wraps one of the
// errors below. Cancelling ctx ends the exchange, also while the body is read.
type Upstream interface {
	// Send redeems the permit and sends what it holds: at most one request.
	Send(ctx context.Context, p *Permit) (*Reply, error)
	// Ask sends an errand.
	Ask(ctx context.Context, e Errand) (*Reply, error)
}

// Reply is an upstream's answer, its body unread.
type Reply struct {
	Status int
	Header ReplyHeader
	Body   io.ReadCloser
}

// ReplyHeader is all that is taken from an upstream's headers.
type ReplyHeader struct {
	ContentType string // media type in lower case, without parameters
	SessionID   string
}

// What can go wrong with an upstream. Implementations wrap these; none of the text around
// them reaches a client.
var (
	ErrUnreachable = errors.New("upstream unreachable")
	ErrTimeout     = errors.New("upstream timed out")
	ErrTooLarge    = errors.New("upstream reply over the size limit")
	ErrGarbage     = errors.New("upstream reply is not sound")
	// ErrNoCredential is when nothing was sent, since the gateway's own credential for the server
	// could not be had.
	ErrNoCredential = errors.New("the gateway has no credential for the upstream")
	// ErrNotSent is an ErrUnreachable of which it is sure that the server has not had a byte of the
	// request. A call that failed so costs its grant nothing; of any other failure nobody knows what
	// the server has done.
	ErrNotSent = fmt.Errorf("%w, nothing was sent", ErrUnreachable)
)

// NotSent marks an error as an [ErrNotSent] and leaves its text as it is.
func NotSent(err error) error { return notSent{err} }

type notSent struct{ error }

func (e notSent) Unwrap() error      { return e.error }
func (notSent) Is(target error) bool { return target == ErrNotSent }

// Scrubber is what an Upstream may be as well: it takes the gateway's own secrets out of what the
// server has said, and returns how many there were. Where there is none it returns doc itself.
type Scrubber interface {
	Scrub(doc []byte) ([]byte, int)
}
