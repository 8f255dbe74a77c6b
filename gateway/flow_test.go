package gateway

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/gateway/rules"
	"sallyport/gateway/wire"
)

const flowPolicy = `package mcp.authz

allow if "reader" in input.subject.roles

deny contains "private data may not leave" if {
	"source:private" in input.flow.labels
	"sink:external" in object.union({"labels": []}, object.get(input, "tool", {})).labels
}
deny contains "nothing goes to this server any more" if {
	"source:private" in input.flow.labels
	"sink:external" in input.server.labels
}
`

// labelled is a fixture whose read_file is a private source and whose ask is a way out.
func labelled(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.snap.Policy = mustPolicy(t, flowPolicy)
	f.say(rules.Config{
		Tools:     []rules.Entry{{Pattern: "read_*", Labels: []string{rules.SourcePrivate}}, {Pattern: "ask", Labels: []string{rules.SinkExternal}}},
		Resources: []rules.Entry{{Pattern: "file:///private/*", Labels: []string{rules.SourcePrivate}}},
		Prompts:   []rules.Entry{{Pattern: "briefing", Labels: []string{rules.SourcePrivate}}},
	})
	return f
}

// say makes c what the operator says of the server.
func (f *fixture) say(c rules.Config) {
	f.t.Helper()
	set, err := rules.New(c)
	if err != nil {
		f.t.Fatal(err)
	}
	f.snap.Rules = map[string]*rules.Set{"files": set}
	f.swap()
}

// From the first read of a private source on, the way out is closed, and stays closed.
func TestASinkIsClosedOnceASourceWasRead(t *testing.T) {
	for name, source := range map[string]string{
		"tool":     readCall,
		"resource": `{"jsonrpc":"2.0","id":7,"method":"resources/read","params":{"uri":"file:///private/x"}}`,
		"prompt":   `{"jsonrpc":"2.0","id":7,"method":"prompts/get","params":{"name":"briefing"}}`,
	} {
		f := labelled(t)
		ask := legacyCall("ask", `{}`)
		if got := toolText(f.post(f.reader, ask).Body.String()); got != "ok" {
			t.Fatalf("%s: before anything was read: %s", name, got)
		}
		f.post(f.reader, `{"jsonrpc":"2.0","id":7,"method":"resources/read","params":{"uri":"file:///public/x"}}`)
		if got := toolText(f.post(f.reader, ask).Body.String()); got != "ok" {
			t.Fatalf("%s: after something public was read: %s", name, got)
		}
		f.post(f.reader, source)
		n := len(f.up.requests())
		for range 2 {
			if got := toolText(f.post(f.reader, ask).Body.String()); !strings.HasPrefix(got, "Denied by policy: private data may not leave") {
				t.Errorf("%s: after it: %s", name, got)
			}
		}
		if len(f.up.requests()) != n {
			t.Errorf("%s: a refused call reached the server", name)
		}
	}
}

// The labels are in the record of the decision, and the server hears of the call after that.
func TestLabelsAreAddedBeforeTheServerIsContacted(t *testing.T) {
	f := labelled(t)
	var during string
	f.up.answer = func(_ context.Context, out Outbound) (*Reply, error) {
		if textOf(out.Body, "method") == "tools/call" && strings.Contains(string(out.Body), "read_file") {
			during = toolText(f.post(f.reader, legacyCall("ask", `{}`)).Body.String())
		}
		return jsonReply(200, `{"jsonrpc":"2.0","id":7,"result":{"content":[]}}`), nil
	}
	f.post(f.reader, readCall)
	if !strings.HasPrefix(during, "Denied by policy: private data may not leave") {
		t.Errorf("a call beside the read got %s", during)
	}
	for _, r := range f.rec.all() {
		if r.Tool == "read_file" && r.Phase == "decision" {
			if diff := cmp.Diff([][]string{nil, {"source:private"}}, [][]string{r.LabelsBefore, r.LabelsAfter}); diff != "" {
				t.Errorf("labels in the record (-want +got):\n%s", diff)
			}
		}
	}
}

// Record-only lets the call through, and the task has touched the source all the same.
func TestRecordOnlyKeepsCountOfWhatWasTouched(t *testing.T) {
	f := labelled(t)
	f.snap.Policy = mustPolicy(t, "package mcp.authz\n\nallow if input.tool.name == \"ask\"\n")
	f.snap.RecordOnly = true
	f.swap()
	f.post(f.reader, readCall)
	f.snap.Policy, f.snap.RecordOnly = mustPolicy(t, flowPolicy), false
	f.swap()
	if got := toolText(f.post(f.reader, legacyCall("ask", `{}`)).Body.String()); !strings.HasPrefix(got, "Denied by policy: private data may not leave") {
		t.Errorf("after a read that was only recorded: %s", got)
	}
}

// What a sink asks its caller is answered to a sink: the answer is judged like a call of that tool.
func TestAnAnswerToASinkIsACallOfIt(t *testing.T) {
	f := labelled(t)
	f.up.answer = func(_ context.Context, out Outbound) (*Reply, error) {
		switch {
		case textOf(out.Body, "method") != "tools/call":
			return &Reply{Status: 202, Body: io.NopCloser(strings.NewReader(""))}, nil
		case strings.Contains(string(out.Body), "read_file"):
			return jsonReply(200, `{"jsonrpc":"2.0","id":7,"result":{"content":[]}}`), nil
		}
		return sseReply(`data: {"jsonrpc":"2.0","id":"q1","method":"roots/list"}` + "\n\n" +
			`data: {"jsonrpc":"2.0","id":7,"result":{"content":[]}}` + "\n\n"), nil
	}
	f.withSession("s1")
	f.post(f.reader, initialize)
	f.post(f.reader, legacyCall("ask", `{}`), wire.HeaderSession, "s1")
	f.post(f.reader, readCall, wire.HeaderSession, "s1")
	n := len(f.up.requests())
	w := f.post(f.reader, `{"jsonrpc":"2.0","id":"q1","result":{"roots":[{"uri":"file:///secret"}]}}`, wire.HeaderSession, "s1")
	if w.Code == 202 || !strings.Contains(w.Body.String(), "private data may not leave") || len(f.up.requests()) != n {
		t.Errorf("the answer got %d %s, and %d requests went to the server; want it refused", w.Code, w.Body, len(f.up.requests())-n)
	}
}

// A message for the server as a whole is as good as one to its sink.
func TestNoOtherMessageReachesTheServerOfAClosedSink(t *testing.T) {
	f := labelled(t)
	f.withSession("s1")
	f.post(f.reader, initialize)
	f.post(f.reader, readCall, wire.HeaderSession, "s1")
	n := len(f.up.requests())
	for _, message := range []string{
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1,"message":"AKIA"}}`,
		`{"jsonrpc":"2.0","id":8,"method":"prompts/list","params":{"cursor":"AKIA"}}`,
		`{"jsonrpc":"2.0","id":8,"method":"ping","params":{"_meta":{"x":"AKIA"}}}`,
		strings.Replace(initialize, `"clientInfo":{`, `"clientInfo":{"title":"AKIA",`, 1),
	} {
		if w := f.post(f.reader, message, wire.HeaderSession, "s1"); !strings.Contains(w.Body.String(), "nothing goes to this server any more") {
			t.Errorf("%s got %d %s; want it refused", message, w.Code, w.Body)
		}
	}
	if got := len(f.up.requests()); got != n {
		t.Errorf("%d messages reached the server", got-n)
	}
}

func TestAResourceUnderASecondNameIsRefused(t *testing.T) {
	f := labelled(t)
	got := toolText(f.post(f.reader, `{"jsonrpc":"2.0","id":7,"method":"resources/read","params":{"uri":"file:///public/../private/x"}}`).Body.String())
	if want := "-32602 the URI can be read in more than one way, and what may be read depends on it: its path has an empty segment, or one that is only dots"; got != want {
		t.Errorf("got %s; want %s", got, want)
	}
	if n := len(f.up.requests()); n != 0 {
		t.Errorf("%d requests reached the server", n)
	}
}
