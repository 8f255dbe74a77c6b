package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"

	"sallyport/gateway/sandbox"
)

// startRounds is how many starts are timed of each kind.
const startRounds = 20

// starts compares the first byte of a program that starts in a sandbox with that of one that
// starts bare: cold, as the first server of a gateway, and with the helper that a gateway keeps
// ready.
func (b *bench) starts(ctx context.Context) error {
	if err := sandbox.Check().Missing(); err != nil {
		fmt.Printf("\nstarts: %v\n", err)
		return nil
	}
	var kept sandbox.Launcher
	defer kept.Close()
	var bare, cold, ready []float64
	for range startRounds {
		for _, one := range []struct {
			to    *[]float64
			start func(out *os.File) (wait func() error, err error)
		}{
			{&bare, func(out *os.File) (func() error, error) {
				cmd := exec.CommandContext(ctx, "/bin/sh", "-c", "echo")
				cmd.Stdout = out
				return cmd.Wait, cmd.Start()
			}},
			{&cold, func(out *os.File) (func() error, error) { return boxed(new(sandbox.Launcher), out) }},
			{&ready, func(out *os.File) (func() error, error) { return boxed(&kept, out) }},
		} {
			took, err := firstByte(one.start)
			if err != nil {
				return err
			}
			*one.to = append(*one.to, took)
		}
		time.Sleep(400 * time.Millisecond) // the next helper gets ready
	}
	b.report.starts(middle(bare), middle(cold), middle(ready[1:]))
	return nil
}

func boxed(l *sandbox.Launcher, out *os.File) (func() error, error) {
	p, err := l.Start(sandbox.Spec{Command: "/bin/sh", Args: []string{"-c", "echo"}}, nil, out, nil, nil)
	if err != nil {
		return nil, err
	}
	return p.Wait, nil
}

// firstByte is the time from the start of a program to its first byte, in milliseconds.
func firstByte(start func(out *os.File) (wait func() error, err error)) (float64, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }()
	began := time.Now()
	wait, err := start(w)
	_ = w.Close()
	if err != nil {
		return 0, err
	}
	_, err = r.Read(make([]byte, 1))
	took := time.Since(began)
	_ = wait()
	return float64(took.Microseconds()) / 1000, err
}

func middle(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

func (r *report) starts(bare, cold, ready float64) {
	fmt.Printf("\nfirst byte of a program, median of %d: bare %.1f ms, in a sandbox %.1f ms more, with a helper kept ready %.1f ms more\n",
		startRounds, bare, cold-bare, ready-bare)
	fmt.Printf("  the helper here is the benchmark's binary; a cold one of the gateway adds what `sallyport version` takes\n")
	r.numbers["starts"] = map[string]any{"bare_ms": bare, "sandbox_added_ms": cold - bare, "sandbox_ready_added_ms": ready - bare}
}
