package workbench

import (
	"fmt"
	"strings"
	"testing"

	"sallyport/policy"
)

// load is a policy of one file.
func load(t *testing.T, src string) *policy.Generation {
	t.Helper()
	g, err := policy.FromFiles(t.Context(), map[string][]byte{"authz.rego": []byte("package mcp.authz\n" + src)}, policy.Options{CacheSize: -1})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func callOf(role, tool string) *policy.Input {
	return &policy.Input{Subject: &policy.Subject{ID: "ann", Roles: []string{role}, Proof: "none"}, Action: "tools/call", Server: "files",
		Tool: &policy.Tool{Name: tool}}
}

// said is what Ways says, one way on a line.
func said(ways []Way) string {
	var lines []string
	for _, w := range ways {
		line := strings.Join(w.When, "; ")
		for _, u := range w.Unless {
			line += fmt.Sprintf("; unless %s (%s)", strings.Join(u.When, " and "), u.Reason)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func TestConditionsAreSaidInWords(t *testing.T) {
	for _, tt := range []struct{ src, want string }{
		{`allow if startswith(input.arguments.path, "/srv/docs/")`, `arguments.path starts with "/srv/docs/"`},
		{`allow if input.arguments.limit <= 100`, `arguments.limit ≤ 100 (or is null, true or false)`},
		{`allow if { is_number(input.arguments.limit); input.arguments.limit <= 100 }`, `arguments.limit is a number; arguments.limit ≤ 100`},
		{`allow if input.arguments.kind in {"a", "b"}`, `arguments.kind is one of "a", "b"`},
		{`allow if not "source:private" in input.flow.labels`, `flow has no label source:private`},
		{`allow if "source:private" in input.flow.labels`, `flow has the label source:private`},
		{`allow if not input.arguments.force`, `arguments.force is absent or false`},
		{`allow if input.arguments.dry`, `arguments.dry is given and not false`},
		{`allow if not startswith(input.arguments.path, "/etc")`, `arguments.path is given; arguments.path does not start with "/etc"`},
		{`allow if input.arguments.path != "/etc"`, `arguments.path is given; arguments.path is not "/etc"`},
		{`allow if not input.arguments.n > 3`, `arguments.n ≤ 3 (or is null, true or false)`},
		{`allow if glob.match("/srv/*", ["/"], input.arguments.path)`, `arguments.path matches the glob "/srv/*" (parts end at ["/"])`},
		{`allow if regex.match("^[a-z]+$", input.arguments.path)`, `arguments.path matches the pattern "^[a-z]+$"`},
		{`allow if { some to in input.arguments.to; endswith(to, "@example.com") }`, `some member of arguments.to ends with "@example.com"`},
		{`allow if { every to in input.arguments.to { endswith(to, "@example.com"); to != "x@example.com" } }`,
			`for each to of arguments.to: to ends with "@example.com", and to is not "x@example.com"`},
		{"root := {\"/a/\", \"/b/\"}\nallow if { some r in root; startswith(input.arguments.path, r) }", `arguments.path starts with one of "/a/", "/b/"`},
		{"allow if not bad\nbad if contains(input.arguments.path, \"%\")\nbad if contains(input.arguments.path, \"..\")",
			`arguments.path is absent or contains none of "%", ".."`},
		{"allow if not bad\nbad if { input.arguments.a == 1; input.arguments.b == 2; input.arguments.c == 3 }",
			"arguments.a is absent or is not 1\narguments.b is absent or is not 2\narguments.c is absent or is not 3"},
		{"allow if not bad\nbad if { some to in input.arguments.to; endswith(to, \"@evil\") }",
			`not: (some member of arguments.to ends with "@evil")`},
		{`allow if mcp.path_within(input.arguments.path, "/srv")`, `mcp.path_within(arguments.path, "/srv") holds`},
		{`allow if not mcp.path_within(input.arguments.path, "/srv")`, `arguments.path is given; mcp.path_within(arguments.path, "/srv") does not hold`},
		{`allow if count(input.arguments) < 2`, `count(arguments) < 2`},
		{`allow if input.arguments == {}`, `arguments is {}`},
		// Two conditions on one member are one: each of them alone could be met by another member.
		{`allow if { some n in input.arguments.list; n > 3; n < 5 }`,
			`Rego: input.arguments.list[x] > 3; input.arguments.list[x] < 5`},
		// A refusal that says the opposite of what allows says nothing.
		{"allow if inside\ndeny contains \"outside\" if not inside\ninside if startswith(input.arguments.path, \"/srv/\")", `arguments.path starts with "/srv/"`},
		{"allow if input.arguments.n in {1, 2}\ndeny contains \"big\" if input.arguments.limit > 100",
			`arguments.n is one of 1, 2; unless arguments.limit > 100 (or is text, a list or an object) (big)`},
		{"allow if input.arguments.n in {1, 2}\ndeny contains \"n\" if not input.arguments.n in {1, 2, 3}", `arguments.n is one of 1, 2`},
		{"allow if lvl(input.arguments.n) < 2\nlvl(n) := 1 if n > 10\nelse := 2", `data.mcp.authz.lvl(arguments.n) < 2 (or is null, true or false)`},
	} {
		r, err := load(t, tt.src).Reach(t.Context(), callOf("reader", "read_file"), policy.OpenCall)
		if err != nil {
			t.Fatal(err)
		}
		if got := said(Ways(r)); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.src, got, tt.want)
		}
	}
}
