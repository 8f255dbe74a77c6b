package lint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/policy"
)

func TestAnAllowThatHoldsForEverybodyIsNamed(t *testing.T) {
	const role = "\"reader\" in input.subject.roles"
	for name, tt := range map[string]struct{ rules, want string }{
		"else":           {"allow if {\n\t" + role + "\n\tinput.tool.name == \"a\"\n} else := true", "authz.rego:6: allow is true for everybody (else)"},
		"default":        {"default allow := true", "authz.rego:3: allow is true for everybody (default): what no rule says anything of is allowed; write `default allow := false`, or leave it out"},
		"default beside": {"default allow := true\n\nallow if " + role, "authz.rego:3: allow is true for everybody (default)"},
		"true":           {"allow := true", "authz.rego:3: allow is true for everybody: for every call of a tool"},
		"every call":     {"allow if input.action == \"tools/call\"", "authz.rego:3: allow is true for everybody:"},
		"one kept out":   {"allow if not \"guest\" in input.subject.roles", "authz.rego:3: allow is true for everybody:"},
		"beside a deny":  {"allow if " + role + "\n\nallow if true\n\ndeny contains \"no\" if input.arguments.x == 1", "authz.rego:5: allow is true for everybody:"},
		"a helper":       {"allow if fine\n\nfine if input.action == \"tools/call\"", "authz.rego:3: allow is true for everybody:"},

		"a role":        {"allow if " + role, ""},
		"a list":        {"allow if input.action == \"tools/list\"", ""},
		"a tool":        {"allow if input.tool.name == \"ping\"", ""},
		"a server":      {"allow if input.server.name == \"public\"", ""},
		"a label":       {"allow if \"public\" in input.tool.labels", ""},
		"a task":        {"allow if input.grant.task == \"t\"", ""},
		"default false": {"default allow := false\n\nallow if " + role, ""},
		"a strict else": {"allow if {\n\tinput.tool.name == \"a\"\n\t" + role + "\n} else := true if input.tool.name == \"b\"", ""},
		"else false":    {"allow if {\n\tinput.tool.name == \"a\"\n} else := false", ""},
		"denied to all": {"allow := true\n\ndeny contains \"no\" if not \"reader\" in input.subject.roles", ""},
		"advisory":      {"allow if " + role + "\n\n# METADATA\n# labels: {enforce: false}\nallow if true", ""},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "authz.rego"), []byte("package mcp.authz\n\n"+tt.rules+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		found, err := Run(t.Context(), dir, policy.Options{}, known(t))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, f := range found {
			if f.Name == "allows-everybody" {
				got += f.Short() + "\n"
			}
		}
		if !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" || strings.Count(got, "\n") > 1 {
			t.Errorf("%s:\n%s\ngot  %swant %s", name, tt.rules, got, tt.want)
		}
	}
}

// A rule with an else holds when the else does, so its first branch does not speak for it.
func TestARuleWithAnElseIsNotCalledNever(t *testing.T) {
	rules := "allow if {\n\t\"reader\" in input.subject.roles\n\tinput.tool.name == \"a\"\n} else := true if input.tool.name == \"post\""
	if got := check(t, rules, known(t)); strings.Contains(got, "never-true") {
		t.Errorf("got %s", got)
	}
}
