package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"sallyport/gateway/wire"
)

func page(tools ...string) PageResult {
	return PageResult{Result: []byte(`{"tools":[` + strings.Join(tools, ",") + `]}`)}
}

func pageAt(cursor string, tools ...string) PageResult {
	p := page(tools...)
	p.Cursor, p.HasCursor = cursor, true
	return p
}

func tool(name string) string { return `{"name":"` + name + `","inputSchema":{"type":"object"}}` }

func listing(t testing.TB, era wire.Era, pages ...PageResult) *Listing {
	t.Helper()
	l, err := BuildListing(era, pages)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestToolsThatCannotBeServedSayWhy(t *testing.T) {
	schema := func(s string) string { return `{"name":"t","inputSchema":` + s + `}` }
	for _, tt := range []struct{ name, raw, want string }{
		{"t", tool("t"), ""},
		{"t", schema(`{}`), ""},
		{"t", `{"name":"t","title":7,"description":null,"x-vendor":{"Name":1},"inputSchema":{"type":"object"},"outputSchema":null}`, ""},
		{"t", `{"name":"t","inputSchema":{},"outputSchema":{"$ref":"http://x.example/"}}`, `outputSchema: compile schema: "http://x.example/" refers to something outside the document, which is never loaded`},
		{"t", `{"name":"t","inputSchema":{},"outputSchema":true}`, "outputSchema is not an object"},
		{"t", `{"name":"t","inputSchema":{},"outputSchema":` + doubling(30, "anyOf") + `}`, "outputSchema: compile schema: its branches multiply"},
		{"t", `{"name":"t","inputSchema":{},"description":"a\u001b[2Kb"}`, `description: U+001B ESCAPE at byte 1`},
		{"t", `{"name":"t","inputSchema":{"properties":{"p":{"enum":["a","\u202eb"]}}}}`, `inputSchema.properties.p.enum.1: U+202E RIGHT-TO-LEFT OVERRIDE at byte 0`},
		{"t", `{"name":"t","inputSchema":{"properties":{"p\udb40\udc41":{}}}}`, `inputSchema.properties.p\U000e0041: U+E0041 TAG 'A' at byte 1`},
		{"t", "{\"name\":\"t\",\"inputSchema\":{},\"_meta\":{\"x\":\"\u009b\"}}", `_meta.x: U+009B CONTROL SEQUENCE INTRODUCER at byte 0`},
		{strings.Repeat("n", 128), tool(strings.Repeat("n", 128)), ""},
		{strings.Repeat("n", 129), tool(strings.Repeat("n", 129)), "the name has 129 characters; the limit is 128"},
		{"a b", tool("a b"), `the name "a b" has characters outside A-Z a-z 0-9 _ - .`},
		{"a/b", tool("a/b"), `the name "a/b" has characters outside A-Z a-z 0-9 _ - .`},
		{"é", tool("é"), `the name "é" has characters outside A-Z a-z 0-9 _ - .`},
		{"a\u202eb", tool("a\\u202eb"), `the name "a\u202eb" has characters outside A-Z a-z 0-9 _ - .`},
		{"a\nb", tool("a\\nb"), `the name "a\nb" has characters outside A-Z a-z 0-9 _ - .`},
		{"t", `{"name":"t"}`, "inputSchema is missing"},
		{"t", `{"name":"t","inputschema":{}}`, `member "inputschema" would be read as "inputSchema" by a client that ignores case`},
		{"t", `{"name":"t","inputSchema":{},"Description":"x"}`, `member "Description" would be read as "description" by a client that ignores case`},
		{"t", `{"name":"t","inputSchema":{},"annotation\u017f":{}}`, `member "annotationſ" would be read as "annotations" by a client that ignores case`},
		{"t", schema(`null`), "inputSchema is not an object"},
		{"t", schema(`true`), "inputSchema is not an object"},
		{"t", schema(`{"type":"objekt"}`), "inputSchema: compile schema: not a valid schema"},
		{"t", schema(`{"$ref":"file:///etc/passwd"}`), `inputSchema: compile schema: "file:///etc/passwd" refers to something outside the document, which is never loaded`},
		{"t", schema(`{"properties":{"a":{"pattern":"(?=x)"}}}`), "inputSchema: compile schema: pattern \"(?=x)\": error parsing regexp: invalid or unsupported Perl syntax: `(?=`"},
		{"t", schema(doubling(30, "allOf")), "inputSchema: compile schema: its branches multiply"},
		{"t", schema(`{"properties":{"a":{},"A":{}}}`), `inputSchema: properties "A" and "a" differ only in case`},
		{"t", schema(`{"properties":{"a":{}},"allOf":[{"properties":{"A":{}}}]}`), `inputSchema: properties "A" and "a" differ only in case`},
		{"t", schema(`{"properties":{"a":{"type":"object","x-mcp-header":"A"}}}`), `inputSchema: x-mcp-header: x-mcp-header at "a": only a string, an integer or a boolean can have it`},
		{"t", schema(`{"properties":{"a":{"type":"object","x-mcp-he\u0061der":"A"}}}`), `inputSchema: x-mcp-header: x-mcp-header at "a": only a string, an integer or a boolean can have it`},
		{"t", `{"name":"t","inputSchema":{},"description":"` + strings.Repeat("x", maxDefinition) + `"}`, "bytes; the limit is 524288"},
	} {
		l := listing(t, wire.Modern, page(tool("other"), tt.raw))
		got := l.Tools[tt.name]
		switch {
		case got == nil:
			t.Errorf("%.100s: no such tool", tt.raw)
		case tt.want == "" && got.Problem != "" || !strings.Contains(got.Problem, tt.want):
			t.Errorf("%.100s: problem %q; want %q", tt.raw, got.Problem, tt.want)
		case (got.Problem == "") != (got.Schema != nil):
			t.Errorf("%.100s: problem %q and schema %v", tt.raw, got.Problem, got.Schema != nil)
		case string(got.Raw) != tt.raw:
			t.Errorf("%.100s: raw %.100s", tt.raw, got.Raw)
		}
		if err := got.Schema.Validate([]byte(`{}`)); tt.want != "" && err == nil {
			t.Errorf("%.100s: a tool with a problem accepts arguments", tt.raw)
		}
		if len(got.Problem) > 1000 || strings.ContainsAny(got.Problem, "\n\x1b") {
			t.Errorf("%.100s: the problem is %q", tt.raw, got.Problem)
		}
		if l.Tools["other"].Problem != "" {
			t.Errorf("%.100s: spoils another tool: %s", tt.raw, l.Tools["other"].Problem)
		}
	}
}

func TestToolsKeepWhatTheirServerWrote(t *testing.T) {
	raw := `{ "title":"T\u00e4", "name":"t" ,"inputSchema": {"type":"object","properties":{"Path":{"type":"string","x-mcp-header":"P"}}}, "annotations":{"readOnlyHint" : true} }`
	got := listing(t, wire.Modern, page(raw)).Tools["t"]
	sum := sha256.Sum256([]byte(`{"annotations":{"readOnlyHint":true},"inputSchema":{"properties":{"Path":{"type":"string","x-mcp-header":"P"}},"type":"object"},"name":"t","title":"Tä"}`))
	if got.Problem != "" || got.Title != "Tä" || string(got.Raw) != raw || string(got.Annotations) != `{"readOnlyHint" : true}` || got.Digest != "sha256:"+hex.EncodeToString(sum[:]) {
		t.Errorf("tool = %+v", got)
	}
	if len(got.Bindings) != 1 || got.Bindings[0].Header != "Mcp-Param-P" {
		t.Errorf("bindings %v", got.Bindings)
	}
	legacy := listing(t, wire.Legacy, page(`{"name":"t","inputSchema":{"properties":{"a":{"type":"object","x-mcp-header":"A"}}}}`)).Tools["t"]
	if legacy.Problem != "" || legacy.Bindings != nil {
		t.Errorf("the older protocol has no x-mcp-header: %+v", legacy)
	}
}

func TestStructuredResultsHaveASchemaOfTheirOwn(t *testing.T) {
	got := listing(t, wire.Modern, page(`{"name":"t","inputSchema":{},"outputSchema":{"type":"object","required":["n"]}}`, tool("plain"))).Tools
	if err := got["t"].Output.Validate([]byte(`{"n":1}`)); err != nil {
		t.Error(err)
	}
	if got["t"].Output.Validate([]byte(`{}`)) == nil {
		t.Error("a result without what the schema wants is accepted")
	}
	if got["plain"].Output != nil {
		t.Error("a tool without outputSchema has one")
	}
}

func TestTwoToolsOfOneNameAreBothRefused(t *testing.T) {
	for _, pages := range [][]PageResult{
		{page(tool("a"), tool("b"), `{"name":"a","title":"other","inputSchema":{}}`)},
		{page(tool("a"), tool("b")), pageAt("2", tool("a"))},
		{page(tool("a"), tool("b"), tool("\\u0061"), tool("a"))},
	} {
		l := listing(t, wire.Modern, pages...)
		if got := l.Tools["a"]; got.Problem != "two tools have this name" || got.Schema != nil {
			t.Errorf("%s: %+v", pages[0].Result, got)
		}
		if l.Tools["b"].Problem != "" || len(l.Tools) != 2 {
			t.Errorf("%s: %v", pages[0].Result, l.Tools)
		}
	}
}

func TestElementsWithoutANameAreCounted(t *testing.T) {
	l := listing(t, wire.Modern, page(`{}`, `{"name":7}`, `"x"`, `{"name":"a","NAME":"b"}`, tool("ok")))
	if l.Nameless != 4 || len(l.Tools) != 1 {
		t.Errorf("nameless %d, tools %v", l.Nameless, l.Tools)
	}
}

func TestBuildListingRefusesPagesThatDoNotBelongTogether(t *testing.T) {
	many := make([]string, maxTools+1)
	for i := range many {
		many[i] = `{}`
	}
	for _, tt := range []struct {
		pages []PageResult
		want  string
	}{
		{nil, "build tool listing: 0 pages; want 1 to 1000"},
		{make([]PageResult, maxPages+1), "build tool listing: 1001 pages; want 1 to 1000"},
		{[]PageResult{{Result: []byte(`{"tools":[],"tools":[]}`)}}, "build tool listing: page 1: the same member name twice in one object, at byte 12"},
		{[]PageResult{{Result: []byte(`{"prompts":[]}`)}}, `build tool listing: page 1: parse list page: the result has no "tools"`},
		{[]PageResult{pageAt("x")}, "build tool listing: page 1: the first page, and only the first, has no cursor"},
		{[]PageResult{page(), page()}, "build tool listing: page 2: the first page, and only the first, has no cursor"},
		{[]PageResult{page(), pageAt("x"), pageAt("x")}, "build tool listing: page 3: the same cursor as an earlier page"},
		{[]PageResult{page(many...)}, "build tool listing: page 1: more than 10000 tools"},
	} {
		if l, err := BuildListing(wire.Modern, tt.pages); err == nil || err.Error() != tt.want {
			t.Errorf("BuildListing = %v, %v; want %s", l != nil, err, tt.want)
		}
	}
}

func TestPagesAreFoundByTheirCursor(t *testing.T) {
	l := listing(t, wire.Modern, page(tool("a")), pageAt("", tool("b")), pageAt("x", tool("c")))
	for _, tt := range []struct {
		cursor string
		has    bool
		want   string
	}{{"", false, "a"}, {"", true, "b"}, {"x", true, "c"}, {"y", true, ""}, {"X", true, ""}} {
		p, ok := l.Page(tt.cursor, tt.has)
		if ok != (tt.want != "") || ok && p.Names[0] != tt.want {
			t.Errorf("Page(%q, %v) = %v, %v; want %q", tt.cursor, tt.has, p, ok, tt.want)
		}
	}
}

func TestDigestCoversEveryByteOfEveryPage(t *testing.T) {
	base := []PageResult{page(tool("a")), pageAt("x", tool("b"))}
	same := listing(t, wire.Modern, base...).Digest
	if again := listing(t, wire.Modern, base...).Digest; again != same || !strings.HasPrefix(same, "sha256:") {
		t.Errorf("digests %s and %s", same, again)
	}
	for what, pages := range map[string][]PageResult{
		"white space":    {{Result: []byte(`{"tools": [` + tool("a") + `]}`)}, base[1]},
		"another cursor": {base[0], pageAt("y", tool("b"))},
		"pages swapped":  {page(tool("b")), pageAt("x", tool("a"))},
		"one page":       {page(tool("a"), tool("b"))},
	} {
		if listing(t, wire.Modern, pages...).Digest == same {
			t.Errorf("%s: the digest is the same", what)
		}
	}
}

func TestRefreshTakesOverWhatDidNotChange(t *testing.T) {
	old := listing(t, wire.Modern, page(tool("a"), tool("b"), `{"name":"c"}`))
	l, err := old.Refresh([]PageResult{page(tool("a"), `{"name":"b","title":"new","inputSchema":{"required":["x"]}}`, tool("c"))})
	if err != nil {
		t.Fatal(err)
	}
	if l.Tools["a"] != old.Tools["a"] {
		t.Error("a was read again")
	}
	if l.Tools["b"].Schema.Validate([]byte(`{}`)) == nil || l.Tools["b"].Digest == old.Tools["b"].Digest {
		t.Error("b is still the old tool")
	}
	if l.Tools["c"].Problem != "" || old.Tools["c"].Problem == "" || old.Tools["b"].Schema.Validate([]byte(`{}`)) != nil {
		t.Error("c did not recover, or the old listing changed")
	}
}

func thousand() []PageResult {
	tools := make([]string, 1000)
	for i := range tools {
		tools[i] = fmt.Sprintf(`{"name":"tool_%d","description":"Does the thing with number %d.","inputSchema":{"type":"object","properties":{"path_%d":{"type":"string","minLength":1},"limit":{"type":"integer","minimum":1}},"required":["path_%d"],"additionalProperties":false}}`, i, i, i, i)
	}
	return []PageResult{page(tools...)}
}

func BenchmarkBuildListing1000(b *testing.B) {
	pages := thousand()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := BuildListing(wire.Modern, pages); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRefresh1000(b *testing.B) {
	pages := thousand()
	l := listing(b, wire.Modern, pages...)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Refresh(pages); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFilter1000(b *testing.B) {
	l := listing(b, wire.Modern, thousand()...)
	b.SetBytes(int64(len(l.Pages[0].Result)))
	b.ReportAllocs()
	for b.Loop() {
		l.Pages[0].Filter(wire.Modern, func(i int) bool { return i%2 == 0 })
	}
}
