package rules

import (
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
)

// A pattern means what a plain reading of it means.
func FuzzMatch(f *testing.F) {
	for _, s := range [][2]string{{"read_*", "read_file"}, {"*", ""}, {"a*b*a", "aba"}, {"a*a", "a"}, {"**", "x"}, {"", ""}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		plain, err := regexp.Compile(`(?s)^` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`) + `$`)
		if err != nil || len(pattern) > 100 {
			return
		}
		if got, want := match(pattern, name), plain.MatchString(name); got != want {
			t.Fatalf("%q matches %q: %v; a plain reading says %v", pattern, name, got, want)
		}
	})
}

// A URI that is taken is written the one way in which it can be read: cleaning its path or undoing its
// escapes twice gives the same resource.
func FuzzPlainURI(f *testing.F) {
	for _, s := range []string{"file:///srv/docs/a", "file:///srv/../etc", "https://h/%2e%2e/x", "https://H/x", "db://t/a%252fb", "memo:x", "file://h/x", "https://u@h/", "a:b%00", "https://h//x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if plainURI(uri) != nil {
			return
		}
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatalf("%q is taken and no URI: %v", uri, err)
		}
		if p := u.EscapedPath(); p != "" && p != "/" && path.Clean(p) != strings.TrimSuffix(p, "/") {
			t.Fatalf("%q is taken, and its path is also %q", uri, path.Clean(p))
		}
		once, err := url.PathUnescape(u.EscapedPath())
		if err != nil {
			t.Fatalf("%q is taken and cannot be read: %v", uri, err)
		}
		if strings.Contains(once, "/../") || strings.HasSuffix(once, "/..") || strings.ContainsAny(once, "\\\x00") {
			t.Fatalf("%q is taken, and is %q to who undoes its escapes", uri, once)
		}
		if strings.Count(once, "/") != strings.Count(u.EscapedPath(), "/") {
			t.Fatalf("%q is taken and hides a slash", uri)
		}
	})
}
