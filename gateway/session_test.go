package gateway

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"sallyport/gateway/wire"

	"sallyport/identity/grant"
)

// withSession makes the upstream begin sessions named by id.
func (f *fixture) withSession(id string) {
	inner := f.up.answer
	f.up.answer = func(ctx context.Context, out Outbound) (*Reply, error) {
		if textOf(out.Body, "method") == wire.MethodInitialize {
			r := jsonReply(200, `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{}}}`)
			r.Header.SessionID = id
			return r, nil
		}
		if out.Method == http.MethodDelete {
			return &Reply{Status: 204, Body: io.NopCloser(strings.NewReader(""))}, nil
		}
		r, err := inner(ctx, out)
		if r != nil && len(out.Header[wire.HeaderSession]) == 1 {
			r.Header.SessionID = out.Header[wire.HeaderSession][0]
		}
		return r, err
	}
}

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

func TestSessionIsBoundToItsPrincipalNotItsToken(t *testing.T) {
	f := newFixture(t)
	f.withSession("s1")
	w := f.post(f.reader, initialize)
	if got := w.Header().Get(wire.HeaderSession); got != "s1" {
		t.Fatalf("initialize: session %q, %s; want s1", got, w.Body)
	}
	call := legacyCall("read_file", `{"path":"/srv/a"}`)
	refreshed := f.issuer.Mint("ann")
	if w := f.post(refreshed, call, wire.HeaderSession, "s1"); w.Code != 200 || toolText(w.Body.String()) != "ok" {
		t.Errorf("refreshed token: %d %s; want ok", w.Code, w.Body)
	}
	sent := f.up.requests()
	if got := sent[len(sent)-1].Header[wire.HeaderSession]; len(got) != 1 || got[0] != "s1" {
		t.Errorf("the upstream got session %v; want s1", got)
	}
	foreign := f.post(f.other, call, wire.HeaderSession, "s1")
	unknown := f.post(f.other, call, wire.HeaderSession, "s2")
	if foreign.Code != 404 || foreign.Body.String() != unknown.Body.String() {
		t.Errorf("another's session: %d %s; an unknown one: %s; want the same 404", foreign.Code, foreign.Body, unknown.Body)
	}
	client := f.issuer.Under(f.issuer.Grant(grant.Grant{Subject: "ann", ClientID: "another", Roles: []string{"reader"}}))
	if w := f.post(client, call, wire.HeaderSession, "s1"); w.Code != 404 {
		t.Errorf("same subject, another client: %d; want 404", w.Code)
	}
	second := f.issuer.Under(f.issuer.Grant(grant.Grant{Subject: "ann", Roles: []string{"reader"}}))
	if w := f.post(second, call, wire.HeaderSession, "s1"); w.Code != 404 {
		t.Errorf("same subject, another grant: %d; want 404", w.Code)
	}
	if w := f.do("DELETE", f.other, "", wire.HeaderSession, "s1"); w.Code != 404 {
		t.Errorf("DELETE by another: %d; want 404", w.Code)
	}
	if w := f.do("DELETE", refreshed, "", wire.HeaderSession, "s1"); w.Code != 204 {
		t.Errorf("DELETE: %d %s; want 204", w.Code, w.Body)
	}
	if w := f.post(f.reader, call, wire.HeaderSession, "s1"); w.Code != 404 {
		t.Errorf("after DELETE: %d; want 404", w.Code)
	}
}

// An upstream that hands out one session twice would mix two callers up.
func TestSessionOfSomebodyElseIsNotTaken(t *testing.T) {
	f := newFixture(t)
	f.withSession("same")
	f.post(f.reader, initialize)
	w := f.post(f.other, initialize)
	if got := toolText(w.Body.String()); got != "502 the server began a session that is somebody else's" || w.Header().Get(wire.HeaderSession) != "" {
		t.Errorf("second owner: %q, header %q", got, w.Header().Get(wire.HeaderSession))
	}
}

func TestSessionEndsWhenTheUpstreamHasForgottenIt(t *testing.T) {
	f := newFixture(t)
	f.withSession("s1")
	f.post(f.reader, initialize)
	f.up.answer = func(context.Context, Outbound) (*Reply, error) {
		return &Reply{Status: 404, Header: ReplyHeader{ContentType: "text/plain"}, Body: io.NopCloser(strings.NewReader("no such session"))}, nil
	}
	w := f.post(f.reader, legacyCall("ask", `{}`), wire.HeaderSession, "s1")
	if w.Code != 404 || strings.Contains(w.Body.String(), "no such session") {
		t.Errorf("client got %d %q; want 404 and not the upstream's text", w.Code, w.Body)
	}
	n := len(f.up.requests())
	if w := f.post(f.reader, legacyCall("ask", `{}`), wire.HeaderSession, "s1"); w.Code != 404 || len(f.up.requests()) != n {
		t.Errorf("second try: %d, %d requests more; want 404 from the gateway itself", w.Code, len(f.up.requests())-n)
	}
}

// A server's question goes to the client only where policy opens it, and only its own answer
// goes back, once.
func TestServerQuestionsAreDecidedAndAnsweredOnce(t *testing.T) {
	f := newFixture(t)
	f.up.answer = func(_ context.Context, out Outbound) (*Reply, error) {
		if textOf(out.Body, "method") != "tools/call" {
			return &Reply{Status: 202, Body: io.NopCloser(strings.NewReader(""))}, nil
		}
		return sseReply(`data: {"jsonrpc":"2.0","id":"q1","method":"roots/list"}` + "\n\n" +
			`data: {"jsonrpc":"2.0","id":"q2","method":"sampling/createMessage","params":{"messages":[]}}` + "\n\n" +
			`data: {"jsonrpc":"2.0","id":7,"result":{"content":[]}}` + "\n\n"), nil
	}
	f.withSession("s1")
	f.post(f.reader, initialize)
	w := f.post(f.reader, legacyCall("ask", `{}`), wire.HeaderSession, "s1")
	if !strings.Contains(w.Body.String(), `"q1"`) || strings.Contains(w.Body.String(), "q2") {
		t.Errorf("client got %q; want the question about roots only", w.Body)
	}
	eventually(t, "the gateway answers the refused question", func() bool {
		for _, e := range f.up.errands() {
			if strings.Contains(string(e.Body), `"id":"q2","error":{"code":403`) && e.Header[wire.HeaderSession][0] == "s1" {
				return true
			}
		}
		return false
	})
	answer := `{"jsonrpc":"2.0","id":"q1","result":{"roots":[]}}`
	if w := f.post(f.other, answer); w.Code != 400 {
		t.Errorf("another's answer: %d; want 400", w.Code)
	}
	if w := f.post(f.reader, answer, wire.HeaderSession, "s1"); w.Code != 202 {
		t.Errorf("answer: %d %s; want 202", w.Code, w.Body)
	}
	if w := f.post(f.reader, answer, wire.HeaderSession, "s1"); w.Code != 400 {
		t.Errorf("second answer: %d; want 400", w.Code)
	}
	if w := f.post(f.reader, `{"jsonrpc":"2.0","id":"q2","result":{}}`, wire.HeaderSession, "s1"); w.Code != 400 {
		t.Errorf("answer to a refused question: %d; want 400", w.Code)
	}
}

// A task belongs to the principal and the tool that began it, and each poll is decided again.
func TestTaskHandleIsBoundToPrincipalAndTool(t *testing.T) {
	f := newFixture(t)
	f.up.answer = func(_ context.Context, out Outbound) (*Reply, error) {
		if textOf(out.Body, "method") == "tools/call" {
			return jsonReply(200, `{"jsonrpc":"2.0","id":7,"result":{"task":{"taskId":"t1","status":"working"}}}`), nil
		}
		return jsonReply(200, `{"jsonrpc":"2.0","id":7,"result":{"taskId":"t1","status":"working"}}`), nil
	}
	f.post(f.reader, legacyCall("ask", `{}`))
	get := `{"jsonrpc":"2.0","id":7,"method":"tasks/get","params":{"taskId":"t1"}}`
	if got := toolText(f.post(f.reader, get).Body.String()); got != "ok" {
		t.Errorf("own task: %s; want ok", got)
	}
	foreign := toolText(f.post(f.other, get).Body.String())
	unknown := toolText(f.post(f.other, strings.Replace(get, "t1", "t9", 1)).Body.String())
	if foreign != "-32602 Unknown task" || foreign != unknown {
		t.Errorf("another's task: %q, an unknown one: %q; want the same", foreign, unknown)
	}
	f.snap.Policy = mustPolicy(t, strings.Replace(testPolicy, `{"read_file", "ask"}`, `{"read_file"}`, 1))
	f.swap()
	if got := toolText(f.post(f.reader, get).Body.String()); got != "-32602 Unknown task" {
		t.Errorf("task of a tool that is hidden now: %q", got)
	}
}

// The state that a server gives a client to keep comes back only from the same principal for
// the same call, and the server sees its own bytes again.
func TestRequestStateIsSealed(t *testing.T) {
	f := newFixture(t)
	f.up.answer = func(context.Context, Outbound) (*Reply, error) {
		return jsonReply(200, `{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required", "requestState" : "st\u00e9\"ate","inputRequests":{"r":{"method":"roots/list"}}}}`), nil
	}
	w := f.post(f.reader, modernCall("ask", `{}`), modernHeaders("tools/call", "ask")...)
	before, rest, ok := strings.Cut(w.Body.String(), `"requestState" : "sp1.`)
	sealed, after, _ := strings.Cut(rest, `"`)
	if !ok || before+after != `{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required", ,"inputRequests":{"r":{"method":"roots/list"}}}}` || strings.Contains(sealed, "ate") {
		t.Fatalf("client got %s", w.Body)
	}
	retry := func(tool, state string) string {
		return `{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"` + tool + `","arguments":{"path":"/srv/a"},"inputResponses":{"r":{"roots":[]}},"requestState":"` + state + `",` + meta + `}}`
	}
	f.up.answer = func(context.Context, Outbound) (*Reply, error) {
		return jsonReply(200, `{"jsonrpc":"2.0","id":8,"result":{"content":[],"resultType":"complete"}}`), nil
	}
	n := len(f.up.requests())
	changed := "A"
	if sealed[0] == 'A' {
		changed = "B"
	}
	for name, try := range map[string]struct{ token, tool, state string }{
		"another principal": {f.other, "ask", "sp1." + sealed},
		"another tool":      {f.reader, "read_file", "sp1." + sealed},
		"made up":           {f.reader, "ask", "stéate"},
		"changed":           {f.reader, "ask", "sp1." + changed + sealed[1:]},
	} {
		got := toolText(f.post(try.token, retry(try.tool, try.state), modernHeaders("tools/call", try.tool)...).Body.String())
		if got != "-32602 params.requestState is not valid for this call" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if len(f.up.requests()) != n {
		t.Fatal("a state that was refused went upstream")
	}
	if got := toolText(f.post(f.issuer.Mint("ann"), retry("ask", "sp1."+sealed), modernHeaders("tools/call", "ask")...).Body.String()); got != "ok" {
		t.Fatalf("own retry: %s", got)
	}
	sent := f.up.requests()
	if got, want := string(sent[len(sent)-1].Body), retry("ask", `sté\"ate`); got != want {
		t.Errorf("upstream got %s; want %s", got, want)
	}
	if out := sent[len(sent)-1]; string(out.Message.Raw) != string(out.Body) {
		t.Errorf("what is said to be understood is %s; want what is sent", out.Message.Raw)
	}
}

// A question inside a modern result is decided by policy as well.
func TestInputRequestsAreDecided(t *testing.T) {
	f := newFixture(t)
	f.up.answer = func(context.Context, Outbound) (*Reply, error) {
		return jsonReply(200, `{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list"},"b":{"method":"elicitation/create","params":{"message":"password?"}}}}}`), nil
	}
	w := f.post(f.reader, modernCall("ask", `{}`), modernHeaders("tools/call", "ask")...)
	if got := toolText(w.Body.String()); !strings.HasPrefix(got, "Denied by policy: no rule allows it") || strings.Contains(w.Body.String(), "password") {
		t.Errorf("client got %s; want a refusal without the question", w.Body)
	}
}

// Without a session the upstream could not tell whose request a cancellation names.
func TestCancellationReachesOnlyTheCallersOwnCall(t *testing.T) {
	f := newFixture(t)
	started, ended := make(chan struct{}), make(chan error, 1)
	f.up.answer = func(ctx context.Context, out Outbound) (*Reply, error) {
		close(started)
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil, ErrUnreachable
	}
	done := make(chan string)
	go func() { done <- toolText(f.post(f.reader, legacyCall("ask", `{}`)).Body.String()) }()
	<-started
	cancel := `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`
	if w := f.post(f.other, cancel); w.Code != 202 {
		t.Errorf("another's cancellation: %d; want 202, as for a request that has ended", w.Code)
	}
	select {
	case err := <-ended:
		t.Fatalf("another principal ended the call: %v", err)
	default:
	}
	if w := f.post(f.reader, cancel); w.Code != 202 {
		t.Errorf("own cancellation: %d; want 202", w.Code)
	}
	if got := <-done; got != "499 Request cancelled" {
		t.Errorf("cancelled call answered %q", got)
	}
	if n := len(f.up.requests()); n != 1 {
		t.Errorf("%d requests went upstream; want 1, the cancellation stays here", n)
	}
}

// In the newer protocol hanging up cancels; in the older one it does not.
func TestDisconnectCancelsOnlyInTheNewerEra(t *testing.T) {
	for _, era := range []wire.Era{wire.Modern, wire.Legacy} {
		t.Run(era.String(), func(t *testing.T) {
			f := newFixture(t)
			ctx, hangUp := context.WithCancel(t.Context())
			release := make(chan struct{})
			cancelled := make(chan bool, 1)
			f.up.answer = func(ctx context.Context, out Outbound) (*Reply, error) {
				hangUp()
				select {
				case <-ctx.Done():
					cancelled <- true
					return nil, ErrUnreachable
				case <-release:
					cancelled <- ctx.Err() != nil
					return jsonReply(200, `{"jsonrpc":"2.0","id":7,"result":{}}`), nil
				}
			}
			r := f.request("POST", f.reader, legacyCall("ask", `{}`))
			if era == wire.Modern {
				r = f.request("POST", f.reader, modernCall("ask", `{}`), modernHeaders("tools/call", "ask")...)
			} else {
				close(release)
			}
			f.serve(r.WithContext(ctx))
			if got := <-cancelled; got != (era == wire.Modern) {
				t.Errorf("cancelled = %v in the %s era", got, era)
			}
		})
	}
}

// An answer that a client fetches from another stream of its session is judged as it would
// have been on its own: filtered, bound, or dropped where nobody is owed it.
func TestResumedAnswerIsJudgedLikeAnyOther(t *testing.T) {
	f := newFixture(t)
	list := `{"jsonrpc":"2.0","id":9,"result":{"resources":[{"uri":"file:///srv/a"},{"uri":"file:///etc/x"}]}}`
	f.up.answer = func(_ context.Context, out Outbound) (*Reply, error) {
		if out.Method == http.MethodGet {
			return sseReply("id: 2\ndata: " + list + "\n\nid: 3\ndata: " + strings.Replace(list, `"id":9`, `"id":10`, 1) + "\n\n" +
				`data: {"jsonrpc":"2.0","id":7,"result":{"task":{"taskId":"t1","status":"working"}}}` + "\n\n"), nil
		}
		return sseReply("id: 1\nretry: 5\ndata: \n\n"), nil // ended before its answer
	}
	f.withSession("s1")
	f.post(f.reader, initialize)
	f.post(f.reader, `{"jsonrpc":"2.0","id":9,"method":"resources/list"}`, wire.HeaderSession, "s1")
	f.post(f.reader, legacyCall("ask", `{}`), wire.HeaderSession, "s1")
	w := f.do("GET", f.reader, "", wire.HeaderSession, "s1", wire.HeaderLastEventID, "1")
	want := "id: 2\ndata: " + strings.Replace(list, `,{"uri":"file:///etc/x"}`, "", 1) + "\n\n" +
		`data: {"jsonrpc":"2.0","id":7,"result":{"task":{"taskId":"t1","status":"working"}}}` + "\n\n"
	if got := w.Body.String(); got != want {
		t.Errorf("client got\n%s; want\n%s", got, want)
	}
	if tool, ok := f.g.handles.Tool("files", "t1", "23:"); ok {
		t.Errorf("the task is a stranger's: %s", tool)
	}
	if got := toolText(f.post(f.reader, `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t1"}}`, wire.HeaderSession, "s1").Body.String()); got == "-32602 Unknown task" {
		t.Error("the task of a resumed answer is not bound to its owner")
	}
	if again := f.do("GET", f.reader, "", wire.HeaderSession, "s1"); strings.Contains(again.Body.String(), `"id":9`) {
		t.Errorf("an answer that was given came again: %s", again.Body)
	}
}
