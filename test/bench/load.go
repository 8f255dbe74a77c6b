package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"sallyport/identity/pop"
)

// loadSpec is what a load process reads from its standard input.
type loadSpec struct {
	Addr     string
	Callers  int
	Duration time.Duration
	Want     int  // length of every reply; 0: any
	AnyID    bool // the reply need not carry the request's id: it is a file
	Call     callSpec
	Rate     float64    // requests/s whatever becomes of them; 0: each caller waits for its reply
	Grant    *grantSpec // the load gets its token itself, of a grant of its own; nil: Call has one
}

// loadResult is what it prints.
type loadResult struct {
	Calls   int
	Errors  int
	First   string // the first error
	Seconds float64
	P50     float64 // µs
	P99     float64
}

func loadMain(args []string) error {
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	_ = flags.Parse(args)
	var spec loadSpec
	if err := json.NewDecoder(os.Stdin).Decode(&spec); err != nil {
		return fmt.Errorf("read the load: %w", err)
	}
	key, err := spec.authorize()
	if err != nil {
		return err
	}
	var result any
	if spec.Rate > 0 {
		result, err = openLoop(spec)
	} else {
		result, err = load(spec, key)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// load runs a closed loop: each caller sends its next request when the reply to the one
// before has come. With a key each request carries a proof of it, made outside the time that is
// measured.
func load(spec loadSpec, key *pop.Key) (loadResult, error) {
	type own struct {
		took  []time.Duration
		errs  int
		first error
	}
	owns := make([]own, spec.Callers)
	requests := make([]*rendered, spec.Callers)
	for i := range requests {
		var err error
		if requests[i], err = render(spec.Call); err != nil {
			return loadResult{}, err
		}
	}
	var wg sync.WaitGroup
	start := time.Now()
	end := start.Add(spec.Duration)
	for i := range owns {
		wg.Go(func() {
			o, r, c := &owns[i], requests[i], caller{addr: spec.Addr}
			defer c.close()
			prove := prover{spec: spec.Call, key: key}
			o.took = make([]time.Duration, 0, 1<<16)
			for n := i; ; n += spec.Callers {
				r.number(n)
				request, err := prove.request(r, c.nonce)
				before := time.Now()
				if !before.Before(end) {
					return
				}
				var status int
				var body []byte
				if err == nil {
					status, body, err = c.call(request)
				}
				took := time.Since(before)
				if err == nil && prove.again(status, c.nonce) {
					continue // it only fetched the nonce
				}
				if err == nil {
					err = checkReply(r, spec, status, body)
				}
				if err != nil {
					if o.errs++; o.first == nil {
						o.first = err
					}
					continue
				}
				o.took = append(o.took, took)
			}
		})
	}
	wg.Wait()
	result := loadResult{Seconds: time.Since(start).Seconds()}
	var all []time.Duration
	for _, o := range owns {
		all = append(all, o.took...)
		result.Errors += o.errs
		if o.first != nil && result.First == "" {
			result.First = o.first.Error()
		}
	}
	result.Calls = len(all)
	slices.Sort(all)
	result.P50, result.P99 = quantile(all, 0.50), quantile(all, 0.99)
	return result, nil
}

func checkReply(r *rendered, spec loadSpec, status int, body []byte) error {
	switch {
	case status != 200:
		return fmt.Errorf("status %d: %.200s", status, body)
	case spec.Want > 0 && len(body) != spec.Want:
		return fmt.Errorf("reply of %d bytes, want %d: %.300s", len(body), spec.Want, body)
	case !spec.AnyID && !r.answers(body):
		return fmt.Errorf("reply to another call: %.100s", body)
	}
	return nil
}

// quantile returns the q-th quantile of sorted durations in µs, 0 for none.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(int(q*float64(len(sorted))), len(sorted)-1)].Nanoseconds()) / 1e3
}
