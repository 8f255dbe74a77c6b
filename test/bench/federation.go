package main

import (
	"context"
	"fmt"
	"strings"
)

// federatedTools is how many tools there are, however many servers bring them.
const federatedTools = 5000

// federation asks whether more servers behind /mcp make a list or a call dearer: the same tools
// from 1, 10 and 50 servers.
func (b *bench) federation(ctx context.Context) error {
	defer b.end()
	policies, err := b.policies("federation-policies", map[string]string{"authz.rego": `package mcp.authz

import rego.v1

allow if {
	"reader" in input.subject.roles
	startswith(input.tool.name, "read_")
}
`})
	if err != nil {
		return err
	}
	var lists, calls []target
	for _, n := range []int{1, 10, 50} {
		up, err := b.own(ctx, fmt.Sprintf("upstream-of-%d", n), "upstream", "-tools", fmt.Sprint(federatedTools/n))
		if err != nil {
			return err
		}
		var servers strings.Builder
		for i := range n {
			fmt.Fprintf(&servers, "  s%02d: {type: http, url: \"http://%s/mcp\"}\n", i, up.addr)
		}
		gate, err := b.gatewayBefore(ctx, fmt.Sprintf("sallyport-federation-%d", n), servers.String(), policies)
		if err != nil {
			return err
		}
		through := func(tool string) target {
			return target{name: fmt.Sprintf("%d servers", n), proc: gate.process, spec: func() (loadSpec, error) {
				token, err := gate.token(ctx, "reader")
				spec := loadSpec{Addr: gate.addr, Call: callSpec{Path: "/mcp", Host: gate.addr, Token: token, Tool: tool}}
				if tool != "" {
					spec.Call.Size = 300
				}
				return spec, err
			}}
		}
		lists = append(lists, through(""))
		calls = append(calls, through(fmt.Sprintf("s%02d__%s", n/2, toolName(0))))
	}
	listed, err := b.compare(ctx, lists)
	if err != nil {
		return err
	}
	called, err := b.compare(ctx, calls)
	if err != nil {
		return err
	}
	b.report.federation(lists, listed, called)
	return nil
}

func (r *report) federation(targets []target, lists, calls map[string][]sample) {
	numbers := map[string]any{"tools": federatedTools}
	for name, samples := range map[string]map[string][]sample{"tools/list": lists, "tools/call": calls} {
		fmt.Printf("\n%s of %d tools at /mcp\n", name, federatedTools)
		medians := table(targets, samples)
		ratios := map[string]float64{}
		for _, t := range targets[1:] {
			ratios[t.name] = medianRatio(samples[t.name], samples[targets[0].name], func(s sample) float64 { return s.CPU })
			fmt.Printf("  %s / %s   CPU %.2f\n", t.name, targets[0].name, ratios[t.name])
		}
		numbers[name] = map[string]any{"samples": medians, "cpu_ratio_to_1_server": ratios}
	}
	r.numbers["federation"] = numbers
}
