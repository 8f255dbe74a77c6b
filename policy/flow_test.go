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

// What a policy asks of a caller beside the role stands in the way of some and not of others. Each of
// these was called fine while one invented caller was asked about.
func TestOnlyTheRoleAloneHidesAWay(t *testing.T) {
	const leak = `role "agent" reaches files.read_file (source:private) and web.post (sink:external)`
	const rule = "allow if {\n\t\"agent\" in input.subject.roles\n\tWHERE\n}\n"
	for name, tt := range map[string]struct{ src, want string }{
		"subject":          {strings.Replace(rule, "WHERE", `input.subject.id == "ann"`, 1), leak},
		"issuer":           {strings.Replace(rule, "WHERE", `input.subject.issuer != ""`, 1), leak},
		"client":           {strings.Replace(rule, "WHERE", `input.subject.client == "ide"`, 1), leak},
		"claims":           {strings.Replace(rule, "WHERE", `input.subject.claims.team == "a"`, 1), leak},
		"actors":           {strings.Replace(rule, "WHERE", `"bot" in input.subject.actors`, 1), leak},
		"proof":            {strings.Replace(rule, "WHERE", `input.subject.proof == "mtls"`, 1), leak},
		"measured":         {strings.Replace(rule, "WHERE", `input.subject.measured.approved`, 1), leak},
		"task":             {strings.Replace(rule, "WHERE", `input.grant.task == "t"`, 1), leak},
		"grant":            {strings.Replace(rule, "WHERE", `input.grant.id`, 1), leak},
		"digest":           {strings.Replace(rule, "WHERE", `startswith(input.tool.digest, "sha256:")`, 1), leak},
		"title":            {strings.Replace(rule, "WHERE", `input.tool.title != ""`, 1), leak},
		"annotations":      {strings.Replace(rule, "WHERE", `input.tool.annotations.readOnlyHint`, 1), leak},
		"not reviewed":     {strings.Replace(rule, "WHERE", `not input.tool.reviewed`, 1), leak},
		"not pinned":       {strings.Replace(rule, "WHERE", `not input.tool.pinned`, 1), leak},
		"hour":             {strings.Replace(rule, "WHERE", `time.clock(time.now_ns())[0] < 12`, 1), leak},
		"a deny for one":   {strings.Replace(rule, "WHERE", "true", 1) + "deny contains \"x\" if input.subject.id == \"somebody\"\n", leak},
		"a deny by proof":  {strings.Replace(rule, "WHERE", "true", 1) + "deny contains \"x\" if input.subject.proof == \"dpop\"\n", leak},
		"a table in data":  {"allow if \"admin\" in input.subject.roles\ninput_ok if data.may[input.subject.roles[_]]\nallow if input_ok\ndeny contains \"x\" if \"admin\" in input.subject.roles\n", leak},
		"a table in Rego":  {"may := {\"agent\": true}\nallow if may[input.subject.roles[_]]\n", leak},
		"a list in data":   {"allow if {\n\tsome r in input.subject.roles\n\tr in data.list\n}\n", leak},
		"roles by pattern": {"allow if {\n\tsome r in input.subject.roles\n\tregex.match(\"^team-[a-z]+$\", r)\n}\n", `some role, of those that the policies know by more than their names, reaches files.read_file`},
		"roles by a split": {"allow if {\n\tsome r in input.subject.roles\n\tr in split(data.csv, \",\")\n}\n", `some role, of those that the policies know by more than their names, reaches files.read_file`},

		"a deny for the role":  {strings.Replace(rule, "WHERE", "true", 1) + "deny contains \"x\" if {\n\t\"agent\" in input.subject.roles\n\t\"sink:external\" in input.tool.labels\n}\n", ""},
		"a deny on every flow": {strings.Replace(rule, "WHERE", `input.grant.task == "t"`, 1) + "deny contains \"x\" if {\n\t\"source:private\" in input.flow.labels\n\t\"sink:external\" in input.tool.labels\n}\n", ""},
		"a role each":          {"allow if {\n\t\"r\" in input.subject.roles\n\tinput.server.name == \"files\"\n}\nallow if {\n\t\"w\" in input.subject.roles\n\tinput.server.name == \"web\"\n}\n", ""},
	} {
		g, err := load(map[string]string{"authz.rego": head + tt.src, "data.json": `{"may": {"agent": true}, "list": ["agent"], "csv": "agents,b"}`})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := g.Leaks(t.Context(), labelled)
		text := strings.Join(got, "\n")
		if err != nil || (tt.want == "") != (text == "") || !strings.HasPrefix(text, tt.want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, tt.want)
		}
	}
}

func TestACallerWithTwoRolesHasTheWaysOfBoth(t *testing.T) {
	g := mustLoad(t, "allow if {\n\t\"r\" in input.subject.roles\n\tinput.server.name == \"files\"\n}\nallow if {\n\t\"w\" in input.subject.roles\n\tinput.server.name == \"web\"\n}\n")
	got, err := g.Leaks(t.Context(), labelled, []string{"r", "w"})
	want := `a caller with the roles ["r" "w"] reaches files.read_file (source:private) and web.post (sink:external), and no rule on input.flow stands between: what it reads can be sent away; see the example no-exfiltration`
	if err != nil || !slices.Equal(got, []string{want}) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestALabelThatNothingHasIsNamed(t *testing.T) {
	g := mustLoad(t, "allow if {\n\t\"source:privat\" in input.flow.labels\n\t\"team:a\" in input.tool.labels\n}\n")
	got, err := g.UnknownLabels([]string{"sink:external", "source:private"})
	want := `authz.rego:4: no tool, resource or prompt has the label "source:privat"; did you mean source:private?`
	if err != nil || len(got) != 1 || got[0].Error() != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}
