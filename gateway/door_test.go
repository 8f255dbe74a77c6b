package gateway

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"sallyport/gateway/guard"
	"sallyport/gateway/wire"
)

// textOnly makes the door let nothing pass but text.
func (f *fixture) textOnly() {
	f.t.Helper()
	door, err := guard.New(guard.Config{Content: []string{"text"}})
	if err != nil {
		f.t.Fatal(err)
	}
	f.snap.Door = door
	f.swap()
}

// What the policy wants of a result it wants also where the client fetches it from another stream.
func TestAResumedAnswerMeetsTheObligationsOfItsCall(t *testing.T) {
	f := newFixture(t)
	f.snap.Policy = mustPolicy(t, testPolicy+"\nobligations contains {\"type\": \"mask\", \"pointer\": \"/email\"} if input.tool.name == \"ask\"\n")
	f.swap()
	f.up.answer = func(_ context.Context, out Outbound) (*Reply, error) {
		if out.Method == http.MethodGet {
			return sseReply(`data: {"jsonrpc":"2.0","id":7,"result":{"content":[],"structuredContent":{"email":"ann@example.com"}}}` + "\n\n"), nil
		}
		return sseReply("id: 1\nretry: 5\ndata: \n\n"), nil // ended before its answer
	}
	f.withSession("s1")
	f.post(f.reader, initialize)
	f.post(f.reader, legacyCall("ask", `{}`), wire.HeaderSession, "s1")
	got := f.do("GET", f.reader, "", wire.HeaderSession, "s1", wire.HeaderLastEventID, "1").Body.String()
	if strings.Contains(got, "ann@example.com") || !strings.Contains(got, `"email":`) {
		t.Errorf("client got %s; want the value masked", got)
	}
}

// The newer protocol's tasks carry the result of their call in their state.
func TestTheResultOfATaskGoesThroughTheDoor(t *testing.T) {
	f := newFixture(t)
	f.textOnly()
	f.up.answer = func(_ context.Context, out Outbound) (*Reply, error) {
		if textOf(out.Body, "method") == "tools/call" {
			return jsonReply(200, `{"jsonrpc":"2.0","id":7,"result":{"taskId":"t1","status":"working","resultType":"task"}}`), nil
		}
		return jsonReply(200, `{"jsonrpc":"2.0","id":7,"result":{"taskId":"t1","status":"completed","resultType":"complete","result":{"content":[{"type":"image","data":"aGlkZGVu","mimeType":"image/png"}]}}}`), nil
	}
	f.post(f.reader, legacyCall("ask", `{}`))
	got := f.post(f.reader, `{"jsonrpc":"2.0","id":7,"method":"tasks/get","params":{"taskId":"t1"}}`).Body.String()
	if strings.Contains(got, "aGlkZGVu") || !strings.Contains(got, "guards.content") {
		t.Errorf("client got %s; want the image left out", got)
	}
}

// Nobody can agree to what a server asks in the middle of a call.
func TestAQuestionThatWantsApprovalIsNotPut(t *testing.T) {
	f := newFixture(t)
	f.snap.Policy = mustPolicy(t, testPolicy+"\nobligations contains {\"type\": \"require_approval\", \"by\": \"x\"} if input.action == \"roots/list\"\n")
	f.swap()
	f.up.answer = func(_ context.Context, out Outbound) (*Reply, error) {
		if textOf(out.Body, "method") != "tools/call" {
			return &Reply{Status: 202, Body: io.NopCloser(strings.NewReader(""))}, nil
		}
		return sseReply(`data: {"jsonrpc":"2.0","id":"q1","method":"roots/list"}` + "\n\n" + `data: {"jsonrpc":"2.0","id":7,"result":{"content":[]}}` + "\n\n"), nil
	}
	f.withSession("s1")
	f.post(f.reader, initialize)
	if got := f.post(f.reader, legacyCall("ask", `{}`), wire.HeaderSession, "s1").Body.String(); strings.Contains(got, "q1") {
		t.Errorf("client got %s; want no question", got)
	}
}
