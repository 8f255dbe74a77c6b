package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"
)

// coldStarts is how many starts of the gateway are timed of each kind.
const coldStarts = 9

// policyFiles is how many files of policy the gateway reads at its start.
const policyFiles = 20

// coldStart times the gateway's binary from its start to the first 200 of /readyz, with 20 files of
// policy: the first start in an empty directory, and a start with the state of one before.
func (b *bench) coldStart(ctx context.Context) error {
	defer b.end()
	up, err := b.own(ctx, "ready-upstream", "upstream")
	if err != nil {
		return err
	}
	files := map[string]string{"authz00.rego": policy}
	for i := 1; i < policyFiles; i++ {
		files[fmt.Sprintf("authz%02d.rego", i)] = "package mcp.authz\n\nimport rego.v1\n" + rulesBeside(10)
	}
	policies, err := b.policies("ready-policies", files)
	if err != nil {
		return err
	}
	var first, again, version []float64
	for i := range coldStarts {
		g, err := b.configured(fmt.Sprintf("ready-%d", i), fmt.Sprintf("  bench: {type: http, url: \"http://%s/mcp\"}\n", up.addr), policies)
		if err != nil {
			return err
		}
		for _, to := range []*[]float64{&first, &again} {
			took, err := b.toReady(ctx, g)
			if err != nil {
				return err
			}
			*to = append(*to, took)
		}
		began := time.Now()
		p, err := start(ctx, b.dir, "version", nil, b.binary, "version")
		if err != nil {
			return err
		}
		if err := p.cmd.Run(); err != nil {
			return err
		}
		version = append(version, time.Since(began).Seconds()*1e3)
	}
	fmt.Printf("\nfrom the start of the binary to ready with %d files of policy, medians of %d: %.0f ms in an empty directory, %.0f ms with the state of the start before; `sallyport version` %.0f ms\n",
		policyFiles, coldStarts, median(first), median(again), median(version))
	b.report.numbers["ready"] = map[string]any{"policies": policyFiles, "first_ms": median(first), "again_ms": median(again), "version_ms": median(version)}
	return nil
}

// toReady starts the gateway, waits until it is ready, ends it, and returns how long the first took, in ms.
func (b *bench) toReady(ctx context.Context, g *gateway) (float64, error) {
	began := time.Now()
	if err := b.up(ctx, g); err != nil {
		return 0, err
	}
	defer func() {
		g.stop()
		b.running = b.running[:len(b.running)-1]
	}()
	// A connection for each question: until the gateway listens it is refused at once.
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for time.Since(began) < time.Minute {
		resp, err := c.Get("http://" + g.admin + "/readyz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return time.Since(began).Seconds() * 1e3, nil
			}
		}
		time.Sleep(time.Millisecond)
	}
	text, _ := os.ReadFile(g.log)
	return 0, fmt.Errorf("not ready: %.2000s", text)
}
