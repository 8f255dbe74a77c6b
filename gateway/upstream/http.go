package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"sallyport/gateway"
)

// HTTP is an MCP server behind the gateway that speaks streamable HTTP. It is safe for
// concurrent use. Made by [NewHTTP].
type HTTP struct {
	head           []byte   // of each request, from the target to the configured headers
	static         []string // names of the headers in head, and of the credential's
	presented      presented
	address        string
	tls            *tls.Config // nil for http
	connect        func(ctx context.Context, network, address string) (net.Conn, error)
	connectTimeout time.Duration
	idleTimeout    time.Duration
	maxHeader      int

	idle    pool
	calls   chan struct{} // one place for each exchange under way
	streams chan struct{} // and for each stream
	buffers sync.Pool     // of *[]byte, for requests
}

var _ gateway.Upstream = (*HTTP)(nil)

// Send redeems the permit and sends what it holds. The errors are those of [gateway.Upstream];
// for a permit that is empty or used, [gateway.ErrSpent], and nothing is sent.
//
// The caller closes the reply's body. Until then a place for a connection is taken.
func (h *HTTP) Send(ctx context.Context, p *gateway.Permit) (*gateway.Reply, error) {
	out, err := p.Redeem()
	if err != nil {
		return nil, err
	}
	return h.roundTrip(ctx, out)
}

// Ask sends an errand, as Send does a permit.
func (h *HTTP) Ask(ctx context.Context, e gateway.Errand) (*gateway.Reply, error) {
	out := e.Outbound()
	if out.Method == "" {
		return nil, errors.New("the errand is empty")
	}
	return h.roundTrip(ctx, out)
}

// Close drops the idle connections and keeps none from now on. Exchanges under way go on, and
// later ones are served, each on a connection of its own.
func (h *HTTP) Close() { h.idle.close() }

func (h *HTTP) roundTrip(ctx context.Context, out gateway.Outbound) (*gateway.Reply, error) {
	buf, _ := h.buffers.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	defer h.buffers.Put(buf)
	secret, err := h.presented.get(ctx, out.For)
	if err != nil {
		return nil, err
	}
	request, rest, err := h.appendRequest((*buf)[:0], out, secret)
	if err != nil {
		return nil, err
	}
	*buf = request
	places, err := h.place(ctx, out.Stream)
	if err != nil {
		return nil, err
	}
	x := &exchange{h: h, ctx: ctx, places: places, stream: out.Stream, owner: out.For.Key}
	if !out.Stream { // a stream's connection is its own, with a small buffer
		x.c = h.idle.take(x.owner, h.calls)
	}
	err = x.attempt(request, rest)
	if err != nil && x.mayRepeat(out.Idempotent) {
		x.c = nil
		err = x.attempt(request, rest)
	}
	if err != nil {
		<-places
		if !x.touched {
			err = gateway.NotSent(err)
		}
		return nil, err
	}
	h.presented.answered(x.head.status, out.For, secret)
	x.reply = gateway.Reply{Status: x.head.status, Header: x.head.header, Body: x}
	return &x.reply, nil
}

// place waits for leave to use a connection; who has it gives it back to the channel that is
// returned.
func (h *HTTP) place(ctx context.Context, stream bool) (chan struct{}, error) {
	places := h.calls
	if stream {
		places = h.streams
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", gateway.ErrNotSent, err)
	}
	select {
	case places <- struct{}{}:
		return places, nil
	default:
	}
	timer := time.NewTimer(h.connectTimeout)
	defer timer.Stop()
	select {
	case places <- struct{}{}:
		return places, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: waiting for a connection: %w", gateway.ErrNotSent, ctx.Err())
	case <-timer.C:
		return nil, fmt.Errorf("%w: all %d connections are busy", gateway.ErrNotSent, cap(places))
	}
}
