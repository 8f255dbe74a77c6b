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
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

type target struct{ pkg, name string }

func main() {
	each := flag.Duration("time", 30*time.Second, "how long each target runs")
	beside := flag.Int("beside", 2, "how many targets run at once, each on one core")
	only := flag.String("only", "", "targets whose name has this in it")
	keep := flag.Int("keep", 0, "fuzz nothing; copy up to so many of the inputs that earlier runs found into each target's testdata/fuzz")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	targets, err := list(ctx, flag.Args(), *only)
	switch {
	case err != nil:
	case len(targets) == 0:
		err = errors.New("there is no fuzz target in these packages")
	case *keep > 0:
		err = keepAll(ctx, targets, *keep)
	default:
		err = run(ctx, targets, *each, *beside)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, targets []target, each time.Duration, beside int) error {
	var mu sync.Mutex // over what is printed and failed
	var failed []string
	var all sync.WaitGroup
	free := make(chan struct{}, beside)
	for _, t := range targets {
		free <- struct{}{}
		if ctx.Err() != nil {
			break // interrupted: the rest would all be called failed
		}
		all.Go(func() {
			defer func() { <-free }()
			out, err := fuzz(ctx, t, each)
			mu.Lock()
			defer mu.Unlock()
			verdict := judge(t, out, err)
			fmt.Printf("%-8s %s %s: %s\n", verdict, t.pkg, t.name, last(out))
			if verdict == bad {
				fmt.Println(out + input(ctx, t, out))
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
	ctx, cancel := context.WithTimeout(ctx, each+15*time.Minute) // it is built first
	defer cancel()
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

// judge tells a failing input from a fault that Go's fuzzing has at the end of its time: CoordinateFuzzing of
// internal/fuzz takes its own deadline for the target's failure where it sees the deadline of its context
// before that of the context's child. That is forgiven only where inputs were run and nothing at all is said
// beside their count and this one failure. Whatever else ends with an error has failed.
func judge(t target, out string, err error) string {
	if err == nil {
		return good
	}
	ran := false
	var said []string
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "fuzz: elapsed: ") || strings.HasPrefix(line, "fuzz: minimizing ") {
			ran = ran || strings.Contains(line, ", execs: ")
			continue
		}
		said = append(said, strings.TrimRight(count.ReplaceAllString(line, ""), " \t"))
	}
	late := []string{"--- FAIL: " + t.name, "    context deadline exceeded", "FAIL", "exit status 1", "FAIL\t" + t.pkg}
	if ran && (slices.Equal(said, late) || slices.Equal(said, append(late, "FAIL"))) {
		return ended
	}
	return bad
}

// count is the time that a test took, at the end of a line.
var count = regexp.MustCompile(`[ \t]\(?[0-9.]+s\)?$`)

// input is the failing input that a run has written, for who sees only what is printed.
func input(ctx context.Context, t target, out string) string {
	at := written.FindStringSubmatch(out)
	if at == nil {
		return ""
	}
	dir, err := output(ctx, "", "go", "list", "-f", "{{.Dir}}", t.pkg)
	if err != nil {
		return err.Error()
	}
	text, err := os.ReadFile(filepath.Join(dir, at[1]))
	if err != nil {
		return err.Error()
	}
	return at[1] + ":\n" + string(text)
}

var written = regexp.MustCompile(`Failing input written to (\S+)`)

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
