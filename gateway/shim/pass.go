package shim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"

	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// traced calls f when a request made with the context has been written.
func traced(ctx context.Context, f func()) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { f() }})
}

// errCut is a stream that ended before the answer came.
var errCut = errors.New("the connection ended before the answer came; whether the call was carried out is not known")

// pass gives the client what resp holds, up to the answer to m.
func (c *client) pass(ctx context.Context, m *message, resp *http.Response) error {
	session := resp.Header.Get(wire.HeaderSession)
	deliver := func(data []byte) (bool, error) { return c.deliver(m, session, data) }
	switch mediaType(resp.Header) {
	case "application/json":
		defer func() { _ = resp.Body.Close() }()
		return c.passWhole(resp, deliver)
	case "text/event-stream":
		return c.passStream(ctx, m, resp, deliver)
	}
	defer discard(resp)
	switch {
	case resp.StatusCode == http.StatusAccepted:
		return errors.New("the gateway took the request for a notification")
	case mediaType(resp.Header) == "text/plain": // a refusal in the gateway's own words
		words, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		return fmt.Errorf("the gateway answers %s: %q", status(resp.StatusCode), bytes.TrimSpace(words))
	}
	return fmt.Errorf("the gateway answers %s with %s", status(resp.StatusCode), kindOf(resp.Header))
}

func (c *client) passWhole(resp *http.Response, deliver func([]byte) (bool, error)) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(c.s.maxAnswer)+1))
	switch {
	case err != nil:
		return errCut
	case len(body) > c.s.maxAnswer:
		return c.tooLarge()
	}
	answered, err := deliver(body)
	if err == nil && !answered {
		err = fmt.Errorf("the gateway answers %s with the answer to another request", status(resp.StatusCode))
	}
	return err
}

func (c *client) tooLarge() error {
	return fmt.Errorf("the answer is over the limit of %d bytes", c.s.maxAnswer)
}

// passStream passes events on. In the older era a server may end a stream and have the rest asked
// for (MCP 2025-11-25, Streamable HTTP, "Sending Messages to the Server").
func (c *client) passStream(ctx context.Context, m *message, resp *http.Response, deliver func([]byte) (bool, error)) error {
	var at place
	for {
		answered, err := c.events(resp.Body, &at, deliver)
		_ = resp.Body.Close()
		switch {
		case answered || err != nil && !errors.Is(err, errCut):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case m.version != "" || !at.canResume():
			return errCut
		}
		wait(ctx, at.pause())
		if resp, err = c.resume(ctx, at); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK || mediaType(resp.Header) != "text/event-stream" {
			discard(resp)
			return errCut
		}
		at.tries++
	}
}

// resume asks for what follows an event.
func (c *client) resume(ctx context.Context, at place) (*http.Response, error) {
	h := http.Header{"Accept": {"text/event-stream"}}
	if at.id != "" {
		h[wire.HeaderLastEventID] = []string{at.id}
	}
	c.mu.Lock()
	c.legacy.mark(h, "")
	c.mu.Unlock()
	return c.s.do(ctx, http.MethodGet, nil, h)
}

// events delivers the events of a stream, until one is the answer. The error is errCut where the
// stream ended first.
func (c *client) events(body io.Reader, at *place, deliver func([]byte) (bool, error)) (bool, error) {
	events := wire.NewEventReader(body, c.s.maxAnswer)
	for {
		ev, err := events.Next()
		switch {
		case errors.Is(err, wire.ErrEventTooLarge):
			return false, c.tooLarge()
		case err != nil || ev.Incomplete:
			return false, errCut
		}
		at.note(ev)
		if len(bytes.TrimSpace(ev.Data)) == 0 {
			continue // a priming event, or a sign of life
		}
		if answered, err := deliver(ev.Data); answered || err != nil {
			return answered, err
		}
	}
}

// deliver passes one message on and reports whether it answers m, which may be nil. What it says that concerns how
// further messages travel is noted before the client knows it.
func (c *client) deliver(m *message, session string, data []byte) (bool, error) {
	reply, err := wire.DecodeReply(data, wire.Limits{})
	if err != nil {
		return false, fmt.Errorf("the gateway's answer is not a JSON-RPC message: %w", err)
	}
	if reply.Kind != wire.Response {
		c.out.line(data)
		return false, nil
	}
	switch {
	case m == nil: // nobody waits on this stream
	case reply.ID != nil && strictjson.Equal(reply.ID, m.id):
		c.learn(m, session, reply)
		c.leave(m)
		c.out.line(data)
		return true, nil
	case reply.ID == nil && reply.Error != nil:
		// The gateway could not tell which request it refused; here there is but one.
		c.leave(m)
		c.out.line(fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"error":%s}`, m.id, reply.Error))
		return true, nil
	}
	c.s.log.Warn("left out the answer to a request that is not under way here")
	return false, nil
}

// learn reads from an answer how later messages travel.
func (c *client) learn(m *message, session string, reply *wire.Reply) {
	if reply.Result == nil {
		return
	}
	switch {
	case m.method == wire.MethodInitialize && m.version == "":
		c.opened(m, session, text(find(reply.Result, "protocolVersion")))
	case m.method == wire.MethodToolsList && m.version != "":
		c.bind(find(reply.Result, "tools"))
	}
}

// bind notes which arguments travel in headers (MCP 2026-07-28, Streamable HTTP, "Client
// Behavior").
func (c *client) bind(tools []byte) {
	if len(tools) == 0 || tools[0] != '[' {
		return
	}
	spans, err := strictjson.Array(tools)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, span := range spans {
		tool := span.Of(tools)
		bindings, err := wire.HeaderBindings(find(tool, "inputSchema"))
		if name := text(find(tool, "name")); err == nil && name != "" {
			c.bindings[name] = bindings
		}
	}
}
