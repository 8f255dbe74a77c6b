package lint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/policy"
)

func TestARuleThatCanNeverBeTrue(t *testing.T) {
	const fine = "allow if \"r\" in input.subject.roles\n\n"
	for name, tt := range map[string]struct{ rules, want string }{
		"false":               {fine + "deny contains \"x\" if {\n\tinput.action == \"tools/call\"\n\tfalse\n}", "error never-true authz.rego:7: this rule of deny never holds: a condition of it is always false; mend the condition, or take the rule out"},
		"two values":          {"allow if {\n\tinput.action == \"tools/call\"\n\tinput.action == \"tools/list\"\n}", "error never-true authz.rego:3: this rule of allow never holds: input.action: nothing that it is compared with is left; mend the condition, or take the rule out"},
		"two sets":            {"allow if {\n\tinput.tool.name in {\"post\", \"odd\"}\n\tinput.tool.name in {\"open\"}\n}", "input.tool.name: nothing that it is compared with is left"},
		"a range":             {"allow if {\n\tinput.arguments.n > 10\n\tinput.arguments.n < 10\n}", "input.arguments.n: nothing lies between 10 and 10"},
		"a range, swapped":    {"allow if {\n\t10 < input.arguments.n\n\t5 >= input.arguments.n\n}", "input.arguments.n: nothing lies between 10 and 5"},
		"two types":           {"allow if {\n\tstartswith(input.arguments.p, \"/\")\n\tceil(input.arguments.p) == 3\n}", "input.arguments.p: it would have to be of two types"},
		"two prefixes":        {"allow if {\n\tstartswith(input.arguments.p, \"/a/\")\n\tstartswith(input.arguments.p, \"/b/\")\n}", `input.arguments.p: nothing starts with both "/a/" and "/b/"`},
		"with and without":    {"allow if {\n\tinput.subject.measured.approved\n\tnot input.subject.measured.approved\n}", "it wants input.subject.measured.approved and not"},
		"a tool and a prompt": {"allow if {\n\tinput.tool.name == \"read_file\"\n\tinput.prompt.name == \"p\"\n}", "no tool, resource, prompt or other message fits it"},
		"no call":             {"allow if {\n\tinput.action == \"resources/read\"\n\tinput.tool.name == \"read_file\"\n}", "no tool, resource, prompt or other message fits it"},
		"through a function":  {"allow if {\n\tis(\"a\")\n\tis(\"b\")\n}\n\nis(x) if input.action == x", "authz.rego:3: this rule of allow never holds: input.action:"},
		"a helper":            {"allow if fine\n\nfine if {\n\tinput.action == \"a\"\n\tinput.action == \"b\"\n}", "error never-true authz.rego:5: this rule of fine never holds"},
		// A rule on arguments that can never match was accepted and reported healthy: agentgateway #3092.
		"more than the schema allows": {say("files", "read_file", "input.arguments.head > 200"), "error never-true authz.rego:3: this rule of allow never holds:"},

		"one of two holds":       {fine + "fine if false\n\nfine if input.action == \"a\"\n\nallow if fine", "error never-true authz.rego:5: this rule of fine never holds: a condition of it is always false"},
		"a switch in data":       {"allow if data.on", ""},
		"two elements":           {"allow if {\n\t\"a\" in input.subject.roles\n\t\"b\" in input.subject.roles\n}", ""},
		"elements by a variable": {"allow if {\n\tsome x in input.arguments.tags\n\tsome y in input.arguments.tags\n\tx == \"a\"\n\ty == \"b\"\n}", ""},
		"a default":              {"default allow := false\n\nallow if input.action == \"x\"", ""},
		"a range that is one":    {"allow if {\n\tinput.arguments.n >= 10\n\tinput.arguments.n <= 10\n}", ""},
		"negation":               {"allow if {\n\tnot input.action == \"a\"\n\tnot input.action == \"b\"\n}", ""},
		"prefixes in each other": {"allow if {\n\tstartswith(input.arguments.p, \"/a\")\n\tstartswith(input.arguments.p, \"/a/b\")\n}", ""},
		"a resource":             {"allow if {\n\tinput.action == \"resources/read\"\n\tstartswith(input.resource.uri, \"file:\")\n}", ""},
		"else":                   {"allow := false if {\n\tinput.action == \"a\"\n} else := true if input.action == \"b\"", ""},
	} {
		data := []string{"data.json", `{"on": false}`}
		got := check(t, tt.rules, known(t), data...)
		if tt.want == "" && strings.Contains(got, "never-true") || !strings.Contains(got, tt.want) {
			t.Errorf("%s:\n%s\ngot  %s\nwant %s", name, tt.rules, got, tt.want)
		}
		if strings.Count(got, "never-true") > 1 {
			t.Errorf("%s: more than one rule is named: %s", name, got)
		}
	}
}

// What is said must be so: no example policy has an error.
func TestNoFalseAlarmOnTheExamples(t *testing.T) {
	dirs, err := filepath.Glob("../../../examples/policies/*/authz.rego")
	if err != nil || len(dirs) < 5 {
		t.Fatalf("examples: %q, %v", dirs, err)
	}
	for _, file := range dirs {
		if _, err := os.Stat(file); err != nil {
			t.Fatal(err)
		}
		found, err := Run(t.Context(), filepath.Dir(file), policy.Options{}, Setting{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if f.Level != Note {
				t.Errorf("%s: %s", filepath.Dir(file), f)
			}
		}
	}
}

func TestAToolThatIsListedAndNeverAllowed(t *testing.T) {
	got := check(t, "allow if {\n\tinput.server.name == \"files\"\n\tinput.tool.name in {\"read_file\", \"write_file\"}\n\tinput.arguments.head == 3\n}", known(t))
	want := "note listed-never-allowed files.write_file is listed to some, and no call of it is allowed: no such message has input.arguments.head; let the rule ask for what the tool takes, or name the tool no more"
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
