package policy

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func load(files map[string]string) (*Generation, error) {
	raw := map[string][]byte{}
	for name, text := range files {
		raw[name] = []byte(text)
	}
	return FromFiles(context.Background(), raw, Options{})
}

func mustLoad(t testing.TB, src string) *Generation {
	t.Helper()
	g, err := load(map[string]string{"authz.rego": "package mcp.authz\n\n" + src})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

const head = "package mcp.authz\n\n"

// A policy that is not sound is not installed, and the author reads where and what.
func TestLoadRefusesWithFileLineAndText(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"nothing", nil, []string{"no .rego file in the policy directory; a starter: sallyport init"}},
		{"only tests", map[string]string{"a_test.rego": head + "test_x if true\n"}, []string{"no .rego file"}},
		{"syntax", map[string]string{"a.rego": head + "allow if {\n\tinput.action ==\n}\n"}, []string{"a.rego:5:", "\n\t}"}},
		{"old syntax", map[string]string{"a.rego": head + "allow { input.action == \"x\" }\n"}, []string{"a.rego:3: this is Rego of the old syntax (v0): `if` keyword is required", "opa fmt --v0-v1 --write a.rego", "allow { input.action"}},
		{"type", map[string]string{"a.rego": head + "allow if input.action == 7\n"}, []string{"a.rego:3:", "match error: left is string, right is number, and these are never equal", "allow if input.action == 7"}},
		{"unknown key", map[string]string{"a.rego": head + "allow if input.subject.rols == \"x\"\n"}, []string{"a.rego:3:", "a.rego:3: undefined ref: input.subject.rols; input.subject has no rols; did you mean roles?"}},
		{"unknown measure", map[string]string{"a.rego": head + "allow if input.subject.measured.hash == \"x\"\n"}, []string{"a.rego:3:", "undefined ref: input.subject.measured.hash", "input.subject.measured has no hash; it has approved, changed, digest"}},
		{"unknown part of a grant", map[string]string{"a.rego": head + "allow if input.grant.tools == \"x\"\n"}, []string{"a.rego:3:", "undefined ref: input.grant.tools", "input.grant has no tools; it has calls_left, expires, id, task"}},
		{"calls left as text", map[string]string{"a.rego": head + "allow if input.grant.calls_left == \"3\"\n"}, []string{"a.rego:3:", "match error"}},
		{"changed as text", map[string]string{"a.rego": head + "allow if input.subject.measured.changed == \"no\"\n"}, []string{"a.rego:3:", "match error"}},
		{"undefined function", map[string]string{"a.rego": head + "allow if nope(input)\n"}, []string{"a.rego:3:", "undefined function nope"}},
		{"http.send", map[string]string{"a.rego": head + "allow if http.send({\"method\": \"get\", \"url\": \"http://x\"}).status_code == 200\n"}, []string{"a.rego:3:", "undefined function http.send"}},
		{"misspelt function", map[string]string{"a.rego": head + "allow if startwith(input.action, \"x\")\n"}, []string{"a.rego:3: undefined function startwith; did you mean startswith?"}},
		{"several at once", map[string]string{"a.rego": head + "allow if input.subject.rols == \"x\"\n\nallow if input.action == 7\n"}, []string{"a.rego:3: ", "a.rego:5: "}},
		{"environment", map[string]string{"a.rego": head + "allow if opa.runtime().env.X\n"}, []string{"undefined function opa.runtime"}},
		{"randomness", map[string]string{"a.rego": head + "allow if rand.intn(\"x\", 2) == 1\n"}, []string{"undefined function rand.intn"}},
		{"no allow", map[string]string{"a.rego": head + "deny contains \"x\" if true\n"}, []string{"no rule `allow` in package mcp.authz", "; `deny` alone refuses; say in `allow` what is permitted"}},
		{"allow elsewhere", map[string]string{"a.rego": "package other\n\nallow if true\n"}, []string{"no rule `allow` in package mcp.authz", "; the one of a.rego:3 is in package other"}},
		{"deny that is no set", map[string]string{"a.rego": head + "allow if true\n\ndeny if input.action == \"x\"\n"}, []string{"a.rego:5: `deny` must be a set: deny contains \"reason\" if …", "deny if input.action"}},
		{"deny that is one text", map[string]string{"a.rego": head + "allow if true\n\ndeny := \"no\" if input.action == \"x\"\n"}, []string{"a.rego:5: `deny` must be a set"}},
		{"allow that is text", map[string]string{"a.rego": head + "allow := \"yes\"\n"}, []string{"a.rego:3: `allow` must be true or false", "allow := \"yes\""}},
		{"failing test", map[string]string{"a.rego": head + "allow if input.action == \"x\"\n", "a_test.rego": head + "test_allows if {\n\tallow with input as {\"action\": \"y\"}\n}\n"},
			[]string{"a_test.rego:3: test test_allows failed; the policy is not installed", "a_test.rego:4: allow with input as"}},
		{"broken test", map[string]string{"a.rego": head + "allow if true\n", "a_test.rego": head + "test_x if 1 / 0 == 1\n"}, []string{"a_test.rego:3: test ", "divide by zero"}},
		{"broken data", map[string]string{"a.rego": head + "allow if true\n", "data.json": "{"}, []string{"data.json: the JSON value ends too early"}},
		{"data that says two things", map[string]string{"a.rego": head + "allow if true\n", "data.json": `{"x":1,"x":2}`}, []string{"data.json: the same member name twice in one object"}},
		{"data with a rest", map[string]string{"a.rego": head + "allow if true\n", "data.json": `{} x`}, []string{"data.json: data after the end of the JSON value"}},
		{"YAML that says two things", map[string]string{"a.rego": head + "allow if true\n", "data.yaml": "x: 1\nx: 2\n"}, []string{"data.yaml: ", "already defined"}},
		{"data twice", map[string]string{"a.rego": head + "allow if true\n", "data.json": `{"x":1}`, "data.yaml": "x: 2\n"}, []string{`data.yaml: "x" is defined twice`}},
		{"data in the policies' place", map[string]string{"a.rego": head + "allow if true\n", "mcp.json": `{"authz":{"allow":true}}`}, []string{"data.mcp belongs to the policies themselves"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, err := load(tt.files)
			if err == nil || g != nil {
				t.Fatal("the policy was loaded")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("message %q\nlacks %q", err, w)
				}
			}
		})
	}
}

func TestLoadReadsTheDirectory(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Load(t.Context(), filepath.Join(dir, "gone"), Options{}); err == nil || !strings.Contains(err.Error(), "gone: no such file or directory") {
		t.Errorf("missing directory: %v", err)
	}
	if _, err := Load(t.Context(), dir, Options{}); err == nil || !strings.Contains(err.Error(), "no .rego file") {
		t.Errorf("empty directory: %v", err)
	}
	write("authz.rego", head+"allow if input.subject.id in data.people.friends\n")
	write("people/data.yaml", "friends: [ann]\n")
	write(".hidden/x.rego", "this is not Rego")
	write("README.md", "nor is this")
	g, err := Load(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"ann": true, "bob": false} {
		d, err := g.Decide(t.Context(), &Input{Subject: &Subject{ID: id}, Action: "x"})
		if err != nil || d.Allow != want || d.Revision != g.Revision() {
			t.Errorf("%s: %+v, %v; want allow %v", id, d, err, want)
		}
	}
	write("people/data.yaml", "friends: [bob]\n")
	again, err := Load(t.Context(), dir, Options{})
	if err != nil || again.Revision() == g.Revision() {
		t.Errorf("changed data: revision %s, %v; want another than %s", again.Revision(), err, g.Revision())
	}
}
