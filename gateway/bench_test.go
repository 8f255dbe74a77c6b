package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport/gateway/audit"
	"sallyport/identity/identitytest"
)

type nullRecorder struct{ fakeRecorder }

func (*nullRecorder) Decide(context.Context, *audit.Record) error { return nil }
func (*nullRecorder) Note(*audit.Record) error                    { return nil }
func (*nullRecorder) Digest([]byte) string                        { return "hmac-sha256:00" }

// nullUpstream answers at once and remembers nothing.
type nullUpstream struct{ *fakeUpstream }

var nullAnswer = []byte(`{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"ok"}],"resultType":"complete"}}`)

func (nullUpstream) Send(_ context.Context, p *Permit) (*Reply, error) {
	if _, err := p.Redeem(); err != nil {
		return nil, err
	}
	return &Reply{Status: 200, Header: ReplyHeader{ContentType: "application/json"}, Body: &nullBody{left: nullAnswer}}, nil
}

// nullBody says how long it is, as an answer with a Content-Length does.
type nullBody struct{ left []byte }

func (b *nullBody) Len() int64   { return int64(len(b.left)) }
func (b *nullBody) Close() error { return nil }
func (b *nullBody) Read(p []byte) (int, error) {
	if len(b.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	return n, nil
}

// discard is a ResponseWriter that keeps nothing.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header              { return d.h }
func (d *discard) WriteHeader(int)                  {}
func (d *discard) SetReadDeadline(time.Time) error  { return nil }
func (d *discard) SetWriteDeadline(time.Time) error { return nil }
func (d *discard) Write(p []byte) (int, error)      { return len(p), nil }

func benchFixture(b testing.TB) *fixture {
	f := newFixture(b)
	g, err := New(Options{Recorder: &nullRecorder{}, Grants: f.issuer.Grants, StateKey: make([]byte, 32)})
	if err != nil {
		b.Fatal(err)
	}
	f.server.Upstream = nullUpstream{f.up}
	f.g, f.handler = g, g
	f.snap.Limits = Limits{}
	f.swap()
	return f
}

// BenchmarkCall is the whole line without sockets and disk: what the gateway itself costs.
func BenchmarkCall(b *testing.B) {
	for _, size := range []int{300, 10_000, 1_000_000} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			benchCall(b, modernCall("ask", `{"path":"/srv/a","text":"`+strings.Repeat("x", max(0, size-270))+`"}`))
		})
	}
}

// BenchmarkRows is BenchmarkCall with arguments as most tools take them: rows of short members.
func BenchmarkRows(b *testing.B) {
	const row = `{"id":7,"name":"record 7 of the list","value":7.25,"tags":["alpha","beta"],"done":false},`
	for _, size := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			benchCall(b, modernCall("ask", `{"path":"/srv/a","rows":[`+strings.TrimSuffix(strings.Repeat(row, size/len(row)), ",")+`]}`))
		})
	}
}

// BenchmarkNames is BenchmarkRows with a schema that names what is in the rows, in small letters, which the
// first look at a call tells, and in mixed ones, which each name must be looked up for.
func BenchmarkNames(b *testing.B) {
	for _, name := range []string{"record_name", "recordName"} {
		b.Run(name, func(b *testing.B) {
			f := benchFixture(b)
			f.up.tools = `{"name":"ask","inputSchema":{"type":"object","properties":{"path":{},"rows":{"type":"array","items":{"type":"object","properties":{"id":{"type":"integer"},"` + name + `":{"type":"string"},"tags":{},"done":{"type":"boolean"}}}}}}}`
			f.server.Upstream = f.up
			if err := f.server.Refresh(context.Background()); err != nil {
				b.Fatal(err)
			}
			f.server.Upstream = nullUpstream{f.up}
			f.swap()
			row := `{"id":7,"` + name + `":"record 7 of the list","tags":["alpha","beta"],"done":false},`
			benchOn(b, f, modernCall("ask", `{"path":"/srv/a","rows":[`+strings.TrimSuffix(strings.Repeat(row, 10_000/len(row)), ",")+`]}`))
		})
	}
}

func benchCall(b *testing.B, call string) {
	benchOn(b, benchFixture(b), call)
}

func benchOn(b *testing.B, f *fixture, call string) {
	one := f.repeated(call)
	b.ReportAllocs()
	b.SetBytes(int64(len(call)))
	for b.Loop() {
		one()
	}
}

// repeated returns what makes one call, the same each time, at as little cost of its own as can be.
func (f *fixture) repeated(call string) func() {
	body := []byte(call)
	r := httptest.NewRequest(http.MethodPost, identitytest.URL+"/mcp", nil)
	for _, h := range [][2]string{{"Content-Type", "application/json"}, {"Accept", "application/json, text/event-stream"}, {"Authorization", "Bearer " + f.reader},
		{"Mcp-Protocol-Version", "2026-07-28"}, {"Mcp-Method", "tools/call"}, {"Mcp-Name", "ask"}} {
		r.Header.Set(h[0], h[1])
	}
	w := &discard{http.Header{}}
	reader := bytes.NewReader(body)
	r.ContentLength = int64(len(body))
	closer := io.NopCloser(reader)
	return func() {
		reader.Reset(body)
		r.Body = closer
		clear(w.h)
		f.g.ServeHTTP(w, r)
	}
}

// TestSmallCallKeepsToItsAllocations is the budget of a call whose token and decision are known: what is
// above it was added by somebody. The fixture's upstream makes two of them.
func TestSmallCallKeepsToItsAllocations(t *testing.T) {
	const budget = 42 + 2
	f := benchFixture(t)
	one := f.repeated(modernCall("ask", `{"path":"/srv/a","text":"hello"}`))
	one() // fills the caches
	if n := testing.AllocsPerRun(200, one); n > budget {
		t.Errorf("a small call makes %.0f allocations, want at most %d", n, budget)
	}
}

// BenchmarkToolsList serves 1,000 tools from the cache.
func BenchmarkToolsList(b *testing.B) {
	f := benchFixture(b)
	var tools []string
	for i := range 1000 {
		tools = append(tools, fmt.Sprintf(`{"name":"tool_%d","description":%q,"inputSchema":{"type":"object","properties":{"path":{"type":"string"}}}}`, i, strings.Repeat("d", 100)))
	}
	f.up.tools = strings.Join(tools, ",")
	if err := f.server.Refresh(b.Context()); err != nil {
		b.Fatal(err)
	}
	f.snap.Policy = mustPolicy(b, "package mcp.authz\n\nallow if \"reader\" in input.subject.roles\n")
	f.swap()
	r := f.request(http.MethodPost, f.reader, "")
	body := []byte(listTools)
	reader := bytes.NewReader(body)
	w := &discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		r.Body = io.NopCloser(reader)
		clear(w.h)
		f.g.ServeHTTP(w, r)
	}
}
