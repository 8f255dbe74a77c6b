package workbench

import (
	"strings"
	"testing"
	"time"

	"sallyport/policy"
)

func explained(t *testing.T, src string, in *policy.Input) string {
	t.Helper()
	in.Request = policy.Request{Method: in.Action, Time: time.Date(2026, 1, 15, 9, 0, 0, 0, time.UTC)}
	x, err := Explain(t.Context(), load(t, src), in)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := x.Text(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestExplainSaysWhereARuleEnded(t *testing.T) {
	in := callOf("reader", "read_file")
	in.Arguments = []byte(`{"path": "/etc/passwd"}`)
	for _, tt := range []struct{ name, src, want string }{
		{"the nearest rule comes first", `
allow if { "reader" in input.subject.roles; input.arguments.path == "/a"; input.arguments.n == 1 }
allow if { "reader" in input.subject.roles; is_string(input.arguments.path); input.arguments.path == "/b" }`,
			"the nearest first:\n  authz.rego:4: allow"},
		{"in a helper", "allow if below(input.arguments.path, \"/srv/\")\nbelow(path, root) if startswith(path, root)",
			"in below, authz.rego:3: startswith(path, root)\n        path = \"/etc/passwd\"\n        root = \"/srv/\"\n"},
		{"what was not given", `allow if input.arguments.sure`, "input.arguments.sure is not given"},
		{"other tools are counted", `allow if { "reader" in input.subject.roles; input.tool.name == "other" }`, "about something else: 1"},
		{"an error refuses", `allow if to_number(input.arguments.path) > 3`, "refused: evaluate policy: builtin error in to_number at authz.rego:2"},
		{"rules that are not enforced", "allow if true\n# METADATA\n# labels: {rule: later, enforce: false}\ndeny contains \"soon\" if true",
			"with the rules that are not enforced it would be refused, soon (later)"},
		{"the label of a rule", "# METADATA\n# labels: {rule: the boss}\nallow if input.subject.id == \"boss\"", " (the boss): 0 of 1"},
		{"hidden", `allow if "boss" in input.subject.roles`, "hidden: no arguments would be allowed"},
		{"denied by a rule that held", "allow if true\ndeny contains \"no\" if input.arguments.path == \"/etc/passwd\"",
			"refused: no (sha256:"},
		{"by the clock of the question", `allow if time.clock(time.parse_rfc3339_ns(input.request.time))[0] < 8`, "input.request.time = \"2026-01-15T09:00:00Z\""},
		{"by the clock", `allow if time.clock(time.now_ns())[0] < 8`, "hidden: no arguments"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := explained(t, tt.src, in); !strings.Contains(got, tt.want) {
				t.Errorf("%s\nwant %s", got, tt.want)
			}
		})
	}
}

// A value that is shown is cut: an argument may be a megabyte.
func TestExplainCutsLongValues(t *testing.T) {
	in := callOf("reader", "read_file")
	in.Arguments = []byte(`{"path": "` + strings.Repeat("é", 5000) + `"}`)
	got := explained(t, `allow if input.arguments.path == "/a"`, in)
	if len(got) > 1500 || !strings.Contains(got, "…") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}
