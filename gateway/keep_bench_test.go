package gateway

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"sallyport/gateway/audit"
	"sallyport/gateway/audit/inputs"
	"sallyport/gateway/guard/secrets"
	"sallyport/identity/identitytest"
)

// BenchmarkKeeping is a call with and without what the record keeps besides, and with a second policy.
// The ways take turns, so that what else the machine does falls on all of them alike; what counts is
// the ratio to `none`, of the medians. With disk, a turn is 16 callers with 20 calls each.
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
	const advised = "\n# METADATA\n# labels: {enforce: false}\ndeny contains \"x\" if input.arguments.path == \"/never\"\n"
	ways := []struct {
		name       string
		keep       Inputs
		shadow     bool
		authz, log string
	}{{"none", nil, false, "", ""}, {"clear", inputs.Clear{}, false, "", ""}, {"sealed", sealed, false, "", ""},
		{"sealed+mask", sealed, false, "", masks}, {"advised", nil, false, advised, ""}, {"shadow", nil, true, "", ""}}
	for _, size := range []int{300, 10_000} {
		for _, disk := range []bool{false, true} {
			b.Run(fmt.Sprintf("size=%d/disk=%v", size, disk), func(b *testing.B) {
				took := make([][]time.Duration, len(ways))
				turns := make([]func(), len(ways))
				for i, way := range ways {
					f := benchKeeping(b, way.keep, disk)
					sources := map[string]string{"authz.rego": testPolicy + way.authz}
					if way.log != "" {
						sources["log.rego"] = way.log
					}
					f.snap.Policy = mustPolicies(b, sources)
					if way.shadow {
						f.snap.Shadow = mustPolicy(b, testPolicy)
					}
					f.swap()
					turns[i] = benchTurn(f, size, disk)
					turns[i]()
				}
				for b.Loop() {
					for i, turn := range turns {
						began := time.Now()
						turn()
						took[i] = append(took[i], time.Since(began))
					}
				}
				var none time.Duration
				for i, way := range ways {
					slices.Sort(took[i])
					median := took[i][len(took[i])/2]
					if i == 0 {
						none = median
						b.ReportMetric(float64(median.Nanoseconds())/1000, "none-µs")
						continue
					}
					b.ReportMetric(float64(median)/float64(none), way.name+"/none")
				}
			})
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

// benchTurn returns one call, or those of 16 callers at once.
func benchTurn(f *fixture, size int, parallel bool) func() {
	body := []byte(modernCall("ask", `{"path":"/srv/a","text":"`+strings.Repeat("word ", max(0, size-270)/5)+`"}`))
	caller := func() func() {
		r := httptest.NewRequest(http.MethodPost, identitytest.URL+"/mcp", nil)
		for _, h := range [][2]string{{"Content-Type", "application/json"}, {"Accept", "application/json, text/event-stream"}, {"Authorization", "Bearer " + f.reader},
			{"Mcp-Protocol-Version", "2026-07-28"}, {"Mcp-Method", "tools/call"}, {"Mcp-Name", "ask"}} {
			r.Header.Set(h[0], h[1])
		}
		r.ContentLength = int64(len(body))
		w, reader := &discard{http.Header{}}, bytes.NewReader(body)
		return func() {
			reader.Reset(body)
			r.Body = io.NopCloser(reader)
			clear(w.h)
			f.g.ServeHTTP(w, r)
		}
	}
	if !parallel {
		return caller()
	}
	var callers [16]func()
	for i := range callers {
		callers[i] = caller()
	}
	return func() {
		var all sync.WaitGroup
		for _, call := range callers {
			all.Go(func() {
				for range 20 {
					call()
				}
			})
		}
		all.Wait()
	}
}
