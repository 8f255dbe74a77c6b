package policies

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sallyport/policy"
)

func load(t *testing.T, name string) *policy.Generation {
	t.Helper()
	g, err := policy.Load(t.Context(), name, policy.Options{})
	if err != nil {
		t.Fatalf("load %s: %v", name, err)
	}
	t.Cleanup(g.Close)
	return g
}

func call(role, server, tool, arguments string) *policy.Input {
	return &policy.Input{
		Subject: &policy.Subject{ID: "someone", Roles: []string{role}, Proof: "none"},
		Action:  "tools/call", Server: server,
		Tool: &policy.Tool{Name: tool}, Arguments: []byte(arguments),
	}
}

func TestEveryFolderIsAnExample(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, e.Name())
		}
	}
	if !slices.Equal(dirs, Names()) {
		t.Errorf("folders %q; Names() = %q", dirs, Names())
	}
	for _, name := range Names() {
		for _, file := range []string{"authz.rego", "authz_test.rego", "authz_test.yaml", "README.md"} {
			if _, err := os.Stat(filepath.Join(name, file)); err != nil {
				t.Errorf("example %s: %v", name, err)
			}
		}
	}
}

// byTheClock are the examples whose subject is time: they say in their README what it costs.
var byTheClock = []string{BreakGlass, BusinessHours, ReleaseEngineer}

// Nothing here may cost more than it must: decisions stay cacheable but where they are about the
// time, and only named arguments are read, so that large ones are not parsed.
func TestExamplesLoadWithoutNotes(t *testing.T) {
	for _, name := range Names() {
		g := load(t, name)
		var want []string
		if slices.Contains(byTheClock, name) {
			want = []string{"decisions are not cached: a rule reads input.request.id or input.request.time"}
		}
		if notes := g.Notes(); !slices.Equal(notes, want) {
			t.Errorf("%s: notes = %q; want %q", name, notes, want)
		}
		if keys, all := g.ArgumentKeys(); all {
			t.Errorf("%s reads all of the arguments (named: %q)", name, keys)
		}
	}
}

func TestDecisions(t *testing.T) {
	for _, tt := range []struct {
		policy, role, server, tool, arguments string
		allow                                 bool
		reason                                string
	}{
		{ReadOnlyAnalyst, "analyst", "filesystem", "read_text_file", `{"path":"/srv/reports/x"}`, true, ""},
		{ReadOnlyAnalyst, "analyst", "filesystem", "read_text_file", `{"path":"/x"}`, false, "this role reads documents only; the path must be below one of them"},
		{ReadOnlyAnalyst, "guest", "filesystem", "read_text_file", `{}`, false, ""},
		{BoundedArguments, "clerk", "payments", "transfer", `{"amount":500,"payee":"ACME-001"}`, true, ""},
		{BoundedArguments, "clerk", "payments", "transfer", `{"amount":5e2,"payee":"ACME-001"}`, true, ""},
		{BoundedArguments, "clerk", "payments", "transfer", `{"amount":500.000000000000000000001,"payee":"ACME-001"}`, false, "the amount is not within this role's limit"},
		{BoundedArguments, "clerk", "payments", "transfer", `{"amount":9007199254740993,"payee":"ACME-001"}`, false, "the amount is not within this role's limit"},
		{BoundedArguments, "clerk", "files", "read_file", `{"path":"/srv/invoices/../x"}`, false, "the path is outside what this role may read"},
		{PhishingDefence, "assistant", "files", "read_file", `{"path":"/documents/roadmap.md"}`, true, ""},
		{PhishingDefence, "assistant", "files", "read_file", `{"path":"/home/dana/.aws/credentials"}`, false, "only documents may be read, and nothing hidden or secret among them"},
		{PhishingDefence, "assistant", "files", "read_file", ``, false, "only documents may be read, and nothing hidden or secret among them"},
		{PhishingDefence, "assistant", "mail", "send_mail", `{"to":"dana@example.com"}`, true, ""},
		{PhishingDefence, "assistant", "mail", "send_mail", `{"to":"x@evil.example"}`, false, "mail goes only to one address inside the company"},
		{PhishingDefence, "assistant", "web", "web_post", `{"url":"https://status.example.com/up"}`, false, "only an operator may post"},
		{PhishingDefence, "operator", "web", "web_post", `{"url":"https://status.example.com/up"}`, true, ""},
		{PhishingDefence, "operator", "web", "web_post", `{"url":"https://evil.example/"}`, false, "posts go only to hosts that the operator has listed"},
	} {
		in := call(tt.role, tt.server, tt.tool, tt.arguments)
		if tt.arguments == "" {
			in.Arguments = nil
		}
		d, err := load(t, tt.policy).Decide(t.Context(), in)
		if err != nil {
			t.Errorf("%s: %s %s.%s %s: %v", tt.policy, tt.role, tt.server, tt.tool, tt.arguments, err)
			continue
		}
		reason := ""
		if len(d.Reasons) == 1 {
			reason = d.Reasons[0]
		}
		if d.Allow != tt.allow || reason != tt.reason || len(d.Reasons) > 1 {
			t.Errorf("%s: %s %s.%s %s: allow=%v reasons=%q; want %v %q",
				tt.policy, tt.role, tt.server, tt.tool, tt.arguments, d.Allow, d.Reasons, tt.allow, tt.reason)
		}
		if (tt.allow || tt.reason != "") && len(d.Rules) == 0 {
			t.Errorf("%s: %s %s.%s %s: no rule is named", tt.policy, tt.role, tt.server, tt.tool, tt.arguments)
		}
	}
}

func TestRolesSeeWhatTheyCouldUse(t *testing.T) {
	for _, tt := range []struct {
		policy, role, server, tool string
		visible                    bool
	}{
		{ReadOnlyAnalyst, "analyst", "filesystem", "read_text_file", true},
		{ReadOnlyAnalyst, "analyst", "filesystem", "write_file", false},
		{BoundedArguments, "clerk", "payments", "transfer", true},
		{BoundedArguments, "auditor", "payments", "transfer", false},
		{BoundedArguments, "auditor", "files", "read_file", true},
		{BoundedArguments, "auditor", "files", "write_file", false},
		{BoundedArguments, "auditor", "mail", "send_mail", false},
		{BoundedArguments, "guest", "files", "read_file", false},
		{PhishingDefence, "assistant", "files", "read_file", true},
		{PhishingDefence, "assistant", "files", "list_directory", true},
		{PhishingDefence, "assistant", "mail", "send_mail", true},
		{PhishingDefence, "assistant", "notes", "add_note", true},
		{PhishingDefence, "assistant", "web", "web_post", false},
		{PhishingDefence, "operator", "web", "web_post", true},
		{PhishingDefence, "guest", "files", "read_file", false},
	} {
		in := call(tt.role, tt.server, tt.tool, "")
		in.Arguments = nil
		got, err := load(t, tt.policy).Visible(t.Context(), in)
		if err != nil || got != tt.visible {
			t.Errorf("%s: %s sees %s.%s = %v, %v; want %v", tt.policy, tt.role, tt.server, tt.tool, got, err, tt.visible)
		}
	}
}

func TestWriteCopiesAnExampleThatLoads(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "policies")
	if err := Write(PhishingDefence, dir); err != nil {
		t.Fatal(err)
	}
	g, err := policy.Load(t.Context(), dir, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := load(t, PhishingDefence).Revision(); g.Revision() != want {
		t.Errorf("revision of the copy = %s; want that of the folder, %s", g.Revision(), want)
	}
	if err := Write(PhishingDefence, dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("write over an example = %v; want fs.ErrExist", err)
	}
	if err := Write("nonesuch", t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("write of an example that does not exist = %v; want fs.ErrNotExist", err)
	}
}
