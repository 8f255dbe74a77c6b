package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	id    int64  // ours
	raw   []byte // the caller's id, as it was sent
	token []byte // the caller's progress token, raw, or nil
	msg   *wire.Message
	peer  *peer // the session it belongs to, or nil
	queue
}

// queue holds messages for one reader.
type queue struct {
	most int64

	mu     sync.Mutex // guards all below
	wake   chan struct{}
	items  [][]byte
	bytes  int64
	closed bool // nothing more comes
	last   bool // the newest item is the answer
	err    error
	heard  time.Time
}

func (q *queue) init(most int64) { q.most, q.wake, q.heard = most, make(chan struct{}, 1), time.Now() }

// errSlowReader ends a queue that nobody reads.
var errSlowReader = errors.New("messages came faster than the client read them")

// put adds a message and reports whether it was taken.
func (q *queue) put(raw []byte, answer bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.heard = time.Now()
	if q.bytes += int64(len(raw)); q.bytes > q.most && len(q.items) > 0 {
		q.closed, q.err = true, fmt.Errorf("%w: %w", gateway.ErrTooLarge, errSlowReader)
		q.signal()
		return false
	}
	q.items = append(q.items, raw)
	q.closed, q.last = answer, answer
	q.signal()
	return true
}

// fail ends the queue; what is in it can still be read.
func (q *queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed, q.err = true, err
		q.signal()
	}
}

// signal must be called with mu held.
func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns the next message, and whether it is the answer. ok is false when there is none
// yet; at the end the error is not nil.
func (q *queue) take() (raw []byte, answer, ok bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		if !q.closed {
			return nil, false, false, nil
		}
		if q.err == nil {
			return nil, false, false, io.EOF
		}
		return nil, false, false, q.err
	}
	raw = q.items[0]
	q.items = q.items[1:]
	q.bytes -= int64(len(raw))
	return raw, q.last && len(q.items) == 0, true, nil
}

// next waits for a message. silence bounds how long nothing may come; 0 is no bound.
func (q *queue) next(ctx context.Context, silence time.Duration) (raw []byte, answer bool, err error) {
	var timer *time.Timer
	var over <-chan time.Time
	for {
		raw, answer, ok, err := q.take()
		if ok || err != nil {
			return raw, answer, err
		}
		if silence > 0 && timer == nil {
			timer = time.NewTimer(silence)
			defer timer.Stop()
			over = timer.C
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		case <-over:
			if left := silence - q.silent(); left > 0 {
				timer.Reset(left)
				continue
			}
			return nil, false, fmt.Errorf("%w: the server said nothing for %v", gateway.ErrTimeout, silence)
		}
	}
}

func (q *queue) silent() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	return time.Since(q.heard)
}

// await turns what the program says about a call into a reply: one body where the answer comes
// first, a stream of events otherwise.
func (c *asking) await(ctx context.Context) (*gateway.Reply, error) {
	silence := c.p.s.cfg.CallTimeout
	endless := c.msg.Method == wire.MethodListen
	if endless {
		silence = 0
	}
	first, answer, err := c.next(ctx, silence)
	if err != nil {
		c.abandon("the call was given up")
		return nil, err
	}
	if answer && !endless {
		return jsonReply(http.StatusOK, first), nil
	}
	return &gateway.Reply{Status: http.StatusOK, Header: gateway.ReplyHeader{ContentType: "text/event-stream"},
		Body: &eventBody{ctx: ctx, q: &c.queue, silence: silence, rest: wire.AppendEvent(nil, first), done: answer,
			close: func() { c.abandon("the client has gone") }}}, nil
}

// abandon forgets a call that nobody waits for, and tells the program.
func (c *asking) abandon(why string) {
	c.p.mu.Lock()
	_, open := c.p.calls[c.id]
	delete(c.p.calls, c.id)
	c.p.used = time.Now()
	c.p.mu.Unlock()
	c.fail(errors.New(why))
	if open {
		go func() { _ = c.p.cancel(c.id) }() // it may be what the program is too slow for
	}
}

// eventBody is a queue as a stream of events.
type eventBody struct {
	ctx     context.Context
	q       *queue
	silence time.Duration
	close   func()

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
	b.closing.Do(b.close)
	return nil
}

// wholeBody is a body of known length.
type wholeBody struct{ *bytes.Reader }

func (b wholeBody) Close() error { return nil }

// Len is how many bytes are unread.
func (b wholeBody) Len() int64 { return int64(b.Reader.Len()) }

func jsonReply(status int, body []byte) *gateway.Reply {
	return &gateway.Reply{Status: status, Header: gateway.ReplyHeader{ContentType: "application/json"}, Body: wholeBody{bytes.NewReader(body)}}
}

func accepted() *gateway.Reply { return &gateway.Reply{Status: http.StatusAccepted, Body: http.NoBody} }
