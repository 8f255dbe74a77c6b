package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// conditions are what rules are made of: known and unknown parts of input, negation, sets,
// patterns, iteration, helpers, clock.
var conditions = []string{
	`"reader" in input.subject.roles`,
	`not "admin" in input.subject.roles`,
	`input.subject.id == "ann"`,
	`input.tool.name == "read_file"`,
	`input.tool.name != "read_file"`,
	`input.tool.name in data.tools`,
	`input.tool.annotations.readOnlyHint == true`,
	`not input.tool.annotations.destructiveHint`,
	`startswith(input.arguments.path, "/srv/")`,
	`not startswith(input.arguments.path, "/etc")`,
	`glob.match("/srv/*", ["/"], input.arguments.path)`,
	`regex.match("^/srv/[a-z]+$", input.arguments.path)`,
	`input.arguments.path == "/srv/a"`,
	`object.get(input.arguments, "path", "/srv/") == "/srv/"`,
	`count(input.arguments) < 2`,
	`input.arguments == {}`,
	`not input.arguments.path`,
	`every k, v in input.arguments { v != "/etc/passwd"; k != "x" }`,
	`some v in input.arguments; v == "/srv/a"`,
	`input.arguments.n > 3`,
	`count(input.flow.labels) == 0`,
	`not "private" in input.flow.labels`,
	`"private" in input.flow.labels`,
	`input.request.era == "modern"`,
	`input.request.method == input.action`,
	`time.parse_rfc3339_ns(input.request.time) > 0`,
	`time.now_ns() > 1000`,
	`time.now_ns() < 1000`,
	`input.grant.calls_left > 0`,
	`not input.grant.calls_left == 0`,
	`not input.grant`,
	`input.grant.task == "T"`,
	`input.grant.id == "g"`,
	`input.subject.proof == "dpop"`,
	`not input.subject.measured.approved`,
	`input.subject.measured.changed`,
	`input.subject.client == "c"`,
	`"bot" in input.subject.actors`,
	`safe_path`,
	`not safe_path`,
	`level(input.subject) > level_needed`,
	`input.server.name == "files"`,
	`action_is["tools/call"]`,
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

action_is contains input.action
`

func genPolicy(t *rapid.T) string {
	body := func(label string) string {
		return strings.Join(rapid.SliceOfNDistinct(rapid.SampledFrom(conditions), 1, 3, rapid.ID[string]).Draw(t, label), "\n\t")
	}
	var b strings.Builder
	b.WriteString("package mcp.authz\n" + helpers)
	if rapid.Bool().Draw(t, "default") {
		b.WriteString("\ndefault allow := false\n")
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "allows") {
		fmt.Fprintf(&b, "\nallow if {\n\t%s\n}\n", body(fmt.Sprint("allow", i)))
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "denies") {
		fmt.Fprintf(&b, "\ndeny contains \"r%d\" if {\n\t%s\n}\n", i, body(fmt.Sprint("deny", i)))
	}
	return b.String()
}

func genInput(t *rapid.T, i int) *Input {
	pick := func(name string, from ...string) string {
		return rapid.SampledFrom(from).Draw(t, fmt.Sprint(name, i))
	}
	in := &Input{
		Subject: &Subject{ID: pick("id", "ann", "bob"), Roles: rapid.SampledFrom([][]string{{"reader"}, {"admin"}, {"reader", "admin"}, {"x"}}).Draw(t, fmt.Sprint("roles", i))},
		Action:  "tools/call", Server: pick("server", "files", "mail"),
		Tool: &Tool{Name: pick("tool", "read_file", "write_file", "other"), Digest: "sha256:1",
			Annotations: json.RawMessage(pick("annotations", `{}`, `{"readOnlyHint":true}`, `{"destructiveHint":true}`))},
	}
	in.Subject.Client, in.Subject.Proof = pick("client", "c", "d"), pick("proof", "none", "dpop")
	in.Subject.Actors = rapid.SampledFrom([][]string{nil, {"bot"}}).Draw(t, fmt.Sprint("actors", i))
	in.Subject.Measured = rapid.SampledFrom([]*Measured{nil, {}, {Changed: true}, {Changed: true, Approved: true}}).Draw(t, fmt.Sprint("measured", i))
	if left := rapid.Int64Range(-1, 2).Draw(t, fmt.Sprint("left", i)); left >= 0 {
		in.Grant = &Grant{ID: pick("grant", "g", "h"), Task: pick("task", "T", "U"), CallsLeft: &left}
	}
	return in
}

// fill adds what a call brings.
func fill(t *rapid.T, in *Input, i int) *Input {
	out := *in
	out.Arguments = []byte(rapid.SampledFrom([]string{``, `{}`, `{"path":"/srv/a"}`, `{"path":"/etc/passwd"}`, `{"path":"/srv/"}`,
		`{"path":"/srv/../etc"}`, `{"n":4}`, `{"path":"/srv/a","n":9}`, `{"path":"/srv/a","x":"/etc/passwd"}`, `{"path":7}`, `{"path":null}`}).Draw(t, fmt.Sprint("args", i)))
	out.Flow = rapid.SampledFrom([][]string{nil, {"private"}}).Draw(t, fmt.Sprint("flow", i))
	out.Request = Request{ID: "r", Time: time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, fmt.Sprint("time", i)), 0), Era: rapid.SampledFrom([]string{"modern", "legacy"}).Draw(t, fmt.Sprint("era", i)), Method: "tools/call"}
	if in.Grant != nil {
		g := *in.Grant
		left := rapid.Int64Range(0, 2).Draw(t, fmt.Sprint("calls left", i))
		g.CallsLeft = &left
		out.Grant = &g
	}
	return &out
}

func loadGenerated(t *rapid.T, src string, cache int) *Generation {
	g, err := FromFiles(context.Background(), map[string][]byte{"authz.rego": []byte(src), "data.json": []byte(`{"tools":["read_file"]}`)}, Options{CacheSize: cache})
	if err != nil {
		t.Fatalf("%s\n%v", src, err)
	}
	return g
}

// Visible ⊇ callable: whatever can be called with some arguments, flow, request or budget is
// shown, and so what is hidden is refused for every one of them.
func TestVisibleIsNoLessThanCallable(t *testing.T) {
	hidden, callable := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		src := genPolicy(t)
		g := loadGenerated(t, src, -1)
		for i := range 4 {
			in := genInput(t, i)
			visible, err := g.Visible(context.Background(), in)
			if err != nil {
				continue // refused and hidden alike
			}
			if !visible {
				hidden++
			}
			for j := range 6 {
				full := fill(t, in, 10*i+j)
				d, err := g.Decide(context.Background(), full)
				if err != nil || !d.Allow {
					continue
				}
				callable++
				if !visible {
					t.Fatalf("%s\nhidden, yet %s with %+v is allowed", src, full.Tool.Name, full)
				}
			}
		}
	})
	// Without both the property says nothing.
	if hidden == 0 || callable == 0 {
		t.Errorf("%d hidden, %d callable: the generator is one-sided", hidden, callable)
	}
}

// A cached decision is the decision that would be made.
func TestCachedDecisionIsTheSame(t *testing.T) {
	hits := 0
	rapid.Check(t, func(t *rapid.T) {
		src := genPolicy(t)
		cached, fresh := loadGenerated(t, src, 0), loadGenerated(t, src, -1)
		inputs := []*Input{fill(t, genInput(t, 0), 0), fill(t, genInput(t, 1), 1), fill(t, genInput(t, 2), 2)}
		for i := range 12 {
			in := inputs[i%3]
			a, aerr := cached.Decide(context.Background(), in)
			b, berr := fresh.Decide(context.Background(), in)
			if (aerr == nil) != (berr == nil) || a.Allow != b.Allow || fmt.Sprint(a.Reasons, a.Obligations) != fmt.Sprint(b.Reasons, b.Obligations) {
				t.Fatalf("%s\n%+v: cached %+v %v; fresh %+v %v", src, in, a, aerr, b, berr)
			}
			if a.Cached {
				hits++
			}
		}
	})
	if hits == 0 {
		t.Error("the cache was never hit")
	}
}

func TestVisible(t *testing.T) {
	for _, tt := range []struct {
		name, src string
		want      bool
	}{
		{"depends on arguments", `allow if startswith(input.arguments.path, "/srv/")`, true},
		{"another role", `allow if "writer" in input.subject.roles`, false},
		{"another tool", `allow if input.tool.name == "write_file"`, false},
		{"denied whatever is asked", "allow if true\ndeny contains \"x\" if input.tool.name == \"read_file\"", false},
		{"denied for some arguments", "allow if true\ndeny contains \"x\" if input.arguments.path == \"/etc\"", true},
		{"denied with a reason from the arguments", "allow if true\ndeny contains msg if msg := sprintf(\"%v\", [input.arguments.path])", true},
		{"denied by the clock", "allow if true\ndeny contains \"night\" if time.clock(time.now_ns())[0] < 6", true},
		{"allowed by the clock", `allow if time.now_ns() < 1`, true},
		{"budget", `allow if input.grant.calls_left > 0`, true},
		{"negated argument", `allow if not input.arguments.force`, true},
		{"never", `allow if false`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := mustLoad(t, tt.src).Visible(t.Context(), call(``))
			if err != nil || got != tt.want {
				t.Errorf("Visible = %v, %v; want %v", got, err, tt.want)
			}
		})
	}
}
