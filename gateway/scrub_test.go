package gateway

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
)

const ownSecret = "hunter2-hunter2"

// leaky is an upstream that knows one secret of the gateway's.
type leaky struct{ *fakeUpstream }

func (leaky) Scrub(doc []byte) ([]byte, int) {
	n := bytes.Count(doc, []byte(ownSecret))
	if n == 0 {
		return doc, 0
	}
	return bytes.ReplaceAll(doc, []byte(ownSecret), []byte("[redacted]")), n
}

func TestAnswersAreScrubbedOfTheGatewaysOwnSecrets(t *testing.T) {
	progress := `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1,"message":"%s"}}`
	result := `{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"%s"}],"resultType":"complete"}}`
	for name, tt := range map[string]struct {
		reply func(word string) *Reply
		call  string
		count int
	}{
		"a result": {func(w string) *Reply { return jsonReply(200, fmt.Sprintf(result, w)) }, "ask", 1},
		"an error": {func(w string) *Reply {
			return jsonReply(200, `{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"`+w+`"}}`)
		}, "ask", 1},
		"a refusal": {func(w string) *Reply {
			return jsonReply(400, `{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"`+w+`"}}`)
		}, "ask", 1},
		"events": {func(w string) *Reply {
			return sseReply(": hello\nid: 1\ndata: " + fmt.Sprintf(progress, "quiet") + "\n\nid: 2\ndata: " + fmt.Sprintf(progress, w) +
				"\n\nevent: message\ndata: " + fmt.Sprintf(result, w) + "\n\n")
		}, "ask", 2},
	} {
		f := newFixture(t)
		f.server.Upstream = leaky{f.up}
		run := func(word string) string {
			f.up.answer = func(context.Context, Outbound) (*Reply, error) { return tt.reply(word), nil }
			return f.post(f.reader, modernCall(tt.call, `{}`), modernHeaders("tools/call", tt.call)...).Body.String()
		}
		got, want := run(ownSecret), run("[redacted]")
		if got != want || strings.Contains(got, ownSecret) {
			t.Errorf("%s: client got %s\nwant %s", name, got, want)
		}
		if detail := f.rec.last().Detail; detail != "" {
			t.Errorf("%s: detail of an answer without a secret: %s", name, detail)
		}
		run(ownSecret)
		wantDetail := fmt.Sprintf("the gateway's own credential was in the answer and was taken out (%d times)", tt.count)
		if detail := f.rec.last().Detail; detail != wantDetail {
			t.Errorf("%s: record says %q; want %q", name, detail, wantDetail)
		}
	}
}

// What servers say of their tools goes to every client, from the catalogue.
func TestCatalogueIsScrubbedOfTheGatewaysOwnSecrets(t *testing.T) {
	f := newFixture(t)
	f.up.tools = `{"name":"read_file","description":"uses ` + ownSecret + `","inputSchema":{"type":"object"}}`
	f.server.Upstream = leaky{f.up}
	if err := f.server.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	body := f.post(f.reader, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{`+meta+`}}`, modernHeaders("tools/list", "")...).Body.String()
	if !strings.Contains(body, "uses [redacted]") || strings.Contains(body, ownSecret) {
		t.Errorf("client got %s", body)
	}
}

// The reason of a refusal may hold words of the server, and goes into the record and the log.
func TestReasonsAreScrubbedOfTheGatewaysOwnSecrets(t *testing.T) {
	f := newFixture(t)
	f.server.Upstream = leaky{f.up}
	f.up.answer = func(context.Context, Outbound) (*Reply, error) {
		return nil, fmt.Errorf("%w: the server exited; its last words: %q", ErrUnreachable, "token "+ownSecret)
	}
	f.post(f.reader, modernCall("ask", `{}`), modernHeaders("tools/call", "ask")...)
	if detail := f.rec.last().Detail; !strings.Contains(detail, "token [redacted]") || strings.Contains(detail, ownSecret) {
		t.Errorf("record says %q", detail)
	}
}

func TestNoCredentialIsToldToTheCallerWithoutTheReason(t *testing.T) {
	f := newFixture(t)
	f.up.answer = func(context.Context, Outbound) (*Reply, error) {
		return nil, fmt.Errorf("%w: token endpoint https://login.example.com/token: it answered 500", ErrNoCredential)
	}
	const want = `502 the gateway could not get its own credential for the server "files", so nothing was sent; the gateway's operator sees why in its log`
	if got := toolText(f.post(f.reader, modernCall("ask", `{}`), modernHeaders("tools/call", "ask")...).Body.String()); got != want {
		t.Errorf("client got %s\nwant %s", got, want)
	}
	if rec := f.rec.last(); rec.Code != CodeUnavailable.String() || !strings.Contains(rec.Detail, "it answered 500") {
		t.Errorf("record: %s %s", rec.Code, rec.Detail)
	}
}
