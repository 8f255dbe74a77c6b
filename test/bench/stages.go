package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// securityStages are what the gateway does besides relaying. A sample of the profile belongs to the
// stage of the innermost function on its stack that is in one of these packages.
var securityStages = []struct {
	name  string
	heads []string
}{
	{"token and grant", []string{"sallyport/identity"}},
	{"strict parsing", []string{"sallyport/internal/strictjson", "sallyport/gateway/wire"}},
	{"schema", []string{"sallyport/gateway/catalog"}},
	{"policy", []string{"sallyport/policy", "github.com/open-policy-agent/opa"}},
	{"guards", []string{"sallyport/gateway/guard"}},
	{"record", []string{"sallyport/gateway/audit"}},
}

// recordOnDisk is the part of the record that the system does: the writes and the syncs.
const recordOnDisk = "record, system calls"

// stages shows what share of a small call's CPU the controls take: from a profile of the gateway
// under the load of the comparison, with everything on.
func (b *bench) stages(ctx context.Context) error {
	own := *b
	own.running, own.profile = nil, filepath.Join(b.dir, "stages")
	defer own.end()
	_, gate, err := own.usual(ctx, "stages")
	if err != nil {
		return err
	}
	if err := own.profiled(ctx, "stages", gate.calls("", 300, false)); err != nil {
		return err
	}
	text, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-traces", filepath.Join(own.profile, "stages.pprof")).Output()
	if err != nil {
		return fmt.Errorf("read the profile: %w", err)
	}
	took, total := stagesOf(string(text))
	if total == 0 {
		return errors.New("the profile has no sample")
	}
	fmt.Printf("\nshares of the gateway's CPU in a 300 B call, from a profile of %v with %v of CPU\n", profileFor, total)
	numbers, all := map[string]float64{}, 0.0
	for _, s := range securityStages {
		numbers[s.name] = took[s.name].Seconds() / total.Seconds()
		all += numbers[s.name]
		fmt.Printf("  %-24s %5.1f %%\n", s.name, 100*numbers[s.name])
	}
	numbers["all"], numbers[recordOnDisk] = all, took[recordOnDisk].Seconds()/total.Seconds()
	fmt.Printf("  %-24s %5.1f %%\n  %-24s %5.1f %% more\n", "all", 100*all, recordOnDisk, 100*numbers[recordOnDisk])
	b.report.numbers["stages"] = numbers
	return nil
}

// stagesOf sums what `pprof -traces` prints: blocks between lines of dashes, each with its time before
// the innermost function.
func stagesOf(traces string) (took map[string]time.Duration, total time.Duration) {
	took = map[string]time.Duration{}
	var value time.Duration
	stage, inSystem := "", false
	flush := func() {
		if stage == "record" && inSystem {
			stage = recordOnDisk
		}
		if stage != "" {
			took[stage] += value
		}
		total += value
		value, stage, inSystem = 0, "", false
	}
	for in := bufio.NewScanner(strings.NewReader(traces)); in.Scan(); {
		line := in.Text()
		if strings.HasPrefix(line, "-----------+") {
			flush()
			continue
		}
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if d, err := time.ParseDuration(fields[0]); err == nil && len(fields) > 1 {
			value, fields = d, fields[1:]
		}
		if value == 0 {
			continue // a heading
		}
		inSystem = inSystem || strings.HasPrefix(fields[0], "syscall.") || strings.HasPrefix(fields[0], "internal/runtime/syscall")
		if stage == "" {
			stage = stageOf(fields[0])
		}
	}
	flush()
	return took, total
}

func stageOf(function string) string {
	for _, s := range securityStages {
		for _, head := range s.heads {
			if strings.HasPrefix(function, head) {
				return s.name
			}
		}
	}
	return ""
}
