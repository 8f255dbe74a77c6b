package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"sallyport/gateway/wire"
)

const (
	// drainTime is how long requests may take after their client has said its last word.
	drainTime = 10 * time.Second
	// partTime is how long the farewell to the gateway may take.
	partTime = 2 * time.Second
	// sendTime is how long a cancellation waits for its request to be sent.
	sendTime = 5 * time.Second
	// greetTime is how long what follows initialize waits for its answer, which may have to wait
	// for programs to start.
	greetTime = time.Minute
	// maxOpen bounds the requests of a client that are under way.
	maxOpen = 1024
)

// client is one client while it is served.
type client struct {
	s   *Shim
	out *writer

	fatal   chan error      // the first request came to nothing
	running context.Context // until the client is done with; of streams that no request began
	stop    context.CancelCauseFunc
	working sync.WaitGroup

	mu      sync.Mutex // guards what follows
	open    map[string]*request
	legacy  legacy
	version string // of the newest message of the newer era
	// bindings are the arguments of tools that travel in headers too, as the lists said that the
	// client has seen.
	bindings map[string][]wire.HeaderBinding
}

// request is one that is under way.
type request struct {
	m      *message
	cancel context.CancelCauseFunc
	sent   chan struct{} // closed when it is on its way, or will never be
	done   chan struct{} // closed when it is answered, or will never be
	once   sync.Once
}

func newClient(s *Shim, out io.Writer) *client {
	c := &client{s: s, fatal: make(chan error, 1), open: map[string]*request{}, bindings: map[string][]wire.HeaderBinding{}}
	c.out = &writer{w: out, broken: func(err error) { c.stop(fmt.Errorf("write to the client: %w", err)) }}
	return c
}

// Causes with which a client's requests end.
var (
	errCancelled = errors.New("cancelled by the client")
	errParted    = errors.New("the client has gone")
)

func (c *client) serve(ctx context.Context, in io.Reader) error {
	running, stop := context.WithCancelCause(ctx)
	c.running, c.stop = running, stop
	defer stop(nil)
	lines := make(chan line)
	go readLines(in, c.s.maxLine, lines, running.Done())
	err := c.follow(running, lines)
	if err == nil {
		c.drain(running)
		err = c.failed() // of requests that the input has not waited for
	}
	stop(errParted)
	c.settle(partTime)
	c.part(ctx)
	if ended := c.s.tokens.end(); err == nil && ended != nil {
		return ended
	}
	return err
}

// follow handles lines until there are no more.
func (c *client) follow(ctx context.Context, lines <-chan line) error {
	for {
		select {
		case l, more := <-lines:
			if !more {
				return nil
			}
			c.line(ctx, l)
		case err := <-c.fatal:
			return c.fail(err)
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *client) fail(err error) error {
	c.s.log.Error(err.Error())
	return fmt.Errorf("%w: %w", ErrStart, err)
}

// failed returns the failure at the start that nobody has looked at yet, or nil.
func (c *client) failed() error {
	select {
	case err := <-c.fatal:
		return c.fail(err)
	default:
		return nil
	}
}

func (c *client) line(ctx context.Context, l line) {
	if l.long {
		c.refuse(l.id(), &rpcError{http.StatusRequestEntityTooLarge, fmt.Sprintf("the message is over the limit of %d bytes", c.s.maxLine)})
		return
	}
	m, bad := readMessage(l.text)
	switch {
	case bad != nil:
		c.refuse(nil, bad)
	case m.kind == wire.Request:
		c.begin(ctx, m)
	case m.method == wire.NotifyCancelled && c.cancel(ctx, m.cancels):
	default:
		c.tell(ctx, m)
	}
}

// begin starts a request.
func (c *client) begin(ctx context.Context, m *message) {
	ctx, cancel := context.WithCancelCause(ctx)
	r := &request{m: m, cancel: cancel, sent: make(chan struct{}), done: make(chan struct{})}
	if bad := c.enter(r); bad != nil {
		cancel(nil)
		c.refuse(m.id, bad)
		return
	}
	c.working.Go(func() {
		defer close(r.done)
		defer cancel(nil)
		err := c.answer(ctx, r)
		r.onItsWay()
		c.leave(m)
		switch {
		case err == nil, errors.Is(context.Cause(ctx), errCancelled), errors.Is(context.Cause(ctx), errParted):
			// Answered, or nobody waits: to a cancelled request there is no answer.
		default:
			c.refuse(m.id, c.words(err))
		}
		if first, ok := errors.AsType[*startError](err); ok {
			select {
			case c.fatal <- first.err:
			default:
			}
		}
	})
	if m.method == wire.MethodInitialize {
		c.greeted(ctx, r)
	}
}

// greeted waits for the answer to initialize: what a client sends behind it, without waiting
// itself, belongs to the session that the answer opens.
func (c *client) greeted(ctx context.Context, r *request) {
	late := time.NewTimer(greetTime)
	defer late.Stop()
	select {
	case <-r.done:
	case <-ctx.Done():
	case <-late.C:
	}
}

func (c *client) enter(r *request) *rpcError {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.m.version != "" {
		c.version = r.m.version
	}
	key := string(r.m.id)
	switch {
	case c.open[key] != nil:
		return &rpcError{wire.RPCInvalidRequest, "invalid request: a request with this id is still under way"}
	case len(c.open) >= maxOpen:
		return &rpcError{http.StatusTooManyRequests, fmt.Sprintf("%d requests are under way already", maxOpen)}
	}
	c.open[key] = r
	return nil
}

// leave makes the id free again. It comes before the answer: with that the client may use the id.
func (c *client) leave(m *message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.open[string(m.id)]; r != nil && r.m == m {
		delete(c.open, string(m.id))
	}
}

func (r *request) onItsWay() { r.once.Do(func() { close(r.sent) }) }

// cancel ends a request of the newer era by ending its HTTP request, and reports whether it was
// one. In the older era the notification itself is sent; it must not overtake the request.
func (c *client) cancel(ctx context.Context, id []byte) bool {
	c.mu.Lock()
	r := c.open[string(id)]
	modern := r == nil && c.version != "" && c.legacy.session == ""
	c.mu.Unlock()
	switch {
	case r == nil:
		return modern // answered already: nothing is left to end
	case r.m.version != "":
		r.cancel(errCancelled)
		return true
	}
	late := time.NewTimer(sendTime)
	defer late.Stop()
	select {
	case <-r.sent:
	case <-ctx.Done():
	case <-late.C: // it still waits for a token, or a connection: it need not be sent at all
		r.cancel(errCancelled)
		return true
	}
	return false
}

// tell sends what has no answer: a notification, or the answer to a question of the server. It is
// waited for, so that they arrive in order.
func (c *client) tell(ctx context.Context, m *message) {
	ctx, cancel := context.WithTimeout(ctx, shortTimeout)
	defer cancel()
	err := c.send(ctx, m)
	if err != nil && ctx.Err() == nil && c.s.tokens.end() == nil {
		c.s.log.Warn("message without an answer not delivered", "method", m.method, "error", err)
	}
	if m.method == wire.NotifyInitialized && err == nil {
		c.listen()
	}
}

// startError is a failure before anything has worked.
type startError struct{ err error }

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// ready makes sure that there is a gateway and a token.
func (c *client) ready(ctx context.Context) error {
	err := c.s.start(ctx)
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrEnded) {
		return err
	}
	return &startError{err}
}

func (c *client) send(ctx context.Context, m *message) error {
	if err := c.ready(ctx); err != nil {
		return err
	}
	h, bad := c.headers(m)
	if bad != nil {
		return bad
	}
	resp, err := c.s.do(ctx, http.MethodPost, m.raw, h)
	if err != nil {
		return err
	}
	discard(resp)
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("the gateway answers %s", status(resp.StatusCode))
	}
	return nil
}

// headers are those of a message, as its era wants them.
func (c *client) headers(m *message) (http.Header, *rpcError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.version != "" {
		return m.modernHeaders(c.bindings[m.name])
	}
	h := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
	if m.method != wire.MethodInitialize {
		c.legacy.mark(h, c.version)
	}
	return h, nil
}

// drain lets requests end after the client's last word. Subscriptions never would.
func (c *client) drain(ctx context.Context) {
	c.mu.Lock()
	if c.legacy.deaf != nil {
		c.legacy.deaf()
	}
	for _, r := range c.open {
		if r.m.method == wire.MethodListen {
			r.cancel(errParted)
		}
	}
	c.mu.Unlock()
	if ctx.Err() == nil {
		c.settle(drainTime)
	}
}

// settle waits for what is under way, for a while. A client that has stopped reading keeps its
// answers from being written, and must not keep us.
func (c *client) settle(atMost time.Duration) {
	done := make(chan struct{})
	go func() { c.working.Wait(); close(done) }()
	t := time.NewTimer(atMost)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// refuse answers a request in the gateway's stead. Without an id it is an error that answers
// nothing in particular.
func (c *client) refuse(id []byte, e *rpcError) {
	c.out.line(wire.AppendError(nil, id, e.code, e.text, nil))
}

// words are what a client is told of a failure.
func (c *client) words(err error) *rpcError {
	if e, ok := errors.AsType[*rpcError](err); ok {
		return e
	}
	switch {
	case errors.Is(err, ErrEnded):
		return &rpcError{http.StatusUnauthorized, err.Error()}
	case errors.Is(err, errRefused):
		return &rpcError{http.StatusUnauthorized, err.Error()}
	default:
		return &rpcError{http.StatusBadGateway, "sallyport connect: " + err.Error()}
	}
}
