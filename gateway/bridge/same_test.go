package bridge

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/gateway"
	"sallyport/gateway/wire"
)

// Nothing of the body changes; the session is the server's, with what the client can be asked.
func TestOlderClientsAreEachInTheirOwnSession(t *testing.T) {
	up := &olderServer{answer: func(k *talk) {
		k.say(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p"}}`)
		k.result(`{"content":[],"got":%s}`, k.ask("elicitation/create", form))
	}}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		ann, ben := r.older("ann", `{"elicitation":{}}`), r.older("ann", `{"elicitation":{}}`)
		a, b := ann.call(`1`, "ask", `{}`, "", `,"progressToken":"p"`), ben.call(`1`, "ask", `{}`, "", "")
		synctest.Wait()
		ann.post(t.Context(), `{"jsonrpc":"2.0","id":"`+a.find(t, "id")+`","result":{"action":"accept","content":{"n":"ann"}}}`).wants(t, "202 ")
		if got := a.text(); !strings.Contains(got, `"id":1,"result":{"content":[],"got":{"action":"accept","content":{"n":"ann"}}}}`) || !strings.Contains(got, `"progressToken":"p"`) {
			t.Errorf("ann got %s", got)
		}
		if b.over() {
			t.Errorf("ben got %s; want him to be waited for", b.text())
		}
		ann.post(t.Context(), `{"jsonrpc":"2.0","id":"`+b.find(t, "id")+`","result":{"action":"accept"}}`).
			wants(t, `400 {"jsonrpc":"2.0","id":"`+b.find(t, "id")+`","error":{"code":-32600,"message":"the response answers no open question"}}`)
		ben.post(t.Context(), `{"jsonrpc":"2.0","id":"`+b.find(t, "id")+`","result":{"action":"decline"}}`).wants(t, "202 ")
		if !strings.Contains(b.text(), `"got":{"action":"decline"}`) {
			t.Errorf("ben got %s", b.text())
		}
		want := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask","arguments":{},"_meta":{"progressToken":"p"}}}`
		if got := up.bodies(); !slices.Contains(got, want) {
			t.Errorf("sent %s; want %s among them", got, want)
		}
		if up.sent[0].Header.Get(wire.HeaderSession) == up.sent[1].Header.Get(wire.HeaderSession) {
			t.Error("both are in one session")
		}
		for _, out := range up.told {
			if text(out.Body, "method") == wire.MethodInitialize && out.For.Key != "" && !strings.Contains(string(out.Body), `"capabilities":{"elicitation":{}}`) {
				t.Errorf("initialize said %s; want what the client can be asked", out.Body)
			}
		}
	})
}

// The server's session is gone, and so nothing was executed: the client does not notice.
func TestLostSessionIsOpenedAgain(t *testing.T) {
	up := &olderServer{whole: true, answer: func(k *talk) { k.result(`{"content":[]}`) }}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		old, modern := r.older("ann", `{}`), r.newer("ann", `{}`)
		for range 3 {
			old.call(`1`, "echo", `{}`, "", "").wants(t, `200 {"jsonrpc":"2.0","id":1,"result":{"content":[]}}`)
			modern.call(`1`, "echo", `{}`, "", "").wants(t, `200 {"jsonrpc":"2.0","id":1,"result":{"content":[],"resultType":"complete"}}`)
			up.forget()
		}
		if n := len(up.bodies()); up.begun != 6 || n != 10 {
			t.Errorf("%d sessions and %d messages; want 6 and 10", up.begun, n)
		}
	})
}

// forgetful forgets every session at once.
type forgetful struct{ olderServer }

func (f *forgetful) Send(ctx context.Context, p *gateway.Permit) (*gateway.Reply, error) {
	f.forget()
	return f.olderServer.Send(ctx, p)
}

func TestServerThatForgetsEverySessionIsTriedTwice(t *testing.T) {
	up := &forgetful{}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		r.older("ann", `{}`).call(`1`, "echo", `{}`, "", "").wants(t, `200 {"jsonrpc":"2.0","id":1,"error":{"code":502,"message":"the server \"files\" cannot be reached"}}`)
		if n := len(up.bodies()); n != 2 {
			t.Errorf("sent %d times; want 2", n)
		}
	})
}

func TestAnswerToALostSessionIsToldSo(t *testing.T) {
	up := &olderServer{answer: func(k *talk) { k.ask("roots/list", `{}`) }}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		c := r.older("ann", `{"roots":{}}`)
		a := c.call(`1`, "ask", `{}`, "", "")
		synctest.Wait()
		up.forget()
		b := c.post(t.Context(), `{"jsonrpc":"2.0","id":"`+a.find(t, "id")+`","result":{"roots":[]}}`).wait()
		if got := b.text(); !strings.HasSuffix(got, `"error":{"code":502,"message":"the server \"files\" cannot be reached"}}`) || strings.HasPrefix(got, "404") {
			t.Errorf("got %s; want a failure, and not that of the client's own session", got)
		}
		a.cancel()
		synctest.Wait()
	})
}

func TestCancelledCallIsCancelledAtAnOlderServer(t *testing.T) {
	up := &olderServer{answer: func(k *talk) { <-k.ctx.Done() }}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		c := r.older("ann", `{}`)
		a := c.call(`"x"`, "ask", `{}`, "", "")
		synctest.Wait()
		c.post(t.Context(), `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x"}}`).wants(t, "202 ")
		if got := up.errands(); !a.over() || got[len(got)-1] != `s1 notifications/cancelled "x"` {
			t.Errorf("over: %v; errands %q; want the last to cancel", a.over(), got)
		}
	})
}

func TestAnsweredCallIsNotCancelled(t *testing.T) {
	for _, whole := range []bool{true, false} {
		up := &olderServer{whole: whole, answer: func(k *talk) { k.result(`{}`) }}
		bubble(t, up, Options{}, func(t *testing.T, r *room) {
			for _, c := range []*caller{r.older("ann", `{}`), r.newer("ann", `{}`)} {
				c.call(`1`, "echo", `{}`, "", "").wait()
			}
			synctest.Wait()
			if got := strings.Join(up.errands(), " "); strings.Contains(got, "cancelled") {
				t.Errorf("errands %q; want none that cancels", got)
			}
		})
	}
}

// Whoever comes while a session is being opened waits for that one.
func TestSessionIsOpenedOnce(t *testing.T) {
	up := &olderServer{whole: true, answer: func(k *talk) { k.result(`{}`) }}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		up.slow = make(chan struct{}) // of this bubble
		c := r.older("ann", `{}`)
		var all []*response
		for i := range 8 {
			all = append(all, c.call(fmt.Sprint(i), "echo", `{}`, "", ""))
		}
		synctest.Wait()
		close(up.slow)
		for i, a := range all {
			a.wants(t, fmt.Sprintf(`200 {"jsonrpc":"2.0","id":%d,"result":{}}`, i))
		}
		if up.begun != 1 {
			t.Errorf("%d sessions; want one", up.begun)
		}
	})
}

func TestServerThatNeverBeginsASessionTimesOut(t *testing.T) {
	up := &olderServer{answer: func(k *talk) { k.result(`{}`) }}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		up.slow = make(chan struct{})
		c := r.older("ann", `{}`)
		a := c.call(`1`, "echo", `{}`, "", "")
		time.Sleep(30 * time.Second)
		a.wants(t, `200 {"jsonrpc":"2.0","id":1,"error":{"code":504,"message":"the server \"files\" did not answer in time"}}`)
		b := c.call(`2`, "echo", `{}`, "", "") // anew
		synctest.Wait()
		close(up.slow)
		synctest.Wait()
		if !b.over() || up.begun != 1 {
			t.Errorf("over: %v, %d sessions; want the second attempt to succeed", b.over(), up.begun)
		}
	})
}

func TestOneClientsRefusedSessionIsNobodyElses(t *testing.T) {
	var bob string
	up := &olderServer{whole: true, answer: func(k *talk) { k.result(`{}`) }, refuses: func(p gateway.Party) bool { return p.Subject == bob }}
	bob = "bob"
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		r.older("bob", `{}`).call(`1`, "echo", `{}`, "", "").wants(t, `200 {"jsonrpc":"2.0","id":1,"error":{"code":502,"message":"the server \"files\" cannot be reached"}}`)
		r.older("ann", `{}`).call(`1`, "echo", `{}`, "", "").wants(t, `200 {"jsonrpc":"2.0","id":1,"result":{}}`)
		bob = ""
		r.newer("bob", `{}`).call(`1`, "echo", `{}`, "", "").wants(t, `200 {"jsonrpc":"2.0","id":1,"result":{"resultType":"complete"}}`)
	})
}

func TestUnknownRevisionOfAServerIsRefused(t *testing.T) {
	up := &olderServer{version: "2031-01-01"}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		r.older("ann", `{}`).call(`1`, "echo", `{}`, "", "").wants(t, `200 {"jsonrpc":"2.0","id":1,"error":{"code":502,"message":"the server \"files\" sent an answer that is not valid"}}`)
	})
}

// The oldest revision came before the header that names it.
func TestOldestRevisionIsNotNamedInAHeader(t *testing.T) {
	up := &olderServer{version: wire.V20241105, whole: true, answer: func(k *talk) { k.result(`{}`) }}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		r.older("ann", `{}`).call(`1`, "echo", `{}`, "", "").wait()
		r.newer("ann", `{}`).call(`1`, "echo", `{}`, "", "").wants(t, `200 {"jsonrpc":"2.0","id":1,"result":{"resultType":"complete"}}`)
		for _, out := range append(up.sent, up.told...) {
			if v, ok := out.Header[wire.HeaderVersion]; ok && v[0] != wire.V20260728 { // which only asks whether it is spoken
				t.Errorf("%s = %q; want none", wire.HeaderVersion, v)
			}
		}
	})
}

// Once a server has chosen a revision, it is told no other, in the gateway's own requests as well.
func TestRevisionThatWasAgreedIsNamedEverywhere(t *testing.T) {
	up := &olderServer{version: wire.V20250618, whole: true, answer: func(k *talk) { k.result(`{}`) }}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		c := r.older("ann", `{}`)
		c.call(`1`, "echo", `{}`, "", "").wait()
		c.do(t.Context(), http.MethodDelete, "").wants(t, "204 ")
		synctest.Wait()
		for _, out := range append(up.sent, up.told...) {
			if v, ok := out.Header[wire.HeaderVersion]; ok && v[0] != wire.V20250618 && v[0] != wire.V20260728 {
				t.Errorf("%s %s names %q; want %s", out.Method, out.Body, v, wire.V20250618)
			}
		}
	})
}

func TestSessionEndsWithItsClients(t *testing.T) {
	up := &olderServer{answer: func(k *talk) { k.ask("elicitation/create", form) }}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		old, modern := r.older("ann", `{}`), r.newer("bob", `{"elicitation":{}}`)
		a := old.call(`1`, "ask", `{}`, "", "")
		synctest.Wait()
		b := modern.call(`1`, "ask", `{}`, "", "")
		synctest.Wait()
		old.do(t.Context(), http.MethodDelete, "").wants(t, "204 ")
		if got := up.errands(); got[len(got)-1] != "s1 DELETE" {
			t.Errorf("errands %q; want the last to end the session", got)
		}
		a.cancel()
		var key string
		for who := range r.link.sessions {
			key = who.key
		}
		r.link.EndClient(key)
		synctest.Wait()
		got := strings.Join(up.errands(), " ")
		if !strings.Contains(got, "s2 notifications/cancelled 2") || !strings.Contains(got, "s2 DELETE") || len(r.link.sessions) != 0 {
			t.Errorf("errands %q; want bob's call cancelled and his session ended", got)
		}
		modern.call(`2`, "ask", `{}`, `,"inputResponses":{"question":{}},"requestState":"`+b.find(t, "requestState")+`"`, "").wants(t, "200 "+unknown(2))
	})
}

// A session is made room for by one that nobody uses, never by one in use.
func TestSessionsAreBounded(t *testing.T) {
	up := &olderServer{answer: func(k *talk) { k.say(`{"jsonrpc":"2.0","method":"notifications/message","params":{}}`); <-k.ctx.Done() }}
	bubble(t, up, Options{MaxSessions: 2}, func(t *testing.T, r *room) {
		a, b := r.older("ann", `{}`), r.older("ben", `{}`)
		one := a.call(`1`, "ask", `{}`, "", "")
		synctest.Wait()
		two := b.call(`1`, "ask", `{}`, "", "")
		synctest.Wait()
		c := r.older("cat", `{}`)
		c.call(`1`, "ask", `{}`, "", "").wants(t, `200 {"jsonrpc":"2.0","id":1,"error":{"code":502,"message":"the server \"files\" cannot be reached"}}`)
		one.cancel()
		synctest.Wait()
		three := c.call(`1`, "ask", `{}`, "", "")
		synctest.Wait()
		if got := strings.Join(up.errands(), " "); !strings.Contains(got, "s1 DELETE") || strings.Contains(got, "s2 DELETE") || three.over() {
			t.Errorf("errands %q; want the first session ended and the third begun", got)
		}
		two.cancel()
		three.cancel()
		synctest.Wait()
		time.Sleep(31 * time.Minute)
		last := r.older("dan", `{}`).call(`1`, "ask", `{}`, "", "")
		synctest.Wait()
		last.cancel()
		synctest.Wait()
		if n := len(r.link.sessions); n != 1 {
			t.Errorf("%d sessions after half an hour; want the unused ones ended", n)
		}
	})
}

// Clients without a session may use the same ids at the same time.
func TestClientsWithoutASessionAreNotMixedUp(t *testing.T) {
	up := &olderServer{answer: func(k *talk) {
		k.say(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}`)
		k.result(`{"for":%s,"got":%s}`, k.id, k.ask("elicitation/create", form))
	}}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		c := &caller{r: r, subject: "ann"}
		a, b := c.call(`1`, "ask", `{}`, "", ""), c.call(`1`, "ask", `{}`, "", "")
		synctest.Wait()
		texts := a.text() + b.text()
		if !strings.Contains(texts, `"id":1,"result":{"for":2,"got":{"code":403`) || !strings.Contains(texts, `"id":1,"result":{"for":3,"got":{"code":403`) {
			t.Errorf("got %s\nand %s; want two answers, and questions refused", a.text(), b.text())
		}
		if diff := cmp.Diff([]string{"initialize", "s1 notifications/initialized"}, up.errands()[:2]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// The policy keeps a question from the client, not from being answered.
func TestQuestionThatThePolicyKeepsBackIsRefusedAtTheServer(t *testing.T) {
	up := &olderServer{answer: func(k *talk) { k.result(`{"got":%s}`, k.ask("roots/list", `{}`)) }}
	bubbleUnder(t, "package mcp.authz\nallow if input.action == \"tools/call\"", up, Options{}, func(t *testing.T, r *room) {
		r.older("ann", `{"roots":{}}`).call(`1`, "ask", `{}`, "", "").
			wants(t, `200 {"jsonrpc":"2.0","id":1,"result":{"got":{"code":403,"message":"refused by the gateway's policy"}}}`)
		if err := r.link.Refuse(t.Context(), "gone", gateway.Party{}, []byte(`1`)); err != nil {
			t.Errorf("a question of a session that has gone: %v; want nothing to do", err)
		}
	})
}

func TestLevelIsSetInOpenSessionsAndInThoseThatFollow(t *testing.T) {
	set := func(c *caller, level string) {
		t.Helper()
		c.post(context.Background(), `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"`+level+`"}}`).wants(t, `200 {"jsonrpc":"2.0","id":1,"result":{}}`)
	}
	old := &olderServer{whole: true, answer: func(k *talk) { k.result(`{}`) }}
	bubble(t, old, Options{}, func(t *testing.T, r *room) {
		ann, bob := r.older("ann", `{}`), r.older("bob", `{}`)
		ann.call(`1`, "echo", `{}`, "", "").wait()
		set(ann, "error")
		set(bob, "debug")
		bob.call(`1`, "echo", `{}`, "", "").wait()
		want := []string{"initialize", "s1 notifications/initialized", "s1 logging/setLevel", "initialize", "s2 notifications/initialized", "s2 logging/setLevel"}
		if diff := cmp.Diff(want, old.errands()); diff != "" {
			t.Errorf("errands (-want +got):\n%s", diff)
		}
	})
	up := &newerServer{answer: func(_ context.Context, _ gateway.Outbound, msg *wire.Message) (*gateway.Reply, error) {
		return replied(msg, `{"resultType":"complete","level":`+string(memberOf(memberOf(msg.Params, "_meta"), metaLevel))+`}`)
	}}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		c := r.older("ann", `{}`)
		set(c, "notice")
		c.call(`1`, "echo", `{}`, "", `,"io.modelcontextprotocol/logLevel":"debug"`).wants(t, `200 {"jsonrpc":"2.0","id":1,"result":{"level":"notice"}}`)
	})
}
