package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// report prints a table for each group as it comes and keeps the numbers for the file.
type report struct {
	numbers map[string]any
}

func newReport(o options) *report {
	r := &report{numbers: map[string]any{
		"machine": map[string]any{
			"cpu": cpuModel(), "cores": runtime.NumCPU(), "os": runtime.GOOS, "arch": runtime.GOARCH, "go": runtime.Version(),
		},
		"method": map[string]any{"rounds": o.rounds, "seconds": o.duration.Seconds(), "callers": o.callers},
	}}
	fmt.Printf("%s, %d cores, %s; %d callers, %d interleaved rounds of %v, medians\n",
		cpuModel(), runtime.NumCPU(), runtime.Version(), o.callers, o.rounds, o.duration)
	return r
}

// group returns the object of a group, made where it is missing.
func (r *report) group(name string) map[string]any {
	if r.numbers[name] == nil {
		r.numbers[name] = map[string]any{}
	}
	return r.numbers[name].(map[string]any)
}

func (r *report) throughput(size string, targets []target, samples map[string][]sample) {
	fmt.Printf("\n%s call, %s reply%38s\n", size, size, "CPU: direct's is the server's own")
	medians := table(targets, samples)
	r.group("throughput")[size] = medians
	ratios := map[string]any{}
	for _, to := range targets[:len(targets)-1] {
		ours, theirs := samples["sallyport"], samples[to.name]
		ratio := map[string]float64{
			"rps": medianRatio(ours, theirs, func(s sample) float64 { return s.RPS }),
			"cpu": medianRatio(ours, theirs, func(s sample) float64 { return s.CPU }),
			"p50": medianRatio(ours, theirs, func(s sample) float64 { return s.P50 }),
			"p99": medianRatio(ours, theirs, func(s sample) float64 { return s.P99 }),
		}
		ratios[to.name] = ratio
		fmt.Printf("  sallyport / %-14s throughput %.2f  CPU %.2f  p50 %.2f  p99 %.2f\n", to.name, ratio["rps"], ratio["cpu"], ratio["p50"], ratio["p99"])
	}
	r.group("ratios")[size] = ratios
}

func (r *report) lists(tools, size int, targets []target, samples map[string][]sample) {
	fmt.Printf("\ntools/list of %d tools, %d bytes\n", tools, size)
	medians := table(targets, samples)
	cost := medianRatio(samples["sallyport"], samples["file"], func(s sample) float64 { return s.CPU })
	rps := medianRatio(samples["sallyport"], samples["file"], func(s sample) float64 { return s.RPS })
	fmt.Printf("  sallyport / file handler   throughput %.2f  CPU %.2f\n", rps, cost)
	r.numbers["tools_list"] = map[string]any{"tools": tools, "bytes": size, "file": medians["file"], "sallyport": medians["sallyport"], "rps_ratio": rps, "cpu_ratio": cost}
}

func (r *report) rules(targets []target, samples map[string][]sample) {
	fmt.Printf("\nthe same 300 B call under policies of different size\n")
	medians := table(targets, samples)
	ratios := map[string]float64{}
	for _, kind := range []string{", cached", ", decided"} {
		for _, t := range targets {
			if name, ok := strings.CutSuffix(t.name, kind); ok && name != "20 rules" {
				ratio := medianRatio(samples[t.name], samples["20 rules"+kind], func(s sample) float64 { return s.CPU })
				ratios[t.name] = ratio
				fmt.Printf("  %s / 20 rules   CPU %.2f\n", t.name, ratio)
			}
		}
	}
	r.numbers["rules"] = map[string]any{"samples": medians, "cpu_ratio_to_20_rules": ratios}
}

// table prints one line for each target and returns the medians.
func table(targets []target, samples map[string][]sample) map[string]sample {
	fmt.Printf("  %-32s %10s %9s %9s %9s %8s %8s\n", "", "calls/s", "p50 µs", "p99 µs", "CPU µs", "allocs", "RSS MiB")
	medians := map[string]sample{}
	for _, t := range targets {
		m := medianSample(samples[t.name])
		medians[t.name] = m
		allocs, note := "–", ""
		if m.Allocs != nil {
			allocs = fmt.Sprintf("%.0f", *m.Allocs)
		}
		if m.Errors > 0 {
			note = fmt.Sprintf("  %d replies cut short or wrong", m.Errors)
		}
		fmt.Printf("  %-32s %10.0f %9.0f %9.0f %9.1f %8s %8.0f%s\n", t.name, m.RPS, m.P50, m.P99, m.CPU, allocs, float64(m.RSS)/1024, note)
	}
	return medians
}

// write keeps the numbers, if a file was named.
func (r *report) write(file string) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(r.numbers, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644) // for others to read
}

func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		if name, value, ok := strings.Cut(in.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
