package lint

import (
	"fmt"
	"strings"
	"testing"
)

func TestWhatMakesDecisionsSlowIsSaidWithItsLine(t *testing.T) {
	var list []string
	for i := range 60 {
		list = append(list, fmt.Sprintf(`{"role": "r%d", "tool": "t"}`, i))
	}
	data := `{"grants": [` + strings.Join(list, ",") + `], "few": ["a"], "table": {"r": {"t": true}}}`
	for name, tt := range map[string]struct{ rules, want string }{
		"clock":            {"allow if time.now_ns() > 5", "note not-cacheable authz.rego:3: decisions are not cached: the answer of time.now_ns is not decided by its operands"},
		"time":             {"allow if startswith(input.request.time, \"2026\")", "note not-cacheable authz.rego:3: decisions are not cached: input.request.time differs each time"},
		"input":            {"allow if f(input)\n\nf(x) if x.action == \"a\"", "note not-cacheable authz.rego:3: decisions are not cached: a rule reads input as a whole"},
		"all arguments":    {"allow if count(input.arguments) < 3", "note whole-arguments authz.rego:3: all arguments are read"},
		"any argument":     {"allow if {\n\tsome k\n\tinput.arguments[k] == \"x\"\n}", "note whole-arguments authz.rego:5: all arguments are read"},
		"a walk":           {"allow if {\n\tsome g in data.grants\n\tg.role in input.subject.roles\n\tg.tool == input.tool.name\n}", "warning scan authz.rego:4: data.grants is walked at each decision, and has 60 entries; make it an object"},
		"a walk by index":  {"allow if {\n\tdata.grants[i].tool == input.tool.name\n}", "warning scan authz.rego:4: data.grants is walked"},
		"pattern of input": {"allow if regex.match(input.arguments.p, \"x\")", "warning pattern-from-input authz.rego:3: a pattern comes from the caller"},
		"glob of input":    {"allow if glob.match(input.arguments.p, [], \"x\")", "warning pattern-from-input authz.rego:3: a pattern comes from the caller"},
		"glob":             {"allow if glob.match(\"/srv/**\", [\"/\"], input.arguments.p)", "note glob-not-indexed authz.rego:3: no index knows a glob with **"},
		"without limits":   {"allow if glob.match(\"a*\", null, input.tool.name)", "note glob-not-indexed authz.rego:3: no index knows a glob"},

		"a look-up":      {"allow if {\n\tsome role in input.subject.roles\n\tdata.table[role][input.tool.name]\n}", ""},
		"a short walk":   {"allow if {\n\tsome x in data.few\n\tx == input.tool.name\n}", ""},
		"a good glob":    {"allow if glob.match(\"/srv/*\", [\"/\"], input.arguments.p)", ""},
		"good arguments": {"allow if input.arguments.p == \"x\"", ""},
	} {
		got := check(t, tt.rules, Setting{}, "data.json", data)
		if !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%s:\n%s\ngot  %s\nwant %s", name, tt.rules, got, tt.want)
		}
	}
}

func TestARoleThatNobodyHas(t *testing.T) {
	rules := "allow if \"raeder\" in input.subject.roles\n\nallow if \"writer\" in input.subject.roles"
	want := `warning role-nobody-has authz.rego:3: the configuration grants nobody the role "raeder", and only an operator can mint it; did you mean reader?`
	if got := check(t, rules, Setting{Granted: []string{"reader", "writer"}}); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got := check(t, rules, Setting{}); got != "" {
		t.Errorf("without a configuration: %s", got)
	}
}
