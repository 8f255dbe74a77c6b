package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
)

// identity measures what knowing the caller costs: verifying a token and its proof, finding its
// grant, and how soon a revocation ends what was open.
func (b *bench) identity(ctx context.Context) error {
	defer b.end()
	if err := b.verify(ctx); err != nil {
		return err
	}
	if err := b.lookups(ctx); err != nil {
		return err
	}
	up, err := b.own(ctx, "upstream-identity", "upstream")
	if err != nil {
		return err
	}
	policies, err := b.policies("identity-policies", map[string]string{"authz.rego": policy})
	if err != nil {
		return err
	}
	// Two servers, so that streams can be opened at /mcp, where they are the gateway's own.
	gate, err := b.gatewayBefore(ctx, "sallyport-identity", fmt.Sprintf("  bench: {type: http, url: \"http://%s/mcp\"}\n  other: {type: http, url: \"http://%[1]s/mcp\"}\n", up.addr), policies)
	if err != nil {
		return err
	}
	if err := b.proofs(ctx, gate); err != nil {
		return err
	}
	return b.revocation(ctx, gate)
}

// proofs compares calls with a token that anybody could carry with calls that prove a key.
func (b *bench) proofs(ctx context.Context, gate *gateway) error {
	var targets []target
	for _, bound := range []bool{false, true} {
		name := "bearer token"
		if bound {
			name = "token and proof"
		}
		targets = append(targets, target{name: name, proc: gate.process, spec: func() (loadSpec, error) {
			return loadSpec{Addr: gate.addr, Want: 300, Grant: &grantSpec{Socket: gate.socket, Role: "reader"},
				Call: callSpec{Path: benchPath, Host: gate.addr, Size: 300, Tool: toolName(0), Bound: bound}}, nil
		}})
	}
	samples, err := b.compare(ctx, targets)
	if err != nil {
		return err
	}
	fmt.Printf("\nthe same 300 B call without and with a proof of possession\n")
	medians := table(targets, samples)
	cost := medianRatio(samples[targets[1].name], samples[targets[0].name], func(s sample) float64 { return s.CPU })
	fmt.Printf("  token and proof / bearer token   CPU %.2f\n", cost)
	b.report.group("identity")["proof"] = map[string]any{"samples": medians, "cpu_ratio": cost}
	return nil
}

// Streams that are open when a grant is revoked: of 40 grants with 250 each, near to what the
// gateway gives one principal; beside that, of one grant alone.
const (
	streamsOfGrant = 250
	manyGrants     = 40
)

// revocation measures the time from the request to revoke to the end of each stream, as its
// client sees it.
func (b *bench) revocation(ctx context.Context, gate *gateway) error {
	var alone, among, all []delays
	for range b.rounds {
		for _, grants := range []int{1, manyGrants} {
			r, err := runRevoke(ctx, revokeSpec{Addr: gate.addr, Socket: gate.socket, Role: "reader", Grants: grants, Streams: streamsOfGrant,
				PID: gate.cmd.Process.Pid})
			if err != nil {
				return err
			}
			if grants == 1 {
				alone = append(alone, r.One)
				continue
			}
			among, all = append(among, r.One), append(all, r.All)
		}
	}
	open := manyGrants * streamsOfGrant
	fmt.Printf("\nrevocation: from the request to the end of a stream, medians of %d rounds\n", b.rounds)
	fmt.Printf("  %-44s %9s %9s %9s %9s\n", "", "p50 ms", "p99 ms", "last ms", "CPU µs")
	numbers := map[string]any{}
	for _, row := range []struct {
		name, key string
		took      []delays
	}{
		{fmt.Sprintf("one grant's %d streams, nothing else open", streamsOfGrant), "one_alone", alone},
		{fmt.Sprintf("one grant's %d streams, %d open", streamsOfGrant, open), "one_of_10000", among},
		{fmt.Sprintf("all grants, %d streams", open-streamsOfGrant), "all", all},
	} {
		m := delays{
			P50:  medianOf(row.took, func(d delays) float64 { return d.P50 }),
			P99:  medianOf(row.took, func(d delays) float64 { return d.P99 }),
			Last: medianOf(row.took, func(d delays) float64 { return d.Last }),
			CPU:  medianOf(row.took, func(d delays) float64 { return d.CPU }),
		}
		numbers[row.key] = m
		fmt.Printf("  %-44s %9.1f %9.1f %9.1f %9.1f\n", row.name, m.P50, m.P99, m.Last, m.CPU)
	}
	b.report.group("identity")["revocation"] = numbers
	return nil
}

// runRevoke runs one measurement in a process of its own.
func runRevoke(ctx context.Context, spec revokeSpec) (revokeResult, error) {
	self, err := os.Executable()
	if err != nil {
		return revokeResult{}, err
	}
	in, err := json.Marshal(spec)
	if err != nil {
		return revokeResult{}, err
	}
	cmd := exec.CommandContext(ctx, self, "revoke")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return revokeResult{}, fmt.Errorf("revoke: %w", err)
	}
	var r revokeResult
	return r, json.Unmarshal(out, &r)
}
