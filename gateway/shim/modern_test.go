package shim

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`

// answerWith serves one JSON answer for all requests, in which ID stands for the request's id.
func answerWith(body string) func(http.ResponseWriter, *http.Request, []byte) {
	return func(w http.ResponseWriter, _ *http.Request, in []byte) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, strings.ReplaceAll(body, "ID", string(find(in, "id"))))
	}
}

func TestModernRequestIsMirroredAndItsBytesKept(t *testing.T) {
	g := newFakeGateway(t, answerWith(`{"jsonrpc":"2.0", "id":ID,"result":{"resultType":"complete","n":9007199254740993,"x":"ü<&>"}}`))
	c := g.talk(t.Context())
	call := `{"jsonrpc":"2.0","id":"a",  "method":"tools/call","params":{"name":"größe","arguments":{"n":9007199254740993},` + meta + `}}`
	c.say(call)
	c.expect(`{"jsonrpc":"2.0", "id":"a","result":{"resultType":"complete","n":9007199254740993,"x":"ü<&>"}}`)
	if err := c.end(); err != nil {
		t.Errorf("Serve = %v; want nil", err)
	}
	got := g.requests()
	if len(got) != 1 || got[0].method != http.MethodPost || got[0].body != call {
		t.Fatalf("the gateway saw %v; want one POST of %s", got, call)
	}
	h := got[0].header
	for _, name := range []string{"Authorization", "Dpop", "User-Agent", "Content-Length"} {
		h.Del(name)
	}
	want := http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
		"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"=?base64?Z3LDtsOfZQ==?="},
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func event(w http.ResponseWriter, text string) {
	_, _ = fmt.Fprint(w, text) // the client may have gone
	_ = http.NewResponseController(w).Flush()
}

func TestEventsArePassedOnOneByOneUpToTheAnswer(t *testing.T) {
	heard := make(chan struct{})
	g := newFakeGateway(t, func(w http.ResponseWriter, r *http.Request, _ []byte) {
		w.Header().Set("Content-Type", "text/event-stream")
		event(w, ": alive\n\nid: 1\ndata:\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\ndata: \"params\":{\"progress\":1}}\n\n")
		select {
		case <-heard: // else the event would have been held back
		case <-r.Context().Done():
			return
		}
		event(w, "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n\n")
		<-r.Context().Done() // the stream is open still; the answer ends it
	})
	c := g.talk(t.Context())
	c.say(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x",` + meta + `}}`)
	c.expect(`{"jsonrpc":"2.0","method":"notifications/progress", "params":{"progress":1}}`)
	close(heard)
	c.expect(`{"jsonrpc":"2.0","id":7,"result":{}}`)
	if err := c.end(); err != nil {
		t.Errorf("Serve = %v; want nil", err)
	}
}

func TestCancellationOfTheNewerEraEndsTheRequestAndIsNotSent(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	g := newFakeGateway(t, func(w http.ResponseWriter, r *http.Request, in []byte) {
		if text(find(in, "method")) != "tools/call" {
			answerWith(`{"jsonrpc":"2.0","id":ID,"result":{}}`)(w, r, in)
			return
		}
		close(began)
		<-r.Context().Done()
		close(ended)
	})
	c := g.talk(t.Context())
	c.say(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow",` + meta + `}}`)
	<-began
	c.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	<-ended
	c.say(`{"jsonrpc":"2.0","id":2,"method":"server/discover","params":{` + meta + `}}`)
	c.expect(`{"jsonrpc":"2.0","id":2,"result":{}}`) // and nothing for 1
	c.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`)
	if err := c.end(); err != nil {
		t.Errorf("Serve = %v; want nil", err)
	}
	if n := len(g.requests()); n != 2 {
		t.Errorf("the gateway saw %d requests; want 2 and no cancellation", n)
	}
}

func TestSubscriptionEndsWithTheInput(t *testing.T) {
	ended := make(chan struct{})
	g := newFakeGateway(t, func(w http.ResponseWriter, r *http.Request, _ []byte) {
		w.Header().Set("Content-Type", "text/event-stream")
		event(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\"}\n\n")
		<-r.Context().Done()
		close(ended)
	})
	c := g.talk(t.Context())
	c.say(`{"jsonrpc":"2.0","id":"listen:0","method":"subscriptions/listen","params":{` + meta + `}}`)
	c.expect(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged"}`)
	if err := c.end(); err != nil {
		t.Errorf("Serve = %v; want nil", err)
	}
	<-ended
}

func TestArgumentsThatAListHasBoundTravelInHeaders(t *testing.T) {
	g := newFakeGateway(t, func(w http.ResponseWriter, r *http.Request, in []byte) {
		if text(find(in, "method")) == "tools/list" {
			answerWith(`{"jsonrpc":"2.0","id":ID,"result":{"tools":[{"name":"get","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}}]}}`)(w, r, in)
			return
		}
		answerWith(`{"jsonrpc":"2.0","id":ID,"result":{}}`)(w, r, in)
	})
	c := g.talk(t.Context())
	c.say(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + meta + `}}`)
	c.hear()
	c.say(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"get","arguments":{"region":"us-west1"},` + meta + `}}`)
	c.hear()
	if got := g.requests()[1].header.Get("Mcp-Param-Region"); got != "us-west1" {
		t.Errorf("Mcp-Param-Region = %q; want us-west1", got)
	}
}

func TestStreamThatEndsBeforeItsAnswerIsAnError(t *testing.T) {
	g := newFakeGateway(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.Header().Set("Content-Type", "text/event-stream")
		event(w, "id: 1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n")
	})
	c := g.talk(t.Context())
	c.say(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x",` + meta + `}}`)
	c.hear()
	c.expect(`{"jsonrpc":"2.0","id":7,"error":{"code":502,"message":"sallyport connect: the connection ended before the answer came; whether the call was carried out is not known"}}`)
}

func TestRefusalsOfTheGatewayReachTheClientUnderItsOwnID(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		kind   string
		body   string
		want   string
	}{
		{"its own error", 404, "application/json", `{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"unknown method"}}`,
			`{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"unknown method"}}`},
		{"without an id", 400, "application/json", `{"jsonrpc":"2.0","id":null,"error":{"code":-32022,"message":"unsupported","data":{"supported":["2026-07-28"]}}}`,
			`{"jsonrpc":"2.0","id":7,"error":{"code":-32022,"message":"unsupported","data":{"supported":["2026-07-28"]}}}`},
		{"plain words", 403, "text/plain; charset=utf-8", "forbidden_origin: not ours\n", `{"jsonrpc":"2.0","id":7,"error":{"code":502,"message":"sallyport connect: the gateway answers 403 Forbidden: \"forbidden_origin: not ours\""}}`},
		{"a proxy's page", 502, "text/html", "<html>", `{"jsonrpc":"2.0","id":7,"error":{"code":502,"message":"sallyport connect: the gateway answers 502 Bad Gateway with a web page"}}`},
		{"taken for a notification", 202, "", "", `{"jsonrpc":"2.0","id":7,"error":{"code":502,"message":"sallyport connect: the gateway took the request for a notification"}}`},
		{"no JSON", 200, "application/json", "{", `{"jsonrpc":"2.0","id":7,"error":{"code":502,"message":"sallyport connect: the gateway's answer is not a JSON-RPC message: not one strict JSON message: the JSON value ends too early, at byte 1"}}`},
		{"another's answer", 200, "application/json", `{"jsonrpc":"2.0","id":8,"result":{}}`, `{"jsonrpc":"2.0","id":7,"error":{"code":502,"message":"sallyport connect: the gateway answers 200 OK with the answer to another request"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newFakeGateway(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) {
				w.Header().Set("Content-Type", tt.kind)
				w.WriteHeader(tt.status)
				_, _ = fmt.Fprint(w, tt.body)
			})
			c := g.talk(t.Context())
			c.say(`{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{` + meta + `}}`)
			c.expect(tt.want)
		})
	}
}
