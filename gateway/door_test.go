package gateway

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"sallyport/gateway/audit"
	"sallyport/gateway/guard"
	"sallyport/gateway/rules"
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

// A kind of content comes back where the operator's rule for this prompt, resource or tool lets it,
// and nowhere else.
func TestContentIsThatOfTheRuleForWhatWasAsked(t *testing.T) {
	const image, blob = `{"type":"image","data":"iVBORw0KGgoAAAANSUhEUg==","mimeType":"image/png"}`, `{"uri":"file:///srv/x","mimeType":"image/png","blob":"iVBORw0KGgoAAAANSUhEUg=="}`
	for _, tt := range []struct {
		body, result string
		through      bool
	}{
		{legacyCall("ask", `{}`), `{"content":[` + image + `]}`, true},
		{readCall, `{"content":[` + image + `]}`, false},
		{`{"jsonrpc":"2.0","id":7,"method":"prompts/get","params":{"name":"pictures"}}`, `{"messages":[{"role":"user","content":` + image + `}]}`, true},
		{`{"jsonrpc":"2.0","id":7,"method":"prompts/get","params":{"name":"letters"}}`, `{"messages":[{"role":"user","content":` + image + `}]}`, false},
		{`{"jsonrpc":"2.0","id":7,"method":"prompts/get","params":{"name":"file:///srv/pictures/x"}}`, `{"messages":[{"role":"user","content":` + image + `}]}`, false},
		{`{"jsonrpc":"2.0","id":7,"method":"resources/read","params":{"uri":"file:///srv/pictures/x"}}`, `{"contents":[` + blob + `]}`, true},
		{`{"jsonrpc":"2.0","id":7,"method":"resources/read","params":{"uri":"file:///srv/letters/x"}}`, `{"contents":[` + blob + `]}`, false},
	} {
		f := newFixture(t)
		f.snap.Policy = mustPolicy(t, flowPolicy)
		f.textOnly()
		f.say(rules.Config{
			Tools:     []rules.Entry{{Pattern: "ask", Content: []string{"image"}}},
			Prompts:   []rules.Entry{{Pattern: "pictures", Content: []string{"image"}}},
			Resources: []rules.Entry{{Pattern: "file:///srv/pictures/*", Content: []string{"blob", "image"}}},
		})
		f.up.answer = func(context.Context, Outbound) (*Reply, error) {
			return jsonReply(200, `{"jsonrpc":"2.0","id":7,"result":`+tt.result+`}`), nil
		}
		got := f.post(f.reader, tt.body).Body.String()
		if strings.Contains(got, "iVBORw0KGgoAAAANSUhEUg==") != tt.through || !strings.Contains(got, `"result"`) {
			t.Errorf("%s\nclient got %s\nwant the content through: %t", tt.body, got, tt.through)
		}
	}
}

// Record-only lets through what the door would withhold, says so, and takes nothing else from the door.
func TestRecordOnlyKeepsTheDoorsOwnWork(t *testing.T) {
	for _, tt := range []struct{ result, want, decision string }{
		{`{"content":[{"type":"text","text":"plain"}]}`, "plain", "allow"},
		{`{"content":[{"type":"image","data":"iVBORw0KGgoAAAANSUhEUg==","mimeType":"image/png"}]}`, "guards.content", "allow"},
		{`{"content":"no list"}`, `"content":"no list"`, wouldDeny},
	} {
		f := newFixture(t)
		f.snap.RecordOnly = true
		f.textOnly()
		f.up.answer = func(context.Context, Outbound) (*Reply, error) {
			return jsonReply(200, `{"jsonrpc":"2.0","id":7,"result":`+tt.result+`}`), nil
		}
		if got := f.post(f.reader, readCall).Body.String(); !strings.Contains(got, tt.want) || strings.Contains(got, "iVBORw0KGgoAAAANSUhEUg==") {
			t.Errorf("%s: client got %s; want %s", tt.result, got, tt.want)
		}
		if outcome := f.rec.of(audit.PhaseOutcome); len(outcome) != 1 || outcome[0].Decision != tt.decision {
			t.Errorf("%s: outcomes %+v; want one, %s", tt.result, outcome, tt.decision)
		}
	}
}

// Notifications and questions go through the door as results do, and what is in order goes as it came.
func TestNotificationsAndQuestionsGoThroughTheDoor(t *testing.T) {
	f := newFixture(t)
	f.snap.Policy = mustPolicy(t, testPolicy+"\nallow if input.action == \"elicitation/create\"\n")
	f.swap()
	const result = `data: {"jsonrpc":"2.0","id":7,"result":{"content":[],"resultType":"complete"}}` + "\n\n"
	for _, tt := range []struct{ sent, want, not string }{
		{`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"[x](javascript:1)"}}`, `"data":"[x](inert-javascript:1)"`, "(javascript:1)"},
		{`{"jsonrpc":"2.0","method":"notifications/message", "params":{"level":"info","data":"plain"}}`, `"notifications/message", "params":{"level":"info","data":"plain"}`, "inert"},
		{`{"jsonrpc":"2.0", "method":"notifications/tools/list_changed"}`, `"2.0", "method":"notifications/tools/list_changed"`, "inert"},
		{`{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list"},"b":{"method":"elicitation/create","params":{"mode":"form","message":"say\u202e it","requestedSchema":{"type":"object","properties":{}}}},"c":{"method":"roots/list"}}}}`,
			`"inputRequests":{"a":{"method":"roots/list"},"b":{"method":"elicitation/create","params":{"mode":"form","message":"The MCP server \"files\" asks: say it","requestedSchema":{"type":"object","properties":{}}}},"c":{"method":"roots/list"}}`, `u202e`},
	} {
		f.up.answer = func(context.Context, Outbound) (*Reply, error) {
			return sseReply("data: " + tt.sent + "\n\n" + result), nil
		}
		got := f.post(f.reader, modernCall("ask", `{}`), modernHeaders("tools/call", "ask")...).Body.String()
		if !strings.Contains(got, tt.want) || strings.Contains(got, tt.not) || strings.Contains(got, "\u202e") {
			t.Errorf("%s\nclient got %s\nwant %s", tt.sent, got, tt.want)
		}
	}
}
