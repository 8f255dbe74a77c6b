package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"sallyport/gateway/audit"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// The rules of which random policies are made, for the roles and tools of the fixture.
var someRules = []string{
	`allow if "reader" in input.subject.roles`,
	`allow if { "reader" in input.subject.roles; input.tool.name in {"read_file", "ask"} }`,
	`allow if { "writer" in input.subject.roles; input.tool.name == "write_file" }`,
	`allow if startswith(input.arguments.path, "/srv/")`,
	`allow if { input.subject.id == "bob"; not input.arguments.force }`,
	`allow if input.request.era == "modern"`,
	`deny contains "x" if input.tool.name == "ask"`,
	`deny contains "x" if { "reader" in input.subject.roles; input.tool.name == "write_file" }`,
	`deny contains "x" if contains(object.get(input.arguments, "path", ""), "secret")`,
	`deny contains sprintf("%v", [input.arguments.path]) if not startswith(input.arguments.path, "/srv/")`,
	`deny contains "x" if input.subject.id == "ann"`,
}

// listed are the tools that the caller is shown.
func (f *fixture) listed(token string, modern bool) (names []string) {
	f.t.Helper()
	var w *httptest.ResponseRecorder
	if modern {
		w = f.post(token, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{`+meta+`}}`, modernHeaders("tools/list", "")...)
	} else {
		w = f.post(token, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	}
	var msg struct {
		Result struct{ Tools []struct{ Name string } }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &msg); err != nil || w.Code != 200 {
		f.t.Fatalf("tools/list: %d %s, %v", w.Code, w.Body, err)
	}
	for _, tool := range msg.Result.Tools {
		names = append(names, tool.Name)
	}
	return names
}

func (f *fixture) play(token, tool, args string, modern bool) *httptest.ResponseRecorder {
	if modern {
		return f.post(token, modernCall(tool, args), modernHeaders("tools/call", tool)...)
	}
	return f.post(token, legacyCall(tool, args))
}

// Through the whole gateway, under random policies: what can be called with any arguments is shown, and
// what is hidden is refused for every argument, in the words for a tool that does not exist, and no byte
// of it reaches a server.
func TestHiddenIsRefusedForEveryArgument(t *testing.T) {
	f := newFixture(t)
	hidden, called := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		chosen := rapid.SliceOfNDistinct(rapid.SampledFrom(someRules), 1, 4, rapid.ID[string]).Draw(rt, "rules")
		f.snap.Policy = mustPolicy(t, "package mcp.authz\n\nallow if \"nobody\" in input.subject.roles\n\n"+strings.ReplaceAll(strings.Join(chosen, "\n\n"), "; ", "\n"))
		f.swap()
		token := rapid.SampledFrom([]string{f.reader, f.other, f.writer}).Draw(rt, "caller")
		modern := rapid.Bool().Draw(rt, "newer client")
		shown := f.listed(token, modern)
		for range 6 {
			tool := rapid.SampledFrom([]string{"read_file", "ask", "write_file", "broken"}).Draw(rt, "tool")
			args := rapid.SampledFrom([]string{`{}`, `{"path":"/srv/a"}`, `{"path":"/srv/secret"}`, `{"path":"/etc"}`, `{"path":"/srv/a","force":true}`, `{"path":7}`}).Draw(rt, "arguments")
			before := len(f.up.requests())
			w := f.play(token, tool, args, modern)
			reached := len(f.up.requests()) > before
			switch {
			case reached && !slices.Contains(shown, tool):
				rt.Fatalf("%q\n%s with %s reached the server, and only %v are shown", chosen, tool, args, shown)
			case reached:
				called++
			case !slices.Contains(shown, tool):
				hidden++
				none := f.play(token, "x"+tool[1:], args, modern).Body.String()
				if want := strings.ReplaceAll(none, "x"+tool[1:], tool); w.Body.String() != want {
					rt.Fatalf("%q\n%s with %s is hidden and gets %s; want %s", chosen, tool, args, w.Body, want)
				}
			}
		}
	})
	if hidden == 0 || called == 0 {
		t.Errorf("%d calls of hidden tools, %d that reached the server: the policies are one-sided", hidden, called)
	}
}

// onDisk is what the record in dir holds, as bytes.
func onDisk(t *testing.T, dir string) []byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(names) != 1 {
		t.Fatalf("%d segments, %v; want one", len(names), err)
	}
	text, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// allowances counts the lines of the record that allow these arguments.
func allowances(record []byte, digest string) (n int) {
	for line := range bytes.Lines(record) {
		if bytes.Contains(line, []byte(`"arguments_digest":"`+digest+`"`)) && bytes.Contains(line, []byte(`"phase":"decision"`)) && bytes.Contains(line, []byte(`"decision":"allow"`)) {
			n++
		}
	}
	return n
}

// Whoever calls what and how many at once: when a request reaches a server, the record on the disk has
// one line that allows these very arguments, and at the end there is one for each request and no other.
func TestEveryRequestHasOneEarlierRecordOnTheDisk(t *testing.T) {
	f := newFixture(t)
	dir := filepath.Join(t.TempDir(), "audit")
	log, err := audit.Open(dir, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if f.g, err = New(Options{Recorder: log, Grants: f.issuer.Grants, StateKey: make([]byte, 32)}); err != nil {
		t.Fatal(err)
	}
	f.handler = f.g
	f.swap()
	answer := f.up.answer
	var reached sync.Map // digests
	var twice atomic.Int64
	f.up.answer = func(ctx context.Context, out Outbound) (*Reply, error) {
		params, _ := strictjson.Find(out.Body, "params")
		args, ok := strictjson.Find(params.Of(out.Body), "arguments")
		digest := log.Digest(args.Of(params.Of(out.Body)))
		if n := allowances(onDisk(t, dir), digest); !ok || n != 1 {
			t.Errorf("%s has %d records of its digest on the disk when it reaches the server; want 1", out.Body, n)
		}
		if _, was := reached.LoadOrStore(digest, true); was {
			twice.Add(1)
		}
		return answer(ctx, out)
	}
	serial, refused := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		var all sync.WaitGroup
		for range rapid.IntRange(1, 6).Draw(rt, "at once") {
			token := rapid.SampledFrom([]string{f.reader, f.other, f.writer}).Draw(rt, "caller")
			tool := rapid.SampledFrom([]string{"read_file", "ask", "write_file", "none"}).Draw(rt, "tool")
			folder := rapid.SampledFrom([]string{"/srv", "/etc", "/srv/.aws"}).Draw(rt, "folder")
			modern := rapid.Bool().Draw(rt, "newer client")
			serial++
			args := fmt.Sprintf(`{"path":"%s/%d"}`, folder, serial)
			if folder != "/srv" {
				refused++
			}
			all.Go(func() { f.play(token, tool, args, modern) })
		}
		all.Wait()
	})
	requests, lines := 0, 0
	for _, out := range f.up.requests() {
		if textOf(out.Body, "method") == wire.MethodToolsCall {
			requests++
		}
	}
	for line := range bytes.Lines(onDisk(t, dir)) {
		if bytes.Contains(line, []byte(`"phase":"decision"`)) && bytes.Contains(line, []byte(`"tool":"`)) && bytes.Contains(line, []byte(`"decision":"allow"`)) {
			lines++
		}
	}
	if requests == 0 || refused == 0 || requests != lines || twice.Load() != 0 {
		t.Errorf("%d requests, %d twice, %d records that allow, %d calls meant to be refused; want a record for each request, and both kinds", requests, twice.Load(), lines, refused)
	}
}
