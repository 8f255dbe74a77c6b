package bridge

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/gateway"
	"sallyport/gateway/wire"
)

func TestOlderClientsCallReachesANewerServerInItsForm(t *testing.T) {
	up := &newerServer{answer: func(_ context.Context, _ gateway.Outbound, msg *wire.Message) (*gateway.Reply, error) {
		return replied(msg, `{"resultType":"complete","content":[], "x":1.50}`)
	}}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		c := r.older("ann", `{"elicitation":{},"roots":{}}`)
		c.call(`1`, "ask", `{"who":"é","n": 1.50}`, `,"requestState":"x"`, `,"io.modelcontextprotocol/clientInfo":{"name":"liar"},"progressToken":"p"`).
			wants(t, `200 {"jsonrpc":"2.0","id":1,"result":{"content":[],"x":1.50}}`)
		out := up.sent[0]
		id := text(out.Body, "id")
		want := `{"jsonrpc":"2.0","id":"` + id + `","method":"tools/call","params":{"name":"ask","arguments":{"who":"é","n": 1.50},"_meta":{"progressToken":"p","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{},"roots":{}},"io.modelcontextprotocol/clientInfo":{"name":"sallyport","version":"1"}}}}`
		if string(out.Body) != want {
			t.Errorf("sent %s\nwant %s", out.Body, want)
		}
		got := map[string]string{}
		for name, values := range out.Header {
			got[name] = strings.Join(values, "|")
		}
		if diff := cmp.Diff(map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream", wire.HeaderVersion: "2026-07-28",
			wire.HeaderMethod: "tools/call", wire.HeaderName: "ask", "Mcp-Param-Who": "=?base64?w6k=?="}, got); diff != "" {
			t.Errorf("headers (-want +got):\n%s", diff)
		}
	})
}

func TestNewerServersInputIsAskedOfAnOlderClient(t *testing.T) {
	up := &newerServer{}
	up.answer = func(_ context.Context, _ gateway.Outbound, msg *wire.Message) (*gateway.Reply, error) {
		switch len(up.bodies()) {
		case 1: // as one body
			return replied(msg, `{"resultType":"input_required","requestState":"s\"1","inputRequests":{"a\"b":{"method":"elicitation/create","params":{"message":"The MCP server \"files\" asks: ?","mode":"url","url":"https://x.example"}},"r":{"method":"roots/list"}}}`)
		case 2: // as a stream
			return streamed(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p"}}`,
				`{"jsonrpc":"2.0","id":`+string(msg.ID)+`,"result":{"resultType":"input_required","inputRequests":{"s":{"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}}}}`)
		}
		return replied(msg, `{"content":[],"resultType":"complete"}`)
	}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		c := r.older("ann", `{"elicitation":{},"roots":{},"sampling":{}}`)
		a := c.call(`1`, "ask", `{"n":1}`, "", "")
		synctest.Wait()
		lines := strings.Split(strings.TrimPrefix(a.text(), "200 "), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], `"method":"elicitation/create","params":{"message":"The MCP server \"files\" asks: ?","mode":"url","url":"https://x.example","elicitationId":"`) || !strings.Contains(lines[1], `"method":"roots/list"}`) {
			t.Fatalf("asked %q; want both questions", lines)
		}
		reply := func(line, result string) {
			t.Helper()
			c.post(t.Context(), `{"jsonrpc":"2.0","id":"`+text([]byte(line), "id")+`","result":`+result+`}`).wants(t, "202 ")
		}
		reply(lines[1], `{"roots":[]}`)
		if n := len(up.bodies()); n != 1 {
			t.Fatalf("after one of two answers the server got %d messages; want one", n)
		}
		reply(lines[0], `{"action":"accept","content":{"n":1.0}}`)
		lines = strings.Split(a.text(), "\n")
		if len(lines) != 4 || !strings.Contains(lines[2], "progress") {
			t.Fatalf("got %q; want the progress and a third question", lines)
		}
		reply(lines[3], `{"role":"assistant"}`)
		if got := a.text(); !a.over() || !strings.HasSuffix(got, "\n"+`{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`) {
			t.Errorf("over: %v, got %s; want the result in the end", a.over(), got)
		}
		var retries []string
		ids := map[string]bool{}
		for _, body := range up.bodies() {
			ids[text([]byte(body), "id")] = true
			retries = append(retries, string(memberOf([]byte(body), "params")))
		}
		meta := strings.SplitN(retries[0], `"_meta":`, 2)[1]
		meta = strings.TrimSuffix(meta, "}")
		want := []string{`{"name":"ask","arguments":{"n":1},"_meta":` + meta + `}`,
			`{"name":"ask","arguments":{"n":1},"_meta":` + meta + `,"inputResponses":{"r":{"roots":[]},"a\"b":{"action":"accept","content":{"n":1.0}}},"requestState":"s\"1"}`,
			`{"name":"ask","arguments":{"n":1},"_meta":` + meta + `,"inputResponses":{"s":{"role":"assistant"}}}`}
		if diff := cmp.Diff(want, retries); diff != "" || len(ids) != 3 {
			t.Errorf("%d ids; want 3; params (-want +got):\n%s", len(ids), diff)
		}
	})
}

// inputs answers every request with the same wish for input.
func inputs(requests string) *newerServer {
	return &newerServer{answer: func(_ context.Context, _ gateway.Outbound, msg *wire.Message) (*gateway.Reply, error) {
		return replied(msg, `{"resultType":"input_required","requestState":"s"`+requests+`}`)
	}}
}

const (
	wantsName = `,"inputRequests":{"n":{"method":"elicitation/create","params":{"message":"The MCP server \"files\" asks: ?","requestedSchema":{"type":"object","properties":{}}}}}`
	wantsBoth = `,"inputRequests":{"n":{"method":"elicitation/create","params":{"message":"The MCP server \"files\" asks: ?","requestedSchema":{"type":"object","properties":{}}}},"r":{"method":"roots/list"}}`
)

func TestWhatCannotBeAskedIsSaid(t *testing.T) {
	for what, tt := range map[string]struct{ requests, can, want string }{
		"no capability": {wantsBoth, `{"elicitation":{}}`, `200 {"jsonrpc":"2.0","id":1,"error":{"code":502,"message":"the server asks for roots/list, and this client did not declare that it can be asked: connect with a client that can"}}`},
		"no question":   {``, `{"elicitation":{}}`, `200 {"jsonrpc":"2.0","id":1,"error":{"code":502,"message":"the server wants to be asked again and has no question: call again"}}`},
		"hostile":       {`,"inputRequests":{"x":{"method":"tools/call"}}`, `{"elicitation":{}}`, `200 {"jsonrpc":"2.0","id":1,"error":{"code":502,"message":"the server \"files\" sent an answer that is not valid"}}`},
		"no object":     {`,"inputRequests":["x"]`, `{"elicitation":{}}`, `200 {"jsonrpc":"2.0","id":1,"error":{"code":502,"message":"the server \"files\" sent an answer that is not valid"}}`},
	} {
		t.Run(what, func(t *testing.T) {
			up := inputs(tt.requests)
			bubble(t, up, Options{}, func(t *testing.T, r *room) {
				r.older("ann", tt.can).call(`1`, "ask", `{}`, "", "").wants(t, tt.want)
				if n := len(up.bodies()); n != 1 {
					t.Errorf("the server got %d messages; want one", n)
				}
			})
		})
	}
}

func TestRefusedQuestionsEndTheCall(t *testing.T) {
	bubble(t, inputs(wantsBoth), Options{}, func(t *testing.T, r *room) {
		c := r.older("ann", `{"elicitation":{},"roots":{}}`)
		a := c.call(`1`, "ask", `{}`, "", "")
		synctest.Wait()
		id := a.find(t, "id")
		c.post(t.Context(), `{"jsonrpc":"2.0","id":"`+id+`","error":{"code":-1,"message":"no"}}`).wants(t, "202 ")
		if got := a.text(); !a.over() || !strings.HasSuffix(got, `{"jsonrpc":"2.0","id":1,"error":{"code":502,"message":"the client did not answer roots/list, which the server needs"}}`) {
			t.Errorf("over: %v, got %s", a.over(), got)
		}
		if n := len(r.link.questions); n != 0 {
			t.Errorf("%d questions are left; want none", n)
		}
	})
	bubbleUnder(t, "package mcp.authz\nallow if input.action == \"tools/call\"", inputs(wantsName), Options{}, func(t *testing.T, r *room) {
		r.older("ann", `{"elicitation":{}}`).call(`1`, "ask", `{}`, "", "").
			wants(t, `200 {"jsonrpc":"2.0","id":1,"error":{"code":403,"message":"the policy does not let the server ask elicitation/create"}}`)
	})
}

func TestRoundIsGivenUpWhenItsClientDoesNotAnswer(t *testing.T) {
	bubble(t, inputs(wantsName), Options{}, func(t *testing.T, r *room) {
		c := r.older("ann", `{"elicitation":{}}`)
		a := c.call(`1`, "ask", `{}`, "", "")
		time.Sleep(time.Minute)
		synctest.Wait()
		if a.over() || strings.Count(a.text(), "\n:") != 4 {
			t.Errorf("over: %v, after a minute %s; want four signs of life", a.over(), a.text())
		}
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if got := a.text(); !a.over() || !strings.HasSuffix(got, `"error":{"code":502,"message":"the client did not answer what the server asks within 5m0s"}}`) {
			t.Errorf("over: %v, got %s", a.over(), got)
		}
	})
}

func TestOlderClientThatHangsUpLeavesNothing(t *testing.T) {
	bubble(t, inputs(wantsName), Options{}, func(t *testing.T, r *room) {
		c := r.older("ann", `{"elicitation":{}}`)
		a := c.call(`1`, "ask", `{}`, "", "")
		synctest.Wait()
		a.cancel()
		synctest.Wait()
		r.link.mu.Lock()
		defer r.link.mu.Unlock()
		if n := len(r.link.questions); !a.over() || n != 0 {
			t.Errorf("over: %v, %d questions are left; want none", a.over(), n)
		}
	})
}

// Two clients of one principal, and of two, answer their own questions and no others.
func TestAnswersGoToTheRoundThatAsked(t *testing.T) {
	up := &newerServer{answer: func(_ context.Context, out gateway.Outbound, msg *wire.Message) (*gateway.Reply, error) {
		if msg.IsRetry {
			return replied(msg, `{"resultType":"complete","got":`+string(memberOf(memberOf(msg.Params, "inputResponses"), "n"))+`,"args":`+string(msg.Arguments)+`}`)
		}
		return replied(msg, `{"resultType":"input_required"`+wantsName+`}`)
	}}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		var callers []*caller
		var calls []*response
		for i, subject := range []string{"ann", "ann", "bob"} {
			c := r.older(subject, `{"elicitation":{}}`)
			callers, calls = append(callers, c), append(calls, c.call(`1`, "ask", fmt.Sprintf(`{"n":%d}`, i), "", ""))
		}
		synctest.Wait()
		for i := range callers {
			foreign := callers[(i+1)%3].post(t.Context(), `{"jsonrpc":"2.0","id":"`+calls[i].find(t, "id")+`","result":{"stolen":1}}`).wait()
			if !strings.Contains(foreign.text(), "the response answers no open question") {
				t.Errorf("foreign answer: %s", foreign.text())
			}
		}
		for i, c := range callers {
			c.post(t.Context(), `{"jsonrpc":"2.0","id":"`+calls[i].find(t, "id")+`","result":{"mine":`+fmt.Sprint(i)+`}}`).wants(t, "202 ")
			if want := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"result":{"got":{"mine":%d},"args":{"n":%d}}}`, i, i); !strings.HasSuffix(calls[i].text(), want) {
				t.Errorf("got %s; want %s", calls[i].text(), want)
			}
		}
	})
}

func TestSubscriptionsAreRefusedInSoManyWords(t *testing.T) {
	for _, up := range []gateway.Upstream{&newerServer{}, &olderServer{}} {
		bubble(t, up, Options{}, func(t *testing.T, r *room) {
			r.older("ann", `{}`).post(t.Context(), `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"sallyport://files/x:y"}}`).
				wants(t, `200 {"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"resources/subscribe is not served here, where updates of one server's resources could not reach you: connect to /mcp/files"}}`)
		})
	}
}

// Where both speak the newer protocol the request goes as it came.
func TestSameNewerRevisionPassesUnchanged(t *testing.T) {
	up := &newerServer{answer: func(_ context.Context, _ gateway.Outbound, msg *wire.Message) (*gateway.Reply, error) {
		return replied(msg, `{"resultType":"complete", "x":1.0}`)
	}}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		r.newer("ann", `{}`).call(`"i"`, "echo", `{"n":1.0}`, "", `,"progressToken":1`).wants(t, `200 {"jsonrpc":"2.0","id":"i","result":{"resultType":"complete", "x":1.0}}`)
		want := `{"jsonrpc":"2.0","id":"i","method":"tools/call","params":{"name":"echo","arguments":{"n":1.0},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"progressToken":1}}}`
		if got := up.bodies(); len(got) != 1 || got[0] != want || len(r.link.sessions) != 0 {
			t.Errorf("sent %s\nwant %s", got, want)
		}
	})
}

// A completion names what it is about in its body alone.
func TestOlderClientsCompletionReachesANewerServer(t *testing.T) {
	up := &newerServer{answer: func(_ context.Context, _ gateway.Outbound, msg *wire.Message) (*gateway.Reply, error) {
		return replied(msg, `{"resultType":"complete","completion":{"values":[]}}`)
	}}
	bubble(t, up, Options{}, func(t *testing.T, r *room) {
		r.older("ann", `{}`).post(t.Context(), `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"sallyport://files/x:{y}"},"argument":{"name":"y","value":"v"}}}`).
			wants(t, `200 {"jsonrpc":"2.0","id":1,"result":{"completion":{"values":[]}}}`)
		out := up.sent[0]
		if uri := text(memberOf(memberOf(out.Body, "params"), "ref"), "uri"); uri != "x:{y}" || out.Header[wire.HeaderName] != nil {
			t.Errorf("sent %s with %s %q; want the server's own URI and no name", out.Body, wire.HeaderName, out.Header[wire.HeaderName])
		}
	})
}
