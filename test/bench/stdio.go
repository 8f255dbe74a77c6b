package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"
)

// childMain is an MCP server over stdin and stdout that does next to nothing: what a call to it
// costs is the way to it.
func childMain([]string) error {
	in, out := bufio.NewReaderSize(os.Stdin, 1<<20), bufio.NewWriterSize(os.Stdout, 64<<10)
	list := newUpstream(1).tools
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return nil
		}
		rest, ok := bytes.CutPrefix(line, []byte(idPrefix))
		end := bytes.IndexByte(rest, ',')
		if !ok || end < 0 {
			continue
		}
		_, _ = out.WriteString(idPrefix)
		_, _ = out.Write(rest[:end])
		switch {
		case bytes.Contains(rest, []byte(`"tools/call"`)):
			_, _ = out.WriteString(callStart + "done" + callEnd)
		case bytes.Contains(rest, []byte(`"tools/list"`)):
			_, _ = fmt.Fprintf(out, `,"result":%s}`, list)
		case bytes.Contains(rest, []byte(`"server/discover"`)):
			_, _ = out.WriteString(`,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}}`)
		default:
			_, _ = out.WriteString(`,"error":{"code":-32601,"message":"Method not found"}}`)
		}
		_ = out.WriteByte('\n')
		if in.Buffered() == 0 {
			_ = out.Flush()
		}
	}
}

// pipeMain makes the same calls over a bare pipe, with as many callers, and prints what a load
// does.
func pipeMain(args []string) error {
	flags := flag.NewFlagSet("pipe", flag.ExitOnError)
	callers := flags.Int("callers", 16, "concurrent callers")
	duration := flags.Duration("duration", time.Second, "how long")
	_ = flags.Parse(args)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "child")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var mu sync.Mutex
	answered := make([]chan struct{}, *callers)
	for i := range answered {
		answered[i] = make(chan struct{}, 1)
	}
	go func() {
		in := bufio.NewReaderSize(stdout, 1<<20)
		for {
			line, err := in.ReadSlice('\n')
			if err != nil {
				return
			}
			rest := bytes.TrimPrefix(line, []byte(idPrefix))
			if id, err := strconv.Atoi(string(rest[:bytes.IndexByte(rest, ',')])); err == nil {
				answered[id-firstID] <- struct{}{}
			}
		}
	}()
	body, err := fillArguments(fmt.Sprintf(`%s%%d,"method":"tools/call","params":{%s,"name":%q,"arguments":{"path":"/srv/docs/%s"`, idPrefix, meta, toolName(0), varyMark), 300)
	if err != nil {
		return err
	}
	took := make([][]time.Duration, *callers)
	end := time.Now().Add(*duration)
	var wg sync.WaitGroup
	for i := range *callers {
		wg.Go(func() {
			line := []byte(fmt.Sprintf(body, firstID+i) + "\n")
			for before := time.Now(); before.Before(end); before = time.Now() {
				mu.Lock()
				_, err := stdin.Write(line)
				mu.Unlock()
				if err != nil {
					return
				}
				<-answered[i]
				took[i] = append(took[i], time.Since(before))
			}
		})
	}
	wg.Wait()
	_ = cmd.Process.Kill()
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	return json.NewEncoder(os.Stdout).Encode(loadResult{Calls: len(all), Seconds: duration.Seconds(), P50: quantile(all, 0.5), P99: quantile(all, 0.99)})
}

// stdio compares a call to a server that is a program, through the gateway and its sandbox, with
// the same call over a bare pipe.
func (b *bench) stdio(ctx context.Context) error {
	defer b.end()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	policies, err := b.policies("stdio-policies", map[string]string{"authz.rego": policy})
	if err != nil {
		return err
	}
	gate, err := b.gatewayBefore(ctx, "sallyport-stdio", fmt.Sprintf("  bench: {command: %q, args: [child], instance: shared, sandbox: {read: []}}\n", self), policies)
	if err != nil {
		return err
	}
	through := target{name: "sallyport", proc: gate.process, spec: func() (loadSpec, error) {
		token, err := gate.token(ctx, "reader")
		return loadSpec{Addr: gate.addr, Call: callSpec{Path: benchPath, Host: gate.addr, Token: token, Size: 300, Tool: toolName(0)}}, err
	}}
	var pipes []sample
	samples := []sample{}
	for round := -1; round < b.rounds; round++ {
		pipe, err := barePipe(ctx, self, b.callers, b.duration)
		if err != nil {
			return err
		}
		spec, err := through.spec()
		if err != nil {
			return err
		}
		spec.Duration, spec.Callers = b.duration, b.callers
		s, err := measure(ctx, gate.process, spec)
		if err != nil {
			return err
		}
		if round >= 0 {
			pipes, samples = append(pipes, pipe), append(samples, s)
		}
	}
	b.report.stdio(pipes, samples)
	return nil
}

func barePipe(ctx context.Context, self string, callers int, duration time.Duration) (sample, error) {
	cmd := exec.CommandContext(ctx, self, "pipe", "-callers", fmt.Sprint(callers), "-duration", duration.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return sample{}, fmt.Errorf("bare pipe: %w", err)
	}
	var r loadResult
	if err := json.Unmarshal(out, &r); err != nil {
		return sample{}, err
	}
	return sample{RPS: float64(r.Calls) / r.Seconds, P50: r.P50, P99: r.P99}, nil
}

func (r *report) stdio(pipe, through []sample) {
	fmt.Printf("\n300 B call to a program: over a bare pipe, and over HTTP through the gateway and its sandbox\n")
	medians := table([]target{{name: "bare pipe"}, {name: "sallyport"}}, map[string][]sample{"bare pipe": pipe, "sallyport": through})
	added := medians["sallyport"].P50 - medians["bare pipe"].P50
	ratio := medianRatio(through, pipe, func(s sample) float64 { return s.RPS })
	fmt.Printf("  sallyport / bare pipe   throughput %.3f, p50 %+.0f µs\n", ratio, added)
	r.numbers["stdio"] = map[string]any{"samples": medians, "rps_ratio": ratio, "p50_added_us": added}
}
