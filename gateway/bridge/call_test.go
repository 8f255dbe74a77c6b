package bridge

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/gateway/wire"
)

// What is the newer protocol's own goes; all else stays as the client wrote it.
func TestNewerClientsCallReachesAnOlderServerInItsForm(t *testing.T) {
	up := &olderServer{answer: func(k *talk) {
		k.say(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":1}}`, k.id)
		k.result(`{"content":[], "x":1.50}`)
	}}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		c := r.newer("ann", `{}`)
		a := c.call(`"c-1"`, "echo", `{"n": 1.50,"a":"\u00e9"}`, "", `,"io.modelcontextprotocol/clientInfo":{"name":"c"},"io.modelcontextprotocol/logLevel":"info","progressToken":"tok","traceparent":"x","own":[1]`)
		a.wants(t, `200 {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"tok","progress":1}}
{"jsonrpc":"2.0","id":"c-1","result":{"content":[],"x":1.50,"resultType":"complete"}}`)
		want := []string{`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","arguments":{"n": 1.50,"a":"\u00e9"},"_meta":{"progressToken":2,"traceparent":"x","own":[1]}}}`}
		if diff := cmp.Diff(want, up.bodies()); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
		h := up.sent[0].Header
		if len(h) != 4 || h.Get(wire.HeaderVersion) != wire.V20251125 || h.Get(wire.HeaderSession) != "s1" || h.Get("Accept") == "" || h.Get("Content-Type") == "" {
			t.Errorf("headers %v; want the older protocol's alone", h)
		}
		up.whole, up.answer = true, func(k *talk) { k.result(`{"content":[]}`) }
		c.call(`7`, "echo", `{}`, "", "").wants(t, `200 {"jsonrpc":"2.0","id":7,"result":{"content":[],"resultType":"complete"}}`)
		if diff := cmp.Diff([]string{"initialize", "s1 notifications/initialized"}, up.errands()); diff != "" {
			t.Errorf("one session for both (-want +got):\n%s", diff)
		}
	})
}

// Each question is one answer to the client, which comes again with its own; the call at the server
// is one.
func TestQuestionsBecomeResultsThatAskForInput(t *testing.T) {
	var got []string
	up := &olderServer{answer: func(k *talk) {
		got = append(got, k.ask("elicitation/create", `{"message":"The MCP server \"files\" asks: ?","requestedSchema":{"type":"object","properties":{}}}`))
		k.say(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":2}}`, k.id)
		got = append(got, k.ask("roots/list", `{}`))
		k.result(`{"content":[]}`)
	}}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		c := r.newer("ann", `{"elicitation":{},"roots":{}}`)
		a := c.call(`1`, "ask", `{}`, "", `,"progressToken":10`)
		synctest.Wait()
		first := a.find(t, "requestState")
		a.wants(t, `200 {"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"question":{"method":"elicitation/create","params":{"message":"The MCP server \"files\" asks: ?","requestedSchema":{"type":"object","properties":{}}}}},"requestState":"`+first+`"}}`)
		time.Sleep(time.Minute) // the person thinks
		a = c.call(`2`, "ask", `{}`, `,"inputResponses":{"question":{"action":"accept","content":{"n":1.0}},"more":{}},"requestState":"`+first+`"`, `,"progressToken":20`)
		synctest.Wait()
		second := a.find(t, "requestState")
		a.wants(t, `200 {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":20,"progress":2}}
{"jsonrpc":"2.0","id":2,"result":{"resultType":"input_required","inputRequests":{"question":{"method":"roots/list","params":{}}},"requestState":"`+second+`"}}`)
		c.call(`3`, "ask", `{}`, `,"inputResponses":{"question":{"roots":[]}},"requestState":"`+second+`"`, "").
			wants(t, `200 {"jsonrpc":"2.0","id":3,"result":{"content":[],"resultType":"complete"}}`)
		if diff := cmp.Diff([]string{`{"action":"accept","content":{"n":1.0}}`, `{"roots":[]}`}, got); diff != "" {
			t.Errorf("the server was answered (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"initialize", "s1 notifications/initialized"}, up.errands()); diff != "" {
			t.Errorf("errands (-want +got):\n%s", diff)
		}
		c.call(`4`, "ask", `{}`, `,"inputResponses":{"question":{"roots":[]}},"requestState":"`+second+`"`, "").wants(t, `200 `+unknown(4))
	})
}

func unknown(id int) string {
	return `{"jsonrpc":"2.0","id":` + string(rune('0'+id)) + `,"error":{"code":-32602,"message":"params.requestState names no call that waits for an answer: it was answered before, waited longer than 5m0s, or its server has gone; call again without requestState and inputResponses"}}`
}

func TestRetryThatDoesNotFitIsRefused(t *testing.T) {
	up := &olderServer{answer: func(k *talk) { k.ask("elicitation/create", form); k.result(`{}`) }}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		c := r.newer("ann", `{"elicitation":{}}`)
		a := c.call(`1`, "ask", `{"n":1}`, "", "")
		synctest.Wait()
		state := `,"requestState":"` + a.find(t, "requestState") + `"`
		for _, tt := range []struct{ args, more, want string }{
			{`{"n":1}`, `,"inputResponses":{"question":{}}`, unknown(2)},
			{`{"n":2}`, `,"inputResponses":{"question":{}}` + state, `{"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"this is not the request that params.requestState belongs to: repeat its method, name and arguments as they were"}}`},
			{`{"n":1}`, `,"inputResponses":{"question":7}` + state, `{"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"params.inputResponses.question must be an object"}}`},
		} {
			c.call(`2`, "ask", tt.args, tt.more, "").wants(t, "200 "+tt.want)
		}
		// Input that is missing is asked for again, as the protocol wants it.
		a = c.call(`2`, "ask", `{"n":1}`, `,"inputResponses":{"other":{}}`+state, "")
		synctest.Wait()
		again := `,"requestState":"` + a.find(t, "requestState") + `"`
		other := r.newer("bob", `{"elicitation":{}}`)
		other.call(`2`, "ask", `{"n":1}`, `,"inputResponses":{"question":{}}`+again, "").
			wants(t, `200 {"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"params.requestState is not valid for this call"}}`)
		c.call(`3`, "ask", `{"n":1}`, `,"inputResponses":{"question":{}}`+again, "").wants(t, `200 {"jsonrpc":"2.0","id":3,"result":{"resultType":"complete"}}`)
		if n := len(up.bodies()); n != 2 {
			t.Errorf("the server got %d messages; want the call and one answer", n)
		}
	})
}

// A server that asks all the same gets a refusal and goes on.
func TestClientThatCannotBeAskedIsNot(t *testing.T) {
	up := &olderServer{answer: func(k *talk) {
		k.result(`{"got":%s}`, k.ask("sampling/createMessage", `{"messages":[],"maxTokens":1}`))
	}}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		r.newer("ann", `{"elicitation":{}}`).call(`1`, "ask", `{}`, "", "").
			wants(t, `200 {"jsonrpc":"2.0","id":1,"result":{"got":{"code":403,"message":"refused by the gateway's policy"},"resultType":"complete"}}`)
	})
}

func TestServersPingIsAnsweredForANewerClient(t *testing.T) {
	up := &olderServer{answer: func(k *talk) { k.result(`{"got":%s}`, k.ask("ping", `{}`)) }}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		r.newer("ann", `{}`).call(`1`, "ask", `{}`, "", "").wants(t, `200 {"jsonrpc":"2.0","id":1,"result":{"got":{},"resultType":"complete"}}`)
	})
}

// A call whose client does not come again ends, and the server hears of it.
func TestCallIsGivenUpWhenItsClientDoesNotAnswer(t *testing.T) {
	up := &olderServer{answer: func(k *talk) { k.ask("elicitation/create", form) }}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		c := r.newer("ann", `{"elicitation":{}}`)
		a := c.call(`1`, "ask", `{}`, "", "")
		synctest.Wait()
		state := a.find(t, "requestState")
		time.Sleep(5*time.Minute - time.Second)
		synctest.Wait()
		if n := len(up.errands()); n != 2 {
			t.Errorf("errands before the time: %q; want the handshake alone", up.errands())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := up.errands(); got[len(got)-1] != "s1 notifications/cancelled 2" {
			t.Errorf("errands %q; want the last to cancel", got)
		}
		c.call(`2`, "ask", `{}`, `,"inputResponses":{"question":{}},"requestState":"`+state+`"`, "").wants(t, "200 "+unknown(2))
	})
}

func TestNewerClientThatHangsUpCancelsItsCall(t *testing.T) {
	up := &olderServer{answer: func(k *talk) {
		k.say(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}`)
		<-k.ctx.Done()
	}}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		a := r.newer("ann", `{}`).call(`1`, "ask", `{}`, "", "")
		synctest.Wait()
		a.cancel()
		synctest.Wait()
		if diff := cmp.Diff([]string{"initialize", "s1 notifications/initialized", "s1 notifications/cancelled 2"}, up.errands()); !a.over() || diff != "" {
			t.Errorf("over: %v, errands (-want +got):\n%s", a.over(), diff)
		}
	})
}

// What the policy keeps back is not declared to the server; one that asks all the same is refused,
// and its call goes on.
func TestCallGoesOnWhereThePolicyKeepsItsQuestionBack(t *testing.T) {
	up := &olderServer{answer: func(k *talk) { k.result(`{"got":%s}`, k.ask("elicitation/create", form)) }}
	bubbleUnder(t, "package mcp.authz\nallow if input.action == \"tools/call\"", up, Options{}, func(t *testing.T, r *room) {
		r.newer("ann", `{"elicitation":{}}`).call(`1`, "ask", `{}`, "", "").
			wants(t, `200 {"jsonrpc":"2.0","id":1,"result":{"got":{"code":403,"message":"refused by the gateway's policy"},"resultType":"complete"}}`)
	})
}

// The newer protocol has log messages only for who asked for them, and changed lists elsewhere.
func TestNewerClientHearsOnlyWhatItAskedFor(t *testing.T) {
	changed := 0
	up := &olderServer{answer: func(k *talk) {
		for _, level := range []string{"debug", "info", "error", "odd"} {
			k.say(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":%q}}`, level)
		}
		k.say(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":99}}`)
		k.say(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		k.say(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x:y"}}`)
		k.result(`{}`)
	}}
	bubble(t, up, Options{Changed: func() { changed++ }}, func(t *testing.T, r *room) {
		c := r.newer("ann", `{}`)
		c.call(`1`, "ask", `{}`, "", "").wants(t, `200 {"jsonrpc":"2.0","id":1,"result":{"resultType":"complete"}}`)
		c.call(`1`, "ask", `{}`, "", `,"progressToken":1,"io.modelcontextprotocol/logLevel":"info"`).wants(t, `200 {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}
{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error"}}
{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete"}}`)
		if changed != 2 {
			t.Errorf("Changed was called %d times; want 2", changed)
		}
	})
}

// Codes and states that newer clients read otherwise do not reach them.
func TestOlderErrorsAreSaidInTheNewerForm(t *testing.T) {
	for _, tt := range []struct{ code, want string }{
		{"-32601", `404 {"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"m","data":{"code":-32002}}}`},
		{"-32002", `200 {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"m","data":{"code":-32002}}}`},
		{"-32042", `200 {"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"m","data":{"code":-32002}}}`},
		{"7", `200 {"jsonrpc":"2.0","id":1,"error":{"code":7,"message":"m","data":{"code":-32002}}}`},
	} {
		up := &olderServer{whole: true, answer: func(k *talk) {
			k.say(`{"jsonrpc":"2.0","id":%s,"error":{"code":%s,"message":"m","data":{"code":-32002}}}`, k.id, tt.code)
		}}
		bubble(t, up, Options{}, func(t *testing.T, r *room) {
			r.newer("ann", `{}`).call(`1`, "ask", `{}`, "", "").wants(t, tt.want)
		})
	}
}

func TestOlderResourceIsNobodyElsesToCache(t *testing.T) {
	up := &olderServer{answer: func(k *talk) { k.result(`{"contents":[]}`) }}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		body := `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"sallyport://files/x:y","_meta":{` + revision + `,"io.modelcontextprotocol/clientCapabilities":{}}}}`
		r.newer("ann", `{}`).post(t.Context(), body, wire.HeaderVersion, wire.V20260728, wire.HeaderMethod, "resources/read", wire.HeaderName, "sallyport://files/x:y").
			wants(t, `200 {"jsonrpc":"2.0","id":1,"result":{"contents":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}}`)
	})
}

// One client cannot take the places of all others; its server is told no and goes on.
func TestOneClientHasSixteenCallsThatWait(t *testing.T) {
	up := &olderServer{answer: func(k *talk) { k.result(`{"got":%s}`, k.ask("elicitation/create", form)) }}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		c := r.newer("ann", `{"elicitation":{}}`)
		for range maxOfOne {
			a := c.call(`1`, "ask", `{}`, "", "")
			synctest.Wait()
			a.find(t, "requestState")
		}
		a := c.call(`1`, "ask", `{}`, "", "")
		synctest.Wait()
		if !strings.Contains(a.text(), `"got":{"code":403`) {
			t.Errorf("the 17th: %s; want the refusal of the question", a.text())
		}
		b := r.newer("bob", `{"elicitation":{}}`).call(`1`, "ask", `{}`, "", "")
		synctest.Wait()
		b.find(t, "requestState")
	})
}
