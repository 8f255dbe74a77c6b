package evaluation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"sallyport/gateway/rules"
	"sallyport/internal/corpora"
)

var suiteNames = []string{"banking", "slack", "travel", "workspace"}

// suite is one environment of the benchmark: a server with its tools, tasks of a user, and
// attacks. Every task and attack is the calls that it needs, in their order.
type suite struct {
	Tools    map[string]tool
	Carriers []string // tools whose results bring the injected text
	Tasks    map[int][]string
	Goals    map[int][]string // of attacks for which the benchmark gives no calls
	Why      map[int]string   // by attack: why it is not stopped

	name    string
	attacks map[int][]string
	rules   *rules.Set
}

type tool struct {
	Labels  []string
	Changes bool
}

// suites reads the suites, with the attacks from the corpora.
func suites(t *testing.T) []*suite {
	t.Helper()
	attacks, _ := injections(t)
	var out []*suite
	for _, name := range suiteNames {
		text, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		s := &suite{name: name, attacks: attacks[name]}
		d := yaml.NewDecoder(bytes.NewReader(text))
		d.KnownFields(true)
		if err := d.Decode(s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for n, calls := range s.Goals {
			if given, ok := s.attacks[n]; !ok || len(given) > 0 {
				t.Fatalf("%s: goal %d is of no attack without calls", name, n)
			}
			s.attacks[n] = calls
		}
		if s.rules, err = rules.New(s.config()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out = append(out, s)
	}
	return out
}

// config is what an operator would write of the suite's tools.
func (s *suite) config() rules.Config {
	var c rules.Config
	for _, name := range slices.Sorted(maps.Keys(s.Tools)) {
		c.Tools = append(c.Tools, rules.Entry{Pattern: name, Labels: s.Tools[name].Labels})
	}
	return c
}

// injections returns the calls of every attack by suite and number, of its newest version, and
// how many entries the corpus has.
func injections(t *testing.T) (bySuite map[string]map[int][]string, entries int) {
	t.Helper()
	text, err := os.ReadFile(corpora.Dir(t, "agentdojo", "injection_tasks.json"))
	if err != nil {
		t.Fatal(err)
	}
	var tasks []struct {
		File, Class string
		Calls       []struct{ Function string } `json:"ground_truth_calls"`
	}
	if err := json.Unmarshal(text, &tasks); err != nil {
		t.Fatal(err)
	}
	bySuite = map[string]map[int][]string{}
	newest := map[string]string{}
	for _, task := range tasks {
		parts := strings.Split(task.File, "/") // version/suite/file
		number, err := strconv.Atoi(strings.TrimPrefix(task.Class, "InjectionTask"))
		if err != nil || len(parts) != 3 {
			t.Fatalf("corpus: %s %s is no attack of a suite", task.File, task.Class)
		}
		version, name := parts[0], parts[1]
		key := fmt.Sprint(name, number)
		if version < newest[key] {
			continue
		}
		newest[key] = version
		calls := []string{}
		for _, c := range task.Calls {
			calls = append(calls, strings.Trim(c.Function, "'")) // it is a Python literal
		}
		if bySuite[name] == nil {
			bySuite[name] = map[int][]string{}
		}
		bySuite[name][number] = calls
	}
	return bySuite, len(tasks)
}

// What is measured is the whole of the benchmark's version 1.2.1, and every tool that is called
// has been looked at.
func TestSuitesAreWhole(t *testing.T) {
	if _, entries := injections(t); entries != 54 {
		t.Errorf("corpus has %d attacks of all versions; want 54", entries)
	}
	want := map[string][2]int{"banking": {16, 9}, "slack": {21, 5}, "travel": {20, 7}, "workspace": {40, 14}}
	for _, s := range suites(t) {
		if got := [2]int{len(s.Tasks), len(s.attacks)}; got != want[s.name] {
			t.Errorf("%s has %d user tasks and %d attacks; want %d", s.name, got[0], got[1], want[s.name])
		}
		for _, what := range []map[int][]string{s.Tasks, s.attacks} {
			for n, calls := range what {
				for _, c := range calls {
					if _, ok := s.Tools[c]; !ok {
						t.Errorf("%s %d calls %s, of which nobody has said what it does", s.name, n, c)
					}
				}
			}
		}
		for _, c := range s.Carriers {
			if !rules.Source(s.rules.Tool(c).Labels) {
				t.Errorf("%s: %s brings injected text and is no source", s.name, c)
			}
		}
	}
}
