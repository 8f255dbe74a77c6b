package upstream

import (
	"fmt"
	"sync/atomic"
	"testing"

	"sallyport/gateway"
)

func callOf(who string) gateway.Outbound {
	out := call(who)
	out.For.Key = who
	return out
}

// A server that says one reply too many when the next request is on its way shifts all later answers of the
// connection by one, and clients number their requests alike, so the ids fit: no caller may read another's.
func TestOneReplyTooManyGivesNobodyAnothersAnswer(t *testing.T) {
	rpc := func(of string) string { return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"result":{"of":%q}}`, of) }
	var conns atomic.Int64
	f := newFake(t, func(c *fakeConn) {
		conns.Add(1)
		_, first, more := c.request()
		if !more {
			return
		}
		c.say(ok(rpc(first)))
		for owed := first; ; { // said again, and then each answer comes when the next request is here
			_, body, more := c.request()
			if !more {
				return
			}
			c.say(ok(rpc(owed)))
			owed = body
		}
	})
	h := newHTTP(t, HTTPConfig{URL: f.url})
	defer h.Close()
	for range 3 {
		for _, who := range []string{"ann", "bob", "cyd", "dan"} {
			if got, err := ask(t.Context(), h, callOf(who)); err != nil || got.Body != rpc(who) {
				t.Errorf("%s was answered %s, %v", who, got.Body, err)
			}
		}
	}
	if n := conns.Load(); n != 4 {
		t.Errorf("%d connections for four callers; want one each, used again", n)
	}
}

// Connections of many callers stay within the bound: the oldest of another makes room.
func TestConnectionsOfManyCallersStayWithinTheBound(t *testing.T) {
	f := newFake(t, func(c *fakeConn) {
		for {
			if _, _, more := c.request(); !more {
				return
			}
			c.say(ok(`{}`))
		}
	})
	h := newHTTP(t, HTTPConfig{URL: f.url, MaxConns: 3})
	defer h.Close()
	for i := range 20 {
		if _, err := ask(t.Context(), h, callOf(fmt.Sprint("caller ", i))); err != nil {
			t.Fatal(err)
		}
		if n := h.idleConns(); n > 3 {
			t.Fatalf("%d connections are kept after %d callers; want at most 3", n, i+1)
		}
	}
}
