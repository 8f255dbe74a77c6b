// Command fuzz runs every fuzz target of the packages that it is given, two beside each other, each for a
// time, and goes on after one has failed: `make fuzz`. What failed is said at the end, and the input stays in
// the package's testdata/fuzz, so that `go test` fails on it until it is mended.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"time"
)

type target struct{ pkg, name string }

func main() {
	each := flag.Duration("time", 30*time.Second, "how long each target runs")
	beside := flag.Int("beside", 2, "how many targets run at once, each on one core")
	only := flag.String("only", "", "targets whose name has this in it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, flag.Args(), *each, *beside, *only); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, pkgs []string, each time.Duration, beside int, only string) error {
	targets, err := list(ctx, pkgs, only)
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		return errors.New("there is no fuzz target in these packages")
	}
	var mu sync.Mutex // over what is printed and failed
	var failed []string
	var all sync.WaitGroup
	free := make(chan struct{}, beside)
	for _, t := range targets {
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			out, err := fuzz(ctx, t, each)
			mu.Lock()
			defer mu.Unlock()
			verdict := judge(out, err)
			fmt.Printf("%-8s %s %s: %s\n", verdict, t.pkg, t.name, last(out))
			if verdict == bad {
				fmt.Println(out)
				failed = append(failed, t.pkg+" "+t.name)
			}
		})
	}
	all.Wait()
	fmt.Printf("%d fuzz targets for %v each, %d failed\n", len(targets), each, len(failed))
	if len(failed) > 0 {
		return fmt.Errorf("failed:\n  %s", strings.Join(failed, "\n  "))
	}
	return ctx.Err()
}

// list finds the targets.
func list(ctx context.Context, pkgs []string, only string) (targets []target, err error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-list", "^Fuzz"}, pkgs...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the fuzz targets: %w\n%s", err, out)
	}
	return read(string(out), only), nil
}

// read takes apart what `go test -list` says: names of a package, then a line "ok", the package and a time.
func read(out, only string) (targets []target) {
	var names []string
	for line := range strings.Lines(out) {
		switch fields := strings.Fields(line); {
		case len(fields) == 1 && strings.HasPrefix(fields[0], "Fuzz"):
			names = append(names, fields[0])
		case len(fields) > 1 && fields[0] == "ok":
			for _, n := range names {
				if strings.Contains(n, only) {
					targets = append(targets, target{fields[1], n})
				}
			}
			names = nil
		}
	}
	return targets
}

func fuzz(ctx context.Context, t target, each time.Duration) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", each.String(), "-fuzzminimizetime", "10x", "-parallel", "1", t.pkg)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// The verdicts on a target.
const (
	good  = "ok"
	ended = "ok-late" // Go's own fault, see judge
	bad   = "FAILED"
)

// judge tells a failing input from the fault that Go's fuzzing has at the end of its time: a worker that is
// stopped in the middle of an input is reported as "context deadline exceeded" and no input is written.
// Whatever else ends with an error has failed.
func judge(out string, err error) string {
	switch {
	case err == nil:
		return good
	case strings.Contains(out, "context deadline exceeded") && !strings.Contains(out, "Failing input written to") && !strings.Contains(out, "panic:"):
		return ended
	}
	return bad
}

// last is the last line that says how far a target came.
func last(out string) string {
	found := "nothing was run"
	for line := range strings.Lines(out) {
		if _, after, ok := strings.Cut(line, "execs: "); ok {
			found = "execs: " + strings.TrimSpace(after)
		}
	}
	return found
}
