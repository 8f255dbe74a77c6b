package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"sallyport/policy"
)

// Defects that other gateways have published, as cases: what went wrong there is refused here, with
// a message, or does what its author meant.

func load(t *testing.T, rego string) (*policy.Generation, error) {
	t.Helper()
	return policy.FromFiles(t.Context(), map[string][]byte{"authz.rego": []byte("package mcp.authz\n\n" + rego)}, policy.Options{})
}

// agentgateway #1058: a policy of deny rules alone denied everything, and nobody was told.
func TestAgentgateway1058DenyOnlyPolicyIsRefused(t *testing.T) {
	_, err := load(t, `deny contains "not this one" if input.tool.name == "delete_file"`)
	const want = "no rule `allow` in package mcp.authz: without one nothing could ever be allowed; `deny` alone refuses; " +
		"say in `allow` what is permitted, if only `allow if true`"
	if err == nil || err.Error() != want {
		t.Errorf("load = %v; want %s", err, want)
	}
}

// The same issue: a rule on a header, which is not there when a call is decided, failed without a word.
func TestAgentgateway1058RuleOnAHeaderIsRefused(t *testing.T) {
	_, err := load(t, `allow if input.request.headers["x-team"] == "payments"`)
	if err == nil || !strings.Contains(err.Error(), "authz.rego:3: undefined ref: input.request.headers") {
		t.Errorf("load = %v; want that there are no headers", err)
	}
}

// agentgateway #3092: a rule on the arguments was taken, reported healthy, and matched nothing: alone it
// refused every call, and behind the guard that its author wrote it allowed every one. Here both say
// what they say, to calls and to lists.
func TestAgentgateway3092RuleOnArgumentsMatches(t *testing.T) {
	for _, tt := range []struct {
		rego, arguments string
		allow, visible  bool
	}{
		{`allow if { input.tool.name == "get-sum"; input.arguments.a == 1 }`, `{"a":1,"b":2}`, true, true},
		{`allow if { input.tool.name == "get-sum"; input.arguments.a == 1 }`, `{"a":2,"b":2}`, false, true},
		{`allow if { input.tool.name == "get-sum"; input.arguments.a == 1 }`, `{}`, false, true},
		{`allow if { input.tool.name == "get-sum"; not wrong }` + "\n" + `wrong if input.arguments.a != 1`, `{"a":1}`, true, true},
		{`allow if { input.tool.name == "get-sum"; not wrong }` + "\n" + `wrong if input.arguments.a != 1`, `{"a":2}`, false, true},
		{`allow if { input.tool.name == "get-product"; input.arguments.a == 1 }`, `{"a":1}`, false, false},
	} {
		g, err := load(t, tt.rego)
		if err != nil {
			t.Fatalf("%s: %v", tt.rego, err)
		}
		in := policy.Input{Subject: &policy.Subject{Roles: []string{"r"}}, Action: "tools/call", Server: "everything", Tool: &policy.Tool{Name: "get-sum"}}
		visible, err := g.Visible(t.Context(), &in)
		if err != nil || visible != tt.visible {
			t.Errorf("%s: visible = %v, %v; want %v", tt.rego, visible, err, tt.visible)
		}
		in.Arguments = []byte(tt.arguments)
		if d, err := g.Decide(t.Context(), &in); err != nil || d.Allow != tt.allow {
			t.Errorf("%s: %s = %+v, %v; want allow %v", tt.rego, tt.arguments, d, err, tt.allow)
		}
	}
}

// The same defect with what is not there here: the result of a call that is not made yet. Neither the
// rule that would never hold nor the guard that would always hold is taken, wherever it hides.
func TestAgentgateway3092RuleOnWhatIsNotThereIsRefused(t *testing.T) {
	const allow = "allow if input.tool.name == \"a\"\n\n"
	for _, tt := range []struct {
		rego string
		line int
	}{
		{`allow if input.result.isError == false`, 3},
		{`allow if not input.result.isError`, 3},
		{allow + `deny contains "too long" if count(input.result.content) > 3`, 5},
		{allow + `obligations contains {"type": "redact", "what": "secrets"} if input.result`, 5},
		{"allow if {\n\tinput.tool.name == \"a\"\n\tsmall\n}\n\nsmall if count(input.result.content) < 3", 8},
	} {
		_, err := load(t, tt.rego)
		want := fmt.Sprintf("authz.rego:%d: input.result is there in package mcp.response only: a call is decided before it is made, "+
			"so this never holds, and `not` before it always does; move the rule to package mcp.response", tt.line)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", tt.rego, err, want)
		}
	}
	g, err := policy.FromFiles(t.Context(), map[string][]byte{
		"authz.rego":    []byte("package mcp.authz\n\nallow if input.tool.name == \"a\"\n"),
		"response.rego": []byte("package mcp.response\n\nimport data.mcp.lib\n\nallow if lib.small\n"),
		"lib.rego":      []byte("package mcp.lib\n\nsmall if count(input.result.content) < 3\n"),
	}, policy.Options{})
	if err != nil {
		t.Errorf("a result that is read where there is one: %v", err)
	} else {
		g.Close()
	}
}
