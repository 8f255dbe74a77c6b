package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the gateway under test: E2E_BINARY, else one built here, once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if file := os.Getenv(canaryKeeps); file != "" {
		if err := serveCanary(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	if program := os.Getenv(clientDrives); program != "" {
		if err := driveConnect(program); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	if dir := os.Getenv(slowProgram); dir != "" {
		if err := serveSlow(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	if binary = os.Getenv("E2E_BINARY"); binary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "sallyport-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "sallyport")
	build := exec.Command("go", "build", "-o", binary, "../../cmd/sallyport")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the gateway:", err)
		return 1
	}
	return m.Run()
}

// cached returns the path of a program that `make e2e` installs into .cache/. Where it is
// missing the test fails if it was asked for (E2E_REQUIRED by make, CI by a CI run), and is
// skipped otherwise.
func cached(t *testing.T, path ...string) string {
	t.Helper()
	file := filepath.Join(append([]string{"..", "..", ".cache"}, path...)...)
	file, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err != nil {
		const hint = "`make e2e-tools` (or for Claude Code `make test-claude`) installs it"
		if os.Getenv("E2E_REQUIRED") != "" || os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing: %s", filepath.Join(path...), hint)
		}
		t.Skipf("%s is missing: %s", filepath.Join(path...), hint)
	}
	return file
}
