package shim

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"sallyport/gateway/wire"
)

const (
	firstPause  = time.Second
	longPause   = 30 * time.Second
	maxResumes  = 100 // of one stream
	longestWait = time.Minute
)

// place is how far a stream has been read.
type place struct {
	id    string // of the last event that had one
	retry time.Duration
	tries int
}

func (p *place) note(ev wire.Event) {
	if ev.HasID {
		p.id = ev.ID
	}
	if d, ok := retryOf(ev.Raw); ok {
		p.retry = d
	}
}

func (p *place) canResume() bool { return p.id != "" && p.tries < maxResumes }

// pause is how long the server wants to be left alone.
func (p *place) pause() time.Duration { return min(p.retry, longestWait) }

// retryOf reads a retry field, in milliseconds.
func retryOf(event []byte) (time.Duration, bool) {
	for l := range strings.Lines(string(event)) {
		value, ok := strings.CutPrefix(strings.TrimRight(l, "\r\n"), "retry:")
		if !ok {
			continue
		}
		if d, err := time.ParseDuration(strings.TrimSpace(value) + "ms"); err == nil && d >= 0 {
			return d, true
		}
	}
	return 0, false
}

// listen follows what the gateway says by itself in the older era, from now on.
func (c *client) listen() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.legacy.deaf != nil {
		c.legacy.deaf()
	}
	ctx, deaf := context.WithCancel(c.running)
	c.legacy.deaf = deaf
	session := c.legacy.session
	c.working.Go(func() {
		defer deaf()
		c.hear(ctx, session)
	})
}

// hear keeps a stream open until ctx ends or there is none to be had.
func (c *client) hear(ctx context.Context, session string) {
	deliver := func(data []byte) (bool, error) {
		if _, err := c.deliver(nil, "", data); err != nil {
			c.s.log.Warn("message left out", "error", err)
		}
		return false, nil
	}
	var at place
	pause := firstPause
	for ctx.Err() == nil {
		resp, err := c.resume(ctx, at)
		switch {
		case errors.Is(err, ErrEnded):
			return
		case err != nil: // it may pass
		case resp.StatusCode == http.StatusNotFound && session != "":
			discard(resp)
			if c.reopen(ctx, session) == nil {
				return // with a stream of its own
			}
		case resp.StatusCode == http.StatusOK && mediaType(resp.Header) == "text/event-stream":
			pause = firstPause
			stop := context.AfterFunc(ctx, func() { _ = resp.Body.Close() })
			_, _ = c.events(resp.Body, &at, deliver)
			stop()
			_ = resp.Body.Close()
		default:
			discard(resp)
			if resp.StatusCode < http.StatusInternalServerError && resp.StatusCode != http.StatusTooManyRequests {
				return // no such stream here, says the gateway
			}
		}
		wait(ctx, max(pause, at.pause()))
		pause = min(2*pause, longPause)
	}
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
