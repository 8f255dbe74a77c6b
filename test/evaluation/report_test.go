package evaluation

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/gateway/rules"
)

var update = flag.Bool("update", false, "write what was measured into docs/evaluation.md")

const (
	page  = "../../docs/evaluation.md"
	begin = "<!-- measured by TestAgentDojo; go test ./test/evaluation -update writes it -->\n"
	end   = "<!-- end of what TestAgentDojo measured -->\n"
)

// What the page says of AgentDojo is what is measured.
func TestAgentDojo(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	said, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s does not have the two marks between which it is measured:\n%s%s", page, begin, end)
	}
	measured := report(t)
	if *update {
		if err := os.WriteFile(page, []byte(before+begin+measured+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(said, measured); diff != "" {
		t.Errorf("%s is not what is measured; go test ./test/evaluation -update writes it (-page +measured):\n%s", page, diff)
	}
}

func report(t *testing.T) string {
	var out strings.Builder
	all := suites(t)
	g := newGate(t)
	headline(&out, g, all)
	summary(&out, g, all)
	notStopped(&out, g, all)
	refused(&out, g, all)
	out.WriteString("\n#### When pages and reviews of strangers alone do not close\n\n")
	out.WriteString("`source:untrusted` taken out of `data.json`, so that only `source:private` closes:\n\n")
	summary(&out, newGate(t, rules.SourceUntrusted), all)
	return out.String()
}

// worst returns the worst outcome of an attack over all user tasks, and how many user tasks
// brought the agent to read its text, and in how many of those it was stopped or needs no call.
func (g *gate) worst(s *suite, attack int) (w outcome, read, held int) {
	for user := range s.Tasks {
		o := g.attack(s, user, attack)
		w = max(w, o)
		if o != unread {
			read++
		}
		if o == stopped || o == partly {
			held++
		}
	}
	return w, read, held
}

// headline says in two sentences what the table says.
func headline(out *strings.Builder, g *gate, all []*suite) {
	var calls, held, users, whole int
	for _, s := range all {
		for n := range s.attacks {
			w, _, _ := g.worst(s, n)
			if w != silent {
				calls++
			}
			if w == stopped || w == partly {
				held++
			}
			if w == passed && slices.ContainsFunc(s.attacks[n], func(c string) bool { return slices.Contains(s.Tools[c].Labels, rules.SinkExternal) }) {
				g.t.Errorf("%s: attack %d passes and uses an external sink", s.name, n)
			}
		}
		for n := range s.Tasks {
			users++
			if g.work(s, n) == (refusal{}) {
				whole++
			}
		}
	}
	fmt.Fprintf(out, "**Of %d attacks that need a call, %d do not reach their aim; all %d that do need no external sink.\n", calls, held, calls-held)
	fmt.Fprintf(out, "Of %d user tasks, %d are allowed as one task; %d read and then send, and are refused.**\n\n", users, whole, users-whole)
}

func summary(out *strings.Builder, g *gate, all []*suite) {
	out.WriteString("| suite | attacks | stopped | stopped, but changes something | pass | need no call | pairs stopped | user tasks | allowed |\n")
	out.WriteString("|---|---|---|---|---|---|---|---|---|\n")
	var attacks, pairs, pairsHeld, users, whole int
	var total [silent + 1]int
	row := func(name string, attacks int, by [silent + 1]int, held, read, users, whole int) {
		fmt.Fprintf(out, "| %s | %d | %d | %d | %d | %d | %d of %d | %d | %d |\n",
			name, attacks, by[stopped], by[partly], by[passed], by[silent], held, read, users, whole)
	}
	for _, s := range all {
		var by [silent + 1]int
		var read, held, allowed int
		for n := range s.attacks {
			w, r, h := g.worst(s, n)
			by[w]++
			total[w]++
			read, held = read+r, held+h
		}
		for n := range s.Tasks {
			if g.work(s, n) == (refusal{}) {
				allowed++
			}
		}
		row(s.name, len(s.attacks), by, held, read, len(s.Tasks), allowed)
		attacks, pairs, pairsHeld = attacks+len(s.attacks), pairs+read, pairsHeld+held
		users, whole = users+len(s.Tasks), whole+allowed
	}
	row("together", attacks, total, pairsHeld, pairs, users, whole)
}

// notStopped names every attack that passes or changes something.
func notStopped(out *strings.Builder, g *gate, all []*suite) {
	out.WriteString("\n#### Attacks that are not stopped, or not before they have changed something\n\n")
	out.WriteString("| attack | what becomes of it | calls that pass | why |\n|---|---|---|---|\n")
	what := map[outcome]string{passed: "passes", partly: "does not reach its aim", silent: "needs no call"}
	for _, s := range all {
		for _, n := range slices.Sorted(maps.Keys(s.attacks)) {
			w, _, _ := g.worst(s, n)
			why, said := s.Why[n]
			if (w != stopped) != said {
				g.t.Errorf("%s: attack %d: stopped is %v, and testdata/%s.yaml gives a reason why it is not: %v", s.name, n, w == stopped, s.name, said)
			}
			if w == stopped {
				continue
			}
			fmt.Fprintf(out, "| %s %d | %s | %s | %s |\n", s.name, n, what[w], changes(g, s, n), why)
		}
	}
}

// changes names the calls of an attack that pass and change something.
func changes(g *gate, s *suite, attack int) string {
	k := g.task(s)
	k.call(s.Carriers[0])
	var names []string
	for _, name := range s.attacks[attack] {
		if k.call(name) && s.Tools[name].Changes && !slices.Contains(names, "`"+name+"`") {
			names = append(names, "`"+name+"`")
		}
	}
	if len(names) == 0 {
		return "–"
	}
	return strings.Join(names, ", ")
}

// refused names every user task that cannot be done, by what closed the way to what.
func refused(out *strings.Builder, g *gate, all []*suite) {
	out.WriteString("\n#### User tasks that are refused\n\n")
	out.WriteString("| suite | refused | after | user tasks |\n|---|---|---|---|\n")
	for _, s := range all {
		by := map[refusal][]string{}
		for _, n := range slices.Sorted(maps.Keys(s.Tasks)) {
			if r := g.work(s, n); r != (refusal{}) {
				by[r] = append(by[r], strconv.Itoa(n))
			}
		}
		order := func(a, b refusal) int {
			return strings.Compare(a.call+" "+a.after, b.call+" "+b.after)
		}
		for _, r := range slices.SortedFunc(maps.Keys(by), order) {
			fmt.Fprintf(out, "| %s | `%s` | `%s` | %s |\n", s.name, r.call, r.after, strings.Join(by[r], ", "))
		}
	}
}
