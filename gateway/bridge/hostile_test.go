package bridge

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"sallyport/gateway"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// What an older server may send instead of an answer, and what a newer client is told.
func TestHostileOlderServerHarmsItsOwnCallOnly(t *testing.T) {
	const bad = `200 {"jsonrpc":"2.0","id":1,"error":{"code":502,"message":"the server \"files\" sent an answer that is not valid"}}`
	const good = `200 {"jsonrpc":"2.0","id":1,"result":{"resultType":"complete"}}`
	for what, tt := range map[string]struct {
		answer func(*talk)
		want   string
	}{
		"garbage":                  {func(k *talk) { k.say(`{"jsonrpc":`) }, bad},
		"two meanings":             {func(k *talk) { k.say(`{"jsonrpc":"2.0","id":%s,"result":{},"ID":9}`, k.id) }, bad},
		"somebody else's id":       {func(k *talk) { k.say(`{"jsonrpc":"2.0","id":77,"result":{"not":"yours"}}`) }, bad},
		"the client's own id":      {func(k *talk) { k.say(`{"jsonrpc":"2.0","id":1,"result":{}}`) }, bad},
		"a result that is a list":  {func(k *talk) { k.result(`[]`) }, bad},
		"a result of the newer":    {func(k *talk) { k.result(`{"resultType":"input_required","requestState":"x"}`) }, bad},
		"nothing":                  {func(*talk) {}, bad},
		"two answers":              {func(k *talk) { k.result(`{}`); k.result(`{"second":1}`) }, good},
		"garbage after the answer": {func(k *talk) { k.result(`{}`); k.say(`{`) }, good},
		"a question after it":      {func(k *talk) { k.result(`{}`); k.say(`{"jsonrpc":"2.0","id":5,"method":"roots/list"}`) }, good},
		"an error without an id":   {func(k *talk) { k.say(`{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}`) }, `200 {"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}`},
		"too much":                 {func(k *talk) { k.result(`{"x":%q}`, strings.Repeat("x", 1<<12)) }, `200 {"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"the answer of the server \"files\" was over the size limit"}],"isError":true,"resultType":"complete"}}`},
	} {
		for _, whole := range []bool{false, true} {
			if whole && (strings.Contains(what, "after") || what == "two answers") {
				continue // one body is one message
			}
			t.Run(fmt.Sprintf("%s/%v", what, whole), func(t *testing.T) {
				up := &olderServer{answer: tt.answer, whole: whole}
				bubble(t, up, Options{Limits: wire.Limits{Bytes: 1 << 10}}, func(t *testing.T, r *room) {
					r.newer("ann", `{"roots":{}}`).call(`1`, "ask", `{}`, "", "").wants(t, tt.want)
				})
			})
		}
	}
}

func TestHostileNewerServerHarmsItsOwnCallOnly(t *testing.T) {
	const bad = `200 {"jsonrpc":"2.0","id":1,"error":{"code":502,"message":"the server \"files\" sent an answer that is not valid"}}`
	for what, tt := range map[string]struct {
		answer func(id string) (*gateway.Reply, error)
		want   string
	}{
		"garbage":            {func(string) (*gateway.Reply, error) { return streamed(`{`) }, bad},
		"somebody else's id": {func(string) (*gateway.Reply, error) { return streamed(`{"jsonrpc":"2.0","id":1,"result":{}}`) }, bad},
		"somebody else's input": {func(string) (*gateway.Reply, error) {
			return streamed(`{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{}}}`)
		}, bad},
		"a question": {func(string) (*gateway.Reply, error) {
			return streamed(`{"jsonrpc":"2.0","id":5,"method":"roots/list"}`)
		}, bad},
		"nothing": {func(string) (*gateway.Reply, error) { return streamed() }, bad},
		"two answers": {func(id string) (*gateway.Reply, error) {
			return streamed(`{"jsonrpc":"2.0","id":`+id+`,"result":{}}`, `{"jsonrpc":"2.0","id":`+id+`,"result":{"second":1}}`)
		}, `200 {"jsonrpc":"2.0","id":1,"result":{}}`},
		"another kind of result": {func(id string) (*gateway.Reply, error) {
			return streamed(`{"jsonrpc":"2.0","id":` + id + `,"result":{"resultType":"later"}}`)
		}, `200 {"jsonrpc":"2.0","id":1,"error":{"code":502,"message":"the server \"files\" cannot be reached"}}`},
		"no content": {func(string) (*gateway.Reply, error) { return accepted(), nil }, bad},
		"a redirect": {func(string) (*gateway.Reply, error) { return jsonOf(302, []byte(`{}`)), nil }, bad},
		"its own refusal": {func(string) (*gateway.Reply, error) {
			return &gateway.Reply{Status: 401, Body: io.NopCloser(strings.NewReader("who are you"))}, nil
		}, `200 {"jsonrpc":"2.0","id":1,"error":{"code":502,"message":"the server \"files\" cannot be reached"}}`},
		"an unknown method": {func(id string) (*gateway.Reply, error) {
			return jsonOf(404, []byte(`{"jsonrpc":"2.0","id":`+id+`,"error":{"code":-32601,"message":"no"}}`)), nil
		}, `200 {"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}`},
	} {
		t.Run(what, func(t *testing.T) {
			up := &newerServer{answer: func(_ context.Context, _ gateway.Outbound, msg *wire.Message) (*gateway.Reply, error) {
				return tt.answer(string(msg.ID))
			}}
			bubble(t, up, Options{}, func(t *testing.T, r *room) {
				r.older("ann", `{"roots":{}}`).call(`1`, "ask", `{}`, "", "").wants(t, tt.want)
			})
		})
	}
}

// A permit that is spent or empty, and a link that is closed, send nothing.
func TestEmptyPermitAndClosedLinkSendNothing(t *testing.T) {
	up := &olderServer{answer: func(k *talk) { k.result(`{}`) }}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		for _, p := range []*gateway.Permit{nil, {}} {
			if _, err := r.link.Send(t.Context(), p); err == nil {
				t.Error("an empty permit was taken")
			}
		}
		c := r.older("ann", `{}`)
		r.link.Close()
		c.call(`1`, "ask", `{}`, "", "").wants(t, `200 {"jsonrpc":"2.0","id":1,"error":{"code":502,"message":"the server \"files\" cannot be reached"}}`)
		if n := len(up.bodies()); n != 0 {
			t.Errorf("the server got %d messages; want none", n)
		}
	})
	if _, err := New(up, Options{}).Ask(t.Context(), gateway.Errand{}); err != nil {
		t.Errorf("errand: %v; want it passed on", err)
	}
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	up := &olderServer{answer: func(k *talk) { k.ask("elicitation/create", form) }}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		a := r.newer("ann", `{"elicitation":{}}`).call(`1`, "ask", `{}`, "", "")
		synctest.Wait()
		a.find(t, "requestState")
		r.link.Close()
		got := strings.Join(up.errands(), " ")
		if !strings.Contains(got, "s1 notifications/cancelled 2") || !strings.Contains(got, "s1 DELETE") {
			t.Errorf("errands %q; want the call cancelled and the session ended", got)
		}
	})
	bubble(t, inputs(wantsName), Options{}, func(t *testing.T, r *room) {
		a := r.older("ann", `{"elicitation":{}}`).call(`1`, "ask", `{}`, "", "")
		synctest.Wait()
		r.link.Close()
		synctest.Wait()
		if !a.over() || !strings.Contains(a.text(), `"message":"the server has been removed, or the gateway is stopping"`) {
			t.Errorf("over: %v, got %s", a.over(), a.text())
		}
	})
}

// asker is a server of either revision that asks as often as the arguments say, and then says
// what it was asked with and answered.
func asker(newer bool) gateway.Upstream {
	if newer {
		return &newerServer{answer: func(_ context.Context, _ gateway.Outbound, msg *wire.Message) (*gateway.Reply, error) {
			state := text(msg.Params, "requestState")
			if got := memberOf(memberOf(msg.Params, "inputResponses"), "k"); got != nil {
				state += string(got)
			}
			if n := string(memberOf(msg.Arguments, "questions")); strings.Count(state, `"questions"`) < int(n[0]-'0') {
				return replied(msg, `{"resultType":"input_required","requestState":`+string(quoted(state))+`,"inputRequests":{"k":{"method":"elicitation/create","params":`+string(msg.Arguments)+`}}}`)
			}
			return replied(msg, `{"resultType":"complete","said":`+string(quoted(string(msg.Arguments)+state))+`}`)
		}}
	}
	return &olderServer{answer: func(k *talk) {
		args := memberOf(memberOf(k.out.Body, "params"), "arguments")
		said := string(args)
		for range int(memberOf(args, "questions")[0] - '0') {
			said += k.ask("elicitation/create", string(args))
		}
		k.result(`{"said":%s}`, quoted(said))
	}}
}

// play calls the tool, answers each question with what it holds, and returns what was said in the
// end.
func (c *caller) play(id, args string) string {
	a := c.call(id, "ask", args, "", "")
	for seen, turn := 0, 0; ; {
		raw, ok := a.message(&seen)
		if !ok {
			return "no answer: " + a.text()
		}
		msg, err := wire.DecodeReply(raw, wire.Limits{})
		switch {
		case err != nil:
			return err.Error()
		case msg.Kind == wire.Request: // asked of an older client
			c.post(context.Background(), `{"jsonrpc":"2.0","id":`+string(msg.ID)+`,"result":`+string(msg.Params)+`}`).wait()
		case msg.ResultType == inputRequired:
			turn++
			request := memberOf(msg.InputRequests.Of(msg.Raw), inputKey)
			key := inputKey
			if request == nil {
				key, request = "k", memberOf(msg.InputRequests.Of(msg.Raw), "k")
			}
			more := `,"inputResponses":{"` + key + `":` + string(memberOf(request, "params")) + `},"requestState":` + string(msg.RequestState.Of(msg.Raw))
			a, seen = c.call(fmt.Sprint(1000+turn), "ask", args, more, ""), 0
		case msg.Result == nil:
			return string(raw)
		default:
			a.wait() // until then the call is in the tables
			if said := text(msg.Result, "said"); said != "" {
				return said
			}
			return string(raw)
		}
	}
}

// message waits for the message that begins at *seen, or at the end for whatever is there.
func (a *response) message(seen *int) ([]byte, bool) {
	for {
		over := a.over()
		a.mu.Lock()
		rest := a.body.String()[*seen:]
		a.mu.Unlock()
		if end := strings.Index(rest, "\n\n"); end >= 0 {
			*seen += end + 2
			data, _ := strings.CutPrefix(rest[:end], "event: message\ndata: ")
			if strings.HasPrefix(data, ":") {
				continue
			}
			return []byte(data), true
		}
		if over {
			return []byte(rest), rest != ""
		}
		select {
		case <-a.done:
		case <-a.wrote:
		}
	}
}

// Clients of both revisions, with and without sessions, of the same principals and with the same
// ids, each get what they asked with and answered, from a server of either revision.
func TestConcurrentClientsAreNeverMixed(t *testing.T) {
	made := makeOutside(t, allowAll)
	rapid.Check(t, func(rt *rapid.T) {
		r := newRoom(t, made, asker(rapid.Bool().Draw(rt, "newer server")), Options{})
		defer r.link.Close()
		var clients []*caller
		for range rapid.IntRange(1, 5).Draw(rt, "clients") {
			subject := rapid.SampledFrom([]string{"ann", "bob"}).Draw(rt, "subject")
			if rapid.Bool().Draw(rt, "newer client") {
				clients = append(clients, r.newer(subject, `{"elicitation":{}}`))
			} else {
				clients = append(clients, r.older(subject, `{"elicitation":{}}`))
			}
		}
		questions := rapid.IntRange(0, 3).Draw(rt, "questions")
		var all sync.WaitGroup
		wrong := make(chan string, 64)
		for i, c := range clients {
			for j := range rapid.IntRange(1, 3).Draw(rt, "calls") { // a grant has 16 at once
				args := fmt.Sprintf(`{"questions":%d,"of":"%d-%d-%d","message":"The MCP server \"files\" asks: ?","requestedSchema":{"type":"object","properties":{}}}`, questions, i, j, rand.Int())
				all.Go(func() {
					if got, want := c.play(fmt.Sprint(j), args), strings.Repeat(args, questions+1); got != want {
						wrong <- fmt.Sprintf("got %s\nwant %s", got, want)
					}
				})
			}
		}
		all.Wait()
		close(wrong)
		for w := range wrong {
			rt.Error(w)
		}
		r.link.mu.Lock()
		defer r.link.mu.Unlock()
		if n := len(r.link.calls) + len(r.link.parked) + len(r.link.questions); n != 0 {
			rt.Errorf("%d calls and questions are left; want none", n)
		}
	})
}

// Pieces of a message keep every byte of theirs.
func TestObjectKeepsTheBytesOfItsMembers(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z\\"é ]{1,6}`), 0, 6, rapid.ID).Draw(rt, "names")
		src, want := "{", ""
		for i, name := range names {
			value := rapid.SampledFrom([]string{`1.50`, `"a\u00e9"`, `{"x" : [1 , 2]}`, `[ ]`, `null`, `{}`}).Draw(rt, "value")
			if i > 0 {
				src += " , "
				want += ","
			}
			src += string(quoted(name)) + " : " + value
			want += string(quoted(name)) + ":" + value
		}
		got := object([]byte(src+" }"), func(_ string, value []byte) []byte { return value }, member{quoted("more"), []byte(`1`)})
		if want = strings.TrimPrefix(want+`,"more":1}`, ","); string(got) != "{"+want {
			rt.Errorf("object(%s) = %s; want {%s", src, got, want)
		}
		if err := strictjson.Check(got, strictjson.Limits{}); err != nil {
			rt.Errorf("object(%s) = %s: %v", src, got, err)
		}
	})
}
