package policy

import (
	"errors"
	"strings"
	"testing"
)

func resultCall(result string) *Input {
	in := call(`{"path":"/srv/a"}`)
	in.Result = []byte(result)
	return in
}

const judges = `allow if true
`

func loadResponse(t *testing.T, response string) (*Generation, error) {
	t.Helper()
	return FromFiles(t.Context(), map[string][]byte{
		"authz.rego":    []byte("package mcp.authz\n\n" + judges),
		"response.rego": []byte("package mcp.response\n\n" + response),
	}, Options{})
}

func TestResultsAreDecidedWhereAPolicySaysSo(t *testing.T) {
	g := mustLoad(t, judges)
	if d, err := g.DecideResult(t.Context(), resultCall(`{}`)); g.JudgesResults() || !d.Allow || err != nil {
		t.Errorf("without package mcp.response: %v %+v %v; want it let through", g.JudgesResults(), d, err)
	}
	g, err := loadResponse(t, `allow if input.arguments.path == "/srv/a"

deny contains "there are more than two" if count(input.result.structuredContent.rows) > 2

obligations contains {"type": "mask", "pointer": "/rows/*/email"}

allow_large if input.tool.name == "read_file"
`)
	if err != nil || !g.JudgesResults() {
		t.Fatal(err)
	}
	d, err := g.DecideResult(t.Context(), resultCall(`{"structuredContent":{"rows":[1,2]}}`))
	if err != nil || !d.Allow || len(d.Obligations) != 1 || len(d.Rules) == 0 {
		t.Errorf("two rows: %+v %v", d, err)
	}
	d, err = g.DecideResult(t.Context(), resultCall(`{"structuredContent":{"rows":[1,2,3]}}`))
	if err != nil || d.Allow || strings.Join(d.Reasons, "") != "there are more than two" {
		t.Errorf("three rows: %+v %v", d, err)
	}
	in := resultCall(`{}`)
	in.Arguments = []byte(`{"path":"/srv/b"}`)
	if d, err := g.DecideResult(t.Context(), in); err != nil || d.Allow {
		t.Errorf("undefined allow: %+v %v; want it refused", d, err)
	}
}

func TestAResultOverTheBoundIsRefusedUnlessThePolicySaysOtherwise(t *testing.T) {
	large := `{"x":"` + strings.Repeat("x", MaxResult) + `"}`
	for rule, want := range map[string]bool{
		"allow if true\n": false,
		"allow if true\n\nallow_large if input.server.name == \"files\"\n":          true,
		"allow if true\n\nallow_large if input.server.name == \"other\"\n":          false,
		"allow if not input.result\n\nallow_large := true\n":                        true,
		"allow if input.result.x\n\nallow_large := true\n":                          false,
		"allow if true\n\nallow_large := \"yes\"\n":                                 false,
		"allow if true\n\nallow_large := false\n":                                   false,
		"allow if true\n\nallow_large if startswith(input.arguments.path, \"/\")\n": true,
	} {
		g, err := loadResponse(t, rule)
		if err != nil {
			t.Fatal(err)
		}
		d, err := g.DecideResult(t.Context(), resultCall(large))
		if d.Allow != want {
			t.Errorf("%s: %+v, %v; want allowed %v", rule, d, err, want)
		}
		if rule == "allow if true\n" && !errors.Is(err, ErrResultTooLarge) {
			t.Errorf("%v; want ErrResultTooLarge", err)
		}
	}
}

// One of the bound itself is decided with its content.
func TestAResultOfTheBoundIsDecided(t *testing.T) {
	g, err := loadResponse(t, "allow if input.result.x\n")
	if err != nil {
		t.Fatal(err)
	}
	const around = `{"x":""}`
	for n, want := range map[int]bool{MaxResult: true, MaxResult + 1: false} {
		large := strings.Replace(around, `""`, `"`+strings.Repeat("x", n-len(around))+`"`, 1)
		if d, err := g.DecideResult(t.Context(), resultCall(large)); d.Allow != want || want != (err == nil) {
			t.Errorf("%d bytes: %+v, %v; want allowed %v", len(large), d, err, want)
		}
	}
}

func TestABrokenResponsePolicyIsNotInstalled(t *testing.T) {
	for src, want := range map[string]string{
		"deny contains \"x\" if input.result.a\n": "response.rego:3: no rule `allow` in package mcp.response: without one no result could ever pass",
		"allow if input.rezult.a\n":               "response.rego:3: ",
		"allow if true\n\ndeny := \"no\"\n":       "response.rego:5: `deny` must be a set",
	} {
		if _, err := loadResponse(t, src); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", src, err, want)
		}
	}
}

func TestAnObligationOfAResultThatComesTooLateRefuses(t *testing.T) {
	for _, o := range []string{`{"type": "max_calls", "n": 1, "per": "grant"}`, `{"type": "refuse", "what": "links", "in": "arguments"}`,
		`{"type": "max_bytes", "n": 1, "of": "arguments"}`, `{"type": "require_approval", "by": "x"}`, `{"type": "nonsense"}`} {
		g, err := loadResponse(t, "allow if true\n\nobligations contains "+o+"\n")
		if err != nil {
			t.Fatal(err)
		}
		if d, err := g.DecideResult(t.Context(), resultCall(`{}`)); d.Allow || err == nil || !strings.Contains(err.Error(), "comes too late; write it in mcp.authz") {
			t.Errorf("%s: %+v %v", o, d, err)
		}
	}
}
