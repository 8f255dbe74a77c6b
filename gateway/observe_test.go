package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// fakeObserver keeps what it is told, and puts every request into a trace of its own making.
type fakeObserver struct {
	steps   []string
	parents []string
	ends    []Seen
}

const (
	clientParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	metaParent   = "00-11111111111111111111111111111111-2222222222222222-01"
	ownParent    = "00-33333333333333333333333333333333-4444444444444444-01"
)

func (f *fakeObserver) Begin(*http.Request) Watch { return f }
func (f *fakeObserver) Step(s Step)               { f.steps = append(f.steps, s.String()) }
func (f *fakeObserver) End(s Seen)                { f.ends = append(f.ends, s) }
func (f *fakeObserver) Trace(parent string) string {
	f.parents = append(f.parents, parent)
	return ownParent
}

// watched is a fixture whose gateway has an observer.
func watched(t testing.TB) (*fixture, *fakeObserver) {
	f, o := newFixture(t), &fakeObserver{}
	g, err := New(Options{Recorder: f.rec, Grants: f.issuer.Grants, StateKey: make([]byte, 32), Observer: o})
	if err != nil {
		t.Fatal(err)
	}
	f.g, f.handler = g, g
	f.swap()
	return f, o
}

func TestObserverIsToldOfEachStepAndWhatCameOfIt(t *testing.T) {
	const call = "edge authenticate decode resolve check_input authorize audit forward check_output respond"
	for _, tt := range []struct {
		name, token, body, path string
		steps, want             string
	}{
		{"allowed", "reader", legacyCall("read_file", `{"path":"/srv/a"}`), "/mcp", call, "ok allow tools/call files read_file"},
		{"denied", "reader", legacyCall("read_file", `{"path":"/etc/shadow"}`), "/mcp", "edge authenticate decode resolve check_input authorize respond", "denied deny tools/call files read_file"},
		{"no tool", "reader", legacyCall("evil\nname", `{}`), "/mcp", "edge authenticate decode resolve respond", "unknown_tool deny tools/call files "},
		{"no method", "reader", `{"jsonrpc":"2.0","id":7,"method":"evil/method"}`, "/mcp", "edge authenticate decode resolve respond", "unknown_method deny  files "},
		{"no server", "reader", legacyCall("read_file", `{"path":"/srv/a"}`), "/mcp/evil", "edge authenticate decode resolve respond", "unknown_server deny tools/call  "},
		{"no message", "reader", `{`, "/mcp", "edge authenticate decode respond", "malformed deny   "},
		{"nobody", "", legacyCall("read_file", `{"path":"/srv/a"}`), "/mcp", "edge authenticate", "unauthenticated    "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, o := watched(t)
			token := map[string]string{"reader": f.reader}[tt.token]
			f.post(token, tt.body, "path", tt.path)
			if got := strings.Join(o.steps, " "); got != tt.steps {
				t.Errorf("steps %s\nwant  %s", got, tt.steps)
			}
			if len(o.ends) != 1 {
				t.Fatalf("told of %d ends; want 1", len(o.ends))
			}
			s := o.ends[0]
			if got := strings.Join([]string{s.Code, s.Decision, s.Method, s.Server, s.Tool}, " "); got != tt.want {
				t.Errorf("seen %q; want %q", got, tt.want)
			}
		})
	}
}

// What an observer learns has no place for what a client can fill as it likes.
func TestObserverLearnsNoArgumentSubjectOrToken(t *testing.T) {
	f, o := watched(t)
	const marker = "m4rk3r"
	token := f.issuer.Mint("ann-" + marker)
	f.post(token, legacyCall("read_file", `{"path":"/srv/`+marker+`"}`))
	f.post(token, legacyCall("read_file", `{"path":7,"`+marker+`":1}`))
	f.post(token, legacyCall(marker, `{}`))
	f.post(token, `{"jsonrpc":"2.0","id":"`+marker+`","method":"`+marker+`"}`)
	f.post(token+marker, legacyCall("read_file", `{"path":"/srv/a"}`))
	f.post(token, legacyCall("read_file", `{"path":"/srv/a"}`), "path", "/mcp/"+marker)
	if len(o.ends) != 6 {
		t.Fatalf("told of %d ends; want 6", len(o.ends))
	}
	if got := fmt.Sprintf("%+v", o.ends); strings.Contains(got, marker) || strings.Contains(got, token) {
		t.Errorf("it learned what it must not: %s", got)
	}
}

// The trace of the record, of the log and of what goes upstream is one.
func TestTraceComesFromHeaderOrMetaAndGoesUpstream(t *testing.T) {
	inMeta := strings.Replace(modernCall("read_file", `{"path":"/srv/a"}`), `"_meta":{`, `"_meta":{"traceparent":"`+metaParent+`",`, 1)
	for _, tt := range []struct{ name, body, header, parent string }{
		{"header", modernCall("read_file", `{"path":"/srv/a"}`), clientParent, clientParent},
		{"_meta", inMeta, "", metaParent},
		{"both", inMeta, clientParent, clientParent},
		{"broken header", inMeta, "00-zz", ""},
		{"broken _meta", strings.Replace(inMeta, "22-01", "22-0x", 1), "", ""},
		{"none", modernCall("read_file", `{"path":"/srv/a"}`), "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, o := watched(t)
			headers := modernHeaders("tools/call", "read_file")
			if tt.header != "" {
				headers = append(headers, "Traceparent", tt.header)
			}
			if got := toolText(f.post(f.reader, tt.body, headers...).Body.String()); got != "ok" {
				t.Fatal(got)
			}
			if len(o.parents) != 1 || o.parents[0] != tt.parent {
				t.Errorf("parents %q; want once %q", o.parents, tt.parent)
			}
			sent := f.up.requests()
			if len(sent) != 1 || sent[0].Header.Get("Traceparent") != ownParent {
				t.Fatalf("upstream got %q; want %q", sent[0].Header.Get("Traceparent"), ownParent)
			}
			for _, r := range f.rec.all() {
				if want := ownParent[3:35]; r.TraceID != want {
					t.Errorf("%s record: trace_id %q; want %q", r.Phase, r.TraceID, want)
				}
			}
		})
	}
}

// A stranger cannot write into a trace.
func TestStrangersAreInNoTrace(t *testing.T) {
	f, o := watched(t)
	f.post("", modernCall("read_file", `{"path":"/srv/a"}`), "Traceparent", clientParent)
	if len(o.parents) != 0 || len(o.ends) != 1 {
		t.Errorf("traces %q, ends %d; want none and 1", o.parents, len(o.ends))
	}
}

// BenchmarkWatchedCall is BenchmarkCall with an observer that does nothing.
func BenchmarkWatchedCall(b *testing.B) {
	f := benchFixture(b)
	f.g.observer = idle{}
	benchOn(b, f, modernCall("ask", `{"path":"/srv/a"}`))
}

type idle struct{}

func (idle) Begin(*http.Request) Watch  { return idle{} }
func (idle) Step(Step)                  {}
func (idle) Trace(parent string) string { return parent }
func (idle) End(Seen)                   {}
