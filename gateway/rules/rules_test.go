package rules

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func set(t *testing.T, c Config) *Set {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAllEntriesThatMatchApplyTogether(t *testing.T) {
	s := set(t, Config{Labels: []string{"team:a"}, Tools: []Entry{
		{Pattern: "read_*", Labels: []string{SourcePrivate}},
		{Pattern: "*_file", Labels: []string{"content:image", SourcePrivate}, Content: []string{"audio"}},
		{Pattern: "write", Labels: []string{SinkExternal}},
	}})
	got := s.Tool("read_file")
	if diff := cmp.Diff([]string{"content:image", SourcePrivate, "team:a"}, got.Labels); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"audio", "image"}, got.Content); diff != "" {
		t.Error(diff)
	}
	if got := s.Tool("other"); !cmp.Equal(got.Labels, []string{"team:a"}) {
		t.Errorf("a tool that no pattern names has %q; want the server's labels alone", got.Labels)
	}
	if s.Tool("read_file") != got {
		t.Error("the rule was made twice")
	}
}

func TestNothingIsSaidByNoSet(t *testing.T) {
	var s *Set
	r, err := s.Resource("anything at all")
	if err != nil || len(r.Labels)+len(s.Tool("x").Labels)+len(s.Prompt("x").Labels)+len(s.Labels())+len(s.Template("x").Labels) > 0 {
		t.Errorf("labels from nowhere: %v %v", r, err)
	}
}

func TestLabelsThatMeanSomethingAreHeldToTheirSpelling(t *testing.T) {
	for label, want := range map[string]string{
		"source:privat":          `no label is called "source:privat"; with source: begin source:private, source:untrusted`,
		"Sink:external":          `no label is called "Sink:external"; with sink: begin sink:external, sink:internal`,
		"content:video":          "with content: begin content:text, content:image",
		"":                       "a label is empty",
		"two words":              "has a space",
		"x\u200by":               "does not print",
		strings.Repeat("x", 129): "has at most 128",
	} {
		if err := KnownLabel(label); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("KnownLabel(%q) = %v; want %q in it", label, err, want)
		}
	}
	for _, label := range []string{SourcePrivate, SinkExternal, "content:image", "team:billing", "pii"} {
		if err := KnownLabel(label); err != nil {
			t.Errorf("KnownLabel(%q) = %v", label, err)
		}
	}
}

func TestWhatCannotBeMeantIsNamed(t *testing.T) {
	for want, c := range map[string]Config{
		`"": the pattern is empty`:                               {Tools: []Entry{{}}},
		`"a*": no label is called "sink:x"`:                      {Prompts: []Entry{{Pattern: "a*", Labels: []string{"sink:x"}}}},
		`"r": no kind of content is called "video"; there are t`: {Resources: []Entry{{Pattern: "r", Content: []string{"video"}}}},
		`no label is called "source:"`:                           {Labels: []string{"source:"}},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v; want %q", err, want)
		}
	}
}

// A pattern on URIs is worth nothing when the same file has a second name.
func TestAResourceHasOneNameWhereSomethingIsSaidOfResources(t *testing.T) {
	s := set(t, Config{Resources: []Entry{{Pattern: "file:///private/*", Labels: []string{SourcePrivate}}}})
	for _, uri := range []string{
		"file:///public/../private/x", "file:///%70rivate/x", "FILE:///private/x", "file://localhost/private/x", "file:/private/x",
		"file:////private/x", "file:///./private/x", "file:///x%2f..%2fprivate", "file:///private%252fx", `file:///x\private`,
		"file:///pri\u200bvate/x", "private/x", "", "https://Example.com/x", "https://u@example.com/x", "file:///%2e%2e/private/x",
		"file:///a%00",
	} {
		if _, err := s.Resource(uri); err == nil {
			t.Errorf("%q may be read as another URI and was taken", uri)
		}
	}
	for uri, want := range map[string]int{"file:///private/a%20b": 1, "file:///public/x": 0, "memo://insights": 0, "urn:x:y": 0, "https://example.com/a?b=c%2Fd": 0, "file:///private/": 1} {
		if r, err := s.Resource(uri); err != nil || len(r.Labels) != want {
			t.Errorf("Resource(%q) = %v, %v; want %d labels", uri, r.Labels, err, want)
		}
	}
	free := set(t, Config{Labels: []string{"a"}})
	if r, err := free.Resource("any thing"); err != nil || len(r.Labels) != 1 {
		t.Errorf("where nothing is said of resources every URI is fine: %v %v", r, err)
	}
}

func TestATemplateHasTheLabelsOfAllItCanName(t *testing.T) {
	s := set(t, Config{Resources: []Entry{{Pattern: "file:///private/*", Labels: []string{"p"}}, {Pattern: "db://*", Labels: []string{"d"}}}})
	for template, want := range map[string]string{"file:///{path}": "p", "file:///private/x/{y}": "p", "file:///pub/{y}": "", "{any}": "d p"} {
		if got := strings.Join(s.Template(template).Labels, " "); got != want {
			t.Errorf("Template(%q) has %q; want %q", template, got, want)
		}
	}
}

func TestStarStandsForAnything(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{{"*", "", true}, {"a*", "a", true}, {"a*b", "ab", true}, {"a*b", "a/x/b", true}, {"a*b", "abc", false}, {"*b*", "abc", true},
		{"a", "ab", false}, {"a*a", "a", false}, {"x*y*z", "x-y-y-z", true}, {"x*y*z", "xz", false}} {
		if got := match(c.pattern, c.name); got != c.want {
			t.Errorf("match(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

// A pattern that nothing can match would leave unmarked what it means to mark.
func TestAPatternThatNoURIMatchesIsNamed(t *testing.T) {
	for pattern, want := range map[string]string{
		"FILE:///private/*": "write the scheme and the host in lower case", "file:///a/../private/*": "an empty segment, or one that is only dots", "/srv/private/*": "it is not an absolute URI",
		"https://Example.com/*": "write the scheme and the host in lower case", "file:///%70rivate/*": "write %70 plainly", "file://host/x": "write a file as file:///",
	} {
		if err := Reachable(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Reachable(%q) = %v; want %q", pattern, err, want)
		}
	}
	for _, pattern := range []string{"*", "*private*", "file:///private/*", "file:*", "file:/*", "file://*", "https://*.example.com/*", "https://h:*/x", "memo:*", "memo://insights", "*://x/*"} {
		if err := Reachable(pattern); err != nil {
			t.Errorf("Reachable(%q) = %v", pattern, err)
		}
	}
}

func TestPatternsThatMatchNothingAreFound(t *testing.T) {
	s := set(t, Config{Tools: []Entry{{Pattern: "reed_*", Labels: []string{"a"}}, {Pattern: "read_*", Labels: []string{"a"}}}, Prompts: []Entry{{Pattern: "p", Labels: []string{"a"}}}})
	tools, prompts := s.Unmatched([]string{"read_file"}, []string{"q"})
	if diff := cmp.Diff([]string{"reed_*", "p"}, append(tools, prompts...)); diff != "" {
		t.Error(diff)
	}
	if tools, prompts = s.Unmatched([]string{"read_file", "reed_"}, []string{"p"}); len(tools)+len(prompts) > 0 {
		t.Errorf("%q %q; want none", tools, prompts)
	}
}
