package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"sallyport/gateway"
)

// queue holds messages for one reader.
type queue struct {
	most int64 // bytes that may wait

	mu     sync.Mutex // guards all below
	wake   chan struct{}
	items  [][]byte
	one    [1][]byte // where the first item goes
	bytes  int64
	closed bool // nothing more comes
	last   bool // the newest item is the answer
	err    error
	heard  time.Time
}

func (q *queue) init(most int64, now time.Time) {
	q.most, q.wake, q.heard = most, make(chan struct{}, 1), now
	q.items = q.one[:0]
}

var (
	// errSlowReader ends a queue that nobody reads.
	errSlowReader = fmt.Errorf("%w: messages came faster than the client read them", gateway.ErrTooLarge)
	// errSilent ends a call during which nothing came for too long.
	errSilent = errors.New("the server said nothing")
)

// put adds a message and reports whether it was taken.
func (q *queue) put(raw []byte, answer bool) bool { return q.putAt(raw, answer, time.Now()) }

// putAt is put of what came at a time.
func (q *queue) putAt(raw []byte, answer bool, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.heard = now
	if q.bytes += int64(len(raw)); q.bytes > q.most && len(q.items) > 0 {
		q.closed, q.err = true, errSlowReader
		q.signal()
		return false
	}
	q.items = append(q.items, raw)
	q.closed, q.last = answer, answer
	q.signal()
	return true
}

// fail ends the queue; what is in it can still be read. A nil error is an end as it should be.
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
	q.items[0] = nil
	q.items = q.items[1:]
	q.bytes -= int64(len(raw))
	return raw, q.last && len(q.items) == 0, true, nil
}

// timers are used again: a call would otherwise cost one that never fires.
var timers = sync.Pool{New: func() any {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}}

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
			timer = timers.Get().(*time.Timer)
			timer.Reset(silence)
			defer func() {
				timer.Stop()
				timers.Put(timer)
			}()
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
			return nil, false, fmt.Errorf("%w: %w for %v", gateway.ErrTimeout, errSilent, silence)
		}
	}
}

func (q *queue) silent() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	return time.Since(q.heard)
}
