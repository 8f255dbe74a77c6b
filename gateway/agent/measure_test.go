package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sallyport/gateway/agent"
)

// lay writes files below a new folder.
func lay(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		put(t, dir, name, text)
	}
	return dir
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func measure(t *testing.T, dir string, patterns ...string) *agent.Manifest {
	t.Helper()
	m, err := agent.NewMeasurer(dir, "", patterns)
	if err != nil {
		t.Fatal(err)
	}
	found, err := m.Measure()
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func paths(m *agent.Manifest) []string {
	names := []string{}
	for _, f := range m.Files {
		names = append(names, f.Path)
	}
	return names
}

func TestPatternsMatchFilesAsPeopleWriteThem(t *testing.T) {
	dir := lay(t, map[string]string{"AGENTS.md": "a", "sub/AGENTS.md": "b", ".claude/settings.json": "{}", ".claude/skills/x/SKILL.md": "c",
		"memory/1.md": "m", "memory/2.txt": "n", "other.go": "o"})
	for _, tt := range []struct {
		patterns, want []string
	}{
		{[]string{"AGENTS.md"}, []string{"AGENTS.md"}},
		{[]string{"./AGENTS.md"}, []string{"AGENTS.md"}},
		{[]string{"**/AGENTS.md"}, []string{"AGENTS.md", "sub/AGENTS.md"}},
		{[]string{".claude/**"}, []string{".claude/settings.json", ".claude/skills/x/SKILL.md"}},
		{[]string{".claude/*"}, []string{".claude/settings.json"}},
		{[]string{"memory/*.md", "memory/[0-9].txt"}, []string{"memory/1.md", "memory/2.txt"}},
		{[]string{"memory/?.md", "memory/1.md"}, []string{"memory/1.md"}},
		{[]string{"**/x/*"}, []string{".claude/skills/x/SKILL.md"}},
		{[]string{"nothing.md", "memory"}, []string{}},
	} {
		found := measure(t, dir, tt.patterns...)
		if diff := cmp.Diff(tt.want, paths(found)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.patterns, diff)
		}
	}
}

func TestHomeIsNamedByATilde(t *testing.T) {
	home, dir := lay(t, map[string]string{".claude/CLAUDE.md": "mine"}), lay(t, map[string]string{"CLAUDE.md": "its"})
	m, err := agent.NewMeasurer(dir, home, []string{"CLAUDE.md", "~/.claude/*.md"})
	if err != nil {
		t.Fatal(err)
	}
	found, err := m.Measure()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"CLAUDE.md", "~/.claude/CLAUDE.md"}, paths(found)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if unmatched := m.Unmatched(found); len(unmatched) != 0 {
		t.Errorf("unmatched %q, want none", unmatched)
	}
}

func TestPatternsThatMatchNothingAreNamed(t *testing.T) {
	dir := lay(t, map[string]string{"AGENTS.md": "a", ".claude/x/y": ""})
	m, err := agent.NewMeasurer(dir, "", []string{"AGENT.md", "AGENTS.md", ".claude/**", "docs/**"})
	if err != nil {
		t.Fatal(err)
	}
	found, err := m.Measure()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"AGENT.md", "docs/**"}, m.Unmatched(found)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestEveryChangeChangesTheDigest makes two folders of a few files: their digests are equal exactly
// where names and contents are.
func TestEveryChangeChangesTheDigest(t *testing.T) {
	names := rapid.SampledFrom([]string{"a", "b", "d/a", "d/b", "a\nb"})
	folder := rapid.MapOfN(names, rapid.SampledFrom([]string{"", "x", "y"}), 0, 4)
	rapid.Check(t, func(rt *rapid.T) {
		one, other := folder.Draw(rt, "one"), folder.Draw(rt, "other")
		equal := cmp.Equal(one, other)
		if got := measure(t, lay(t, one), "**").Digest == measure(t, lay(t, other), "**").Digest; got != equal {
			rt.Errorf("%v and %v: equal digests %t, want %t", one, other, got, equal)
		}
	})
}

func TestWhatCannotBeMeasuredIsSaid(t *testing.T) {
	outside := lay(t, map[string]string{"secret": "s", "sub/x": ""})
	for _, tt := range []struct {
		name, pattern string
		make          func(t *testing.T, dir string)
		want          string
	}{
		{"a link to a file outside", "AGENTS.md", func(t *testing.T, dir string) { link(t, outside+"/secret", dir+"/AGENTS.md") },
			`measure "AGENTS.md": AGENTS.md is a link that is not followed; name what it leads to, or put a copy in its place`},
		{"a link to nothing", "AGENTS.md", func(t *testing.T, dir string) { link(t, "nowhere", dir+"/AGENTS.md") }, "AGENTS.md is a link that is not followed"},
		{"a folder that is a link", "sub/*", func(t *testing.T, dir string) { link(t, outside+"/sub", dir+"/sub") }, "sub is a link that is not followed"},
		{"a folder inside that is a link", "**", func(t *testing.T, dir string) { put(t, dir, "real/x", ""); link(t, "real", dir+"/alias") }, "alias is a link that is not followed"},
		{"a file that is too large", "*", func(t *testing.T, dir string) {
			put(t, dir, "big", "")
			if err := os.Truncate(dir+"/big", agent.MaxFileSize+1); err != nil {
				t.Fatal(err)
			}
		}, "big has more than 64 MiB; give patterns that leave it out"},
		{"too many files", "**", func(t *testing.T, dir string) {
			for i := range agent.MaxFiles + 1 {
				if err := os.Link(outside+"/secret", fmt.Sprintf("%s/%d", dir, i)); err != nil {
					t.Fatal(err)
				}
			}
		}, "more than 10000 files match; give narrower patterns"},
		{"a folder that is gone", "*", func(t *testing.T, dir string) {
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
		}, "no such file or directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.make(t, dir)
			m, err := agent.NewMeasurer(dir, "", []string{tt.pattern})
			if err != nil {
				t.Fatal(err)
			}
			digest, err := m.Digest()
			if err == nil || !strings.Contains(err.Error(), tt.want) || digest != "" {
				t.Errorf("digest %q, error %v; want none, and an error that says %q", digest, err, tt.want)
			}
		})
	}
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

func TestALinkInsideTheFolderStandsForItsFile(t *testing.T) {
	dir := lay(t, map[string]string{"AGENTS.md": "one"})
	link(t, "AGENTS.md", dir+"/CLAUDE.md")
	before := measure(t, dir, "CLAUDE.md").Digest
	put(t, dir, "AGENTS.md", "two")
	if after := measure(t, dir, "CLAUDE.md").Digest; after == before {
		t.Error("the digest is the same after the file behind the link has changed")
	}
}

func TestWrongPatternsAreExplained(t *testing.T) {
	for pattern, want := range map[string]string{
		"":             "an empty pattern matches nothing; name files, as in 'AGENTS.md' or '.claude/**'",
		"/etc/passwd":  "an absolute path; name files below the working folder, or below HOME as in '~/.claude/CLAUDE.md'",
		"../x":         "it leads out of the folder; run the command in the folder that holds the files",
		"a/../../x":    "it leads out of the folder",
		"a//b":         "it has an empty part; write it in its shortest form",
		"[a":           `"[a" is no pattern: a '[' needs its ']'`,
		"~/.claude/**": "HOME is not set, so '~/' stands for nothing",
	} {
		if _, err := agent.NewMeasurer("/", "", []string{pattern}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("pattern %q: error %v, want %q", pattern, err, want)
		}
	}
	if _, err := agent.NewMeasurer("here", "", nil); err == nil || !strings.Contains(err.Error(), `folder "here" is not an absolute path`) {
		t.Errorf("a relative folder: %v", err)
	}
	if _, err := agent.NewMeasurer("/", "", make([]string, 65)); err == nil || !strings.Contains(err.Error(), "65 patterns; at most 64") {
		t.Errorf("65 patterns: %v", err)
	}
}
