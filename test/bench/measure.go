package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
)

// sample is one measurement of one program. Allocs is absent where the program does not count.
type sample struct {
	RPS    float64  `json:"rps"`
	P50    float64  `json:"p50_us"`
	P99    float64  `json:"p99_us"`
	CPU    float64  `json:"cpu_us"`
	Allocs *float64 `json:"allocs,omitempty"`
	RSS    int64    `json:"rss_kib"`
	Errors int      `json:"errors,omitempty"`
}

// measure runs one load against a process and reads what it has used for it.
func measure(ctx context.Context, p *process, spec loadSpec) (sample, error) {
	if p == nil { // not ours to look into
		r, err := runLoad(ctx, spec)
		if err == nil && r.Calls == 0 {
			err = fmt.Errorf("no call came through: %s", r.First)
		}
		return sample{RPS: float64(r.Calls) / r.Seconds, P50: r.P50, P99: r.P99, Errors: r.Errors}, err
	}
	before, err := p.usage()
	if err != nil {
		return sample{}, err
	}
	r, err := runLoad(ctx, spec)
	if err != nil {
		return sample{}, err
	}
	after, err := p.usage()
	if err != nil {
		return sample{}, fmt.Errorf("the program under test has ended: %w; see %s", err, p.log)
	}
	if r.Calls == 0 {
		return sample{}, fmt.Errorf("no call came through: %s", r.First)
	}
	calls := float64(r.Calls)
	s := sample{
		RPS: calls / r.Seconds, P50: r.P50, P99: r.P99, RSS: after.rss, Errors: r.Errors,
		CPU: float64((after.cpu - before.cpu).Microseconds()) / calls,
	}
	if after.counts && before.counts {
		allocs := float64(after.mallocs-before.mallocs) / calls
		s.Allocs = &allocs
	}
	return s, nil
}

// runLoad runs the load in a process of its own.
func runLoad(ctx context.Context, spec loadSpec) (loadResult, error) {
	out, err := loadProcess(ctx, spec)
	if err != nil {
		return loadResult{}, err
	}
	var r loadResult
	return r, json.Unmarshal(out, &r)
}

// loadProcess runs a load of either kind and returns what it printed.
func loadProcess(ctx context.Context, spec loadSpec) ([]byte, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	in, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "load")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return out, nil
}

// target is one program in a comparison.
type target struct {
	name string
	proc *process
	spec func() (loadSpec, error) // made anew for each measurement, since tokens end
}

// compare measures the targets in interleaved rounds, after one short round that is not
// counted. It returns the samples of each target by round.
func (b *bench) compare(ctx context.Context, targets []target) (map[string][]sample, error) {
	samples := map[string][]sample{}
	for round := -1; round < b.rounds; round++ {
		for _, t := range targets {
			spec, err := t.spec()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			spec.Duration, spec.Callers = b.duration, b.callers
			if round < 0 {
				spec.Duration = b.duration / 4
			}
			s, err := measure(ctx, t.proc, spec)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			if round >= 0 {
				samples[t.name] = append(samples[t.name], s)
			}
		}
	}
	return samples, nil
}

// medianSample takes the median of each figure by itself.
func medianSample(samples []sample) sample {
	m := sample{
		RPS: medianOf(samples, func(s sample) float64 { return s.RPS }),
		P50: medianOf(samples, func(s sample) float64 { return s.P50 }),
		P99: medianOf(samples, func(s sample) float64 { return s.P99 }),
		CPU: medianOf(samples, func(s sample) float64 { return s.CPU }),
		RSS: int64(medianOf(samples, func(s sample) float64 { return float64(s.RSS) })),
	}
	for _, s := range samples {
		m.Errors += s.Errors
	}
	if samples[0].Allocs != nil {
		allocs := medianOf(samples, func(s sample) float64 { return *s.Allocs })
		m.Allocs = &allocs
	}
	return m
}

func medianOf[T any](items []T, figure func(T) float64) float64 {
	figures := make([]float64, 0, len(items))
	for _, item := range items {
		figures = append(figures, figure(item))
	}
	return median(figures)
}

// medianRatio is the median over the rounds of a figure of one target to that of another.
func medianRatio(of, to []sample, figure func(sample) float64) float64 {
	var ratios []float64
	for i := range min(len(of), len(to)) {
		ratios = append(ratios, figure(of[i])/figure(to[i]))
	}
	return median(ratios)
}

// median returns the middle of the figures (the mean of the two in the middle), 0 for none.
func median(figures []float64) float64 {
	if len(figures) == 0 {
		return 0
	}
	figures = slices.Sorted(slices.Values(figures))
	mid := len(figures) / 2
	if len(figures)%2 == 1 {
		return figures[mid]
	}
	return (figures[mid-1] + figures[mid]) / 2
}
