package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A server that stops for a while makes requests wait that nobody has sent yet. A closed loop sends none
// meanwhile and sees one slow reply for each caller; the open loop counts every request that was due.
func TestOpenLoopSeesWhatAClosedLoopOmits(t *testing.T) {
	const stall, every = 200 * time.Millisecond, 500 * time.Millisecond
	var began atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began.CompareAndSwap(0, time.Now().UnixNano())
		if in := time.Since(time.Unix(0, began.Load())) % every; in < stall {
			time.Sleep(stall - in)
		}
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":` + idIn(r) + `,"result":{}}`))
	}))
	t.Cleanup(srv.Close)
	spec := loadSpec{Addr: strings.TrimPrefix(srv.URL, "http://"), Callers: 16, Duration: 1500 * time.Millisecond, Call: callSpec{Path: "/mcp", Host: "h", Size: 300, Tool: "read"}}
	// Two fifths of the time the server stands still: of the requests that were due, a third wait long.
	const limit = float64(stall/time.Microsecond) / 4
	for try := 0; ; try++ { // a machine that is busy makes callers of a closed loop wait as well
		spec.Rate = 0
		closed, err := load(spec, nil)
		if err != nil || closed.Errors > 0 {
			t.Fatalf("closed loop: %+v, %v", closed, err)
		}
		spec.Rate = 400
		open, err := openLoop(spec)
		if err != nil || open.Errors > 0 {
			t.Fatalf("open loop: %+v, %v", open, err)
		}
		if open.Raw == "" {
			t.Error("the histogram was not kept")
		}
		if open.Micros["p90"] >= limit && closed.P50 <= limit {
			return
		}
		if try == 4 {
			t.Fatalf("open loop p90 %.0f µs, want over %.0f; closed loop p50 %.0f µs, want under it", open.Micros["p90"], limit, closed.P50)
		}
	}
}

func idIn(r *http.Request) string {
	body, _ := io.ReadAll(r.Body)
	var m struct{ ID json.Number }
	_ = json.Unmarshal(body, &m)
	return m.ID.String()
}

// The page is whole: each program has its curve and its name, and a program that does not keep up has
// none where it does not.
func TestPageHasACurveForEachProgram(t *testing.T) {
	at := func(rate, done, p float64) openResult {
		return openResult{Rate: rate, Achieved: done, Micros: map[string]float64{"p50": p, "p99": p * 5, "p99.9": p * 9}}
	}
	all := map[string][]openResult{"direct": {at(500, 500, 100), at(5000, 5000, 200)}, "sallyport": {at(500, 499, 300), at(5000, 2000, 90000)}, "other": {at(500, 500, 400)}}
	r := &report{numbers: map[string]any{"machine": map[string]any{"cpu": "<x>", "cores": 2, "go": "go"}}}
	page := r.page(all)
	for _, want := range []string{"&lt;x&gt;", ">direct<", ">sallyport<", ">other<", "direct, 5000/s: 200 µs", "sallyport, 500/s: 300 µs"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not hold %q", want)
		}
	}
	if strings.Contains(page, "sallyport, 5000/s") {
		t.Error("a rate that was not kept has a point")
	}
	if strings.Count(page, "<svg") != 3 || strings.Contains(page, "http://") || strings.Contains(page, "https://") {
		t.Error("the page wants three curves and nothing from elsewhere")
	}
}
