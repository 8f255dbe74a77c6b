package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// profileFile names the variable that tells the gateway where to write a profile, which it takes from one
// SIGUSR2 to the next (see overlaySource).
const profileFile = "BENCH_PROFILE"

// profileFor is how long the load of a profile lasts: some thousand samples.
const profileFor = 10 * time.Second

// profiled loads a gateway once more and keeps what its processor did meanwhile, if -profile asks for it.
func (b *bench) profiled(ctx context.Context, size string, t target) error {
	if b.profile == "" {
		return nil
	}
	spec, err := t.spec()
	if err != nil {
		return err
	}
	spec.Duration, spec.Callers = profileFor, b.callers
	if err := t.proc.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		return err
	}
	if _, err := measure(ctx, t.proc, spec); err != nil {
		return err
	}
	if err := t.proc.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		return err
	}
	made := filepath.Join(b.dir, "cpu.pprof")
	for range 500 {
		if text, err := os.ReadFile(made); err == nil {
			return errors.Join(os.Remove(made), os.MkdirAll(b.profile, 0o755), os.WriteFile(filepath.Join(b.profile, size+".pprof"), text, 0o644))
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("no profile came; see %s", t.proc.log)
}
