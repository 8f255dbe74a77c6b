package workbench

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"sallyport/policy"
)

// conditions are what generated rules are made of: known and unknown parts of the input, negation,
// helpers, tables, iteration, defaults, functions that fail, the clock.
var conditions = []string{
	`"reader" in input.subject.roles`,
	`not "admin" in input.subject.roles`,
	`some role in input.subject.roles; data.grants[role][input.tool.name]`,
	`input.subject.id == "ann"`,
	`input.subject.client != "c"`,
	`input.server.name == "files"`,
	`input.tool.name == "read_file"`,
	`input.tool.name in {"read_file", "write_file"}`,
	`input.tool.name in data.tools`,
	`"source:private" in input.tool.labels`,
	`not "sink:external" in input.tool.labels`,
	`input.tool.annotations.readOnlyHint == true`,
	`startswith(input.arguments.path, "/srv/")`,
	`not startswith(input.arguments.path, "/etc")`,
	`not contains(input.arguments.path, "..")`,
	`endswith(input.arguments.path, "a")`,
	`glob.match("/srv/*", ["/"], input.arguments.path)`,
	`regex.match("^/srv/[a-z]+$", input.arguments.path)`,
	`input.arguments.path == "/srv/a"`,
	`input.arguments.path != "/srv/a"`,
	`not input.arguments.path == "/srv/a"`,
	`not input.arguments.path`,
	`input.arguments.path`,
	`is_string(input.arguments.path)`,
	`is_number(input.arguments.n)`,
	`input.arguments.n in {4, 9}`,
	`input.arguments.n > 3`,
	`input.arguments.n <= 5`,
	`not input.arguments.n >= 5`,
	`object.get(input.arguments, "path", "/srv/") == "/srv/"`,
	`count(input.arguments) < 2`,
	`input.arguments == {}`,
	`every k, v in input.arguments { v != "/etc/passwd"; k != "x" }`,
	`some v in input.arguments; v == "/srv/a"`,
	`some to in input.arguments.to; endswith(to, "@x")`,
	`every to in input.arguments.to { endswith(to, "@x") }`,
	`some to in input.arguments.to; startswith(to, "a"); endswith(to, "@x")`,
	`count([x | some x in input.arguments.to; x != "a@x"]) == 0`,
	`input.arguments.path == input.arguments.x`,
	`count(input.flow.labels) == 0`,
	`not "source:private" in input.flow.labels`,
	`"source:private" in input.flow.labels`,
	`some label in input.flow.labels; data.closing[label]`,
	`input.request.method == "tools/call"`,
	`time.clock(time.parse_rfc3339_ns(input.request.time))[0] < 12`,
	`input.grant.calls_left > 0`,
	`not input.grant`,
	`input.grant.task == "T"`,
	`input.subject.proof == "dpop"`,
	`not input.subject.measured.approved`,
	`input.subject.measured.changed`,
	`safe_path`,
	`not safe_path`,
	`level(input.subject) > level_needed`,
	`below(input.arguments.path, "/srv/")`,
	`not below(input.arguments.path, "/srv/")`,
	`within(input.arguments.n, 4)`,
	`not small`,
	`input.action == "tools/call"`,
}

const helpers = `
default safe_path := false

safe_path if not contains(object.get(input.arguments, "path", ""), "..")

level(s) := 2 if "admin" in s.roles

else := 1 if "reader" in s.roles

else := 0

level_needed := 1 if input.tool.name == "write_file"

else := 0

below(path, root) if {
	is_string(path)
	startswith(concat("", [path, "/"]), root)
	every part in split(path, "/") { not part in {".", ".."} }
}

within(n, most) if {
	is_number(n)
	n <= most
}

small if input.arguments.n == 4

small if { input.arguments.path == "/srv/a"; input.arguments.n < 4 }
`

const generatedData = `{"tools": ["read_file"], "grants": {"reader": {"read_file": true}, "admin": {"write_file": true, "read_file": true}}, "closing": {"source:private": true}}`

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func generatedPolicy(r *rand.Rand) string {
	body := func() string {
		var lines []string
		for _, i := range r.Perm(len(conditions))[:1+r.IntN(3)] {
			lines = append(lines, conditions[i])
		}
		return strings.Join(lines, "\n\t")
	}
	var b strings.Builder
	b.WriteString("package mcp.authz\n" + helpers)
	if r.IntN(2) == 0 {
		b.WriteString("\ndefault allow := false\n")
	}
	for range 1 + r.IntN(3) {
		fmt.Fprintf(&b, "\nallow if {\n\t%s\n}\n", body())
	}
	for i := range r.IntN(3) {
		fmt.Fprintf(&b, "\ndeny contains \"r%d\" if {\n\t%s\n}\n", i, body())
	}
	if r.IntN(3) == 0 {
		fmt.Fprintf(&b, "\nobligations contains {\"type\": \"max_calls\", \"n\": 3, \"per\": \"tool\"} if {\n\t%s\n}\n", body())
	}
	return b.String()
}

// generatedInput is a question with everything that a call brings. One role: that is what a matrix
// asks about.
func generatedInput(r *rand.Rand, roles, servers, tools []string) *policy.Input {
	in := &policy.Input{
		Subject: &policy.Subject{ID: pick(r, "ann", "bob"), Client: pick(r, "c", "d"), Proof: pick(r, "none", "dpop"), Roles: []string{pick(r, roles...)},
			Measured: pick(r, nil, &policy.Measured{}, &policy.Measured{Changed: true}, &policy.Measured{Changed: true, Approved: true})},
		Action: "tools/call", Server: pick(r, servers...), ServerLabels: []string{},
		Tool: &policy.Tool{Name: pick(r, tools...), Labels: pick(r, []string{}, []string{"source:private"}, []string{"sink:external"}),
			Annotations: json.RawMessage(pick(r, `{}`, `{"readOnlyHint":true}`))},
		Arguments: []byte(pick(r, `{}`, `{"path":"/srv/a"}`, `{"path":"/etc/passwd"}`, `{"path":"/srv/"}`, `{"path":"/srv/../etc"}`, `{"n":4}`, `{"n":5,"x":"/srv/a"}`,
			`{"path":"/srv/a","n":9}`, `{"path":"/srv/a","x":"/srv/a"}`, `{"path":7}`, `{"path":null,"n":"4"}`, `{"to":["a@x","b@x"]}`, `{"to":["a@x","b@y"],"path":"/srv/a"}`,
			`{"to":[]}`, `{"path":"/srv/b","n":1}`, `{"path":false}`)),
		Flow:    pick(r, []string{}, []string{"source:private"}, []string{"source:untrusted"}),
		Request: policy.Request{ID: "r", Time: time.Date(2026, 1, 15, r.IntN(24), 0, 0, 0, time.UTC), Era: "modern", Method: "tools/call"},
	}
	if left := int64(r.IntN(4)) - 1; left >= 0 {
		in.Grant = &policy.Grant{ID: "g", Task: pick(r, "T", "U"), Expires: time.Date(2026, 1, 16, 0, 0, 0, 0, time.UTC), CallsLeft: &left}
	}
	return in
}
