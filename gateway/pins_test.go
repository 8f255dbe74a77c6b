package gateway

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/gateway/pin"
	"sallyport/gateway/wire"
)

// talkative is a server that says more of itself than tools: each text is shown by everything.
type talkative struct {
	*fakeUpstream
	text string
}

func (u *talkative) hello(more string) string {
	return `{"jsonrpc":"2.0","id":1,"result":{"capabilities":{"tools":{},"prompts":{},"resources":{}},"instructions":"` + u.text + `"` + more + `}}`
}

func (u *talkative) list(method string) string {
	return map[string]string{
		wire.MethodToolsList:    `"tools":[` + u.tools + `,{"name":"said","description":"` + u.text + `","inputSchema":{}}]`,
		wire.MethodPromptsList:  `"prompts":[{"name":"p","description":"` + u.text + `"},{"name":"still"}]`,
		wire.MethodResTemplates: `"resourceTemplates":[{"uriTemplate":"file:///srv/{x}","name":"` + u.text + `"}]`,
		wire.MethodResList:      `"resources":[]`,
	}[method]
}

func (u *talkative) Ask(ctx context.Context, e Errand) (*Reply, error) {
	switch method := textOf(e.Outbound().Body, "method"); method {
	case wire.MethodDiscover:
		return jsonReply(200, u.hello(`,"resultType":"complete"`)), nil
	case wire.MethodInitialize:
		return jsonReply(200, u.hello(`,"protocolVersion":"2025-11-25"`)), nil
	case wire.MethodToolsList, wire.MethodPromptsList, wire.MethodResTemplates, wire.MethodResList:
		return jsonReply(200, `{"jsonrpc":"2.0","id":1,"result":{`+u.list(method)+`,"resultType":"complete"}}`), nil
	}
	return u.fakeUpstream.Ask(ctx, e)
}

// pinned puts a talkative server with pins into the fixture.
func pinned(t *testing.T, mode pin.Mode) (*fixture, *talkative, *pin.Store) {
	f := newFixture(t)
	up := &talkative{f.up, "one"}
	store, err := pin.Open(filepath.Join(t.TempDir(), pin.FileName), pin.Options{Mode: mode})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	f.up.answer = func(_ context.Context, out Outbound) (*Reply, error) {
		switch method := textOf(out.Body, "method"); method {
		case wire.MethodDiscover, wire.MethodInitialize:
			return jsonReply(200, strings.Replace(up.hello(`,"resultType":"complete"`), `"id":1`, `"id":7`, 1)), nil
		case wire.MethodPromptsList, wire.MethodResTemplates:
			return jsonReply(200, `{"jsonrpc":"2.0","id":7,"result":{`+up.list(method)+`,"resultType":"complete"}}`), nil
		}
		return jsonReply(200, `{"jsonrpc":"2.0","id":7,"result":{"content":[],"messages":[],"completion":{"values":[]},"resultType":"complete"}}`), nil
	}
	f.server = NewServer("files", up, nil)
	f.server.Pins = store.Server("files")
	f.refresh()
	f.snap.Policy = mustPolicy(t, "package mcp.authz\nallow := true\n")
	f.snap.Servers = map[string]*Server{"files": f.server}
	f.swap()
	return f, up, store
}

func (f *fixture) refresh() {
	f.t.Helper()
	if err := f.server.Refresh(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

func modernAsk(method, params string) string {
	if params != "" {
		params += ","
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":%q,"params":{%s%s}}`, method, params, meta)
}

// TestClientsSeeNothingButPinnedCopies asks for everything that a server says of itself, as it was
// pinned, changed, and as it was again.
func TestClientsSeeNothingButPinnedCopies(t *testing.T) {
	f, up, _ := pinned(t, pin.FirstUse)
	for _, tt := range []struct {
		text, instructions string
		shown              bool
	}{{"one", "one", true}, {"two", "", false}, {"one", "one", true}} {
		up.text = tt.text
		f.refresh()
		for _, method := range []string{wire.MethodToolsList, wire.MethodPromptsList, wire.MethodResTemplates} {
			body := f.post(f.reader, modernAsk(method, ""), modernHeaders(method, "")...).Body.String()
			if got := strings.Contains(body, tt.text); got != tt.shown || strings.Contains(body, "two") {
				t.Errorf("%s of %q: %s", method, tt.text, body)
			}
		}
		for _, method := range []string{wire.MethodDiscover, wire.MethodInitialize} {
			msg, headers := modernAsk(method, ""), modernHeaders(method, "")
			if method == wire.MethodInitialize {
				msg, headers = `{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`, nil
			}
			body := f.post(f.reader, msg, headers...).Body.String()
			if !strings.Contains(body, `"instructions":"`+tt.instructions+`"`) {
				t.Errorf("%s of %q: %s", method, tt.text, body)
			}
		}
	}
}

// TestWhatHasChangedCannotBeUsed names a changed tool, prompt and template.
func TestWhatHasChangedCannotBeUsed(t *testing.T) {
	f, up, _ := pinned(t, pin.FirstUse)
	ask := func() (got []string) {
		for _, b := range []struct{ method, name, params string }{
			{wire.MethodToolsCall, "said", `"name":"said","arguments":{}`},
			{wire.MethodPromptsGet, "p", `"name":"p"`},
			{wire.MethodPromptsGet, "unlisted", `"name":"unlisted"`},
			{wire.MethodComplete, "", `"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":""}`},
			{wire.MethodComplete, "", `"ref":{"type":"ref/resource","uri":"file:///srv/{x}"},"argument":{"name":"x","value":""}`},
			{wire.MethodPromptsGet, "still", `"name":"still"`},
		} {
			got = append(got, toolText(f.post(f.reader, modernAsk(b.method, b.params), modernHeaders(b.method, b.name)...).Body.String()))
		}
		return got
	}
	if got := strings.Join(ask(), "; "); got != "ok; ok; -32602 Unknown prompt: unlisted; ok; ok; ok" {
		t.Errorf("as it was pinned: %s", got)
	}
	up.text = "two"
	f.refresh()
	before := len(f.up.requests())
	want := "-32602 Unknown tool: said; -32602 Unknown prompt: p; -32602 Unknown prompt: unlisted; -32602 Unknown prompt: p; -32602 Unknown template: file:///srv/{x}; ok"
	if got := strings.Join(ask(), "; "); got != want {
		t.Errorf("changed:\n got  %s\n want %s", got, want)
	}
	if sent := len(f.up.requests()) - before; sent != 1 {
		t.Errorf("the server was sent %d requests; want the one for what has not changed", sent)
	}
}

func TestClientsAreToldOfAChange(t *testing.T) {
	f, up, store := pinned(t, pin.FirstUse)
	var told []change
	note := func(c change) { told = append(told, c) }
	f.server.changed.Store(&note)
	f.refresh()
	up.text = "two"
	f.refresh()
	f.refresh()
	if len(told) != 1 || !told[0].tools || !told[0].prompts || !told[0].resources {
		t.Errorf("told %+v; want one change of everything", told)
	}
	if _, err := store.Approve(t.Context(), "user ada", pin.Selection{}, ""); err != nil {
		t.Fatal(err)
	}
	f.refresh()
	if len(told) != 2 {
		t.Errorf("told %+v; want one change more", told)
	}
	body := f.post(f.reader, modernAsk(wire.MethodToolsList, ""), modernHeaders(wire.MethodToolsList, "")...).Body.String()
	if !strings.Contains(body, "two") || !f.server.Reviewed(f.server.listing(wire.Modern).Tools["said"]) {
		t.Errorf("what was approved is not shown: %s", body)
	}
}

func TestRequiredPinsServeNothingUnreviewed(t *testing.T) {
	f, _, store := pinned(t, pin.Required)
	if got := toolText(f.post(f.reader, modernCall("said", "{}"), modernHeaders(wire.MethodToolsCall, "said")...).Body.String()); got != "-32602 Unknown tool: said" {
		t.Errorf("an unreviewed tool: %s", got)
	}
	if _, err := store.Approve(t.Context(), "user ada", pin.Selection{}, ""); err != nil {
		t.Fatal(err)
	}
	f.refresh()
	if got := toolText(f.post(f.reader, modernCall("said", "{}"), modernHeaders(wire.MethodToolsCall, "said")...).Body.String()); got != "ok" {
		t.Errorf("a reviewed tool: %s", got)
	}
}

// TestAnUnpinnedToolIsNotReviewed holds for servers without pins too.
func TestAnUnpinnedToolIsNotReviewed(t *testing.T) {
	f := newFixture(t)
	if f.server.Reviewed(f.server.listing(wire.Modern).Tools["ask"]) || f.server.Reviewed(nil) {
		t.Error("a tool that nobody has pinned is reviewed")
	}
}
