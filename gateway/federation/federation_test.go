package federation

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sallyport/gateway/catalog"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

func listing(t *testing.T, tools ...string) *catalog.Listing {
	t.Helper()
	l, err := catalog.BuildListing(wire.Legacy, []catalog.PageResult{{Result: []byte(`{"tools":[` + strings.Join(tools, ",") + `]}`)}})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func tool(name string) string { return `{"name":"` + name + `","inputSchema":{"type":"object"}}` }

func served(entries []Entry) []string {
	var out []string
	for _, e := range entries {
		out = append(out, e.Served)
	}
	return out
}

func page(t *testing.T, member, elements string) []*catalog.Page {
	t.Helper()
	p, err := catalog.ParsePage([]byte(`{"`+member+`":[`+elements+`]}`), member)
	if err != nil {
		t.Fatal(err)
	}
	return []*catalog.Page{p}
}

func TestIndexServesEachServersOwnUnderItsName(t *testing.T) {
	ix := Build([]Member{
		{Server: "tickets", Tools: listing(t, tool("create_ticket"))},
		{Server: "files", Tools: listing(t, tool("read_file"), tool("create_ticket")),
			Prompts: page(t, "prompts", `{"name":"sum","description":"s"}`), Resources: page(t, "resources", `{"uri":"file:///a?b#c","name":"a"}`),
			Templates: page(t, "resourceTemplates", `{"uriTemplate":"file:///{+path}","name":"t"}`)},
	})
	if diff := cmp.Diff([]string{"files__read_file", "files__create_ticket", "tickets__create_ticket"}, served(ix.Tools)); diff != "" {
		t.Errorf("tools (-want +got):\n%s", diff)
	}
	if e := ix.Tool("files__create_ticket"); e == nil || e.Server != "files" || e.Own != "create_ticket" ||
		string(e.Element) != `{"name":"files__create_ticket","inputSchema":{"type":"object"}}` {
		t.Errorf("files__create_ticket = %+v", e)
	}
	if ix.Tool("create_ticket") != nil || ix.Tool("other__create_ticket") != nil {
		t.Error("a name without its server's is served")
	}
	if e := ix.Prompt("files__sum"); e == nil || string(e.Element) != `{"name":"files__sum","description":"s"}` {
		t.Errorf("prompt = %+v", e)
	}
	if got := string(ix.Resources[0].Element); got != `{"uri":"sallyport://files/file:///a?b#c","name":"a"}` {
		t.Errorf("resource = %s", got)
	}
	if got := string(ix.Templates[0].Element); got != `{"uriTemplate":"sallyport://files/file:///{+path}","name":"t"}` {
		t.Errorf("template = %s", got)
	}
	if len(ix.Problems) > 0 {
		t.Errorf("problems: %v", ix.Problems)
	}
}

// What a model could take for another name is served under neither, and the operator is told
// both.
func TestLookAlikesAreNotServed(t *testing.T) {
	for _, names := range [][2]string{{"read_file", "Read_File"}, {"list_1", "list_l"}, {"get-sum", "get_sum"}, {"v0", "vO"}, {"a.b", "a_b"}} {
		ix := Build([]Member{{Server: "files", Tools: listing(t, tool(names[0]), tool(names[1]), tool("other"))}})
		if diff := cmp.Diff([]string{"files__other"}, served(ix.Tools)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", names, diff)
		}
		want := fmt.Sprintf(`the tools files/%s and files/%s look alike as "files__%s" and are not served at /mcp; rename one, or use /mcp/files`, names[0], names[1], names[0])
		if diff := cmp.Diff([]string{want}, ix.Problems); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
	}
}

func TestPromptWithForeignLettersIsNotServed(t *testing.T) {
	ix := Build([]Member{{Server: "files", Prompts: page(t, "prompts", `{"name":"sum"},{"name":"ѕum"}`)}})
	if diff := cmp.Diff([]string{"files__sum"}, served(ix.Prompts)); diff != "" {
		t.Errorf("prompts (-want +got):\n%s", diff)
	}
	want := `server files: the prompt "ѕum" has characters outside A-Z a-z 0-9 _ - . and is not served at /mcp`
	if diff := cmp.Diff([]string{want}, ix.Problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestLongNamesGetAStableShortForm(t *testing.T) {
	long := strings.Repeat("long_", 20)
	a, b := Name("files", long+"a"), Name("files", long+"b")
	if len(a) != MaxName || a == b || a != Name("files", long+"a") || !strings.HasPrefix(a, "files__long_long_") {
		t.Errorf("short forms %q and %q; want two of %d characters, always the same", a, b, MaxName)
	}
	if got := Name("files", "read_file"); got != "files__read_file" {
		t.Errorf("short name = %q", got)
	}
	server := strings.Repeat("s", MaxServer)
	if got := Name(server, long); len(got) != MaxName || !strings.HasPrefix(got, server+"__") {
		t.Errorf("under the longest server: %q", got)
	}
}

func TestServerNames(t *testing.T) {
	for name, want := range map[string]string{
		"files": "", "a-1": "",
		"":                      "a server's name has 1 to 32 characters, not 0",
		strings.Repeat("a", 33): "a server's name has 1 to 32 characters, not 33",
		"a_b":                   `a server's name consists of a-z, 0-9 and -, not "_"`,
		"Files":                 `a server's name consists of a-z, 0-9 and -, not "F"`,
		"a/b":                   `a server's name consists of a-z, 0-9 and -, not "/"`,
	} {
		got := ""
		if err := CheckServer(name); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("CheckServer(%q) = %q; want %q", name, got, want)
		}
	}
}

func TestUnavailableIsSaidInMeta(t *testing.T) {
	for _, c := range []struct{ element, want string }{
		{`{"name":"a"}`, `{"_meta":{"sallyport/unavailable":"gone"},"name":"files__a"}`},
		{`{"name":"a","_meta":{}}`, `{"name":"files__a","_meta":{"sallyport/unavailable":"gone"}}`},
		{`{"name":"a","_meta":{"k":1}}`, `{"name":"files__a","_meta":{"sallyport/unavailable":"gone","k":1}}`},
		{`{"name":"a","_meta":7}`, `{"name":"files__a","_meta":7}`},
		{`{"name":"a","_meta":{"sallyport/unavailable":"no"}}`, `{"name":"files__a","_meta":{"sallyport/unavailable":"no"}}`},
	} {
		ix := Build([]Member{{Server: "files", Prompts: page(t, "prompts", c.element), Unavailable: "gone"}})
		if got := string(ix.Prompts[0].Element); got != c.want {
			t.Errorf("%s: %s; want %s", c.element, got, c.want)
		}
	}
}

func TestURIsAreMappedWhereResourcesAre(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{`{"content":[{"type":"text","text":"\"uri\""}]}`, `{"content":[{"type":"text","text":"\"uri\""}]}`},
		{`{"content":[{"type":"resource_link","uri":"file:///a"},{"type":"resource","resource":{"uri":"file:///b","text":"uri"}}]}`,
			`{"content":[{"type":"resource_link","uri":"sallyport://files/file:///a"},{"type":"resource","resource":{"uri":"sallyport://files/file:///b","text":"uri"}}]}`},
		{`{"contents":[{"uri":"x:1"},{"uri":"x:2"}]}`, `{"contents":[{"uri":"sallyport://files/x:1"},{"uri":"sallyport://files/x:2"}]}`},
		{`{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"x:1"}}}]}`,
			`{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"sallyport://files/x:1"}}}]}`},
		{`{"uri":"x:1"}`, `{"uri":"sallyport://files/x:1"}`},
		{`{"structuredContent":{"uri":"x:1"}}`, `{"structuredContent":{"uri":"x:1"}}`}, // the server's own data
		{`{"content":[{"uri":7},null,[],"uri"]}`, `{"content":[{"uri":7},null,[],"uri"]}`},
	} {
		got, changed := Outward("files", []byte(c.raw))
		if string(got) != c.want || changed != (c.raw != c.want) {
			t.Errorf("%s\n got %s (changed: %v)\nwant %s", c.raw, got, changed, c.want)
		}
	}
}

// Whatever a server calls its resources, clients' URIs lead back to the same server and the same
// bytes, and no two servers can meet.
func TestURIsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		server := rapid.StringMatching(`[a-z0-9-]{1,32}`).Draw(t, "server")
		own := rapid.StringN(1, 40, -1).Draw(t, "own")
		s, o, ok := SplitURI(URI(server, own))
		if !ok || s != server || o != own {
			t.Fatalf("%q of %q came back as %q of %q", own, server, o, s)
		}
	})
	for _, uri := range []string{"", "file:///a", "sallyport://", "sallyport://files", "sallyport://files/", "sallyport://Files/x", "sallyport:///x"} {
		if s, o, ok := SplitURI(uri); ok {
			t.Errorf("SplitURI(%q) = %q, %q; want none", uri, s, o)
		}
	}
}

// No two tools of any servers share a served name.
func TestServedNamesAreUnique(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var members []Member
		for _, server := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-c-]{1,3}`), 1, 4, rapid.ID).Draw(rt, "servers") {
			var tools []string
			for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-b_.-]{1,60}`), 0, 5, rapid.ID).Draw(rt, "tools") {
				tools = append(tools, tool(name))
			}
			members = append(members, Member{Server: server, Tools: listing(t, tools...)})
		}
		ix := Build(members)
		seen := map[string]bool{}
		for _, e := range ix.Tools {
			if seen[e.Served] || len(e.Served) > MaxName || ix.Tool(e.Served).Own != e.Own {
				rt.Fatalf("%q is served twice, is too long, or means another tool", e.Served)
			}
			seen[e.Served] = true
			if err := strictjson.Check(e.Element, strictjson.Limits{}); err != nil {
				rt.Fatalf("%s: %v", e.Element, err)
			}
		}
	})
}

// The work is in proportion to what the server sends: doubling an answer of many links, or a list
// of many names that are one, does not square it.
func TestHostileAnswersCostWhatTheyWeigh(t *testing.T) {
	links := `{"content":[` + strings.TrimSuffix(strings.Repeat(`{"type":"resource_link","uri":"x:1"},`, 200_000), ",") + `]}`
	got, changed := Outward("files", []byte(links))
	if want := strings.ReplaceAll(links, `"x:1"`, `"sallyport://files/x:1"`); !changed || string(got) != want {
		t.Error("200,000 links are not mapped")
	}
	names := strings.TrimSuffix(strings.Repeat(`{"name":"a"},`, 100_000), ",")
	ix := Build([]Member{{Server: "files", Prompts: page(t, "prompts", names)}})
	want := []string{`the prompts files/a and files/a and files/a and 99997 more look alike as "files__a" and are not served at /mcp; rename one, or use /mcp/files`}
	if diff := cmp.Diff(want, ix.Problems); diff != "" || len(ix.Prompts) != 0 {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	var foreign strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&foreign, `{"name":"ѕ%d"},`, i)
	}
	if ix := Build([]Member{{Server: "files", Prompts: page(t, "prompts", strings.TrimSuffix(foreign.String(), ","))}}); len(ix.Problems) != mostProblems {
		t.Errorf("%d problems; want no more than %d", len(ix.Problems), mostProblems)
	}
}
