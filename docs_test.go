package sallyport_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sallyport/policy"
)

// The pages that a user reads are held to the code: the tests they name exist, the policies
// they show load, and their links lead somewhere.

// pages returns the text of every page that these tests answer for, by its path from here.
func pages(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	records, err := filepath.Glob("docs/adr/*.md")
	if err != nil {
		t.Fatal(err)
	}
	names = append(append(names, records...), "README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")
	out := map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(text)
	}
	return out
}

// Where a page says `name` in `file.go`, the file declares the name.
func TestNamedPlacesExist(t *testing.T) {
	named := 0
	for page, text := range pages(t) {
		for _, m := range regexp.MustCompile("`(?:\\w+\\.)?(\\w+)`\\s+in\\s+`([\\w./-]+\\.go)`").FindAllStringSubmatch(text, -1) {
			named++
			src, err := os.ReadFile(m[2])
			if err != nil {
				t.Errorf("%s names %s: %v", page, m[2], err)
				continue
			}
			if !regexp.MustCompile(`(?m)^(func|type|var|const) (\([^)]*\) )?` + m[1] + `\b`).Match(src) {
				t.Errorf("%s says that %s is in %s, and it is not", page, m[1], m[2])
			}
		}
	}
	if named == 0 {
		t.Error("no page says where something is")
	}
}

// Every test that a page names is there: a claim without its test is only a claim.
func TestNamedTestsExist(t *testing.T) {
	declared := map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(path)
		for _, m := range declaration.FindAllSubmatch(src, -1) {
			declared[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for page, text := range pages(t) {
		for _, m := range regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w+)`").FindAllStringSubmatch(text, -1) {
			named++
			if !declared[m[1]] {
				t.Errorf("%s names %s, which does not exist", page, m[1])
			}
		}
	}
	if named == 0 {
		t.Error("no page names a test")
	}
}

// Every package with a doc.go stands in the architecture's table of rooms, and in the guide to the tree.
func TestEveryRoomIsInTheArchitecture(t *testing.T) {
	text, guide := pages(t)["docs/architecture.md"], pages(t)["CONTRIBUTING.md"]
	rooms := 0
	for _, top := range []string{"gateway", "identity", "internal", "policy"} {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "doc.go" {
				return err
			}
			rooms++
			if room := filepath.ToSlash(filepath.Dir(path)); !strings.Contains(text, "\n| `"+room+"` |") {
				t.Errorf("docs/architecture.md has no row for %s", room)
			}
			if !strings.Contains(guide, "`"+filepath.Base(filepath.Dir(path))+"`") && !strings.Contains(guide, "`"+filepath.ToSlash(filepath.Dir(path))+"`") {
				t.Errorf("CONTRIBUTING.md does not say where %s is", filepath.Dir(path))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if rooms < 20 {
		t.Errorf("only %d rooms were found", rooms)
	}
}

// Every link of a page to another file leads there.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	for page, text := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

var block = regexp.MustCompile("(?ms)^```rego(?: title=(\\S+))?\n(.*?)^```$")

// The policies on the pages load and pass their own tests: those with a title together, a
// fragment each by itself.
func TestPoliciesOnThePagesLoad(t *testing.T) {
	titled := map[string][]byte{}
	for page, text := range pages(t) {
		for _, m := range block.FindAllStringSubmatch(text, -1) {
			title, src := m[1], m[2]
			if title != "" {
				titled[title] = []byte(src)
				continue
			}
			if !strings.HasPrefix(src, "package ") {
				src = "package mcp.authz\n\ndefault allow := false\n\n" + src
			}
			if _, err := policy.FromFiles(t.Context(), map[string][]byte{"fragment.rego": []byte(src)}, policy.Options{}); err != nil {
				t.Errorf("%s: %v\n%s", page, err, src)
			}
		}
	}
	g, err := policy.FromFiles(t.Context(), titled, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if notes := g.Notes(); len(notes) > 0 {
		t.Errorf("notes %q; want none", notes)
	}
}

// The traps are as the page tells them.
func TestTrapsAreAsTold(t *testing.T) {
	for _, tt := range []struct {
		rule, args string
		allow      bool
		reasons    []string
	}{
		{`allow if startswith(input.arguments.path, "/srv/docs")`, `{"path":"/srv/docs-old"}`, true, nil},
		{`allow if startswith(input.arguments.path, "/srv/docs/")`, `{"path":"/srv/docs/../x"}`, true, nil},
		{`allow if not input.arguments.path == "/etc/passwd"`, `{}`, true, nil},
		{"allow if true\n\ndeny contains \"x\" if not f(input.arguments.path)\n\nf(p) if startswith(p, \"/srv/\")", `{}`, true, nil},
		{"allow if true\n\ndeny contains \"x\" if not f\n\nf if startswith(input.arguments.path, \"/srv/\")", `{}`, false, []string{"x"}},
		{`allow if input.arguments.amount > 500`, `{"amount":"1"}`, true, nil},
		{`allow if every x in input.arguments.to { x == "a" }`, `{"to":[]}`, true, nil},
		{`allow if regex.match("/srv/", input.arguments.path)`, `{"path":"/etc/x?/srv/"}`, true, nil},
		{`allow if glob.match("a*", [], input.arguments.x)`, `{"x":"a.b"}`, false, nil},
		{`allow if glob.match("a*", null, input.arguments.x)`, `{"x":"a.b"}`, true, nil},
		{`allow if startswith(input.arguments.url, "https://example.com")`, `{"url":"https://example.com@evil.example/"}`, true, nil},
	} {
		g, err := policy.FromFiles(t.Context(), map[string][]byte{"a.rego": []byte("package mcp.authz\n\n" + tt.rule)}, policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		d, err := g.Decide(t.Context(), &policy.Input{Subject: &policy.Subject{ID: "ann"}, Action: "tools/call", Arguments: []byte(tt.args)})
		if err != nil || d.Allow != tt.allow || !slices.Equal(d.Reasons, tt.reasons) {
			t.Errorf("%s with %s: allow %v, reasons %q, %v; want %v, %q", tt.rule, tt.args, d.Allow, d.Reasons, err, tt.allow, tt.reasons)
		}
	}
}

// A page that the index does not name is found by nobody.
func TestIndexNamesEveryPage(t *testing.T) {
	all := pages(t)
	for name := range all {
		page := strings.TrimPrefix(name, "docs/")
		if page == name || page == "README.md" || strings.HasPrefix(page, "adr/") {
			continue
		}
		if !strings.Contains(all["docs/README.md"], "]("+page+")") {
			t.Errorf("docs/README.md does not name %s", page)
		}
	}
}

// The page of known failures and the tests of them name each other.
func TestKnownFailuresAreAllListed(t *testing.T) {
	src, err := os.ReadFile("test/e2e/known_test.go")
	if err != nil {
		t.Fatal(err)
	}
	page := pages(t)["docs/known-failures.md"]
	tests := regexp.MustCompile(`(?m)^func (TestKnown\w+)\(`).FindAllSubmatch(src, -1)
	if len(tests) == 0 {
		t.Fatal("there are no tests of known failures")
	}
	for _, m := range tests {
		if !strings.Contains(page, "`"+string(m[1])+"`") {
			t.Errorf("docs/known-failures.md does not name %s", m[1])
		}
	}
	for line := range strings.Lines(page) {
		before, _, not := strings.Cut(page, "## Not prevented here")
		if !not || !strings.Contains(before, line) {
			continue
		}
		if strings.HasPrefix(line, "| ") && !strings.Contains(line, "| test |") && !strings.Contains(line, "`Test") {
			t.Errorf("docs/known-failures.md has a row without a test: %s", line)
		}
	}
}

// What the architecture says of sizes is so: no file of Go is over 400 lines, and the line of a call is as
// long as told, within a twentieth.
func TestSizesAreAsTold(t *testing.T) {
	line := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		src, err := os.ReadFile(path)
		lines := strings.Count(string(src), "\n")
		if lines > 400 {
			t.Errorf("%s has %d lines; a file is one idea, 400 lines at most: split it", path, lines)
		}
		if filepath.Dir(path) == "gateway" && !strings.HasSuffix(path, "_test.go") {
			line += lines
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile(`under 1,500 lines and has about (\d),(\d00)`).FindStringSubmatch(pages(t)["docs/architecture.md"])
	if said == nil {
		t.Fatal("docs/architecture.md does not say how long gateway/ is")
	}
	told, err := strconv.Atoi(said[1] + said[2])
	if err != nil {
		t.Fatal(err)
	}
	if max(line-told, told-line)*20 > told {
		t.Errorf("gateway/ has %d lines without tests and rooms; docs/architecture.md says %d", line, told)
	}
}
