package workbench

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"

	"sallyport/policy"
)

const everything = "package mcp.authz\n\nallow if true\n"

// called is the record of an allowed call by ann, with its input.
func called(t testing.TB, seq int, role, server, tool, arguments string) Recorded {
	t.Helper()
	in := asked(seq, tool, arguments)
	in.Server, in.Subject.Roles = server, []string{role}
	return recordedOf(t, generation(t, everything, 0), seq, in)
}

func suggest(t testing.TB, s Suggest, records ...Recorded) *Suggestion {
	t.Helper()
	got, err := s.Run(t.Context(), logOf(records...))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// month is a month of work: files read, payments made, a search.
func month(t testing.TB) []Recorded {
	var records []Recorded
	add := func(role, server, tool, arguments string) {
		records = append(records, called(t, len(records)+1, role, server, tool, arguments))
	}
	for i := range 30 {
		add("reader", "files", "read_file", fmt.Sprintf(`{"path":"/srv/docs/%c/%d.md"}`, 'a'+i%3, i))
		add("clerk", "bank", "pay", fmt.Sprintf(`{"amount":%d,"payee":%q,"note":"for %d"}`, 5+i*3, []string{"ACME", "RENT"}[i%2], i))
		if i%2 == 0 {
			add("reader", "web", "search", fmt.Sprintf(`{"q":"word %d","safe":true,"limit":%d}`, i, 10+i))
		} else {
			add("reader", "web", "search", fmt.Sprintf(`{"q":"word %d","safe":true,"tags":["a","b"]}`, i))
		}
	}
	add("reader", "files", "list_directory", `{"path":"/srv"}`)
	return records
}

func TestSuggestionIsWhatWasUsed(t *testing.T) {
	got := suggest(t, Suggest{}, month(t)...)
	var words []string
	for _, p := range got.Permits {
		words = append(words, fmt.Sprint(p.Roles, p.Server, p.Tool, p.Calls))
		for name, rule := range p.Arguments {
			words = append(words, fmt.Sprintf("%s.%s: %s required=%v", p.Tool, name, rule, slices.Contains(p.Required, name)))
		}
	}
	slices.Sort(words)
	want := []string{
		"[clerk]bankpay30", "[reader]filesread_file30", "[reader]websearch30",
		"pay.amount: from 5 to 92 required=true",
		"pay.note: a text, free: 30 different ones in 30 required=true",
		`pay.payee: one of "ACME", "RENT" required=true`,
		"read_file.path: a path below /srv/docs/ required=true",
		"search.limit: from 10 to 38 required=false",
		"search.q: a text, free: 30 different ones in 30 required=true",
		"search.safe: one of true required=true",
		`search.tags: a list of at most 2: one of "a", "b" required=false`,
	}
	if diff := cmp.Diff(want, words); diff != "" {
		t.Errorf("permits (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Few{{[]string{"reader"}, "files", "list_directory", 1}}, got.Few); diff != "" {
		t.Errorf("too few (-want +got):\n%s", diff)
	}
	if again := suggest(t, Suggest{}, month(t)...); cmp.Diff(got.Files, again.Files) != "" {
		t.Error("the same log gave another suggestion")
	}
}

// What is suggested allows all that it was learned from, and refuses what differs in one thing.
func TestSuggestionAllowsWhatWasSeenAndNothingNear(t *testing.T) {
	records := month(t)
	g, err := policy.FromFiles(t.Context(), suggest(t, Suggest{}, records...).Files, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records[:len(records)-1] {
		in, err := policy.ReadInput(r.Input)
		if err != nil {
			t.Fatal(err)
		}
		if v := ask(t.Context(), g, in); !v.Allow {
			t.Errorf("%s of %s with %s: %+v; want allowed, as it was seen", r.Tool, r.Roles, in.Arguments, v)
		}
	}
	for _, tt := range []struct{ role, server, tool, arguments string }{
		{"clerk", "files", "read_file", `{"path":"/srv/docs/a/1.md"}`},
		{"reader", "files", "read_file", `{"path":"/srv/docs-old/a"}`},
		{"reader", "files", "read_file", `{"path":"/srv/docs/../x"}`},
		{"reader", "files", "read_file", `{"path":"/etc/passwd"}`},
		{"reader", "files", "read_file", `{}`},
		{"reader", "files", "read_file", `{"path":"/srv/docs/a/1.md","head":1}`},
		{"reader", "files", "list_directory", `{"path":"/srv"}`},
		{"reader", "mail", "read_file", `{"path":"/srv/docs/a/1.md"}`},
		{"clerk", "bank", "pay", `{"amount":93,"payee":"ACME","note":"x"}`},
		{"clerk", "bank", "pay", `{"amount":4,"payee":"ACME","note":"x"}`},
		{"clerk", "bank", "pay", `{"amount":5.5,"payee":"ACME","note":"x"}`},
		{"clerk", "bank", "pay", `{"amount":"50","payee":"ACME","note":"x"}`},
		{"clerk", "bank", "pay", `{"amount":50,"payee":"EVIL","note":"x"}`},
		{"clerk", "bank", "pay", `{"amount":50,"payee":["ACME"],"note":"x"}`},
		{"clerk", "bank", "pay", `{"amount":50,"payee":"ACME","note":7}`},
		{"reader", "web", "search", `{"q":"x","safe":false}`},
		{"reader", "web", "search", `{"q":"x","safe":true,"tags":["a","b","a"]}`},
		{"reader", "web", "search", `{"q":"x","safe":true,"tags":["c"]}`},
	} {
		in := asked(1, tt.tool, tt.arguments)
		in.Server, in.Subject.Roles = tt.server, []string{tt.role}
		if v := ask(t.Context(), g, in); v.Allow || v.Failed != "" {
			t.Errorf("%+v: %+v; want refused", tt, v)
		}
	}
}

// Nothing is learned from what was refused, from what would have been, and from a task in which
// anything was found, before or after.
func TestSuggestNeverLearnsFromFlaggedCalls(t *testing.T) {
	refused := func(r *Recorded) {
		r.Phase, r.Decision, r.Code, r.PolicyAllow = "refusal", "deny", "denied", new(false)
	}
	for _, tt := range []struct {
		name  string
		spoil func(rs []Recorded) []Recorded
		left  string
	}{
		{"refused", func(rs []Recorded) []Recorded {
			for i := range rs {
				refused(&rs[i])
			}
			return rs
		}, "it was refused"},
		{"would have been refused", func(rs []Recorded) []Recorded {
			for i := range rs {
				rs[i].Decision, rs[i].PolicyAllow, rs[i].Reasons = "would_deny", new(false), []string{"not on Sundays"}
			}
			return rs
		}, "a rule would have refused it"},
		{"refused for want of a rule, and enforced", func(rs []Recorded) []Recorded {
			for i := range rs {
				refused(&rs[i])
				rs[i].Reasons = []string{noRule}
			}
			return rs
		}, "it was refused"},
		{"a rule that is not enforced would refuse it", func(rs []Recorded) []Recorded {
			for i := range rs {
				rs[i].Decision, rs[i].Advised = "would_deny", true
			}
			return rs
		}, "a rule would have refused it"},
		{"no rule allows it, and a guard found something", func(rs []Recorded) []Recorded {
			for i := range rs {
				rs[i].Decision, rs[i].PolicyAllow, rs[i].Reasons = "would_deny", new(false), []string{noRule}
			}
			return append(rs, Recorded{Phase: "outcome", ID: rs[0].ID, Code: "ok", Server: "files", Grant: "g", Detail: "1 secret redacted (aws)", Time: rs[0].Time})
		}, "its task was flagged"},
		{"an answer with a secret, later", func(rs []Recorded) []Recorded {
			return append(rs, Recorded{Phase: "outcome", ID: rs[0].ID, Code: "ok", Server: "files", Grant: "g", Detail: "1 secret redacted (aws)", Time: rs[0].Time})
		}, "its task was flagged"},
		{"an answer with hidden text", func(rs []Recorded) []Recorded {
			return append(rs, Recorded{Phase: "outcome", ID: "other", Code: "ok", Server: "files", Grant: "g", Detail: "3 links made inert; 2 hidden characters or control sequences taken out", Time: rs[0].Time})
		}, "its task was flagged"},
		{"an answer that was withheld, in another grant of the task", func(rs []Recorded) []Recorded {
			for i := range rs {
				rs[i].Task = "tidy up"
			}
			return append(rs, Recorded{Phase: "outcome", ID: "other", Code: "invalid_output", Grant: "h", Subject: "ann", Client: "c", Task: "tidy up", Time: rs[0].Time})
		}, "its task was flagged"},
		{"a guard that refused a call", func(rs []Recorded) []Recorded {
			r := rs[0]
			refused(&r)
			r.PolicyAllow = new(true)
			return append(rs, r)
		}, "its task was flagged"},
		{"made by a newer version", func(rs []Recorded) []Recorded {
			for i := range rs {
				rs[i].Missing = MissingNewer
			}
			return rs
		}, MissingNewer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var rs []Recorded
			for i := range 25 {
				rs = append(rs, called(t, i, "reader", "files", "read_file", `{"path":"/srv/a"}`))
			}
			got, err := Suggest{}.Run(t.Context(), logOf(tt.spoil(rs)...))
			if !errors.Is(err, ErrTooLittle) || got.Learned != 0 || got.LeftOut[tt.left] < 25 {
				t.Errorf("Run = %+v, %v; want nothing learned and 25 left out: %s", got, err, tt.left)
			}
		})
	}
}

func TestHarmlessRemarksDoNotFlag(t *testing.T) {
	for _, r := range []Recorded{
		{Phase: "outcome", Code: "ok", Server: "files", Detail: "3 links made inert; 1 value masked; 2 items of content left out"},
		{Phase: "outcome", Code: "ok", Server: "files", Method: "notifications/initialized", Detail: "status 202"},
		{Phase: "outcome", Code: "ok", Method: "token/mint", Detail: "bearer"},
	} {
		if why := r.flagged(); why != "" {
			t.Errorf("%+v: flagged: %s", r, why)
		}
	}
}

// The first weeks are run without enforcing anything, before there is a policy: what went through then,
// and no rule speaks of, is what there is to learn from.
func TestSuggestLearnsFromWhatNoRuleSpeaksOf(t *testing.T) {
	var rs []Recorded
	for i := range 25 {
		r := called(t, i, "reader", "files", "read_file", `{"path":"/srv/a"}`)
		r.Decision, r.PolicyAllow, r.Reasons = "would_deny", new(false), []string{noRule}
		rs = append(rs, r)
	}
	got, err := Suggest{}.Run(t.Context(), logOf(rs...))
	if err != nil || got.Learned != 25 || got.Unforeseen != 25 || len(got.Permits) != 1 {
		t.Errorf("Run = %+v, %v; want one permit of 25 calls", got, err)
	}
}

func TestSuggestOverTenCallsIsRefused(t *testing.T) {
	got, err := Suggest{}.Run(t.Context(), logOf(month(t)[:10]...))
	want := "too little to learn from: 10 calls, the most of one tool by one role is 4, and 20 are needed (--min-support); nothing is suggested"
	if err == nil || err.Error() != want || got.Files != nil {
		t.Errorf("Run = %v; want %s", err, want)
	}
}

func TestSuggestLearnsWithinTheWindowOnly(t *testing.T) {
	var rs []Recorded
	for i := range 40 {
		r := called(t, i, "reader", "files", []string{"old", "new"}[i/20], `{}`)
		if i < 20 {
			r.Time = r.Time.Add(-31 * 24 * time.Hour)
		}
		rs = append(rs, r)
	}
	got := suggest(t, Suggest{}, rs...)
	if len(got.Permits) != 1 || got.Permits[0].Tool != "new" {
		t.Errorf("permits %+v; want those of the last 30 days", got.Permits)
	}
}

func TestSuggestWithoutInputsLearnsToolsOnly(t *testing.T) {
	var rs []Recorded
	for i := range 25 {
		r := called(t, i, "reader", "files", "read_file", `{"path":"/srv/a"}`)
		r.Input, r.Missing, r.Proved = nil, MissingInput, false
		rs = append(rs, r)
	}
	got := suggest(t, Suggest{}, rs...)
	if p := got.Permits[0]; p.Arguments != nil || !strings.Contains(string(got.Files["authz.rego"]), "any arguments: those of 0 calls are known, and 20 are needed") {
		t.Errorf("permit %+v\n%s\nwant any arguments, and the header to say why", p, got.Files["authz.rego"])
	}
	if got.Unread[MissingInput] != 25 {
		t.Errorf("unread %v; want the 25 calls", got.Unread)
	}
}

// A call by a caller with two roles opens nothing to who has one of them.
func TestSuggestKeepsRolesTogether(t *testing.T) {
	var rs []Recorded
	for i := range 60 {
		r := called(t, i, "b", "files", "read_file", fmt.Sprintf(`{"n":%d}`, i))
		roles := [][]string{{"b", "a"}, {"a"}, {"a", "b", "c"}}[i%3]
		in, err := policy.ReadInput(r.Input)
		if err != nil {
			t.Fatal(err)
		}
		in.Subject.Roles = roles
		if i%3 == 1 {
			in.Arguments = []byte(`{"n":1}`)
		}
		rs = append(rs, recordedOf(t, generation(t, everything, 0), i, in))
	}
	g, err := policy.FromFiles(t.Context(), suggest(t, Suggest{}, rs...).Files, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		roles []string
		n     int
		want  bool
	}{{[]string{"a"}, 1, true}, {[]string{"a"}, 30, false}, {[]string{"b"}, 30, false}, {[]string{"a", "b"}, 30, true}, {[]string{"a", "b"}, 59, false}, {[]string{"c", "b", "a"}, 59, true}} {
		in := asked(1, "read_file", fmt.Sprintf(`{"n":%d}`, tt.n))
		in.Server, in.Subject.Roles = "files", tt.roles
		if v := ask(t.Context(), g, in); v.Allow != tt.want {
			t.Errorf("%+v: %+v", tt, v)
		}
	}
}

// Names and values that mean something to YAML, Rego or a terminal stay names and values.
func TestSuggestionHoldsOddNames(t *testing.T) {
	odd := []string{"a: b", "- x", "\"quoted\"", "new\nline } allow if true #", "{{x}}", "\u202eright", "\u007f", "null", "*star", "é", "🙂", "a.b", "<&>"}
	var rs []Recorded
	for _, name := range odd {
		args, err := json.Marshal(map[string]any{name: name, "list": []any{[]any{"x"}, name}, "object": map[string]any{name: 1}, "null": nil})
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			rs = append(rs, called(t, len(rs), name, "files", name, string(args)))
		}
	}
	got := suggest(t, Suggest{}, rs...)
	if len(got.Permits) != len(odd) {
		t.Errorf("%d permits; want %d", len(got.Permits), len(odd))
	}
}

func TestSuggestListsWhatNobodyUses(t *testing.T) {
	present := generation(t, "package mcp.authz\n\nallow if {\n\t\"reader\" in input.subject.roles\n\tinput.tool.name in {\"read_file\", \"write_file\"}\n}\n\nallow if input.tool.name == \"pay\"\n"+
		"\nallow if {\n\t\"nobody-came\" in input.subject.roles\n\tinput.tool.name == \"delete\"\n}\n", 0)
	got := suggest(t, Suggest{Present: present, Catalogue: []CatalogueTool{{"files", "write_file"}, {"files", "delete"}}}, month(t)...)
	want := []Unused{{"nobody-came", "bank", "pay"}, {"nobody-came", "files", "delete"}, {"reader", "bank", "pay"}, {"reader", "files", "write_file"}}
	if diff := cmp.Diff(want, got.Unused); diff != "" {
		t.Errorf("unused (-want +got):\n%s", diff)
	}
}

func TestSuggestionIsFormatted(t *testing.T) {
	src := suggest(t, Suggest{}, month(t)...).Files["authz.rego"]
	out, err := format.SourceWithOpts("authz.rego", src, format.Opts{RegoVersion: ast.RegoV1})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(out), string(src)); diff != "" {
		t.Errorf("opa fmt would change it:\n%s", diff)
	}
}

// Free texts are what people wrote; they are not copied into the suggestion.
func TestSuggestionHoldsNoFreeTexts(t *testing.T) {
	for name, content := range suggest(t, Suggest{}, month(t)...).Files {
		for _, text := range []string{"word 1", "for 1"} {
			if strings.Contains(string(content), text) {
				t.Errorf("%s holds %q:\n%s", name, text, content)
			}
		}
	}
}

// One call of another kind, by whoever made it, must not widen what all others were.
func TestSuggestIsNotWidenedByAStrayCall(t *testing.T) {
	for _, stray := range []string{"/etc/passwd", "zz", "../x", "/a/1", "/srv\\x"} {
		var rs []Recorded
		for i := range 40 {
			rs = append(rs, called(t, i, "reader", "files", "read_file", fmt.Sprintf(`{"path":"/srv/docs/%d"}`, i)))
		}
		raw, err := json.Marshal(map[string]string{"path": stray})
		if err != nil {
			t.Fatal(err)
		}
		got, err := Suggest{}.Run(t.Context(), logOf(append(rs, called(t, 41, "reader", "files", "read_file", string(raw)))...))
		if err != nil {
			t.Fatal(err)
		}
		rule := got.Permits[0].Arguments["path"]
		if !slices.Equal(rule.Below, []string{"/srv/docs/"}) || len(rule.Types) > 0 || len(rule.Values) != 1 {
			t.Errorf("%q among 40 below /srv/docs: learned as %s; want below /srv/docs/ and that text alone", stray, rule)
		}
		if !strings.Contains(rule.String(), "seen rarely") {
			t.Errorf("%s: does not say that it was seen rarely", rule)
		}
	}
}
