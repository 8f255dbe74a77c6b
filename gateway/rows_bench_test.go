package gateway

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sallyport/identity/identitytest"
)

// BenchmarkRows is BenchmarkCall with arguments as most tools take them: rows of short members.
func BenchmarkRows(b *testing.B) {
	for _, size := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			f := benchFixture(b)
			row := `{"id":7,"name":"record 7 of the list","value":7.25,"tags":["alpha","beta"],"done":false},`
			body := []byte(modernCall("ask", `{"path":"/srv/a","rows":[`+strings.TrimSuffix(strings.Repeat(row, size/len(row)), ",")+`]}`))
			r := httptest.NewRequest(http.MethodPost, identitytest.URL+"/mcp", nil)
			for _, h := range [][2]string{{"Content-Type", "application/json"}, {"Accept", "application/json, text/event-stream"}, {"Authorization", "Bearer " + f.reader},
				{"Mcp-Protocol-Version", "2026-07-28"}, {"Mcp-Method", "tools/call"}, {"Mcp-Name", "ask"}} {
				r.Header.Set(h[0], h[1])
			}
			w := &discard{http.Header{}}
			reader := bytes.NewReader(body)
			r.ContentLength = int64(len(body))
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				reader.Reset(body)
				r.Body = io.NopCloser(reader)
				clear(w.h)
				f.g.ServeHTTP(w, r)
			}
		})
	}
}
