package lint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/policy"
	"sallyport/policy/workbench"
)

const catalogue = `{
"files": {"tools": [
  {"name": "read_file", "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}, "head": {"type": "integer", "maximum": 100}}}},
  {"name": "write_file", "inputSchema": {"type": "object", "additionalProperties": false, "properties": {"path": {"type": "string"}, "mode": {"enum": ["append", "replace"]}, "owner": {"$ref": "#/$defs/owner"}},
    "$defs": {"owner": {"type": "object", "properties": {"name": {"type": "string"}}}}}},
  {"name": "open", "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}, "additionalProperties": true}}]},
"web": {"tools": [
  {"name": "post", "inputSchema": {"type": "object", "properties": {"url": {"type": "string"}, "tags": {"type": "array", "items": {"type": "object", "properties": {"key": {"type": "string"}}}}},
    "anyOf": [{"properties": {"body": {"type": "string"}}}, {"properties": {"form": {"type": "object"}}}]}},
  {"name": "odd", "inputSchema": {"$ref": "https://example.com/schema"}}]}}`

// check returns what is said of a policy, a finding a line, but for what many of these have: no tests, and
// rules for everybody.
func check(t *testing.T, rules string, s Setting, more ...string) string {
	t.Helper()
	dir := t.TempDir()
	files := append([]string{"authz.rego", "package mcp.authz\n\n" + rules + "\n"}, more...)
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Run(t.Context(), dir, policy.Options{}, s)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range found {
		if f.Name != "no-tests" && f.Name != "allows-everybody" {
			out = append(out, string(f.Level)+" "+f.Name+" "+f.Short())
		}
	}
	return strings.Join(out, "\n")
}

func known(t *testing.T) Setting {
	t.Helper()
	tools, err := workbench.ReadTools([]byte(catalogue))
	if err != nil {
		t.Fatal(err)
	}
	return Setting{Catalogue: CatalogueOf(tools)}
}

// say is a rule on one tool.
func say(server, tool, condition string) string {
	return "allow if {\n\tinput.server.name == \"" + server + "\"\n\tinput.tool.name == \"" + tool + "\"\n\t" + condition + "\n}"
}

func TestArgumentsAreHeldAgainstTheSchemas(t *testing.T) {
	for name, tt := range map[string]struct{ rules, want string }{
		"misspelt":           {say("files", "read_file", `input.arguments.pth == "/a"`), "error unknown-argument authz.rego:6: files.read_file has no argument pth; did you mean path?"},
		"nothing near":       {say("files", "write_file", `input.arguments.colour == "red"`), "error unknown-argument authz.rego:6: files.write_file has no argument colour; it has mode, owner, path"},
		"server unsaid":      {"allow if {\n\tinput.tool.name == \"read_file\"\n\tstartswith(input.arguments.pth, \"/a\")\n}", "error unknown-argument authz.rego:5: files.read_file has no argument pth; did you mean path?"},
		"two tools":          {"allow if {\n\tinput.tool.name in {\"read_file\", \"write_file\"}\n\tinput.arguments.pth == \"/a\"\n}", "error unknown-argument authz.rego:5: files.read_file and files.write_file has no argument pth; did you mean path?"},
		"through a function": {"allow if {\n\tcalls(\"files\", {\"read_file\"})\n\tbelow(input.arguments.pth)\n}\n\ncalls(s, names) if {\n\tinput.server.name == s\n\tinput.tool.name in names\n}\n\nbelow(p) if startswith(p, \"/a\")", "error unknown-argument authz.rego:5: files.read_file has no argument pth; did you mean path?"},
		"through a rule":     {say("files", "read_file", "fine") + "\n\nfine if input.arguments.pth", "error unknown-argument authz.rego:9: files.read_file has no argument pth; did you mean path?"},
		"negated":            {say("files", "read_file", "not fine") + "\n\nfine if input.arguments.pth", "error unknown-argument authz.rego:9: files.read_file has no argument pth; did you mean path?"},
		"a variable":         {say("files", "read_file", "p := input.arguments.pth\n\tp == \"/a\""), "error unknown-argument authz.rego:6: files.read_file has no argument pth; did you mean path?"},
		"of an object":       {say("files", "write_file", `input.arguments.owner.nam == "a"`), "error unknown-argument authz.rego:6: files.write_file: owner has no nam; did you mean name?"},
		"of elements":        {say("web", "post", "some t in input.arguments.tags\n\tt.keys == \"a\""), "error unknown-argument authz.rego:7: web.post: tags[_] has no keys; did you mean key?"},
		"kept out by deny":   {"allow if true\n\ndeny contains \"no\" if {\n\tinput.tool.name == \"read_file\"\n\tinput.arguments.overwrite\n}", "warning unknown-argument authz.rego:7: files.read_file has no argument overwrite; it has head, path"},
		"no tool has it":     {"allow if input.tool.name == \"odd\"\n\nallow if {\n\tinput.server.name == \"files\"\n\tinput.tool.name != \"open\"\n\tinput.arguments.zzz == 1\n}", "error unknown-argument authz.rego:8: files.read_file and files.write_file has no argument zzz; it has head, path"},
		"text for a number":  {say("files", "read_file", `input.arguments.head == "10"`), `error wrong-type authz.rego:6: files.read_file: head is a number, and "10" is not; write 10`},
		"text is less":       {say("files", "read_file", `input.arguments.head < "10"`), `error wrong-type authz.rego:6: files.read_file: head is a number, and "10" is not; write 10`},
		"number for a text":  {say("files", "read_file", `input.arguments.path in {1, 2}`), `error wrong-type authz.rego:6: files.read_file: path is a string, and 1 is not; write "1"`},
		"of a function":      {say("files", "read_file", `startswith(input.arguments.head, "1")`), `error wrong-type authz.rego:6: files.read_file: head is a number, and startswith wants a string: the call fails, which refuses; ask it of an argument that is a string`},
		"no such value":      {say("files", "write_file", `input.arguments.mode == "appends"`), `error unknown-value authz.rego:6: files.write_file: mode is never "appends"; did you mean append?`},
		"one of two values":  {say("files", "write_file", `input.arguments.mode in {"append", "create"}`), `warning unknown-value authz.rego:6: files.write_file: mode is never "create"; it is one of append, replace`},
		"unknown tool":       {say("files", "read_fil", "true"), `error unknown-tool authz.rego:5: files has no tool "read_fil"; did you mean read_file?`},
		"of another server":  {say("web", "read_file", "true"), `error unknown-tool authz.rego:5: web has no tool "read_file"; it has odd, post`},
		"in a set":           {"allow if input.tool.name in {\"read_file\", \"wread\"}", `error unknown-tool authz.rego:3: no server has a tool "wread"; there are odd, open, post, read_file, write_file`},
		"unknown server":     {"allow if input.server.name == \"flies\"", `error unknown-server authz.rego:3: there is no server "flies"; did you mean files?`},
		"kept out":           {"allow if input.tool.name == \"post\"\n\ndeny contains \"no\" if input.tool.name == \"rm\"", `warning unknown-tool authz.rego:5: no server has a tool "rm"; there are odd, open, post, read_file, write_file`},

		"fine":                      {say("files", "read_file", `startswith(input.arguments.path, "/a")`), ""},
		"one of the tools has it":   {"allow if {\n\tinput.server.name == \"files\"\n\tinput.arguments.mode == \"append\"\n}", ""},
		"a helper that many ask":    {say("files", "read_file", "fine") + "\n\n" + say("files", "write_file", "fine") + "\n\nfine if input.arguments.mode == \"append\"\n\nfine if input.arguments.head < 3", ""},
		"others may be sent":        {say("files", "open", `input.arguments.flags == 1`), ""},
		"in a branch":               {say("web", "post", `input.arguments.body == "x"`), ""},
		"a schema from elsewhere":   {say("web", "odd", `input.arguments.x == 1`), ""},
		"a table by tool":           {"allow if input.arguments.path in table[input.tool.name]\n\ntable := {\"read_file\": {\"/a\"}}", ""},
		"numbers of either kind":    {say("files", "read_file", `input.arguments.head <= 10.5`), ""},
		"what is no call of a tool": {"allow if {\n\tinput.action == \"prompts/get\"\n\tinput.arguments.topic == \"x\"\n}", ""},
	} {
		if got := check(t, tt.rules, known(t)); got != tt.want {
			t.Errorf("%s:\n%s\ngot  %s\nwant %s", name, tt.rules, got, tt.want)
		}
		if got := check(t, tt.rules, Setting{}); got != "" {
			t.Errorf("%s, without a catalogue: %s", name, got)
		}
	}
}

// A rule that is not enforced yet is held against the catalogue as it will be when it is.
func TestRulesThatAreNotEnforcedAreHeldAgainstTheSchemas(t *testing.T) {
	const mark = "# METADATA\n# labels: {enforce: false}\n"
	for rules, want := range map[string]string{
		"allow if true\n\n" + mark + "deny contains \"no\" if {\n\tinput.tool.name == \"read_file\"\n\tinput.arguments.pth == \"/a\"\n}": "error unknown-argument authz.rego:9: files.read_file has no argument pth; did you mean path?",
		"allow if true\n\n" + mark + "deny contains \"no\" if {\n\tinput.tool.name == \"rm\"\n\tnot input.arguments.x\n}":                `warning unknown-tool authz.rego:8: no server has a tool "rm"; there are odd, open, post, read_file, write_file`,
		"allow if true\n\n" + mark + say("files", "read_file", `input.arguments.head == "10"`):                                           `error wrong-type authz.rego:10: files.read_file: head is a number, and "10" is not; write 10`,
		"allow if true\n\n" + mark + say("files", "read_file", `input.arguments.head == 10`):                                             "",
	} {
		var got []string
		for _, line := range strings.Split(check(t, rules, known(t)), "\n") {
			if !strings.HasPrefix(line, "note not-enforced ") {
				got = append(got, line)
			}
		}
		if strings.Join(got, "\n") != want {
			t.Errorf("%s\ngot  %s\nwant %s", rules, strings.Join(got, "\n"), want)
		}
	}
}

// Names that only data has are said with their place there.
func TestAToolThatOnlyDataNames(t *testing.T) {
	got := check(t, "allow if {\n\tsome server, tools in data.may\n\tinput.server.name == server\n\tinput.tool.name in tools\n}", known(t),
		"data.yaml", "may:\n  files: [read_file, wriet_file]\n")
	if want := `error unknown-tool data.yaml:2: files has no tool "wriet_file"; did you mean write_file?`; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// A tool that is another in each era of the protocol is held against neither.
func TestATwofoldToolHasNoSchema(t *testing.T) {
	c := CatalogueOf([]workbench.Tool{
		{Server: "files", Name: "read_file", Schema: []byte(`{"properties": {"path": {}}}`)},
		{Server: "files", Name: "read_file", Schema: []byte(`{"properties": {"uri": {}}}`)}})
	if got := check(t, say("files", "read_file", "input.arguments.uri"), Setting{Catalogue: c}); got != "" {
		t.Errorf("got %s", got)
	}
}

// Names of tools and arguments are the servers' own.
func TestANameDoesNotSteerATerminal(t *testing.T) {
	c := CatalogueOf([]workbench.Tool{{Server: "files", Name: "read\x1b[2J", Schema: []byte(`{"properties": {"\u001b]0;x\u0007": {}}}`)}})
	got := check(t, "allow if {\n\tinput.tool.name == \"write\"\n}\n\nallow if input.arguments.zzzz", Setting{Catalogue: c})
	if !strings.Contains(got, "unknown-tool") || !strings.Contains(got, "unknown-argument") || strings.ContainsAny(got, "\x1b\x07") {
		t.Errorf("got %q", got)
	}
}
