package mutation

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"

	"sallyport/policy"
)

// Report is what became of a policy's mutants.
type Report struct {
	Killed    int
	Stillborn int      // refused by the compiler, before any test
	Survived  []Mutant // no test noticed
}

// Run loads every mutant of a policy directory's files with its tests. It returns an error where
// the directory itself does not load.
func Run(ctx context.Context, files map[string][]byte, mutants []Mutant) (Report, error) {
	if err := load(ctx, files); err != nil {
		return Report{}, fmt.Errorf("the policy as it stands: %w", err)
	}
	fates := make([]fate, len(mutants))
	work := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := range work {
				fates[i] = fateOf(ctx, mutants[i].In(files))
			}
		})
	}
	for i := range mutants {
		work <- i
	}
	close(work)
	workers.Wait()
	var r Report
	for i, f := range fates {
		switch f {
		case killed:
			r.Killed++
		case stillborn:
			r.Stillborn++
		default:
			r.Survived = append(r.Survived, mutants[i])
		}
	}
	return r, ctx.Err()
}

type fate int

const (
	survived fate = iota
	killed
	stillborn
)

// fateOf loads a mutant with its tests and, where that fails for another reason than a test that says
// no, without: then it was the tests all the same.
func fateOf(ctx context.Context, files map[string][]byte) fate {
	err := load(ctx, files)
	if err == nil {
		return survived
	}
	if slices.ContainsFunc(policy.Faults(err), func(f *policy.Fault) bool { return f.Name == "test-failed" }) {
		return killed
	}
	untested := maps.Clone(files)
	maps.DeleteFunc(untested, func(name string, _ []byte) bool { return isTest(name) })
	if load(ctx, untested) != nil {
		return stillborn
	}
	return killed
}

func load(ctx context.Context, files map[string][]byte) error {
	g, err := policy.FromFiles(ctx, files, policy.Options{CacheSize: -1})
	if err != nil {
		return err
	}
	g.Close()
	return nil
}
