package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTargetsAreReadPackageByPackage(t *testing.T) {
	got := read("FuzzA\nFuzzB\nok  \tx/a\t0.01s\nok  \tx/b\t0.01s\n?   \tx/c\t[no test files]\nFuzzA\nok  \tx/d\t0.02s\n", "A")
	if want := []target{{"x/a", "FuzzA"}, {"x/d", "FuzzA"}}; !slices.Equal(got, want) {
		t.Errorf("targets %v; want %v", got, want)
	}
}

func TestOnlyTheEndOfTheTimeIsForgiven(t *testing.T) {
	failed, a := errors.New("exit status 1"), target{"x/a", "FuzzA"}
	const (
		ran  = "fuzz: elapsed: 0s, gathering baseline coverage: 0/1 completed\nfuzz: elapsed: 30s, execs: 12 (0/sec), new interesting: 1 (total: 2)\n"
		late = "--- FAIL: FuzzA (30.12s)\n    context deadline exceeded\nFAIL\nexit status 1\nFAIL\tx/a\t30.142s\n"
	)
	for out, want := range map[string]string{
		ran + late:            ended,
		ran + late + "FAIL\n": ended,
		late:                  bad,
		"fuzz: elapsed: 0s, gathering baseline coverage: 0/1 completed\n" + late:                                                         bad,
		ran + strings.Replace(late, "    context", "    a_test.go:7: read: context", 1):                                                  bad,
		ran + strings.Replace(late, "    context", "    failure while testing seed corpus entry: FuzzA/seed#1\n    context", 1):          bad,
		ran + strings.Replace(late, "    context", "    fuzzing process hung or terminated unexpectedly: exit status 2\n    context", 1): bad,
		ran + strings.Replace(late, "FuzzA", "FuzzB", 1):                                                                                 bad,
		ran + late + "panic: close of closed channel\n":                                                                                  bad,
		ran + strings.Replace(late, "exit status 1", "exit status 2", 1):                                                                 bad,
		"--- FAIL: FuzzA (1s)\n    context deadline exceeded\n    Failing input written to testdata/fuzz/FuzzA/1":                        bad,
		"--- FAIL: FuzzA (1s)\n    a_test.go:7: wrong\n    Failing input written to testdata/fuzz/FuzzA/1":                               bad,
		"# x/a\n./a.go:1:1: expected 'package'\nFAIL x/a [build failed]":                                                                 bad,
		"--- FAIL: FuzzA (0.00s)\n    --- FAIL: FuzzA/seed#1 (0.00s)\n        a_test.go:7: wrong":                                        bad,
		"panic: runtime error: index out of range\ncontext deadline exceeded":                                                            bad,
		"fuzz: fuzzing process hung or terminated unexpectedly: exit status 2\n    Failing input written to testdata/fuzz/FuzzA/abcdef":  bad,
	} {
		if got := judge(a, out, failed); got != want {
			t.Errorf("%q is %s; want %s", out, got, want)
		}
	}
	if judge(a, ran+late, nil) != good {
		t.Error("what ended well is not good")
	}
}

// The whole of it, on a package of its own: a target that fails does not keep the others from running, and
// is named at the end, and its input is printed.
func TestAFailureIsSaidAndTheRestGoesOn(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module scratch\n\ngo 1.26.0\n",
		"a_test.go": "package scratch\n\nimport \"testing\"\n\nfunc FuzzBad(f *testing.F) {\n\tf.Add(1)\n\tf.Fuzz(func(t *testing.T, n int) {\n\t\tif n != 1 {\n\t\t\tt.Fatal(\"wrong\")\n\t\t}\n\t})\n}\n\n" +
			"func FuzzGood(f *testing.F) {\n\tf.Add(1)\n\tf.Fuzz(func(t *testing.T, n int) {})\n}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(t.TempDir(), "fuzz")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // the first time, the standard library is built for fuzzing
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-time", "1s", "-beside", "1", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "2 fuzz targets for 1s each, 1 failed\nfailed:\n  scratch FuzzBad\n") || !strings.Contains(string(out), "ok       scratch FuzzGood: execs: ") ||
		!strings.Contains(string(out), ":\ngo test fuzz v1\nint(") {
		t.Errorf("%v\n%s\nwant one named that failed, its input, and the other run", err, out)
	}
}
