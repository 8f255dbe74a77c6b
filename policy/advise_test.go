package policy

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const advisedPolicy = `package mcp.authz

default allow := false

allow if {
	"reader" in input.subject.roles
	input.tool.name == "read_file"
}

# METADATA
# labels: {rule: writers, enforce: false}
allow if {
	"writer" in input.subject.roles
	input.tool.name == "write_file"
}

deny contains "banned" if input.subject.id == "banned"

# METADATA
# labels: {rule: no-secrets, enforce: false}
deny contains "no secrets" if contains(input.arguments.path, ".aws")

# METADATA
# custom: {enforce: false}
obligations contains {"type": "redact", "what": "secrets"} if {
	input.arguments.path == "/etc/a"
	not input.arguments.other
}

# METADATA
# labels: {rule: sure, enforce: true}
obligations contains {"type": "record_arguments"} if input.arguments.path == "/etc/a"
`

func loadAuthz(t *testing.T, src string) *Generation {
	t.Helper()
	g, err := load(map[string]string{"authz.rego": src})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func advisedInput(role, tool, path string) *Input {
	return &Input{Subject: &Subject{ID: "ann", Roles: []string{role}}, Action: "tools/call", Server: "files", Tool: &Tool{Name: tool},
		Arguments: []byte(fmt.Sprintf(`{"path":%q}`, path)), Request: Request{Method: "tools/call"}}
}

func TestRulesThatAreNotEnforcedAreToldAndChangeNothing(t *testing.T) {
	g := loadAuthz(t, advisedPolicy)
	redact := Obligation{Type: "redact", Raw: []byte(`{"type":"redact","what":"secrets"}`)}
	for _, tt := range []struct {
		name        string
		in          *Input
		allow       bool
		obligations int
		want        *Advice
	}{
		{"nothing held", advisedInput("reader", "read_file", "/srv/a"), true, 0, nil},
		{"a deny", advisedInput("reader", "read_file", "/srv/.aws"), true, 0, &Advice{Reasons: []string{"no secrets"}, Rules: []string{"no-secrets"}}},
		{"an allow", advisedInput("writer", "write_file", "/srv/a"), false, 0, &Advice{Allow: true, Rules: []string{"writers"}}},
		{"both", advisedInput("writer", "write_file", "/srv/.aws"), false, 0, &Advice{Reasons: []string{"no secrets"}, Rules: []string{"no-secrets", "writers"}}},
		{"an obligation", advisedInput("reader", "read_file", "/etc/a"), true, 1, &Advice{Allow: true, Obligations: []Obligation{redact}, Rules: []string{"authz.rego:25"}}},
	} {
		for _, cached := range []bool{false, true} { // asked twice: the second answer is a kept one
			d, err := g.Decide(t.Context(), tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if d.Cached != cached || d.Allow != tt.allow || len(d.Reasons) != 0 || len(d.Obligations) != tt.obligations {
				t.Errorf("%s: %+v; want allow %v, cached %v", tt.name, d, tt.allow, cached)
			}
			if d.Advisory != nil {
				slices.Sort(d.Advisory.Rules)
			}
			if diff := cmp.Diff(tt.want, d.Advisory); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
		}
	}
	if d, err := g.Denied(t.Context(), &Input{Subject: &Subject{ID: "ann"}, Action: "tools/list", Arguments: []byte(`{"path":".aws"}`)}); err != nil || !d.Allow ||
		d.Advisory == nil || d.Advisory.Allow || !slices.Equal(d.Advisory.Reasons, []string{"no secrets"}) {
		t.Errorf("housekeeping: %+v, %v; want it allowed, and told", d, err)
	}
	for _, want := range []string{"authz.rego:12: this rule of allow is not enforced", "authz.rego:21: this rule of deny", "authz.rego:25: this rule of obligations"} {
		if !slices.ContainsFunc(g.Notes(), func(n string) bool { return strings.HasPrefix(n, want) }) {
			t.Errorf("notes %q; want one that begins %q", g.Notes(), want)
		}
	}
}

// What decides and what lists cannot tell a rule that is not enforced from one that is not there.
func TestRulesThatAreNotEnforcedAreAsGoodAsAbsent(t *testing.T) {
	g := loadAuthz(t, advisedPolicy)
	var kept []string
	for _, block := range strings.Split(advisedPolicy, "\n\n") {
		if !strings.Contains(block, "enforce: false") {
			kept = append(kept, block)
		}
	}
	bare := loadAuthz(t, strings.Join(kept, "\n\n"))
	bareKeys, _ := bare.ArgumentKeys()
	if keys, _ := g.ArgumentKeys(); !slices.Equal(keys, bareKeys) {
		t.Errorf("arguments %q must be spelt in one way; %q without them", keys, bareKeys)
	}
	random := rand.New(rand.NewPCG(6, 1))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	for range 2000 {
		in := advisedInput(pick("reader", "writer", "none"), pick("read_file", "write_file", "other"), pick("/srv/a", "/srv/.aws", "/etc/a"))
		in.Subject.ID = pick("ann", "banned")
		a, err := g.Decide(t.Context(), in)
		b, berr := bare.Decide(t.Context(), in)
		if err != nil || berr != nil || a.Allow != b.Allow || !slices.Equal(a.Reasons, b.Reasons) || !reflect.DeepEqual(a.Obligations, b.Obligations) || len(a.Rules) != len(b.Rules) {
			t.Fatalf("%+v, %v with them, %+v, %v without", a, err, b, berr)
		}
		seen, err := g.Visible(t.Context(), in)
		bareSeen, berr := bare.Visible(t.Context(), in)
		if err != nil || berr != nil || seen != bareSeen {
			t.Fatalf("%s sees %s: %v, %v with them, %v, %v without", in.Subject.Roles, in.Tool.Name, seen, err, bareSeen, berr)
		}
	}
}

// A rule that is not enforced and fails is told of, and refuses nothing; as one that is enforced it
// would.
func TestARuleThatIsNotEnforcedMayFail(t *testing.T) {
	const rule = "deny contains \"x\" if to_number(input.arguments.path) > 1\n"
	g := loadAuthz(t, "package mcp.authz\n\nallow if true\n\n# METADATA\n# labels: {enforce: false}\n"+rule)
	for range 2 {
		d, err := g.Decide(t.Context(), advisedInput("reader", "read_file", "x"))
		if err != nil || !d.Allow || d.Cached || d.Advisory == nil || d.Advisory.Err == nil {
			t.Errorf("decision %+v, %v; want it allowed, not kept, and the fault told", d, err)
		}
	}
	if _, err := loadAuthz(t, "package mcp.authz\n\nallow if true\n\n"+rule).Decide(t.Context(), advisedInput("reader", "read_file", "x")); err == nil {
		t.Error("an enforced rule that fails: no error")
	}
}

// An else is of its rule, and metadata of the document is of all rules of the name.
func TestEnforceReachesElseAndTheWholeDocument(t *testing.T) {
	g := loadAuthz(t, `package mcp.authz

# METADATA
# scope: document
# labels: {enforce: false}
deny contains "one" if input.arguments.path == "a"

deny contains "two" if input.arguments.path == "a"

allow if input.tool.name == "t"

# METADATA
# labels: {enforce: false}
allow := false if {
	input.arguments.path == "a"
} else := true
`)
	d, err := g.Decide(t.Context(), advisedInput("r", "t", "a"))
	if err != nil || !d.Allow || d.Advisory == nil || !slices.Equal(d.Advisory.Reasons, []string{"one", "two"}) {
		t.Errorf("decision %+v, advisory %+v, %v", d, d.Advisory, err)
	}
	if d, err = g.Decide(t.Context(), advisedInput("r", "other", "b")); err != nil || d.Allow || d.Advisory == nil || !d.Advisory.Allow {
		t.Errorf("by else: %+v, advisory %+v, %v; want it refused, and told that it would be allowed", d, d.Advisory, err)
	}
}

// Metadata that somebody may have meant to switch a rule on or off is never passed over.
func TestEnforceThatSaysNothingIsRefused(t *testing.T) {
	const deny = "deny contains \"x\" if input.action == \"y\"\n"
	for _, tt := range []struct{ src, want string }{
		{"# METADATA\n# labels: {enforce: \"no\"}\n" + deny, `a.rego:5: enforce is the text "no"; it is true or false`},
		{"# METADATA\n# labels: {enforce: 0}\n" + deny, `a.rego:5: enforce is 0; it is true or false`},
		{"# METADATA\n# labels: {enforced: false}\n" + deny, `a.rego:5: labels has "enforced"; did you mean enforce?`},
		{"# METADATA\n# custom: {Enforce: false}\n" + deny, `a.rego:5: custom has "Enforce"; did you mean enforce?`},
		{"# METADATA\n# labels: {enforce: false}\n# custom: {enforce: true}\n" + deny, `a.rego:5: enforce is true in one place and false in the other`},
		{"# METADATA\n# labels: {enforce: false}\nhelper if input.action == \"y\"\n", `a.rego:7: enforce is for rules of allow, deny and obligations in package mcp.authz, and this is helper of mcp.authz`},
		{"# METADATA\n# labels: {enforce: false}\ndefault allow := false\n", `a.rego:7: a default is what holds when nothing else does; enforce cannot be false of it`},
		{"advisory_deny contains \"x\" if input.action == \"y\"\n", `a.rego:5: advisory_deny is the name under which rules of deny stand that are not enforced; give the rule another`},
	} {
		_, err := FromFiles(context.Background(), map[string][]byte{"a.rego": []byte("package mcp.authz\n\nallow if true\n\n" + tt.src)}, Options{})
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s\n%v\nwant %s", tt.src, err, tt.want)
		}
	}
	for what, src := range map[string]string{
		"enforce is said of single rules, not of a package": "# METADATA\n# labels: {enforce: false}\npackage mcp.authz\n\nallow if true\n",
		"this is deny of mcp.response":                      "package mcp.response\n\nallow if true\n\n# METADATA\n# labels: {enforce: false}\n" + deny,
	} {
		_, err := FromFiles(context.Background(), map[string][]byte{"a.rego": []byte(src), "b.rego": []byte("package mcp.authz\n\nallow if true\n")}, Options{})
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s\n%v\nwant %s", src, err, what)
		}
	}
}
