package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"sallyport/identity/grant"
)

// flat asks whether the same 300 B call becomes dearer with more of what there is besides: tools,
// roles, live grants, servers. One gateway with few and one with many take turns.
func (b *bench) flat(ctx context.Context) error {
	for _, f := range []struct {
		what      string
		few, many int
		gateway   func(ctx context.Context, n int) (*gateway, callSpec, error)
	}{
		{"tools", 10, 10_000, func(ctx context.Context, n int) (*gateway, callSpec, error) { return b.granting(ctx, 1, n) }},
		{"roles", 1, 1_000, func(ctx context.Context, n int) (*gateway, callSpec, error) { return b.granting(ctx, n, 10) }},
		{"live grants", 10, 100_000, b.amongGrants},
		{"servers", 1, 50, b.amongServers},
	} {
		if err := b.fewAndMany(ctx, f.what, f.few, f.many, f.gateway); err != nil {
			return fmt.Errorf("%s: %w", f.what, err)
		}
	}
	return nil
}

func (b *bench) fewAndMany(ctx context.Context, what string, few, many int, up func(context.Context, int) (*gateway, callSpec, error)) error {
	defer b.end()
	var targets []target
	for _, n := range []int{few, many} {
		gate, call, err := up(ctx, n)
		if err != nil {
			return err
		}
		if err := gate.settled(); err != nil {
			return err
		}
		targets = append(targets, target{name: fmt.Sprint(n, " ", what), proc: gate.process, spec: func() (loadSpec, error) {
			token, err := gate.token(ctx, "role-0")
			call.Host, call.Token, call.Size = gate.addr, token, 300
			return loadSpec{Addr: gate.addr, Call: call}, err // no length: the server's own name of a tool may be shorter
		}})
	}
	samples, err := b.compare(ctx, targets)
	if err != nil {
		return err
	}
	fmt.Printf("\nthe same 300 B call with %d and %d %s\n", few, many, what)
	medians := table(targets, samples)
	cpu := medianRatio(samples[targets[1].name], samples[targets[0].name], func(s sample) float64 { return s.CPU })
	fmt.Printf("  %d / %d %s   CPU %.2f\n", many, few, what, cpu)
	b.report.group("flat")[what] = map[string]any{"samples": medians, "cpu_ratio": cpu}
	return nil
}

// settled waits until a process does nothing any more: a gateway is ready before it has read a long list.
func (p *process) settled() error {
	for quiet, last := 0, time.Duration(-1); quiet < 4; time.Sleep(250 * time.Millisecond) {
		now, err := p.usage()
		if err != nil {
			return err
		}
		if quiet++; now.cpu > last+clockTick {
			quiet = 0
		}
		last = now.cpu
	}
	return nil
}

// granting has a server of so many tools, and data that gives each of so many roles every one of
// them. Each call is decided anew: a cache would hide what the policy costs.
func (b *bench) granting(ctx context.Context, roles, tools int) (*gateway, callSpec, error) {
	name := fmt.Sprintf("flat-%d-%d", roles, tools)
	up, err := b.own(ctx, name+"-upstream", "upstream", "-tools", fmt.Sprint(tools))
	if err != nil {
		return nil, callSpec{}, err
	}
	policies, err := b.policies(name+"-policies", map[string]string{"authz.rego": grantsPolicy, "data.json": grants(roles, tools)})
	if err != nil {
		return nil, callSpec{}, err
	}
	gate, err := b.gatewayUp(ctx, name, up.addr, policies)
	return gate, callSpec{Path: benchPath, Tool: toolName(tools / 2), Vary: true}, err
}

// amongGrants is a gateway whose store has n grants of others that live.
func (b *bench) amongGrants(ctx context.Context, n int) (*gateway, callSpec, error) {
	name := fmt.Sprintf("flat-grants-%d", n)
	up, err := b.own(ctx, name+"-upstream", "upstream")
	if err != nil {
		return nil, callSpec{}, err
	}
	policies, err := b.policies("flat-one-policies", map[string]string{"authz.rego": grantsPolicy, "data.json": grants(1, 1)})
	if err != nil {
		return nil, callSpec{}, err
	}
	gate, err := b.configured(name, fmt.Sprintf("  bench: {type: http, url: \"http://%s/mcp\"}\n", up.addr), policies)
	if err != nil {
		return nil, callSpec{}, err
	}
	if err := fillGrants(ctx, filepath.Join(gate.state, "grants.db"), n); err != nil {
		return nil, callSpec{}, err
	}
	if err := b.up(ctx, gate); err != nil {
		return nil, callSpec{}, err
	}
	return gate, callSpec{Path: benchPath, Tool: toolName(0)}, gate.ready(ctx, "http://"+gate.admin+"/readyz")
}

// fillGrants makes a store with n grants, in one transaction: one for each would be a sync for each.
func fillGrants(ctx context.Context, path string, n int) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	store, err := grant.OpenBolt(path, grant.BoltOptions{}) // with its buckets and its format
	if err != nil {
		return err
	}
	if err := store.Close(); err != nil {
		return err
	}
	memory, err := grant.NewRegistry(ctx, grant.NewMemory(), grant.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = memory.Close() }()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for i := range n {
			g, err := memory.Create(ctx, grant.Grant{Subject: fmt.Sprint("subject-", i), Roles: []string{"role-0"}, Tools: []string{"bench.read_*"}, Expires: time.Now().Add(time.Hour)})
			if err != nil {
				return err
			}
			text, err := json.Marshal(g)
			if err != nil {
				return err
			}
			if err := tx.Bucket([]byte("grants")).Put([]byte(g.ID), text); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, db.Close())
}

// amongServers is a gateway before n servers, asked for a tool of one in the middle by the name it
// has among them all.
func (b *bench) amongServers(ctx context.Context, n int) (*gateway, callSpec, error) {
	name := fmt.Sprintf("flat-servers-%d", n)
	const tools = 1000
	up, err := b.own(ctx, name+"-upstream", "upstream", "-tools", fmt.Sprint(tools/n))
	if err != nil {
		return nil, callSpec{}, err
	}
	policies, err := b.policies("flat-servers-policies", map[string]string{"authz.rego": grantsPolicy, "data.json": grants(1, tools)})
	if err != nil {
		return nil, callSpec{}, err
	}
	var servers strings.Builder
	for i := range n {
		fmt.Fprintf(&servers, "  s%02d: {type: http, url: \"http://%s/mcp\"}\n", i, up.addr)
	}
	gate, err := b.gatewayBefore(ctx, name, servers.String(), policies)
	return gate, callSpec{Path: "/mcp", Tool: fmt.Sprintf("s%02d__%s", n/2, toolName(0))}, err
}
