package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/wire"
)

// asking is a request that the program has not answered yet. Its messages wait here until who asked
// reads them; whoever delivers never waits.
type asking struct {
	p     *process
	id    int64 // ours
	msg   *wire.Message
	peer  *peer // the session it belongs to, or nil
	began time.Time
	// passes says that the answer goes to the gateway as it is, which checks it as it does every
	// answer: it need not be checked here before.
	passes bool
	// then, where it is set, is told whether the answer is a result; nobody waits for it.
	then   func(result bool)
	status int // of the answer; written before it is put
	queue
}

// endless reports whether the request stays open until one side ends it.
func (c *asking) endless() bool { return c.msg.Method == wire.MethodListen }

// await turns what the program says about a call into a reply: one body where the answer comes
// first, a stream of events otherwise.
func (c *asking) await(ctx context.Context) (*gateway.Reply, error) {
	silence := c.p.s.cfg.CallTimeout
	if c.endless() {
		silence = 0
	}
	first, answer, err := c.next(ctx, silence)
	if err != nil {
		c.abandon(err)
		return nil, err
	}
	if answer && (!c.endless() || c.status != http.StatusOK) {
		return jsonReply(c.status, first), nil
	}
	return &gateway.Reply{Status: http.StatusOK, Header: gateway.ReplyHeader{ContentType: "text/event-stream"},
		Body: &eventBody{ctx: ctx, q: &c.queue, silence: silence, rest: wire.AppendEvent(nil, first), done: answer, close: c.abandon}}, nil
}

// abandon forgets a call that nobody waits for, and tells the program.
func (c *asking) abandon(err error) {
	if !c.forget() {
		return
	}
	c.fail(errAbandoned)
	if errors.Is(err, errSilent) {
		c.p.wasSilent(c.began)
	}
	c.p.cancel(c.id)
}

var errAbandoned = errors.New("the call was given up")

// forget reports whether the call was still open.
func (c *asking) forget() bool {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	_, open := c.p.calls[c.id]
	delete(c.p.calls, c.id)
	c.p.used = time.Now()
	return open
}

// eventBody is a queue as a stream of events.
type eventBody struct {
	ctx     context.Context
	q       *queue
	silence time.Duration
	close   func(error) // with why the stream ended, if it did; called once

	mu   sync.Mutex // guards all below; a Read waits with it held
	rest []byte
	done bool // the answer is in rest or has been read

	closing sync.Once
}

func (b *eventBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.rest) == 0 {
		if b.done {
			return 0, io.EOF
		}
		raw, answer, err := b.q.next(b.ctx, b.silence)
		if err != nil {
			b.closing.Do(func() { b.close(err) })
			return 0, err
		}
		b.rest, b.done = wire.AppendEvent(nil, raw), answer
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Close gives up what has not been read.
func (b *eventBody) Close() error {
	b.closing.Do(func() { b.close(nil) })
	return nil
}

// wholeBody is a body of known length.
type wholeBody struct{ bytes.Reader }

func (b *wholeBody) Close() error { return nil }

// Len is how many bytes are unread.
func (b *wholeBody) Len() int64 { return int64(b.Reader.Len()) }

func jsonReply(status int, body []byte) *gateway.Reply {
	whole := &wholeBody{}
	whole.Reset(body)
	return &gateway.Reply{Status: status, Header: gateway.ReplyHeader{ContentType: "application/json"}, Body: whole}
}

func accepted() *gateway.Reply { return &gateway.Reply{Status: http.StatusAccepted, Body: http.NoBody} }
