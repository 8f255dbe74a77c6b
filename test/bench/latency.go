package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
)

// rates are what is asked for, in requests a second. Those over what a program can do show where its
// curve leaves the ground.
var rates = []float64{500, 1000, 2000, 3000, 5000}

// openCallers is how many connections a load at a fixed rate has: enough that one that waits does not
// hold up the next request.
const openCallers = 64

// latency compares the four ways at rates that do not depend on them.
func (b *bench) latency(ctx context.Context) error {
	defer b.end()
	targets, err := b.fourWays(ctx, 300)
	if err != nil {
		return err
	}
	all := map[string][]openResult{}
	for _, rate := range rates {
		rounds := map[string][]openResult{}
		for round := -1; round < b.rounds; round++ {
			for _, t := range targets {
				spec, err := t.spec()
				if err != nil {
					return fmt.Errorf("%s: %w", t.name, err)
				}
				spec.Duration, spec.Callers, spec.Rate = b.duration, openCallers, rate
				r, err := runOpen(ctx, spec)
				if err != nil {
					return fmt.Errorf("%s at %v/s: %w", t.name, rate, err)
				}
				if round >= 0 {
					rounds[t.name] = append(rounds[t.name], r)
				}
			}
		}
		for _, t := range targets {
			all[t.name] = append(all[t.name], middleRound(rounds[t.name]))
		}
	}
	b.report.latency(targets, all)
	return nil
}

// middleRound is the round whose p99 is in the middle: a whole one, so that its histogram is one that was
// measured.
func middleRound(rounds []openResult) openResult {
	rounds = slices.SortedFunc(slices.Values(rounds), func(a, b openResult) int { return int(a.Micros["p99"] - b.Micros["p99"]) })
	return rounds[len(rounds)/2]
}

func runOpen(ctx context.Context, spec loadSpec) (openResult, error) {
	out, err := loadProcess(ctx, spec)
	if err != nil {
		return openResult{}, err
	}
	var r openResult
	return r, json.Unmarshal(out, &r)
}

// latency prints each way's curve, and what it adds to the server itself at the same rate.
func (r *report) latency(targets []target, all map[string][]openResult) {
	fmt.Printf("\n300 B calls at a fixed rate, %d connections; from when each was due\n", openCallers)
	fmt.Printf("  %-14s %8s %9s %9s %9s %9s %10s %10s %9s\n", "", "asked/s", "done/s", "p50 µs", "p99 µs", "p99.9 µs", "added p50", "added p99", "late p99")
	direct := all["direct"]
	for _, t := range targets {
		for i, o := range all[t.name] {
			note := ""
			if o.Achieved < 0.97*o.Rate {
				note = "  over what it can do"
			}
			if o.Errors > 0 {
				note += fmt.Sprintf("  %d errors", o.Errors)
			}
			fmt.Printf("  %-14s %8.0f %9.0f %9.0f %9.0f %9.0f %10.0f %10.0f %9.0f%s\n", t.name, o.Rate, o.Achieved, o.Micros["p50"], o.Micros["p99"], o.Micros["p99.9"],
				o.Micros["p50"]-direct[i].Micros["p50"], o.Micros["p99"]-direct[i].Micros["p99"], o.Late, note)
		}
	}
	r.numbers["open_loop"] = map[string]any{"connections": openCallers, "bytes": 300, "targets": all}
}

// keepRaw writes the histograms of the open loop beside the report, one line each.
func keepRaw(file string, all map[string][]openResult) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, o := range all[name] {
			if _, err := fmt.Fprintf(f, "%s\t%.0f\t%s\n", name, o.Rate, o.Raw); err != nil {
				return err
			}
		}
	}
	return f.Close()
}
