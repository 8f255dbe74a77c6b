package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// program is the gateway under test: E2E_BINARY, else one built here, once.
var program string

// patience bounds every wait for something that should happen soon, on a machine that is busy too.
const patience = time.Minute

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if program = os.Getenv("E2E_BINARY"); program != "" {
		return watched(m)
	}
	dir, err := os.MkdirTemp("", "sallyport-chaos-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "sallyport")
	build := exec.Command("go", "build", "-o", program, "../../cmd/sallyport")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the gateway:", err)
		return 1
	}
	return watched(m)
}

// watched runs the tests and fails when they leave goroutines.
func watched(m *testing.M) (code int) {
	goleak.VerifyTestMain(settled{m}, goleak.Cleanup(func(c int) { code = c }))
	return code
}

// settled waits after the tests for servers that drip once a second: such a one sees at its next drop that
// nobody listens any more.
type settled struct{ *testing.M }

func (s settled) Run() int {
	code := s.M.Run()
	time.Sleep(5 * time.Second)
	return code
}

// lasts is how long a test goes on: what the variable says, else its short form.
func lasts(t *testing.T, variable string, short time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return short
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("%s=%s: want a duration such as 30s or 2h", variable, text)
	}
	return d
}

// eventually asks until there is no error, and fails with the last one. It is for what another
// process does in its own time; how long it takes is not part of any claim.
func eventually(t *testing.T, what string, ask func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
		<-tick.C
	}
}
