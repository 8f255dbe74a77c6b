package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const constraints = `package mcp.constraints

only_docs if startswith(input.arguments.path, "/srv/docs/")

small if input.arguments.n / input.arguments.parts < 10

whole if count(input.arguments) == 1

claimed if input.subject.claims.dept == "x"

in_time if time.now_ns() < time.parse_rfc3339_ns("2026-07-28T13:00:00Z")

listed if input.arguments.path in data.allowed

always := true

never := false

says := input.arguments.word

both := true if input.arguments.n > 1

both := false if input.arguments.n > 2

names contains "a"

text := "yes"

below(root) if startswith(input.arguments.path, root)

by_name[k] := true if some k in ["a"]
`

func withConstraints(t testing.TB, authz string) *Generation {
	t.Helper()
	g, err := load(map[string]string{"authz.rego": head + authz + "\n", "constraints.rego": constraints, "data.json": `{"allowed":["/a"]}`})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// The rule is given the arguments that it reads, although the rules that decide read none.
func TestHoldsAsksTheNamedRule(t *testing.T) {
	g := withConstraints(t, `allow if input.action == "tools/call"`)
	for _, tt := range []struct {
		rule, args string
		want       bool
		err        string
	}{
		{"only_docs", `{"path":"/srv/docs/a"}`, true, ""},
		{"only_docs", `{"path":"/etc/passwd"}`, false, ""},
		{"only_docs", `{}`, false, ""},
		{"only_docs", ``, false, ""},
		{"whole", `{"other":1}`, true, ""},
		{"whole", `{"other":1,"path":"/srv/docs/a"}`, false, ""},
		{"claimed", `{}`, true, ""},
		{"in_time", `{}`, true, ""},
		{"listed", `{"path":"/a"}`, true, ""},
		{"listed", `{"path":"/b"}`, false, ""},
		{"always", `{}`, true, ""},
		{"never", `{}`, false, ""},
		{"small", `{"n":9,"parts":1}`, true, ""},
		{"small", `{"n":4242,"parts":0}`, false, "evaluate policy: builtin error in div at constraints.rego:5"},
		{"says", `{"word":"my-secret"}`, false, "evaluate policy: data.mcp.constraints.says is not a boolean"},
		{"says", `{"word":true}`, true, ""},
		{"both", `{"n":3}`, false, "evaluate policy: conflict error at constraints.rego:"},
	} {
		got, err := g.Holds(t.Context(), "data.mcp.constraints."+tt.rule, call(tt.args))
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s of %s = %v, %v; want %v, %q", tt.rule, tt.args, got, err, tt.want, tt.err)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "4242")) {
			t.Errorf("the error quotes an argument: %v", err)
		}
	}
	if holds, err := g.Holds(t.Context(), "data.mcp.authz.allow", call(`{}`)); err != nil || !holds {
		t.Errorf("allow = %v, %v; a rule that decides can be a constraint too", holds, err)
	}
}

// Whoever makes a grant with a rule that is not there reads what is.
func TestConstraintsNameRulesThatAreThere(t *testing.T) {
	g := withConstraints(t, `allow if input.action == "tools/call"`)
	for _, tt := range []struct{ ref, want string }{
		{"data.mcp.constraints.only_dcs", "no such rule: the policies have no rule data.mcp.constraints.only_dcs; did you mean data.mcp.constraints.only_docs?"},
		{"data.mcp.constraint.only_docs", "did you mean data.mcp.constraints.only_docs?"},
		{"data.mcp.constraints.ticket_numbers", "the policies have no rule data.mcp.constraints.ticket_numbers; they have data.mcp.constraints.always, data.mcp.constraints.both, "},
		{"data.mcp.constraints.names", "data.mcp.constraints.names (constraints.rego:25) is not a rule that is true or false"},
		{"data.mcp.constraints.text", "(constraints.rego:27) is not a rule that is true or false"},
		{"data.mcp.constraints.below", "(constraints.rego:29) is not a rule that is true or false"},
		{"data.mcp.constraints", "the policies have no rule data.mcp.constraints; "},
		{"data.allowed", `"data.allowed"; a constraint names a rule below data.mcp, as in data.mcp.constraints.only_docs`},
		{"only_docs", `a constraint names a rule below data.mcp`},
		{"data.mcp.constraints.only_docs; true", `a constraint names a rule below data.mcp`},
		{"data.mcp.constraints[input.tool.name]", `a constraint names a rule below data.mcp`},
		{"input.arguments", `a constraint names a rule below data.mcp`},
		{"", `""; a constraint names a rule below data.mcp`},
	} {
		err := g.HasRule(tt.ref)
		if !errors.Is(err, ErrNoRule) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("HasRule(%q) = %v; want ErrNoRule with %q", tt.ref, err, tt.want)
		}
		if holds, err := g.Holds(t.Context(), tt.ref, call(`{}`)); holds || !errors.Is(err, ErrNoRule) {
			t.Errorf("Holds(%q) = %v, %v; want ErrNoRule", tt.ref, holds, err)
		}
	}
	if err := g.HasRule("data.mcp.constraints.only_docs"); err != nil {
		t.Errorf("HasRule of a rule that is there: %v", err)
	}
}

// An argument that only a constraint reads may not be smuggled past it by another spelling, so
// its name is among the keys.
func TestArgumentKeysHoldThoseOfConstraints(t *testing.T) {
	keys, all := withConstraints(t, `allow if input.arguments.to == "x"`).ArgumentKeys()
	if want := []string{"n", "parts", "path", "to", "word"}; all || !slices.Equal(keys, want) {
		t.Errorf("keys %v, all %v; want %v: a constraint that nobody named reads nothing for others", keys, all, want)
	}
}

// Rules are prepared while others decide; the race detector watches.
func TestRulesAreAskedBesideDecisions(t *testing.T) {
	g := withConstraints(t, `allow if startswith(input.arguments.path, "/srv/")`)
	done := make(chan error)
	for i := range 8 {
		go func() {
			var failed error
			for j := range 20 {
				rule := []string{"only_docs", "whole", "always", "listed"}[(i+j)%4]
				if _, err := g.Holds(t.Context(), "data.mcp.constraints."+rule, call(`{"path":"/srv/docs/a"}`)); err != nil {
					failed = err
				}
				if d, err := g.Decide(t.Context(), call(fmt.Sprintf(`{"path":"/srv/%d/%d"}`, i, j))); err != nil || !d.Allow {
					failed = fmt.Errorf("decision %+v: %w", d, err)
				}
			}
			done <- failed
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
