package policy

import (
	"slices"
	"strings"
	"testing"
)

var labelled = []Labelled{
	{Server: "files", Tool: "read_file", Labels: []string{sourcePrivate}},
	{Server: "web", Tool: "post", Labels: []string{sinkExternal}, OfServer: []string{sinkExternal}},
	{Server: "files", Resource: "file:///private/*", Labels: []string{sourcePrivate}},
}

const both = `allow if {
	some role in input.subject.roles
	role in {"agent", "reader"}
	input.action in {"tools/call", "resources/read"}
	usable[role][input.server.name]
}

usable := {"agent": {"files", "web"}, "reader": {"files"}}
`

func TestAWayFromASourceToASinkIsNamed(t *testing.T) {
	const leak = `role "agent" reaches files.read_file (source:private) and web.post (sink:external), and no rule on input.flow stands between: what it reads can be sent away; see the example no-exfiltration`
	for name, tt := range map[string]struct {
		rules string
		want  []string
	}{
		"no rule":                          {both, []string{leak}},
		"a rule on flow":                   {both + "\ndeny contains \"no\" if {\n\t\"source:private\" in input.flow.labels\n\t\"sink:external\" in input.tool.labels\n}\n", nil},
		"a rule on another label":          {both + "\ndeny contains \"no\" if {\n\t\"source:untrusted\" in input.flow.labels\n\t\"sink:external\" in input.tool.labels\n}\n", []string{leak}},
		"a rule that arguments get around": {both + "\ndeny contains \"no\" if {\n\t\"source:private\" in input.flow.labels\n\tinput.arguments.url != \"https://a/\"\n}\n", []string{leak}},
		"allowed without what was read":    {strings.Replace(both, "\tinput.action in", "\tnot \"source:private\" in input.flow.labels\n\tinput.action in", 1), nil},
		"no way to the source":             {strings.Replace(both, `{"files", "web"}`, `{"web"}`, 1), nil},
	} {
		got, err := mustLoad(t, tt.rules).Leaks(t.Context(), labelled)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, tt.want)
		}
	}
	if got, err := mustLoad(t, "allow if true\n").Leaks(t.Context(), labelled); err != nil || len(got) == 0 || !strings.HasPrefix(got[0], `role "any" reaches`) {
		t.Errorf("where no rule looks at roles: %q, %v", got, err)
	}
	if got, err := mustLoad(t, both).Leaks(t.Context(), labelled[:1]); err != nil || got != nil {
		t.Errorf("without a sink: %q, %v", got, err)
	}
}

func TestALabelThatNothingHasIsNamed(t *testing.T) {
	g := mustLoad(t, "allow if {\n\t\"source:privat\" in input.flow.labels\n\t\"team:a\" in input.tool.labels\n}\n")
	got, err := g.UnknownLabels([]string{"sink:external", "source:private"})
	want := []string{`authz.rego:4: no tool, resource or prompt has the label "source:privat"; did you mean source:private?`}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}
