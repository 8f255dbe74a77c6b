package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// usual starts a server with one tool and a gateway before it, with the policy of the comparison:
// 200 rules beside the one that is asked.
func (b *bench) usual(ctx context.Context, name string) (*process, *gateway, error) {
	up, err := b.own(ctx, name+"-upstream", "upstream")
	if err != nil {
		return nil, nil, err
	}
	policies, err := b.policies(name+"-policies", map[string]string{"authz.rego": policy + rulesBeside(200)})
	if err != nil {
		return nil, nil, err
	}
	gate, err := b.gatewayUp(ctx, "sallyport-"+name, up.addr, policies)
	return up, gate, err
}

// calls is the load of calls of the first tool, each with another argument where vary says so.
func (g *gateway) calls(name string, size int, vary bool) target {
	return target{name: name, proc: g.process, spec: func() (loadSpec, error) {
		token, err := g.token(context.Background(), "reader")
		return loadSpec{Addr: g.addr, Want: size,
			Call: callSpec{Path: benchPath, Host: g.addr, Token: token, Size: size, Tool: toolName(0), Vary: vary}}, err
	}}
}

// single asks what one caller waits for: by how much a call takes longer through the gateway, which
// has the decision on disk first, than through ReverseProxy and one sync of the same disk.
func (b *bench) single(ctx context.Context) error {
	defer b.end()
	up, gate, err := b.usual(ctx, "single")
	if err != nil {
		return err
	}
	plain, err := b.own(ctx, "single-reverseproxy", "reverseproxy", "-to", up.addr)
	if err != nil {
		return err
	}
	bare := func(name string, p *process) target {
		return target{name: name, proc: p, spec: func() (loadSpec, error) {
			return loadSpec{Addr: p.addr, Want: 300, Call: callSpec{Path: "/mcp", Host: p.addr, Size: 300, Tool: toolName(0)}}, nil
		}}
	}
	targets := []target{bare("direct", up), bare("reverseproxy", plain), gate.calls("sallyport", 300, false)}
	alone := *b
	alone.rounds, alone.callers = 1, 1
	samples := map[string][]sample{}
	var syncs, ratios []float64
	for range b.rounds {
		s, err := alone.compare(ctx, targets)
		if err != nil {
			return err
		}
		took, err := syncTime(gate.state, b.duration/2)
		if err != nil {
			return err
		}
		for name, one := range s {
			samples[name] = append(samples[name], one...)
		}
		direct := s["direct"][0].P50
		syncs = append(syncs, took)
		ratios = append(ratios, (s["sallyport"][0].P50-direct)/(s["reverseproxy"][0].P50-direct+took))
	}
	fmt.Printf("\none caller, 300 B, each decision on disk before the call; a write of 700 B and its fdatasync there: %.0f µs\n", median(syncs))
	medians := table(targets, samples)
	fmt.Printf("  added p50: sallyport / (reverseproxy + one sync) %.2f\n", median(ratios))
	b.report.numbers["single"] = map[string]any{"samples": medians, "sync_us": median(syncs), "added_p50_ratio": median(ratios)}
	return nil
}

// syncTime is the median time in µs to append what a decision takes to a file in dir and sync it.
func syncTime(dir string, during time.Duration) (float64, error) {
	f, err := os.Create(filepath.Join(dir, "bench-sync"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	line := make([]byte, 700)
	var took []time.Duration
	for end := time.Now().Add(during); time.Now().Before(end); {
		began := time.Now()
		if _, err := f.Write(line); err != nil {
			return 0, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return quantile(took, 0.5), nil
}

// cold compares calls that are decided anew with those whose decision is in the cache.
func (b *bench) cold(ctx context.Context) error {
	defer b.end()
	_, gate, err := b.usual(ctx, "cold")
	if err != nil {
		return err
	}
	targets := []target{gate.calls("cached", 300, false), gate.calls("decided anew", 300, true)}
	samples, err := b.compare(ctx, targets)
	if err != nil {
		return err
	}
	fmt.Printf("\nthe same 300 B call decided from the cache and anew, 200 rules beside\n")
	medians := table(targets, samples)
	rps := medianRatio(samples["decided anew"], samples["cached"], func(s sample) float64 { return s.RPS })
	cpu := medianRatio(samples["decided anew"], samples["cached"], func(s sample) float64 { return s.CPU })
	fmt.Printf("  decided anew / cached   throughput %.2f  CPU %.2f\n", rps, cpu)
	b.report.numbers["cold"] = map[string]any{"samples": medians, "rps_ratio": rps, "cpu_ratio": cpu}
	return nil
}
