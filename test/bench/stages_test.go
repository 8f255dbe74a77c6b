package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A sample belongs to the innermost stage on its stack, and to the disk where the record is in a
// system call.
func TestSamplesBelongToTheInnermostStage(t *testing.T) {
	const traces = `File: sallyport
Type: cpu
Duration: 1s, Total samples = 100ms (10%)
-----------+-------------------------------------------------------
      30ms   internal/runtime/syscall/linux.Syscall6
             os.(*File).Write
             sallyport/gateway/audit.(*writer).write
-----------+-------------------------------------------------------
      20ms   sallyport/internal/strictjson.(*quick).value
             sallyport/gateway/guard.(*Door).Check
             sallyport/gateway.(*exchange).serve
-----------+-------------------------------------------------------
      10ms   runtime.mallocgc
             sallyport/policy.(*Generation).Decide
             sallyport/gateway.(*exchange).serve
-----------+-------------------------------------------------------
      40ms   internal/runtime/syscall/linux.Syscall6
             net.(*conn).Write
             sallyport/gateway/upstream.(*conn).send
`
	took, total := stagesOf(traces)
	want := map[string]time.Duration{recordOnDisk: 30 * time.Millisecond, "strict parsing": 20 * time.Millisecond, "policy": 10 * time.Millisecond}
	if total != 100*time.Millisecond || len(took) != len(want) {
		t.Errorf("total %v, stages %v; want 100ms and %v", total, took, want)
	}
	for name, d := range want {
		if took[name] != d {
			t.Errorf("%s took %v, want %v", name, took[name], d)
		}
	}
}

// A proxy gives its calls ids of its own, of any length.
func TestUpstreamAnswersShortIDs(t *testing.T) {
	body := idPrefix + `7,"method":"tools/call","params":{"name":"read_0000"}}`
	r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(body))
	r.Header.Set("Mcp-Method", "tools/call")
	w := httptest.NewRecorder()
	newUpstream(1).ServeHTTP(w, r)
	if want := idPrefix + `7,"result":`; !strings.HasPrefix(w.Body.String(), want) {
		t.Errorf("answer %.60q, want one that begins with %q", w.Body, want)
	}
}
