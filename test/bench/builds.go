package main

import (
	"context"
	"fmt"
	"strings"
)

// builds compares builds of the gateway, which -builds names, under the same calls: whether a change is
// worth its lines is seen in the ratio to the first of them within one run, and nowhere else.
func (b *bench) builds(ctx context.Context) error {
	if b.buildsOf == "" {
		fmt.Println("\nno builds to compare: -builds NAME=BINARY,… names some")
		return nil
	}
	group := b.report.group("builds")
	for _, size := range sizes {
		if !b.wants(size.name) {
			continue
		}
		up, err := b.own(ctx, "builds-upstream-"+size.name, "upstream")
		if err != nil {
			return err
		}
		policies, err := b.policies("builds-policies", map[string]string{"authz.rego": policy + rulesBeside(200)})
		if err != nil {
			return err
		}
		var targets []target
		for _, item := range strings.Split(b.buildsOf, ",") {
			name, binary, ok := strings.Cut(item, "=")
			if !ok {
				return fmt.Errorf("-builds %q: write NAME=BINARY,…", item)
			}
			other := *b
			other.running, other.binary = nil, binary
			defer other.end()
			gate, err := other.gatewayUp(ctx, "build "+name, up.addr, policies)
			if err != nil {
				return err
			}
			targets = append(targets, target{name: name, proc: gate.process, spec: func() (loadSpec, error) {
				token, err := gate.token(ctx, "reader")
				return loadSpec{Addr: gate.addr, Want: size.bytes,
					Call: callSpec{Path: benchPath, Host: gate.addr, Token: token, Size: size.bytes, Tool: toolName(0)}}, err
			}})
		}
		samples, err := b.compare(ctx, targets)
		if err != nil {
			return err
		}
		fmt.Printf("\n%s call and reply\n", size.name)
		medians := table(targets, samples)
		ratios := map[string]any{}
		first := samples[targets[0].name]
		for _, t := range targets[1:] {
			rps := medianRatio(samples[t.name], first, func(s sample) float64 { return s.RPS })
			cpu := medianRatio(samples[t.name], first, func(s sample) float64 { return s.CPU })
			fmt.Printf("  %s / %s   throughput %.2f  CPU %.2f\n", t.name, targets[0].name, rps, cpu)
			ratios[t.name] = map[string]float64{"rps": rps, "cpu": cpu}
		}
		group[size.name] = map[string]any{"samples": medians, "ratios": ratios}
		b.end()
	}
	return nil
}
