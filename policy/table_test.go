package policy

import (
	"strings"
	"testing"
)

const tablePolicy = `package mcp.authz

# METADATA
# labels:
#   rule: readers-read
allow if {
	"reader" in input.subject.roles
	input.tool.name == "read_file"
	startswith(input.arguments.path, "/srv/docs/")
}

allow if {
	input.resource.uri == "file:///srv/docs/a"
	input.action == "resources/read"
}

allow if input.prompt.name == "greet"

allow if {
	input.tool.name == "send"
	input.grant.task == "mail"
}

allow if {
	"clerk" in input.subject.roles
	input.tool.name == "pay"
	input.arguments.amount <= 9007199254740993
	time.clock(time.now_ns())[0] < 20
}

deny contains "private data may not leave" if {
	"sink:external" in input.tool.labels
	"source:private" in input.flow.labels
}

deny contains "no guests" if "guest" in input.subject.roles

obligations contains {"type": "max_calls", "n": 5, "per": "tool"} if input.tool.name == "send"

obligations contains {"type": "record_arguments"} if input.tool.name == "send"
`

const goodTable = `
time: 2026-01-15T09:00:00Z
labels:
  files.read_file: [source:private]
  "mail.*": [sink:external]
cases:
  - name: a reader reads docs
    role: reader
    tool: files.read_file
    arguments: {path: /srv/docs/a}
    allow: true
    rules: [readers-read]
    obligations: []
  - name: nothing else is read
    roles: [reader, other]
    tool: files.read_file
    arguments: {path: /etc/passwd}
    allow: false
  - name: mail leaves with its task
    role: clerk
    tool: mail.send
    input: &mail {grant: {task: mail}}
    allow: true
    obligations: [{type: record_arguments}, {per: tool, n: 5, type: max_calls}]
  - name: private data stays
    role: clerk
    tool: mail.send
    flow: [source:private]
    input: *mail
    allow: false
    reason: private data may not leave
  - name: without a grant no mail
    role: clerk
    tool: mail.send
    input: {grant: null}
    allow: false
  - name: integers are exact
    role: clerk
    tool: bank.pay
    arguments: {amount: 9007199254740994}
    allow: false
  - name: a resource
    role: reader
    resource: {server: files, uri: "file:///srv/docs/a"}
    allow: true
  - name: a prompt
    role: reader
    prompt: {server: files, name: greet}
    allow: true
  - name: housekeeping needs no allow
    role: reader
    action: tools/list
    server: files
    allow: true
  - name: but deny refuses it
    role: guest
    action: tools/list
    server: files
    allow: false
    reason: no guests
  - name: time of the case
    role: clerk
    tool: bank.pay
    arguments: {amount: 1}
    time: 2026-01-15T21:00:00Z
    allow: false
lists:
  - name: what a reader sees
    role: reader
    tools: [files.read_file, files.write_file, mail.send]
    visible: [files.read_file]
  - name: what a guest sees
    role: guest
    tools: [files.read_file]
    visible: []
`

func TestTablesAreTests(t *testing.T) {
	if _, err := load(map[string]string{"authz.rego": tablePolicy, "authz_test.yaml": goodTable}); err != nil {
		t.Errorf("the table does not hold:\n%v", err)
	}
	// Each of these makes one test of the good table fail.
	for _, tt := range []struct{ old, new, want string }{
		{"arguments: {path: /etc/passwd}", "arguments: {path: /srv/docs/b}", `authz_test.yaml:14: test "nothing else is read" failed; the policy is not installed
	role reader, other, tool files.read_file: want refused, got allowed
	allowed; reasons: none; rules that held: readers-read`},
		{"rules: [readers-read]", "rules: [clerks-read]", "the rule clerks-read did not hold"},
		{"obligations: []", "obligations: [{type: record_arguments}]", `missing obligations: {"type":"record_arguments"}`},
		{"[{type: record_arguments}, ", "[", `obligations that should not be: {"type":"record_arguments"}`},
		{"reason: private data may not leave", "reason: private data may not go", `want the reason "private data may not go"`},
		{"9007199254740994", "9007199254740993", `test "integers are exact" failed`},
		{"time: 2026-01-15T21:00:00Z", "time: 2026-01-15T19:00:00Z", `test "time of the case" failed`},
		{"visible: [files.read_file]", "visible: []", `role reader: visible and should be hidden: files.read_file`},
		{"visible: []", "visible: [files.read_file]", "role guest: hidden and should be visible: files.read_file"},
		{"input: {grant: null}", "input: {grnt: {task: mail}}", "there is no input.grnt; did you mean grant?"},
		{"input: {grant: null}", "input: {grant: {calls_left: many}}", "input.grant.calls_left cannot be this string"},
	} {
		_, err := load(map[string]string{"authz.rego": tablePolicy, "authz_test.yaml": strings.Replace(goodTable, tt.old, tt.new, 1)})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s → %s:\n%v\nlacks %s", tt.old, tt.new, err, tt.want)
		}
	}
}

// A rule that is not enforced yet can be tested as it will be.
func TestTablesAskRulesThatAreNotEnforced(t *testing.T) {
	const table = `cases:
- name: secrets will not be read
  role: reader
  tool: files.read_file
  arguments: {path: /home/.aws}
  allow: true
  advice: {allow: false, reason: no secrets}
- {name: nothing to say, role: reader, tool: files.read_file, allow: true, advice: {allow: true}}
`
	files := map[string]string{"authz.rego": advisedPolicy, "authz_test.yaml": table}
	if _, err := load(files); err != nil {
		t.Error(err)
	}
	for _, tt := range []struct{ old, new, want string }{
		{"{allow: false, reason: no secrets}", "{allow: true}", "with all rules enforced want allowed, got refused"},
		{"reason: no secrets", "reason: no secret", `with all rules enforced want the reason "no secret"; did you mean no secrets?`},
		{"advice: {allow: true}", "advice: {alow: true}", `authz_test.yaml:8: unknown key "alow" in advice; did you mean allow?`},
		{"advice: {allow: true}", "advice: {}", "advice.allow is missing"},
	} {
		files["authz_test.yaml"] = strings.Replace(table, tt.old, tt.new, 1)
		if _, err := load(files); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s:\n%v\nlacks %s", tt.new, err, tt.want)
		}
	}
}

// A table is read strictly, and every fault of it is told at once, each with its line.
func TestTablesAreReadStrictly(t *testing.T) {
	const one = "cases:\n- {name: a, role: r, tool: s.t, allow: true}\n"
	for _, tt := range []struct{ name, src, want string }{
		{"empty", "", "x_test.yaml: no cases and no lists"},
		{"nothing in it", "time: 2026-01-15T09:00:00Z\n", "x_test.yaml:1: no cases and no lists"},
		{"no YAML", "cases: [\n", "x_test.yaml: line 1:"},
		{"list at the root", "- a\n", "x_test.yaml:1: the table is a mapping, not a list"},
		{"unknown key", "case: []\n" + one, `x_test.yaml:1: unknown key "case" in the table; did you mean cases?`},
		{"unknown key of a case", "cases:\n- name: a\n  role: r\n  tool: s.t\n  alow: true\n", `x_test.yaml:5: unknown key "alow" in a case; did you mean allow`},
		{"unknown key of a list", "lists:\n- name: a\n  seen: []\n", `x_test.yaml:3: unknown key "seen" in a list; there are`},
		{"unknown key of a resource", "cases:\n- name: a\n  resource: {server: s, url: u}\n  allow: true\n", `x_test.yaml:3: unknown key "url" in resource; did you mean uri?`},
		{"two documents", one + "---\n" + one, "a second document; one file is one table"},
		{"a key twice", "cases:\n- name: a\n  allow: true\n  tool: s.t\n  allow: false\n", `x_test.yaml:5: "allow" stands twice, first in line 3`},
		{"a key twice in arguments", "cases:\n- name: a\n  allow: true\n  tool: s.t\n  arguments: {x: 1, x: 2}\n", `x_test.yaml:5: "x" stands twice`},
		{"a name twice", one + "lists:\n- {name: a, role: r, tools: [s.t], visible: []}\n", `x_test.yaml:4: the name "a" stands twice, first in line 2`},
		{"no name", "cases:\n- {role: r, tool: s.t, allow: true}\n", "x_test.yaml:2: a case without a name"},
		{"no allow", "cases:\n- {name: a, role: r, tool: s.t}\n", `x_test.yaml:2: case "a": allow is missing`},
		{"allow as text", "cases:\n- {name: a, role: r, tool: s.t, allow: yes}\n", "x_test.yaml:2: allow is true or false, not text"},
		{"about nothing", "cases:\n- {name: a, role: r, allow: true}\n", `case "a": about what?`},
		{"about two things", "cases:\n- {name: a, tool: s.t, prompt: {server: s, name: p}, allow: true}\n", "more than one of tool, resource and prompt"},
		{"tool without server", "cases:\n- {name: a, tool: read_file, allow: true}\n", `tool is server.tool, as files.read_file, and not "read_file"`},
		{"both roles", "cases:\n- {name: a, role: r, roles: [r], tool: s.t, allow: true}\n", "both role and roles"},
		{"reason of what is allowed", "cases:\n- {name: a, tool: s.t, allow: true, reason: no}\n", "reason is of a refusal"},
		{"obligations of what is refused", "cases:\n- {name: a, tool: s.t, allow: false, obligations: [{type: x}]}\n", "obligations are of what is allowed"},
		{"time", "cases:\n- {name: a, tool: s.t, allow: true, time: 9 o'clock}\n", "x_test.yaml:2: time is RFC 3339"},
		{"a number for a role", "cases:\n- {name: a, role: 7, tool: s.t, allow: true}\n", "role is text, not a number"},
		{"arguments that are a list", "cases:\n- {name: a, tool: s.t, allow: true, arguments: [1]}\n", "arguments is a mapping, not a list"},
		{"infinity", "cases:\n- {name: a, tool: s.t, allow: true, arguments: {x: .inf}}\n", "arguments.x cannot be written as JSON"},
		{"a number that JSON has not", "cases:\n- {name: a, tool: s.t, allow: true, arguments: {x: 0x10}}\n", "arguments.x cannot be written as JSON"},
		{"label of no tool", "labels: {files: [x]}\n" + one, `x_test.yaml:1: labels: "files" is no server.tool glob`},
		{"broken glob", "labels: {\"files.[\": [x]}\n" + one, "is no server.tool glob"},
		{"seen but not there", "lists:\n- {name: a, role: r, tools: [s.read], visible: [s.red]}\n", `visible has s.red, which is not in tools; did you mean s.read?`},
		{"list of nothing", "lists:\n- {name: a, role: r, visible: []}\n", `list "a": give tools`},
		{"aliases that unfold without end", "cases:\n- name: a\n  tool: s.t\n  allow: true\n  arguments:\n    a: &a [1,1,1,1,1,1,1,1,1,1]\n    b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n    c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n    d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n    e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n    f: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n", "more than 200000 values in one table"},
		{"an alias in itself", "cases:\n- name: a\n  tool: s.t\n  allow: true\n  arguments: &x {y: *x}\n", "x_test.yaml:5: arguments is nested deeper than 64 levels"},
		{"all at once", "cases:\n- {name: a, tool: s.t, allow: 1}\n- {name: b, tol: s.t}\n", "x_test.yaml:3: unknown key \"tol\""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(map[string]string{"a.rego": head + "allow if true\n", "x_test.yaml": tt.src})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("message %v\nlacks %q", err, tt.want)
			}
		})
	}
}

// Tables are tests and no data, and what they say is part of what the policy is.
func TestTablesAreNoData(t *testing.T) {
	files := map[string]string{"a.rego": head + "allow if not data.a_test\n", "a_test.yaml": "cases:\n- {name: a, role: r, tool: s.t, allow: true}\n"}
	g, err := load(files)
	if err != nil {
		t.Fatal(err)
	}
	files["a_test.yaml"] = strings.Replace(files["a_test.yaml"], "name: a", "name: b", 1)
	other, err := load(files)
	if err != nil || other.Revision() == g.Revision() {
		t.Errorf("revision %s, %v after a table has changed; want another", other.Revision(), err)
	}
}

// Whatever stands in a table, reading it ends, and a table without a fault has named tests.
func FuzzTable(f *testing.F) {
	f.Add(goodTable)
	f.Add("cases:\n- &a {name: a, tool: s.t, allow: true, arguments: {x: *a}}\n")
	f.Add("cases: &c [*c]\n")
	f.Fuzz(func(t *testing.T, src string) {
		table, err := readTable("x_test.yaml", []byte(src))
		if err != nil {
			return
		}
		if len(table.cases)+len(table.lists) == 0 {
			t.Error("a table without tests was taken")
		}
		for _, c := range table.cases {
			if _, err := table.question(&c); c.name == "" || err != nil && !strings.HasPrefix(err.Error(), "x_test.yaml:") {
				t.Errorf("case %q: %v", c.name, err)
			}
		}
	})
}
