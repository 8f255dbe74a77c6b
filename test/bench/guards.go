package main

import (
	"context"
	"fmt"
)

// The guards of a gateway in this group. Off is what can be switched off; the door itself stays.
const (
	guardsOn   = "guards: {secrets: true, hidden: true, canaries: [a-marker-that-is-nowhere]}\n"
	guardsOff  = "guards: {secrets: false, hidden: false}\n"
	labelledOn = `, labels: [source:private, sink:internal], tools: {"read_*": {arguments: {path: {kind: path, within: [/srv/docs]}}}}`
)

// guardsPolicy asks for all that can be asked of the second door, and has a rule on flow.
const guardsPolicy = policy + `
deny contains "nothing leaves this task" if {
	"sink:external" in input.tool.labels
	"source:private" in input.flow.labels
}

obligations contains {"type": "redact", "what": "secrets"}

obligations contains {"type": "redact", "what": "hidden"}

obligations contains {"type": "redact", "what": "links"}

obligations contains {"type": "refuse", "what": "secrets", "in": "arguments"}
`

// guards compares the gateway with all guards on and off, and with ReverseProxy: arguments and
// results searched for secrets and markers, hidden characters and links taken out, labels,
// argument checks and obligations, against none of it.
func (b *bench) guards(ctx context.Context) error {
	defer b.end()
	up, err := b.own(ctx, "upstream-guards", "upstream")
	if err != nil {
		return err
	}
	plain, err := b.own(ctx, "reverseproxy-guards", "reverseproxy", "-to", up.addr)
	if err != nil {
		return err
	}
	gates := map[string]*gateway{}
	for name, of := range map[string]struct{ server, guards, policy string }{
		"guards on":  {labelledOn, guardsOn, guardsPolicy},
		"guards off": {"", guardsOff, policy},
	} {
		dir := "sallyport-" + name[len("guards "):]
		policies, err := b.policies(dir+"-policies", map[string]string{"authz.rego": of.policy})
		if err != nil {
			return err
		}
		server := fmt.Sprintf("  bench: {type: http, url: \"http://%s/mcp\"%s}\n", up.addr, of.server)
		if gates[name], err = b.gatewayBefore(ctx, dir, server+of.guards, policies); err != nil {
			return err
		}
	}
	for _, size := range []struct {
		name  string
		bytes int
	}{{"1KB", 1 << 10}, {"10KB", 10 << 10}, {"1MB", 1 << 20}} {
		targets := []target{{name: "reverseproxy", proc: plain, spec: func() (loadSpec, error) {
			return loadSpec{Addr: plain.addr, Want: size.bytes,
				Call: callSpec{Path: "/mcp", Host: plain.addr, Size: size.bytes, Tool: toolName(0)}}, nil
		}}}
		for _, name := range []string{"guards off", "guards on"} {
			gate := gates[name]
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
		b.report.guards(size.name, targets, samples)
	}
	return nil
}

func (r *report) guards(size string, targets []target, samples map[string][]sample) {
	fmt.Printf("\n%s call, %s reply, all guards on and off\n", size, size)
	numbers := map[string]any{"samples": table(targets, samples)}
	for _, of := range []struct{ a, b, key string }{
		{"guards on", "guards off", "on_to_off"}, {"guards on", "reverseproxy", "on_to_reverseproxy"}, {"guards off", "reverseproxy", "off_to_reverseproxy"},
	} {
		ratio := map[string]float64{
			"rps": medianRatio(samples[of.a], samples[of.b], func(s sample) float64 { return s.RPS }),
			"cpu": medianRatio(samples[of.a], samples[of.b], func(s sample) float64 { return s.CPU }),
		}
		numbers[of.key] = ratio
		fmt.Printf("  %-10s / %-14s throughput %.2f  CPU %.2f\n", of.a, of.b, ratio["rps"], ratio["cpu"])
	}
	r.group("guards")[size] = numbers
}
