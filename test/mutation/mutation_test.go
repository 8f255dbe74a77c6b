package mutation

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const small = `package mcp.authz

allow if {
	"reader" in input.subject.roles
	input.arguments.limit <= data.most
	every p in input.arguments.paths { startswith(p, "/srv/") }
}

deny contains "not at night" if not day

day if regex.match("^d", input.grant.task)
`

// The changes are the ones that are promised, in the order of the text.
func TestMutantsOfAPolicy(t *testing.T) {
	got, err := Mutants(map[string][]byte{"authz.rego": []byte(small), "data.json": []byte(`{"most": 5, "on": {"a": true}}`),
		"authz_test.rego": []byte("package x\n"), "authz_test.yaml": []byte("cases: []\n")})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, m := range got {
		ids = append(ids, m.ID)
	}
	want := `authz.rego allow/1: drop the rule
authz.rego allow/1: let the rule hold always
authz.rego allow/1: drop "reader" in input.subject.roles
authz.rego allow/1: negate "reader" in input.subject.roles
authz.rego allow/1: change "reader"
authz.rego allow/1: drop input.arguments.limit <= data.most
authz.rego allow/1: negate input.arguments.limit <= data.most
authz.rego allow/1: <= becomes <: input.arguments.limit <= data.most
authz.rego allow/1: drop every p in input.arguments.paths { startswith(p, "/srv/") }
authz.rego allow/1: every becomes some: input.arguments.paths
authz.rego allow/1: drop startswith(p, "/srv/")
authz.rego allow/1: negate startswith(p, "/srv/")
authz.rego allow/1: startswith becomes contains: startswith(p, "/srv/")
authz.rego allow/1: widen "/srv/"
authz.rego allow/1: change "/srv/"
authz.rego deny/1: drop the rule
authz.rego deny/1: let the rule hold always
authz.rego deny/1: change "not at night"
authz.rego deny/1: drop not day
authz.rego deny/1: drop not: not day
authz.rego day/1: drop the rule
authz.rego day/1: let the rule hold always
authz.rego day/1: drop regex.match("^d", input.grant.task)
authz.rego day/1: negate regex.match("^d", input.grant.task)
authz.rego day/1: change "^d"
authz.rego day/1: without ^: "^d"
data.json /most: drop
data.json /most: 5 becomes 6
data.json /most: 5 becomes 4
data.json /on: drop
data.json /on/a: drop
data.json /on/a: turn round`
	if diff := cmp.Diff(want, strings.Join(ids, "\n")); diff != "" {
		t.Errorf("mutants (-want +got):\n%s", diff)
	}
}

// What the tests notice, what they do not, and what does not even compile are told apart.
func TestRunTellsFatesApart(t *testing.T) {
	files := map[string][]byte{
		"authz.rego": []byte("package mcp.authz\n\nallow if {\n\tx := input.arguments.n\n\tcount(x) < 3\n\tx != \"b\"\n}\n"),
		"authz_test.rego": []byte("package mcp.authz_test\n\nimport data.mcp.authz\n\n" +
			"test_two if authz.allow with input as {\"arguments\": {\"n\": \"aa\"}}\n\n" +
			"test_three if not authz.allow with input as {\"arguments\": {\"n\": \"aaa\"}}\n"),
	}
	mutants, err := Mutants(files)
	if err != nil {
		t.Fatal(err)
	}
	mutants = append(mutants, Mutant{ID: "broken", File: "authz.rego", Text: []byte("package mcp.authz\nallow if {")})
	r, err := Run(t.Context(), files, mutants)
	if err != nil {
		t.Fatal(err)
	}
	var survived []string
	for _, m := range r.Survived {
		survived = append(survived, m.ID)
	}
	want := []string{`authz.rego allow/1: drop x != "b"`, `authz.rego allow/1: change "b"`}
	if diff := cmp.Diff(want, survived); diff != "" || r.Stillborn != 1 || r.Killed != len(mutants)-3 {
		t.Errorf("%d killed, %d refused of %d; survived (-want +got):\n%s", r.Killed, r.Stillborn, len(mutants), diff)
	}
	files["authz_test.rego"] = []byte("package mcp.authz_test\n\ntest_nothing if false\n")
	if _, err := Run(t.Context(), files, mutants); err == nil || !strings.Contains(err.Error(), "the policy as it stands: ") {
		t.Errorf("Run of a policy whose tests fail = %v; want an error", err)
	}
}

// A change of a control character, which the formatter writes in a way that the parser refuses,
// is a mutant like any other.
func TestMutantsKeepControlCharacters(t *testing.T) {
	files := map[string][]byte{"authz.rego": []byte("package mcp.authz\n\nallow if not contains(input.arguments.p, \"\\u0000\\\\x41\")\n")}
	mutants, err := Mutants(files)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		if fateOf(t.Context(), m.In(files)) != survived {
			t.Errorf("%s does not load:\n%s", m.ID, m.Text)
		}
	}
}

func TestSurvivorsAreRead(t *testing.T) {
	got, err := Survivors([]byte("# why\na/1: drop x\n    one\n    two\n\nb/1: drop y\n\tthree\n"))
	if diff := cmp.Diff(map[string]string{"a/1: drop x": "one two", "b/1: drop y": "three"}, got); err != nil || diff != "" {
		t.Errorf("Survivors: %v (-want +got):\n%s", err, diff)
	}
	for text, want := range map[string]string{
		"a\n":             "a has no reason; write it, indented, below",
		"a\n x\na\n x\n":  "line 3: a is there twice",
		"# x\n\n  why?\n": "line 3: a reason without a mutant; begin the mutant's line without spaces",
	} {
		if _, err := Survivors([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("Survivors(%q) = %v; want %q", text, err, want)
		}
	}
}
