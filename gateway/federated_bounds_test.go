package gateway

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"sallyport/gateway/wire"
)

func TestFederatedStreamsOfOnePrincipalAreBounded(t *testing.T) {
	f, _ := fedFixture(t)
	for range maxStreams {
		f.connect(t, http.MethodGet, f.reader, "")
	}
	w := f.do(http.MethodGet, f.reader, "")
	if want := `{"jsonrpc":"2.0","id":null,"error":{"code":429,"message":"256 streams are open already; close one"}}`; w.Body.String() != want {
		t.Errorf("one more: %d %s; want %s", w.Code, w.Body, want)
	}
	f.connect(t, http.MethodGet, f.other, "") // another's is no part of that
}

// One principal that begins sessions without end ends its own, and nobody else's.
func TestFederatedSessionsOfOnePrincipalPushOutItsOwn(t *testing.T) {
	f, _ := fedFixture(t)
	begin := func(token string) string {
		return f.post(token, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`).Header().Get(wire.HeaderSession)
	}
	ping := func(token, id string) int {
		return f.post(token, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, wire.HeaderSession, id).Code
	}
	bobs, first := begin(f.other), begin(f.reader)
	for range maxSessionsEach {
		begin(f.reader)
	}
	if got := ping(f.reader, first); got != http.StatusNotFound {
		t.Errorf("the oldest of too many: %d; want 404", got)
	}
	if got := ping(f.other, bobs); got != http.StatusOK {
		t.Errorf("another's: %d; want 200", got)
	}
}

// A prompt or resource that the policy hides looks like one that is not there.
func TestFederatedPromptsAndResourcesThatAreHidden(t *testing.T) {
	f, _ := fedFixture(t)
	up := &fakeUpstream{tools: testTools, answer: f.up.answer}
	server := NewServer("prompts", withPrompts{up}, nil)
	if err := server.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.snap.Servers["prompts"] = server
	f.swap()
	for ask, want := range map[string]string{
		`"prompts/get","params":{"name":"prompts__there"`: "-32602 Unknown prompt: prompts__there",
		`"prompts/get","params":{"name":"prompts__not"`:   "-32602 Unknown prompt: prompts__not",
		`"completion/complete","params":{"ref":{"type":"ref/prompt","name":"prompts__there"},"argument":{"name":"a","value":""}`: "-32602 Unknown prompt: prompts__there",
		`"resources/read","params":{"uri":"sallyport://files/file:///etc/passwd"`:                                                "-32602 Resource not found: sallyport://files/file:///etc/passwd; resources here begin with sallyport:// and the name of a server",
	} {
		if got := toolText(f.post(f.reader, `{"jsonrpc":"2.0","id":7,"method":`+ask+`}}`).Body.String()); got != want {
			t.Errorf("%s: %s; want %s", ask, got, want)
		}
	}
}

// withPrompts has one prompt, "there".
type withPrompts struct{ *fakeUpstream }

func (w withPrompts) Ask(ctx context.Context, e Errand) (*Reply, error) {
	switch textOf(e.Outbound().Body, "method") {
	case wire.MethodInitialize:
		return jsonReply(200, `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{"prompts":{}}}}`), nil
	case wire.MethodPromptsList:
		return jsonReply(200, `{"jsonrpc":"2.0","id":1,"result":{"prompts":[{"name":"there"}]}}`), nil
	}
	return w.fakeUpstream.Ask(ctx, e)
}

func TestEndlessTaskIDIsNotKept(t *testing.T) {
	f := newFixture(t)
	f.up.answer = func(context.Context, Outbound) (*Reply, error) {
		return jsonReply(200, `{"jsonrpc":"2.0","id":7,"result":{"resultType":"task","taskId":"`+strings.Repeat("t", 2000)+`"}}`), nil
	}
	if got := toolText(f.post(f.reader, modernCall("ask", `{}`), modernHeaders("tools/call", "ask")...).Body.String()); got != `502 the server "files" sent an answer that is not valid` {
		t.Errorf("an id of 2,000 bytes: %s", got)
	}
}
