package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func call(args string) *Input {
	return &Input{
		Subject: &Subject{ID: "ann", Issuer: "https://i", Client: "c", Roles: []string{"reader"}, Proof: "none", Claims: map[string]any{"dept": "x", "n": json.Number("9007199254740993")}},
		Action:  "tools/call", Server: "files",
		Tool:      &Tool{Name: "read_file", Title: "Read", Annotations: json.RawMessage(`{"readOnlyHint":true}`), Digest: "sha256:1"},
		Arguments: []byte(args), Request: Request{ID: "r1", Time: time.Date(2026, 7, 28, 12, 0, 0, 0, time.UTC), Era: "modern", Method: "tools/call"},
	}
}

func TestDecide(t *testing.T) {
	for _, tt := range []struct {
		name, src, args string
		want            Decision
		err             string
	}{
		{"undefined allow refuses", `allow if input.subject.id == "bob"`, `{}`, Decision{}, ""},
		{"false refuses", `default allow := false`, `{}`, Decision{}, ""},
		{"true allows", `allow if input.arguments.path == "/srv/a"`, `{"path":"/srv/a"}`, Decision{Allow: true}, ""},
		{"deny wins", "allow if true\ndeny contains \"not today\" if true", `{}`, Decision{Reasons: []string{"not today"}}, ""},
		{"obligations", "allow if true\nobligations contains {\"type\": \"mask\", \"pointer\": \"/a\"} if true", `{}`,
			Decision{Allow: true, Obligations: []Obligation{{"mask", json.RawMessage(`{"pointer":"/a","type":"mask"}`)}}}, ""},
		{"integers are exact", `allow if input.arguments.n == 9007199254740993`, `{"n":9007199254740992}`, Decision{}, ""},
		{"claims", `allow if input.subject.claims.dept == "x"`, `{}`, Decision{Allow: true}, ""},
		{"annotations", `allow if input.tool.annotations.readOnlyHint`, `{}`, Decision{Allow: true}, ""},
		{"missing grant", `allow if not input.grant`, `{}`, Decision{Allow: true}, ""},
		{"arguments absent", `allow if input.arguments == {}`, ``, Decision{Allow: true}, ""},
		{"string allow", `allow := input.arguments.x`, `{"x":"yes"}`, Decision{}, "allow is not a boolean"},
		{"object allow", `allow := input.arguments.x`, `{"x":{"ok":true}}`, Decision{}, "allow is not a boolean"},
		{"conflict", "allow := true if input.action == \"tools/call\"\nallow := false if input.server.name == \"files\"", `{}`, Decision{}, "evaluate policy: conflict error at authz.rego:"},
		{"division by zero", `allow if 1 / count(input.flow.labels) == 1`, `{}`, Decision{}, "evaluate policy: builtin error in div at authz.rego:3"},
		{"values stay out of errors", `allow if to_number(input.arguments.n) == 1`, `{"n":"my-secret"}`, Decision{}, "evaluate policy: builtin error in to_number at authz.rego:3"},
		{"deny of numbers", "allow if true\ndeny contains 7 if true", `{}`, Decision{}, "not a string"},
		{"obligation without type", "allow if true\nobligations contains {\"what\": 1} if true", `{}`, Decision{}, "has no type"},
		{"obligation that is text", "allow if true\nobligations contains \"redact\" if true", `{}`, Decision{}, "not an object"},
		{"deny that is an object", "allow if true\ndeny := {\"a\": \"b\"}", `{}`, Decision{Reasons: []string{"b"}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := mustLoad(t, tt.src)
			got, err := g.Decide(t.Context(), call(tt.args))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "secret") || got.Allow {
					t.Errorf("Decide = %+v, %v; want an error with %q", got, err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got.Revision, got.Rules = "", nil
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("Decide (-want +got):\n%s", d)
			}
		})
	}
}

// The record names the rules that held: by their own label, else by file and line.
func TestDecisionNamesTheRulesThatHeld(t *testing.T) {
	g := mustLoad(t, `# METADATA
# labels:
#   rule: readers-read
allow if "reader" in input.subject.roles

allow if input.subject.id == "nobody"

deny contains "late" if input.arguments.late
`)
	d, err := g.Decide(t.Context(), call(`{"late":true}`))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(d.Rules)
	if want := []string{"authz.rego:10", "readers-read"}; !slices.Equal(d.Rules, want) {
		t.Errorf("rules %v; want %v", d.Rules, want)
	}
}

func TestHousekeepingNeedsNoAllow(t *testing.T) {
	g := mustLoad(t, "allow if false\n\ndeny contains \"frozen\" if input.subject.id == \"bob\"")
	in := &Input{Subject: &Subject{ID: "ann"}, Action: "initialize"}
	if d, err := g.Denied(t.Context(), in); err != nil || !d.Allow {
		t.Errorf("Denied(ann) = %+v, %v; want allowed", d, err)
	}
	in.Subject = &Subject{ID: "bob"}
	if d, err := g.Denied(t.Context(), in); err != nil || d.Allow || !slices.Equal(d.Reasons, []string{"frozen"}) {
		t.Errorf("Denied(bob) = %+v, %v; want the reason", d, err)
	}
}

func TestDecideEndsWithItsContext(t *testing.T) {
	g := mustLoad(t, "allow if {\n\tsome x in numbers.range(1, 30000000)\n\tx == count(input.flow.labels)\n}")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	d, err := g.Decide(ctx, call(`{}`))
	if err == nil || d.Allow {
		t.Errorf("Decide = %+v, %v; want an error", d, err)
	}
}

func TestArgumentKeysAreThoseThatPoliciesRead(t *testing.T) {
	for _, tt := range []struct {
		src  string
		keys []string
		all  bool
	}{
		{`allow if input.arguments.path == "a"`, []string{"path"}, false},
		{"allow if ok(input.arguments.path)\nok(x) if startswith(x, \"/\")\ndeny contains \"x\" if input.arguments.to.host == \"h\"", []string{"path", "to"}, false},
		{`allow if count(input.arguments) == 1`, nil, true},
		{"allow if {\n\tsome k in [\"a\", \"b\"]\n\tinput.arguments[k] == 1\n}", nil, true},
		{"allow if object.get(input, [\"arguments\", \"path\"], \"\") == \"a\"", nil, true},
		{"allow if args.path == \"a\"\nargs := input.arguments", nil, true},
		{`allow if input.action == "x"`, nil, false},
	} {
		keys, all := mustLoad(t, tt.src).ArgumentKeys()
		if all != tt.all || !all && !slices.Equal(keys, tt.keys) {
			t.Errorf("%s: keys %v, all %v; want %v, %v", tt.src, keys, all, tt.keys, tt.all)
		}
	}
}

// Policies share lists only as far as what they read of the subject is the same.
func TestSubjectKeyIsWhatPoliciesRead(t *testing.T) {
	s := func(roles ...string) *Subject { return &Subject{ID: "a", Roles: roles} }
	g := mustLoad(t, `allow if "reader" in input.subject.roles`)
	if g.SubjectKey(s("x", "y")) == g.SubjectKey(s("xy")) {
		t.Error("two subjects with different roles share a key")
	}
	if one, two := s("x"), s("x"); g.SubjectKey(one) != g.SubjectKey(two) {
		t.Error("the same subject has two keys")
	}
	ann, bob := s("x"), &Subject{ID: "b", Issuer: "https://i", Client: "c", Roles: []string{"x"}, Proof: "dpop", Measured: &Measured{Changed: true}}
	if g.SubjectKey(ann) != g.SubjectKey(bob) {
		t.Error("a policy that reads only roles keeps two subjects with the same roles apart")
	}
	for _, src := range []string{
		`allow if input.subject.id == "a"`, `allow if input.subject.issuer == "a"`, `allow if input.subject.client == "a"`,
		`allow if input.subject.proof == "dpop"`, `allow if input.subject.measured.changed`, `allow if not input.subject.measured`,
		`allow if count(input.subject) == 8`, `allow if object.get(input, ["subject", "proof"], "") == "dpop"`,
	} {
		if g := mustLoad(t, src); g.SubjectKey(ann) == g.SubjectKey(bob) {
			t.Errorf("%s: two subjects that differ in what it reads share a key", src)
		}
	}
	c := mustLoad(t, `allow if input.subject.claims.a == 1`)
	a, b := s("x"), s("x")
	a.Claims, b.Claims = map[string]any{"a": 1}, map[string]any{"a": 2}
	if c.SubjectKey(a) == c.SubjectKey(b) {
		t.Error("a policy that reads claims gives two subjects with different claims one key")
	}
}

// Every token has a grant of its own: policies that do not read it share decisions and lists, and
// those that do never get another grant's.
func TestGrantsShareWhatPoliciesDoNotRead(t *testing.T) {
	left := func(n int64) *int64 { return &n }
	mine := &Grant{ID: "gr_a", Task: "T", Expires: time.Unix(1, 0), CallsLeft: left(5)}
	for _, tt := range []struct {
		src                string
		other              *Grant
		decisions, answers bool // shared
	}{
		{`allow if input.action == "tools/call"`, &Grant{ID: "gr_b", Task: "U", Expires: time.Unix(2, 0), CallsLeft: left(4)}, true, true},
		{`allow if input.grant.id == "gr_a"`, &Grant{ID: "gr_b", Task: "T", Expires: time.Unix(1, 0), CallsLeft: left(5)}, false, false},
		{`allow if input.grant.task == "T"`, &Grant{ID: "gr_b", Task: "T", Expires: time.Unix(2, 0), CallsLeft: left(4)}, true, true},
		{`allow if input.grant.task == "T"`, &Grant{ID: "gr_a", Task: "U"}, false, false},
		{`allow if input.grant.calls_left == 5`, &Grant{ID: "gr_a", Task: "T", Expires: time.Unix(1, 0), CallsLeft: left(4)}, false, true},
		{`allow if object.get(input, ["grant", "task"], "") == "T"`, &Grant{ID: "gr_a", Task: "U", Expires: time.Unix(1, 0), CallsLeft: left(5)}, false, false},
		{"allow if {\n\tsome k in [\"task\"]\n\tinput.grant[k] == \"T\"\n}", &Grant{ID: "gr_a", Task: "U", Expires: time.Unix(1, 0), CallsLeft: left(5)}, false, false},
	} {
		g := mustLoad(t, tt.src)
		a, b := call(`{}`), call(`{}`)
		a.Grant, b.Grant = mine, tt.other
		if got := g.GrantKey(mine) == g.GrantKey(tt.other); got != tt.answers {
			t.Errorf("%s: lists shared with %+v: %v; want %v", tt.src, *tt.other, got, tt.answers)
		}
		if _, err := g.Decide(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if d, err := g.Decide(t.Context(), b); err != nil || d.Cached != tt.decisions {
			t.Errorf("%s: decision shared with %+v: %v, %v; want %v", tt.src, *tt.other, d.Cached, err, tt.decisions)
		}
	}
}

// What the caller has proved and measured is read anew for each call: an answer for the one is
// never the other's.
func TestDecisionsFollowProofAndMeasures(t *testing.T) {
	g := mustLoad(t, `allow if {
	input.subject.proof == "dpop"
	not tampered
}

tampered if {
	input.subject.measured.changed
	not input.subject.measured.approved
}
`)
	for _, tt := range []struct {
		proof    string
		measured *Measured
		want     bool
	}{
		{"dpop", nil, true}, {"none", nil, false}, {"", nil, false}, {"mtls", nil, false},
		{"dpop", &Measured{Digest: "a"}, true}, {"dpop", &Measured{Digest: "b", Changed: true}, false},
		{"dpop", &Measured{Digest: "b", Changed: true, Approved: true}, true}, {"dpop", &Measured{Digest: "a", Changed: true}, false},
	} {
		for range 2 { // the second time from the cache
			in := call(`{}`)
			in.Subject.Proof, in.Subject.Measured = tt.proof, tt.measured
			if d, err := g.Decide(t.Context(), in); err != nil || d.Allow != tt.want {
				t.Errorf("proof %q, measured %+v: %+v, %v; want allow %v", tt.proof, tt.measured, d, err, tt.want)
			}
		}
	}
}

// One Generation answers many callers at once; the race detector watches.
func TestGenerationIsSafeForConcurrentUse(t *testing.T) {
	g := mustLoad(t, helpers+"\nallow if {\n\tsafe_path\n\tlevel(input.subject) > 0\n\tcount([x | some x in input.subject.roles]) == 1\n\tregex.match(\"^/srv/\", input.arguments.path)\n}\n\ndeny contains \"x\" if not \"reader\" in input.subject.roles\n")
	done := make(chan error)
	for range 8 {
		go func() {
			var failed error
			for i := range 50 {
				d, err := g.Decide(context.Background(), call(fmt.Sprintf(`{"path":"/srv/%d"}`, i)))
				visible, verr := g.Visible(context.Background(), call(""))
				if err != nil || verr != nil || !d.Allow || !visible {
					failed = fmt.Errorf("decision %+v %w, visible %v %w", d, err, visible, verr)
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
