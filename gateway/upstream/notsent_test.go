package upstream

import (
	"context"
	"errors"
	"testing"

	"sallyport/gateway"
)

// A grant gets its call back for ErrNotSent, so nothing may say so once a byte has gone out.
func TestOnlyWhatNeverLeftIsCalledNotSent(t *testing.T) {
	silent := newFake(t, func(c *fakeConn) { c.request() }) // takes the request and hangs up
	f := newFake(t, func(c *fakeConn) {})
	gone := f.url
	f.close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		url  string
		ctx  context.Context
		want bool
	}{
		"nobody listens":       {gone, t.Context(), true},
		"ended before":         {silent.url, ended, true},
		"closed after request": {silent.url, t.Context(), false},
	} {
		_, err := ask(tt.ctx, newHTTP(t, HTTPConfig{URL: tt.url}), call("{}"))
		if got := errors.Is(err, gateway.ErrNotSent); got != tt.want || !errors.Is(err, gateway.ErrUnreachable) {
			t.Errorf("%s: error %v; not sent: %v, want %v", name, err, got, tt.want)
		}
	}
}

// A request that went out once and could not be repeated was sent.
func TestARepetitionThatFailsWasSent(t *testing.T) {
	var f *fake
	f = newFake(t, func(c *fakeConn) {
		if _, body, more := c.request(); more {
			c.say(ok(body))
			c.request()
			f.close() // the second request is read, and the connection for a third refused
		}
	})
	h := newHTTP(t, HTTPConfig{URL: f.url})
	out := call("{}")
	out.Idempotent = true
	if _, err := ask(t.Context(), h, out); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t.Context(), h, out); err == nil || errors.Is(err, gateway.ErrNotSent) {
		t.Errorf("error %v; want one that does not say that nothing was sent", err)
	}
}
