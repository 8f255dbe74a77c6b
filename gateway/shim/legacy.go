package shim

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"

	"sallyport/gateway/wire"
)

// legacy is what a client of the older era has at the gateway. It is guarded by client.mu.
type legacy struct {
	session string // Mcp-Session-Id; "" before initialize, or where the gateway keeps none
	version string // the revision agreed on
	init    *message
	deaf    context.CancelFunc // ends the stream of what the gateway says by itself; nil without one

	reopening sync.Mutex // not guarded: held while a new session is opened
}

// mark adds what names the session.
func (l *legacy) mark(h http.Header, modern string) {
	if l.session != "" {
		h[wire.HeaderSession] = []string{l.session}
	}
	switch {
	case l.version != "":
		h[wire.HeaderVersion] = []string{l.version}
	case modern != "":
		h[wire.HeaderVersion] = []string{modern} // a notification of the newer era need not name it
	}
}

// answer sends a request and passes on what comes back, up to its answer.
func (c *client) answer(ctx context.Context, r *request) error {
	if err := c.ready(ctx); err != nil {
		return err
	}
	for again := true; ; again = false {
		c.mu.Lock()
		session := c.legacy.session
		if r.m.method == wire.MethodInitialize && r.m.version == "" {
			session = ""
		}
		c.mu.Unlock()
		h, bad := c.headers(r.m)
		if bad != nil {
			return bad
		}
		resp, err := c.s.do(traced(ctx, r.onItsWay), http.MethodPost, r.m.raw, h)
		if err != nil {
			return err
		}
		if again && resp.StatusCode == http.StatusNotFound && session != "" && r.m.version == "" {
			discard(resp) // refused before anything was done
			if err := c.reopen(ctx, session); err != nil {
				return err
			}
			continue
		}
		err = c.pass(ctx, r.m, resp)
		if errors.Is(err, errCut) { // with its grant a call is cut off; then that is what to say
			err = cmp.Or(c.s.tokens.alive(ctx), err)
		}
		return err
	}
}

// opened notes what initialize has brought.
func (c *client) opened(m *message, session, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.legacy.init, c.legacy.session, c.legacy.version = m, session, version
}

// reopen opens a session in place of one that the gateway no longer knows, after a restart say,
// with the client's own initialize. The client need not notice; what it had subscribed to or set
// in the old one is gone.
func (c *client) reopen(ctx context.Context, gone string) error {
	c.legacy.reopening.Lock()
	defer c.legacy.reopening.Unlock()
	c.mu.Lock()
	init, now := c.legacy.init, c.legacy.session
	c.mu.Unlock()
	if now != gone { // somebody else has
		return nil
	}
	c.s.log.Warn("the gateway has forgotten the session; opening another")
	h, _ := c.headers(init) // of the older era, which has no such error
	resp, err := c.s.do(ctx, http.MethodPost, init.raw, h)
	if err != nil {
		return err
	}
	quiet := &client{s: c.s, out: &writer{w: nowhere{}}}
	if err := quiet.pass(ctx, init, resp); err != nil {
		return err
	}
	c.opened(init, quiet.legacy.session, quiet.legacy.version)
	note := &message{raw: []byte(`{"jsonrpc":"2.0","method":"` + wire.NotifyInitialized + `"}`), kind: wire.Notification, method: wire.NotifyInitialized}
	if err := c.send(ctx, note); err != nil {
		return err
	}
	c.listen()
	return nil
}

// nowhere takes what the client has heard before.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// part ends the session, also after ctx has ended.
func (c *client) part(ctx context.Context) {
	c.mu.Lock()
	session := c.legacy.session
	h := http.Header{}
	c.legacy.mark(h, "")
	c.mu.Unlock()
	if session == "" || c.s.tokens.end() != nil { // the gateway ended it with the grant
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), partTime)
	defer cancel()
	if resp, err := c.s.do(ctx, http.MethodDelete, nil, h); err == nil {
		discard(resp)
	}
}
