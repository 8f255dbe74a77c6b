package main

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// Bounds of the histograms, in µs: three digits from a microsecond to a minute.
const (
	leastMicros = 1
	mostMicros  = 60_000_000
	digits      = 3
)

// openResult is what a load at a fixed rate found. Latencies are measured from the time at which a
// request was due, not from when it could be sent: a program that stalls does not get fewer requests for
// it, as users would not wait with theirs (coordinated omission).
type openResult struct {
	Rate     float64            `json:"rate"`     // asked for, requests/s
	Achieved float64            `json:"achieved"` // answered, requests/s
	Errors   int                `json:"errors,omitempty"`
	First    string             `json:"first_error,omitempty"`
	Micros   map[string]float64 `json:"latency_us"` // by quantile
	Late     float64            `json:"send_lateness_p99_us"`
	Raw      string             `json:"raw"` // the whole histogram, HdrHistogram V2, compressed, base64
}

var quantiles = []float64{50, 90, 99, 99.9, 100}

// openLoop sends spec.Rate requests a second, whatever becomes of them: each caller has its own times,
// and one whose connection is still busy sends late and counts from when it was due. What a caller that
// was free sent late is the harness's own error and is said beside the result.
func openLoop(spec loadSpec) (openResult, error) {
	type own struct {
		took, late *hdrhistogram.Histogram
		errs       int
		first      error
	}
	owns := make([]own, spec.Callers)
	requests := make([]*rendered, spec.Callers)
	for i := range requests {
		var err error
		if requests[i], err = render(spec.Call); err != nil {
			return openResult{}, err
		}
		owns[i].took, owns[i].late = hdrhistogram.New(leastMicros, mostMicros, digits), hdrhistogram.New(leastMicros, mostMicros, digits)
	}
	interval := time.Duration(float64(time.Second) / spec.Rate)
	start := time.Now().Add(50 * time.Millisecond)
	end := start.Add(spec.Duration)
	var wg sync.WaitGroup
	for i := range owns {
		wg.Go(func() {
			runtime.LockOSThread() // its sleep is the kernel's, which is finer than the runtime's
			defer runtime.UnlockOSThread()
			_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // only as fine as it may be
			o, r, c := &owns[i], requests[i], caller{addr: spec.Addr}
			defer c.close()
			for n := i; ; n += spec.Callers {
				due := start.Add(time.Duration(n) * interval)
				if !due.Before(end) {
					return
				}
				free := time.Now().Before(due)
				sleepUntil(due)
				if free {
					_ = o.late.RecordValue(max(leastMicros, time.Since(due).Microseconds())) // over the bound: it counts as the bound
				}
				r.number(n)
				status, body, err := c.call(r.bytes)
				took := time.Since(due)
				if err == nil {
					err = checkReply(r, spec, status, body)
				}
				if err != nil {
					if o.errs++; o.first == nil {
						o.first = err
					}
					continue
				}
				_ = o.took.RecordValue(min(mostMicros, max(leastMicros, took.Microseconds()))) // within its bounds
			}
		})
	}
	wg.Wait()
	took, late := hdrhistogram.New(leastMicros, mostMicros, digits), hdrhistogram.New(leastMicros, mostMicros, digits)
	result := openResult{Rate: spec.Rate, Micros: map[string]float64{}}
	for _, o := range owns {
		took.Merge(o.took)
		late.Merge(o.late)
		result.Errors += o.errs
		if o.first != nil && result.First == "" {
			result.First = o.first.Error()
		}
	}
	result.Achieved = float64(took.TotalCount()) / time.Since(start).Seconds()
	for _, q := range quantiles {
		result.Micros[fmt.Sprintf("p%v", q)] = float64(took.ValueAtQuantile(q))
	}
	result.Late = float64(late.ValueAtQuantile(99))
	raw, err := took.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	result.Raw = string(raw)
	return result, err
}

func sleepUntil(due time.Time) {
	for {
		left := time.Until(due)
		if left <= 0 {
			return
		}
		ts := unix.NsecToTimespec(left.Nanoseconds())
		_ = unix.Nanosleep(&ts, nil) // a signal wakes it, and it sleeps again
	}
}
