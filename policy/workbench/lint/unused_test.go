package lint

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestARuleThatNothingAsksIsNamed(t *testing.T) {
	const fine = "allow if \"r\" in input.subject.roles\n\n"
	const test = "package mcp.authz_test\n\nimport data.mcp.authz\n\ntest_x if not authz.helper with input as {}\n"
	for name, tt := range map[string]struct {
		rules, want string
		more        []string
	}{
		"deni":         {fine + "deni contains \"no\" if input.tool.name == \"x\"", "warning unused-rule authz.rego:5: rule deni is used by nothing: the gateway does not ask it, nor does another rule or a test; did you mean deny?", nil},
		"alow":         {fine + "alow if input.tool.name == \"x\"\n\nalow if input.tool.name == \"y\"", "warning unused-rule authz.rego:5: rule alow is used by nothing: the gateway does not ask it, nor does another rule or a test; did you mean allow?", nil},
		"nothing near": {fine + "helper if input.tool.name == \"x\"", "note unused-rule authz.rego:5: rule helper is used by nothing: the gateway does not ask it, nor does another rule or a test; where no grant names it as a constraint, take it out", nil},
		"of results":   {fine, "warning unused-rule result.rego:5: rule obligation is used by nothing: the gateway does not ask it, nor does another rule or a test; did you mean obligations?", []string{"result.rego", "package mcp.response\n\nallow := true\n\nobligation contains {\"type\": \"mask\"}\n"}},

		"asked":         {"allow if helper\n\nhelper if \"r\" in input.subject.roles", "", nil},
		"a function":    {"allow if helper(\"r\")\n\nhelper(x) if x in input.subject.roles", "", nil},
		"of a test":     {fine + "helper if input.tool.name == \"x\"", "", []string{"authz_test.rego", test}},
		"of a grant":    {fine, "", []string{"c.rego", "package mcp.constraints\n\nonly_x if input.arguments.p == \"x\"\n"}},
		"large results": {fine, "", []string{"result.rego", "package mcp.response\n\nallow := true\n\nallow_large := true\n"}},
		"by its name":   {fine + "allow if data.mcp.authz.kinds[input.subject.id]\n\nkinds.a if input.tool.name == \"x\"", "", nil},
	} {
		if got := check(t, tt.rules, Setting{}, tt.more...); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, tt.want)
		}
	}
}

func TestAnActionThatThereIsNotIsNamed(t *testing.T) {
	for rules, want := range map[string]string{
		"allow if input.action == \"tool/call\"":                                                          `error unknown-action authz.rego:3: there is no action "tool/call"; did you mean tools/call?`,
		"allow if input.action in {\"tools/list\", \"tools/cal\"}":                                        `error unknown-action authz.rego:3: there is no action "tools/cal"; did you mean tools/call?`,
		"allow if \"r\" in input.subject.roles\n\ndeny contains \"no\" if input.action == \"tools.call\"": `warning unknown-action authz.rego:5: there is no action "tools.call"; did you mean tools/call?`,
		"allow if input.action == \"resources/read\"":                                                     "",
	} {
		if got := check(t, rules, Setting{}); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", rules, got, want)
		}
	}
}

// Every method that the gateway treats by name is an action.
func TestTheActionsAreTheMethodsOfTheGateway(t *testing.T) {
	src, err := os.ReadFile("../../../gateway/wire/version.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^\s(Method|Ask)[A-Za-z]+\s+= "([^"]+)"`).FindAllStringSubmatch(string(src), -1)
	var methods []string
	for _, m := range found {
		methods = append(methods, m[2])
	}
	slices.Sort(methods)
	want := slices.Sorted(slices.Values(actions))
	if !slices.Equal(methods, want) {
		t.Errorf("methods\n%s\nactions\n%s", strings.Join(methods, " "), strings.Join(want, " "))
	}
}
