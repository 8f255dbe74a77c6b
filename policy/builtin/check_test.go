package builtin

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sallyport/internal/corpora"
)

// judged is why a text is refused, or "".
func judged(t testing.TB, c Check, s string) string {
	t.Helper()
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Judge(raw); err != nil {
		return err.Error()
	}
	return ""
}

type tries []struct{ value, want string }

func (list tries) run(t *testing.T, c Check) {
	t.Helper()
	if err := c.Err(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range list {
		if got := judged(t, c, tt.value); (tt.want == "") != (got == "") || !strings.HasPrefix(got, tt.want) {
			t.Errorf("%q: %q; want %q", tt.value, got, tt.want)
		}
	}
}

func TestAPathIsBelowItsRootOrRefused(t *testing.T) {
	tries{
		{"/srv/docs/a.md", ""}, {"/srv/docs", ""}, {"/srv/docs/", ""}, {"/srv/docs/a b/ä", ""}, {"/srv/docs//a", ""}, {"/srv/docs/./a", ""}, {"/srv/docs/..a", ""},
		{"/srv/docs/../x", "it goes up (..)"}, {"/srv/docs/.. /x", "it goes up (..)"}, {"/etc/passwd", `"/etc/passwd" is not below "/srv/docs"`},
		{"/srv/docs-old/x", `"/srv/docs-old/x" is not below`}, {"/srv/docs/\x00", "it has the character U+0000 at byte 10"},
		{"/srv/docs/%2e%2e/x", "it has a percent-encoded character"}, {"/srv/docs/%252e", "it has a percent-encoded character"}, {`/srv/docs/..\x`, "it has a backslash"},
		{"~/x", "it begins at a home directory"}, {"docs/x", "it is relative"}, {"file:///srv/docs/x", "it is a URL"}, {`C:/x`, "it names a drive"}, {"//host/srv/docs", "it names a drive"},
		{"/srv/docs/\uff0e\uff0e/x", "it has a character that may be read as / or a dot"}, {"/srv/docs/\u2025/x", "it has a character that may be read"}, {"/srv/docs/\uff0fx", "it has a character that may be read"},
		{"/srv/docs/a\u200bb", "it has the character U+200B"}, {"", "it is empty"}, {"/srv/docs/" + strings.Repeat("x", 4096), "it has 4106 bytes; at most 4096"},
	}.run(t, Check{Kind: Path, Within: []string{"/srv/docs"}})
	tries{{"/a/x", ""}, {"/b/x", ""}, {"/c", `"/c" is below none of the 2 roots`}}.run(t, Check{Kind: Path, Within: []string{"/a", "/b"}})
}

func TestALinkLeadsOutOfNoRoot(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root, outside := filepath.Join(dir, "root"), filepath.Join(dir, "outside")
	for _, d := range []string{root, outside, filepath.Join(root, "in")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"out": outside, "inner": filepath.Join(root, "in"), "dangling": filepath.Join(dir, "new")} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(root, filepath.Join(dir, "alias")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"in/new": true, "inner/new": true, "new/deep/er": true, "out": false, "out/x": false, "out/new/x": false, "dangling": false} {
		for _, at := range []string{root, filepath.Join(dir, "alias")} {
			got := judged(t, Check{Kind: Path, Within: []string{at}}, filepath.Join(at, path))
			if (got == "") != want {
				t.Errorf("%s below %s: %q; want allowed %v", path, filepath.Base(at), got, want)
			}
			if !want && !strings.Contains(got, "by a link") {
				t.Errorf("%s: %q does not say that it is a link", path, got)
			}
		}
	}
}

func TestAURLIsReadOneWayOrRefused(t *testing.T) {
	tries{
		{"https://example.com/a?b=c#d", ""}, {"https://a.example.org/", ""}, {"https://example.com:443/", ""}, {"https://a.b.example.org", ""},
		{"https://example.org/", `the host "example.org" is not among`}, {"https://evil.com/", `the host "evil.com" is not among`}, {"https://example.com.evil.com/", "the host"},
		{"http://example.com/", `its scheme is "http"; it may be https`}, {"javascript:alert(1)", "it is not a URL with a scheme and a host"}, {"//example.com/", "it is not a URL with"},
		{"https://example.com:8443/", "the port 8443 is not among"}, {"https://example.com:0443/", "its port is not a number in its usual form"}, {"https://example.com:/", "it has a colon and no port"},
		{"https://u@example.com/", "it names a user"}, {"https://example.com@evil.com/", "it names a user"}, {`https://evil.com\@example.com/`, "it has a character that a URL has not"},
		{"https://example.com\n.evil.com/", "it has the character U+000A"}, {"https://EXAMPLE.com/", "its host is neither a name in lower case"}, {"https://ex\u00e4mple.com/", "it can be read in more than one way"},
		{"https://example.com./", "its host is neither"}, {"https://example.com/a b", "it has a character that a URL has not"}, {"HTTPS://example.com/", "it can be read in more than one way"},
		{"https://127.0.0.1/", `"127.0.0.1" is a private address`}, {"https://0x7f.1/", "its host is neither"}, {"https://2130706433/", "its host is neither"}, {"https://[::1]/", `"::1" is a private address`},
		{"https://[::ffff:7f00:1]/", "its address is not in its usual form"}, {"https://[64:ff9b::7f00:1]/", "\"64:ff9b::7f00:1\" is a private address"}, {"https://169.254.169.254/", "\"169.254.169.254\" is a private"},
	}.run(t, Check{Kind: URL, Hosts: []string{"example.com", "*.example.org"}})
	tries{{"http://127.0.0.1:8080/", ""}, {"http://127.0.0.1/", "the port 80 is not among"}, {"http://10.0.0.1:8080/", "the host"}}.run(t,
		Check{Kind: URL, Hosts: []string{"127.0.0.1"}, Schemes: []string{"http"}, Ports: []int{8080}, Private: true})
	tries{{"https://8.8.8.8/", ""}, {"https://anything.example/", ""}, {"https://localhost/", `"localhost" is this machine`}, {"https://100.64.0.1/", `"100.64.0.1" is a private`},
		{"https://metadata.google.internal/", `"metadata.google.internal" is a name of an inner network; name it in hosts if it is meant`}, {"https://wiki/", `"wiki" is a name of an inner network`},
		{"https://printer.local/", `"printer.local" is a name of an inner network`}}.run(t, Check{Kind: URL, Hosts: []string{"*"}})
	tries{{"https://wiki/", ""}, {"https://a.corp.internal/", ""}, {"https://b.internal/", "\"b.internal\" is a name of an inner"}}.run(t, Check{Kind: URL, Hosts: []string{"*", "wiki", "*.corp.internal"}})
}

func TestMailGoesToOnePlainAddress(t *testing.T) {
	tries{
		{"ann@example.com", ""}, {"a.b+c@team.example.org", ""}, {"boss@other.com", ""}, {"ANN@EXAMPLE.COM", ""},
		{"eve@evil.com", `mail to "eve@evil.com" is not among`}, {"ann@example.com.evil.com", "mail to"}, {"Ann <ann@example.com>", "it is not one plain address"},
		{"ann@example.com,eve@evil.com", "it is not one plain address"}, {"ann@example.com\r\nBcc: eve@evil.com", "it is not one plain address"}, {`"x@evil.com"@example.com`, "it is not one plain"},
		{"a..b@example.com", "it is not one plain"}, {"@example.com", "it is not one plain"}, {"ann@", "it is not one plain"}, {"ann@[127.0.0.1]", "it is not one plain"}, {"ann%evil.com@example.com", ""},
		{"ann@example.com.", "its domain is not a host name"}, {"Boss@other.com", "mail to"},
	}.run(t, Check{Kind: Email, Domains: []string{"example.com", "*.example.org"}, Addresses: []string{"boss@other.com"}})
}

func TestAnIdentifierIsOfItsFormAsAWhole(t *testing.T) {
	tries{{"SHOP-1234", ""}, {"SHOP-1234\n", "it has the character U+000A"}, {"xSHOP-1", `"xSHOP-1" is not of the form "[A-Z]+-[0-9]+|NONE"`}, {"NONE", ""}, {"NONEx", `"NONEx" is not`}}.run(t,
		Check{Kind: Identifier, Pattern: "[A-Z]+-[0-9]+|NONE"})
}

// A pattern that closes our bracket would hold for a part of the text.
func TestAPatternIsAnExpressionByItself(t *testing.T) {
	for _, pattern := range []string{"a)|(?:b", "a)(?:", "(", `a\`} {
		err := Check{Kind: Identifier, Pattern: pattern}.Err()
		if err == nil || !strings.Contains(err.Error(), "is no regular expression (RE2)") {
			t.Errorf("%s: %v; want it refused", pattern, err)
		}
	}
}

// One call must not keep the gateway busy with a list of what is dear to judge.
func TestAListOfCostlyValuesIsShort(t *testing.T) {
	list := []byte("[" + strings.Repeat(`"SELECT 1",`, 16) + `"SELECT 1"]`)
	for _, c := range []Check{{Kind: SQL, Dialect: Postgres}, {Kind: URL, Hosts: []string{"*"}, Resolve: true}} {
		if err := c.Judge(list); err == nil || err.Error() != "it wants 1 to 16 values" {
			t.Errorf("%s: 17 values: %v", c.Kind, err)
		}
	}
}

func TestSQLIsOneStatementThatReads(t *testing.T) {
	tries{
		{"SELECT a, count(*) FROM t WHERE b = 'x' GROUP BY a ORDER BY 2 LIMIT 10", ""}, {"VALUES (1), (2)", ""}, {"WITH x AS (SELECT 1) SELECT * FROM x", ""}, {"SELECT 1;", ""},
		{"SELECT 1 -- fine", ""}, {"SELECT a FROM t WHERE b IN (SELECT c FROM u) UNION SELECT lower(d) FROM v", ""},
		{"SELECT 1; DROP TABLE t", "it has 2 statements; write one"}, {"DELETE FROM t", "it is no SELECT or VALUES"}, {"WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", "it has a DeleteStmt"},
		{"SELECT 1 INTO t", "it makes a table (INTO)"}, {"SELECT * FROM t FOR UPDATE", "it locks rows"}, {"SELECT pg_read_file('/etc/passwd')", `it calls "pg_read_file"`},
		{"SELECT dblink('x')", `it calls "dblink"`}, {"SELECT public.lower('x')", `it calls "public.lower"`}, {"SELECT * FROM pg_shadow", `it reads "pg_shadow"`}, {"SELECT * FROM pg_catalog.pg_authid", "it reads"},
		{"SELECT 'x'::regclass", "it looks names of the database up"}, {"SELECT * FROM dblink('x') AS t(a int)", "it has a"}, {"EXPLAIN ANALYZE DELETE FROM t", "it is no SELECT"}, {"COPY t TO '/tmp/x'", "it is no SELECT"},
		{`SELECT 'a\' OR 1=1 --'`, "it has a backslash"}, {"SELEC 1", "it is not SQL as PostgreSQL reads it"}, {"", "it is empty"}, {"   ", "it has 0 statements"}, {"DO $$ BEGIN END $$", "it is no SELECT"},
		{"SELECT 1 OPERATOR(public.+) 2", "it names an operator with its schema"}, {"SET ROLE x", "it is no SELECT"}, {"SELECT nextval('s')", `it calls "nextval"`}, {"SELECT set_config('a','b',false)", `it calls "set_config"`},
		{strings.Repeat("SELECT (", 300) + "SELECT 1" + strings.Repeat(")", 300), "it has 902 words and signs; at most 300 are read"},
		{strings.Repeat("SELECT (", 98) + "SELECT 1" + strings.Repeat(")", 98), "it is nested more than 100 deep"}, {"SELECT " + strings.Repeat("NOT ", 298) + "true", "it is nested"}, {"TABLE pg_shadow", "it reads"}, {"SELECT * FROM t TABLESAMPLE evil(1)", "it has a"},
	}.run(t, Check{Kind: SQL, Dialect: Postgres})
}

func TestArgumentsAreJudgedOneByOne(t *testing.T) {
	c := Check{Kind: Identifier, Pattern: "[a-z]+"}
	for raw, want := range map[string]string{`"a"`: "", `["a","b"]`: "", `["a","B"]`: `value 2: "B" is not of the form`, `[]`: "it wants 1 to 1000 values", `[["a"]]`: "value 1: it is not a text",
		`7`: "it is not a text", `{"a":1}`: "it is not a text", `null`: "it is not a text", ``: "it is missing"} {
		got := ""
		if err := c.Judge(json.RawMessage(raw)); err != nil {
			got = err.Error()
		}
		if (want == "") != (got == "") || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q; want %q", raw, got, want)
		}
	}
	c.Optional = true
	if err := c.Judge(nil); err != nil {
		t.Errorf("an optional argument that is absent: %v", err)
	}
	if err := (Check{}).Judge(json.RawMessage(`"a"`)); err == nil {
		t.Error("the zero check accepts something")
	}
	if err := (Check{Optional: true}).Judge(nil); err == nil {
		t.Error("a check of no kind accepts what is absent")
	}
}

func TestAChecksOwnMistakesAreNamed(t *testing.T) {
	for want, c := range map[string]Check{
		`no kind of check is called "pth"`:                       {Kind: "pth"},
		"a check of kind path wants within":                      {Kind: Path},
		`the root "docs" is not absolute`:                        {Kind: Path, Within: []string{"docs"}},
		"hosts is for checks of kind url, and this is one of ki": {Kind: Path, Within: []string{"/"}, Hosts: []string{"x"}},
		`a check of kind url wants hosts; ["*"] for every`:       {Kind: URL},
		`"Example.com" is no host`:                               {Kind: URL, Hosts: []string{"Example.com"}},
		"0 is no port":                                           {Kind: URL, Hosts: []string{"*"}, Ports: []int{0}},
		"a check of kind email wants domains or addresses":       {Kind: Email},
		`"x@y@z" is no address`:                                  {Kind: Email, Addresses: []string{"x@y@z"}},
		"a check of kind identifier wants a pattern":             {Kind: Identifier},
		`the pattern "(" is no regular expression`:               {Kind: Identifier, Pattern: "("},
		`the dialect "mysql" cannot be read by this version`:     {Kind: SQL, Dialect: "mysql"},
		"maxLen is from 1":                                       {Kind: Identifier, Pattern: "a", MaxLen: -1},
	} {
		if err := c.Err(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v; want %s", c, err, want)
		}
	}
}

// Whatever it is, it is judged, and what is allowed is below the root.
func TestEveryTextIsJudged(t *testing.T) {
	checks := []Check{{Kind: Path, Within: []string{"/srv/docs"}}, {Kind: URL, Hosts: []string{"*"}}, {Kind: Email, Domains: []string{"*"}}, {Kind: Identifier, Pattern: ".*"}}
	pieces := rapid.SampledFrom([]string{"/", "..", ".", "/srv/docs", "srv", "docs", "%2e", "\\", "\x00", "~", "https://", "a", "@", "example.com", ":", "file:", "\uff0e", " ", "\n", "x"})
	rapid.Check(t, func(rt *rapid.T) {
		s := strings.Join(rapid.SliceOf(rapid.OneOf(pieces, rapid.String())).Draw(rt, "pieces"), "")
		for _, c := range checks {
			raw, _ := json.Marshal(s)
			if err := c.Judge(raw); err == nil && c.Kind == Path && !below(filepath.Clean(s), "/srv/docs") {
				rt.Fatalf("%q is taken for a path below /srv/docs", s)
			}
		}
	})
}

// Of the lists of hostile strings none is a path below a root, a public URL of a host that may be
// named, or a recipient.
func TestHostilePayloadsPassNoCheck(t *testing.T) {
	checks := []Check{{Kind: Path, Within: []string{"/srv/docs"}}, {Kind: URL, Hosts: []string{"example.com"}, Schemes: []string{"http", "https"}},
		{Kind: Email, Domains: []string{"example.com"}}, {Kind: Identifier, Pattern: "[A-Z]+-[0-9]+"}}
	n := 0
	for _, set := range []string{"payloadsallthethings", "blns"} {
		err := filepath.WalkDir(corpora.Dir(t, set), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || d.Name() == "LICENSE" || d.Name() == "README.md" {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(data)) {
				line = strings.TrimRight(line, "\r\n")
				if !json.Valid([]byte(`"`+strings.Trim(line, `",`)+`"`)) || line == "" {
					continue
				}
				n++
				for _, c := range checks {
					if judged(t, c, line) == "" && !below(filepath.Clean(line), "/srv/docs") {
						t.Errorf("%s: %q passes as %s", filepath.Base(path), line, c.Kind)
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n < 1000 {
		t.Errorf("%d lines tried; the lists are longer", n)
	}
}
