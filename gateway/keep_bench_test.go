package gateway

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"sallyport/gateway/audit"
	"sallyport/gateway/audit/inputs"
	"sallyport/gateway/guard/secrets"
	"sallyport/identity/identitytest"
)

// BenchmarkKeeping is a call with and without what the record keeps besides, and with a second
// policy: by itself, and by 16 callers with the record on a disk. The ratios of one run count.
func BenchmarkKeeping(b *testing.B) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		b.Fatal(err)
	}
	sealed, err := inputs.Seal([]string{id.Recipient().String()})
	if err != nil {
		b.Fatal(err)
	}
	const masks = "package system.log\n\nmask contains \"/input/arguments/pin\"\n"
	for _, tt := range []struct {
		name   string
		keep   Inputs
		shadow bool
		log    string
	}{{"none", nil, false, ""}, {"clear", inputs.Clear{}, false, ""}, {"sealed", sealed, false, ""}, {"sealed+mask", sealed, false, masks}, {"shadow", nil, true, ""}} {
		for _, size := range []int{300, 10_000} {
			for _, disk := range []bool{false, true} {
				b.Run(fmt.Sprintf("inputs=%s/size=%d/disk=%v", tt.name, size, disk), func(b *testing.B) {
					f := benchKeeping(b, tt.keep, disk)
					sources := map[string]string{"authz.rego": testPolicy}
					if tt.log != "" {
						sources["log.rego"] = tt.log
					}
					f.snap.Policy = mustPolicies(b, sources)
					if tt.shadow {
						f.snap.Shadow = mustPolicy(b, testPolicy)
					}
					f.swap()
					benchCalls(b, f, size, disk)
				})
			}
		}
	}
}

func benchKeeping(b *testing.B, keep Inputs, disk bool) *fixture {
	f := benchFixture(b)
	var recorder Recorder = &nullRecorder{}
	if disk {
		log, err := audit.Open(filepath.Join(b.TempDir(), "audit"), audit.Options{Key: make([]byte, 32)})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = log.Close() }) // it is only measured
		recorder = log
	}
	g, err := New(Options{Recorder: recorder, Grants: f.issuer.Grants, StateKey: make([]byte, 32), Inputs: keep})
	if err != nil {
		b.Fatal(err)
	}
	scanner, err := secrets.New(secrets.Options{})
	if err != nil {
		b.Fatal(err)
	}
	scanner.Warm()
	f.snap.Secrets = scanner
	f.g, f.handler = g, g
	return f
}

func benchCalls(b *testing.B, f *fixture, size int, parallel bool) {
	body := []byte(modernCall("ask", `{"path":"/srv/a","text":"`+strings.Repeat("word ", max(0, size-270)/5)+`"}`))
	call := func(r *http.Request, w *discard, reader *bytes.Reader) {
		reader.Reset(body)
		r.Body = io.NopCloser(reader)
		clear(w.h)
		f.g.ServeHTTP(w, r)
	}
	request := func() *http.Request {
		r := httptest.NewRequest(http.MethodPost, identitytest.URL+"/mcp", nil)
		for _, h := range [][2]string{{"Content-Type", "application/json"}, {"Accept", "application/json, text/event-stream"}, {"Authorization", "Bearer " + f.reader},
			{"Mcp-Protocol-Version", "2026-07-28"}, {"Mcp-Method", "tools/call"}, {"Mcp-Name", "ask"}} {
			r.Header.Set(h[0], h[1])
		}
		r.ContentLength = int64(len(body))
		return r
	}
	b.ReportAllocs()
	if !parallel {
		r, w, reader := request(), &discard{http.Header{}}, bytes.NewReader(body)
		for b.Loop() {
			call(r, w, reader)
		}
		return
	}
	b.SetParallelism(8) // 16 callers on two processors
	b.RunParallel(func(pb *testing.PB) {
		r, w, reader := request(), &discard{http.Header{}}, bytes.NewReader(body)
		for pb.Next() {
			call(r, w, reader)
		}
	})
}
