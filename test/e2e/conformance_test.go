package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// requiredScenarios is how many scenarios the suite ran against a server when these tests were
// written (required and unscored). Fewer mean that it did not run as it should.
var requiredScenarios = map[string]int{"2025-11-25": 33, "2026-07-28": 50}

// explained are the verdicts that differ on purpose, by scenario and check. One that no longer
// differs fails the test as well.
var explained = map[string]map[string]struct{ direct, through, why string }{
	"server-sse-multiple-streams": {"server-sse-streams-functional": {"SUCCESS", "INFO",
		"tools/list comes from the gateway's catalogue as plain JSON; the suite notes that a stream is optional"}},
	"tasks-dispatch-and-envelope": {"sep-2663-tasks-get-invalid-task-id-32602": {"FAILURE", "SUCCESS",
		"a task handle that the gateway has given to nobody is refused before the server, which has no tasks, can fail the check"}},
}

// anyContent lets through what a server that shows everything returns.
const anyContent = "guards: {content: [text, image, audio, resource, resource_link, blob], linkHosts: [example.com]}\n"

// TestConformanceIsTheSameThroughTheGateway runs the official suite against the reference
// server, directly and through the gateway, and holds the results against each other: every
// check of every scenario, also of those that are not scored or that the server fails.
func TestConformanceIsTheSameThroughTheGateway(t *testing.T) {
	for _, e := range eras {
		t.Run(e.name, func(t *testing.T) {
			server := startEverything(t, e)
			g := startGate(t, setup{policies: map[string]string{"authz.rego": allowTesters}, servers: map[string]string{"everything": server}, more: anyContent})
			shim := startShim(t, g, g.token(t, "tester", "--ttl", "15m"))
			direct := conformance(t, server, "--requirements", e.revision)
			through := conformance(t, shim, "--requirements", e.revision)
			if n := len(direct); n < requiredScenarios[e.revision] {
				t.Errorf("%d scenarios ran directly, want at least %d", n, requiredScenarios[e.revision])
			}
			passed := 0
			for scenario, checks := range direct {
				if !cmp.Equal(explain(t, scenario, checks), through[scenario]) {
					// One scenario makes the server change its tools, which the next can find half
					// told. What differs must differ by itself.
					alone := []string{"--scenario", scenario, "--spec-version", e.revision}
					checks = conformance(t, server, alone...)[scenario]
					through[scenario] = conformance(t, shim, alone...)[scenario]
				}
				if diff := cmp.Diff(explain(t, scenario, checks), through[scenario]); diff != "" {
					t.Errorf("%s: directly (-) and through the gateway (+):\n%s", scenario, diff)
				}
				for _, c := range through[scenario] {
					if c.Status == "SUCCESS" {
						passed++
					}
				}
			}
			for scenario := range through {
				if _, ok := direct[scenario]; !ok {
					t.Errorf("%s ran through the gateway alone", scenario)
				}
			}
			t.Logf("%s: %d scenarios, %d checks passed through the gateway", e.revision, len(through), passed)
		})
	}
}

// TestConformanceOfAProgram runs the suite against the reference server as a program in a sandbox,
// behind the gateway, and holds the results against those of the same server over HTTP of its own.
func TestConformanceOfAProgram(t *testing.T) {
	e := eras[0]
	server := startEverything(t, e)
	direct := conformance(t, server, "--requirements", e.revision)
	g := startGate(t, setup{policies: map[string]string{"authz.rego": allowTesters}, more: anyContent, programs: map[string]string{
		"everything": fmt.Sprintf("{command: %q, instance: principal, sandbox: {read: []}}", cached(t, "bin", "everything-server-v1.8.0"))}})
	g.endpoint = "/mcp/everything"
	shim := startShim(t, g, g.token(t, "tester", "--ttl", "15m"))
	through := conformance(t, shim, "--requirements", e.revision)
	// Over pipes there is no stream to break and take up again.
	delete(direct, "server-sse-polling")
	delete(through, "server-sse-polling")
	if n := len(direct); n < requiredScenarios[e.revision]-1 {
		t.Errorf("%d scenarios ran directly, want at least %d", n, requiredScenarios[e.revision]-1)
	}
	for scenario, checks := range direct {
		if !cmp.Equal(explain(t, scenario, checks), through[scenario]) { // it must differ by itself
			alone := []string{"--scenario", scenario, "--spec-version", e.revision}
			checks = conformance(t, server, alone...)[scenario]
			through[scenario] = conformance(t, shim, alone...)[scenario]
		}
		if diff := cmp.Diff(explain(t, scenario, checks), through[scenario]); diff != "" {
			t.Errorf("%s: over HTTP (-) and as a program behind the gateway (+):\n%s", scenario, diff)
		}
	}
}

// explain returns the verdicts that are wanted through the gateway, given the direct ones.
func explain(t *testing.T, scenario string, direct []check) []check {
	t.Helper()
	want := slices.Clone(direct)
	for i, c := range want {
		if e, ok := explained[scenario][c.ID]; ok {
			if c.Status != e.direct {
				t.Errorf("%s, %s: directly %s, where the explanation has %s (%s)", scenario, c.ID, c.Status, e.direct, e.why)
			}
			want[i].Status = e.through
		}
	}
	return want
}

// check is one verdict of the suite.
type check struct {
	ID     string
	Status string
}

// conformance runs the scenarios that args name and returns the checks of each.
func conformance(t *testing.T, url string, args ...string) map[string][]check {
	t.Helper()
	dir := t.TempDir()
	output, _ := nodeProgram(t, dir, "conformance", append([]string{"server", "--url", url, "-o", "out"}, args...)...)
	files, err := filepath.Glob(filepath.Join(dir, "out", "*", "checks.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the suite left no results: %v\n%.3000s", err, output)
	}
	// server-SCENARIO-2026-01-02T15-04-05-678Z
	name := regexp.MustCompile(`^server-(.+)-\d{4}-\d\d-\d\dT`)
	results := map[string][]check{}
	for _, file := range files {
		m := name.FindStringSubmatch(filepath.Base(filepath.Dir(file)))
		text, err := os.ReadFile(file)
		if m == nil || err != nil {
			t.Fatalf("read %s: %v", file, err)
		}
		var checks []check
		if err := json.Unmarshal(text, &checks); err != nil {
			t.Fatalf("read %s: %v", file, err)
		}
		results[m[1]] = checks
	}
	return results
}
