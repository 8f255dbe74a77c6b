package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sallyport/gateway/audit"
)

// recordOff is the source of the record's log as it would be if nothing were recorded: neither
// encoded nor written nor waited for.
func recordOff(source string) (string, error) {
	for _, head := range []string{
		"func (l *Log) Decide(ctx context.Context, r *Record) error {\n",
		"func (l *Log) Note(r *Record) error {\n",
	} {
		if strings.Count(source, head) != 1 {
			return "", fmt.Errorf("gateway/audit/log.go has no %q to leave the record out at", strings.TrimSpace(head))
		}
		source = strings.Replace(source, head, head+"\treturn nil\n", 1)
	}
	return source, nil
}

// audit compares the gateway with one that records nothing: what a durable decision costs.
func (b *bench) audit(ctx context.Context) error {
	defer b.end()
	up, err := b.own(ctx, "audit-upstream", "upstream")
	if err != nil {
		return err
	}
	policies, err := b.policies("audit-policies", map[string]string{"authz.rego": policy})
	if err != nil {
		return err
	}
	without := *b
	without.running = nil
	defer without.end()
	if without.binary, err = buildGateway(ctx, filepath.Join(b.dir, "without"), edit{"gateway/audit/log.go", recordOff}); err != nil {
		return err
	}
	sizes := sizes[:2]
	group := b.report.group("audit")
	var gates []*gateway
	for _, way := range []struct {
		name string
		b    *bench
	}{{"recorded", b}, {"not recorded", &without}} {
		gate, err := way.b.gatewayUp(ctx, "audit "+way.name, up.addr, policies)
		if err != nil {
			return err
		}
		gates = append(gates, gate)
	}
	for _, size := range sizes {
		var targets []target
		for i, name := range []string{"recorded", "not recorded"} {
			targets = append(targets, target{name: name, proc: gates[i].process, spec: func() (loadSpec, error) {
				token, err := gates[i].token(ctx, "reader")
				return loadSpec{Addr: gates[i].addr, Want: size.bytes,
					Call: callSpec{Path: benchPath, Host: gates[i].addr, Token: token, Size: size.bytes, Tool: toolName(0)}}, err
			}})
		}
		samples, err := b.compare(ctx, targets)
		if err != nil {
			return err
		}
		fmt.Printf("\n%s call and reply, each decision on disk before the call, and without any record\n", size.name)
		medians := table(targets, samples)
		ratio := medianRatio(samples["recorded"], samples["not recorded"], func(s sample) float64 { return s.RPS })
		cpu := medianRatio(samples["recorded"], samples["not recorded"], func(s sample) float64 { return s.CPU })
		fmt.Printf("  recorded / not recorded   throughput %.2f  CPU %.2f\n", ratio, cpu)
		group[size.name] = map[string]any{"samples": medians, "rps_ratio": ratio, "cpu_ratio": cpu}
	}
	return nil
}

// verifyRecords is how many records the log has that is verified.
const verifyRecords = 400_000

// verifyRecord times the verification of a log, most of whose segments are compressed.
func (b *bench) verifyRecord(ctx context.Context) error {
	dir := filepath.Join(b.dir, "verify-state", "audit")
	if err := writeLog(ctx, dir, verifyRecords); err != nil {
		return err
	}
	key, err := audit.VerifierKey(dir)
	if err != nil {
		return err
	}
	var bytes int64
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	packed := 0
	for _, f := range files {
		if info, err := f.Info(); err == nil && strings.Contains(f.Name(), ".jsonl") {
			bytes += info.Size()
			if strings.HasSuffix(f.Name(), ".gz") {
				packed++
			}
		}
	}
	var rates []float64
	for range b.rounds {
		began := time.Now()
		report, err := audit.Verify(dir, audit.VerifyOptions{Key: key})
		if err != nil {
			return err
		}
		if len(report.Problems) > 0 || report.Records < verifyRecords || report.After > 0 {
			return fmt.Errorf("verify: %d records, %d after the checkpoint, %v", report.Records, report.After, report.Problems)
		}
		rates = append(rates, float64(report.Records)/time.Since(began).Seconds())
	}
	fmt.Printf("\nverification of %d records (%d MB on disk, %d segments compressed): %.0f records/s\n", verifyRecords, bytes>>20, packed, median(rates))
	b.report.numbers["verify"] = map[string]any{"records": verifyRecords, "bytes": bytes, "compressed_segments": packed, "records_per_s": median(rates)}
	return nil
}

// writeLog writes records as a gateway does for calls, as fast as the log takes them.
func writeLog(ctx context.Context, dir string, n int) error {
	log, err := audit.Open(dir, audit.Options{SegmentBytes: 32 << 20})
	if err != nil {
		return err
	}
	r := audit.Record{Phase: audit.PhaseDecision, Method: "tools/call", Server: "files", Tool: "read_file", Subject: "alice", Client: "bench",
		Roles: []string{"reader"}, Decision: "allow", Code: "ok", Rules: []string{"authz.rego:5"},
		ToolDigest: "sha256:" + strings.Repeat("ab", 32), PolicyRevision: "sha256:" + strings.Repeat("cd", 32)}
	for i := range n {
		r.ID, r.Time, r.JTI = audit.NewID(), time.Now(), audit.NewID()
		r.ArgumentsDigest = log.Digest([]byte(r.ID))
		if i%4096 == 0 { // so that the notes have room
			if err := log.Decide(ctx, &r); err != nil {
				return errors.Join(err, log.Close())
			}
			continue
		}
		for log.Note(&r) != nil {
			time.Sleep(time.Millisecond)
		}
	}
	// Compression goes on beside the record, and ends with it.
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		plain, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
		if err != nil {
			return errors.Join(err, log.Close())
		}
		if len(plain) <= 1 {
			break
		}
	}
	return log.Close()
}
