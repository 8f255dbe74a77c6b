package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"sallyport/gateway/audit"
	engine "sallyport/policy"
)

// replayDecisions is how many decisions are decided again; each has an outcome beside it in the log.
const replayDecisions = 200_000

// replay asks what `policy replay` costs for a decision, all of it: reading the log, its JSON, the
// policy. Beside it the policy alone is asked the same questions, held in memory. Paths differ in every
// call, so that no decision comes from a cache.
func (b *bench) replay(ctx context.Context) error {
	dir, err := b.policies("replay", map[string]string{"authz.rego": rulesPolicy(20)})
	if err != nil {
		return err
	}
	g, err := engine.Load(ctx, dir, engine.Options{CacheSize: -1})
	if err != nil {
		return err
	}
	asked := make([]*engine.Input, replayDecisions)
	log := filepath.Join(b.dir, "replay-log")
	if err := b.recordedTraffic(ctx, g, log, asked); err != nil {
		return err
	}
	var replayed, bare, wall []float64 // processor and wall time for a decision, in microseconds
	for range b.rounds {
		t, err := b.replayed(ctx, log, dir)
		if err != nil {
			return err
		}
		replayed, wall = append(replayed, t.cpu*1000/replayDecisions), append(wall, t.wall*1000/replayDecisions)
		began, err := ownCPU()
		if err != nil {
			return err
		}
		for _, in := range asked {
			if _, err := g.Decide(ctx, in); err != nil {
				return err
			}
		}
		ended, err := ownCPU()
		if err != nil {
			return err
		}
		bare = append(bare, float64((ended-began).Microseconds())/replayDecisions)
	}
	b.report.replay(middle(replayed), middle(wall), middle(bare))
	return nil
}

func (r *report) replay(replayed, wall, bare float64) {
	perMinute := 60e6 / replayed
	fmt.Printf("\npolicy replay of %d decisions with inputs and as many outcomes, 20 rules\n", replayDecisions)
	fmt.Printf("  %.1f us of the processor a decision, so %.2f million a core-minute; %.0f a second by the clock\n", replayed, perMinute/1e6, 1e6/wall)
	fmt.Printf("  %.2f times the policy alone, which takes %.1f us\n", replayed/bare, bare)
	r.numbers["replay"] = map[string]any{"decisions": replayDecisions, "cpu_us": replayed, "per_core_minute": perMinute, "wall_us": wall, "policy_cpu_us": bare, "times_policy": replayed / bare}
}

// replayed runs the command once, and wants every decision to come out as it is recorded.
func (b *bench) replayed(ctx context.Context, log, dir string) (timing, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, b.binary, "policy", "replay", "--log", log, "--policies", dir, "-o", "json")
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	began := time.Now()
	err := cmd.Run()
	wall := time.Since(began)
	var report struct {
		Full int `json:"full"`
		Same int `json:"same"`
	}
	if err = errors.Join(err, json.Unmarshal(out.Bytes(), &report)); err != nil {
		return timing{}, fmt.Errorf("policy replay: %w", err)
	}
	if report.Full != replayDecisions || report.Same != replayDecisions {
		return timing{}, fmt.Errorf("policy replay: %d decided and %d as recorded, of %d", report.Full, report.Same, replayDecisions)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return timing{}, errors.New("no usage of the processor")
	}
	cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	return timing{float64(wall.Microseconds()) / 1000, float64(cpu.Microseconds()) / 1000}, nil
}

// ownCPU is what this process has used of the processor.
func ownCPU() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("usage of the processor: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// recordedTraffic writes a log as the gateway would with audit.inputs: clear.
func (b *bench) recordedTraffic(ctx context.Context, g *engine.Generation, dir string, asked []*engine.Input) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, "00000000000000000001.jsonl"), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	defer func() { err = errors.Join(err, w.Flush(), f.Close()) }()
	lines := json.NewEncoder(w)
	began := time.Date(2026, 1, 15, 9, 0, 0, 0, time.UTC)
	for i := range asked {
		at := began.Add(time.Duration(i) * time.Millisecond)
		rec := audit.Record{Seq: uint64(2*i + 1), Time: at, ID: audit.NewID(), Phase: audit.PhaseDecision, Method: "tools/call", Server: "upstream", Tool: toolName(i % 20),
			ToolDigest: "sha256:0", Subject: "bench", Client: "bench", Grant: "gr_bench", Roles: []string{"role-0"}, Decision: "allow", Code: "ok",
			LabelsBefore: []string{}, LabelsAfter: []string{}, Obligations: []json.RawMessage{}, Calls: 1, Replayable: true}
		in := &engine.Input{Action: rec.Method, Server: rec.Server, Tool: &engine.Tool{Name: rec.Tool, Digest: rec.ToolDigest, Annotations: []byte(`{}`)},
			Subject: &engine.Subject{ID: rec.Subject, Issuer: "https://bench", Client: rec.Client, Roles: rec.Roles, Proof: "none"}, Grant: &engine.Grant{ID: rec.Grant, Expires: at.Add(time.Hour)},
			Arguments: fmt.Appendf(nil, `{"path":"/srv/docs/%d","content":"%0200d"}`, i, i), Request: engine.Request{ID: rec.ID, Time: at, Era: "modern", Method: rec.Method}}
		asked[i] = in
		d, err := g.Ask(ctx, in)
		if err != nil {
			return err
		}
		rec.PolicyAllow, rec.Rules, rec.Reasons, rec.PolicyRevision = &d.Allow, d.Rules, []string{}, d.Revision
		if rec.Input, err = in.Document(); err != nil {
			return err
		}
		outcome := rec
		outcome.Seq, outcome.Phase, outcome.Input, outcome.PolicyAllow, outcome.Replayable, outcome.Calls = rec.Seq+1, audit.PhaseOutcome, nil, nil, false, 0
		if err := errors.Join(lines.Encode(&rec), lines.Encode(&outcome)); err != nil {
			return err
		}
	}
	return nil
}
