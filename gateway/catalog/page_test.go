package catalog

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

func all(int) bool { return true }

func TestParsePageRefusesWhatIsNoList(t *testing.T) {
	for _, tt := range []struct{ result, member, want string }{
		{`{}`, "tools", `parse list page: the result has no "tools"`},
		{`[]`, "tools", `parse list page: not strict JSON: not an object`},
		{`null`, "tools", `parse list page: not strict JSON: not an object`},
		{`{"tools":{}}`, "tools", `parse list page: member "tools": not strict JSON: not an array`},
		{`{"tools":null}`, "tools", `parse list page: member "tools": not strict JSON: not an array`},
		{`{"tools":[],"nextCursor":7}`, "tools", `parse list page: member "nextCursor": not strict JSON: not a string`},
		{`{"prompts":[]}`, "tools", `parse list page: the result has no "tools"`},
		{`{"x":{"tools":[]}}`, "tools", `parse list page: the result has no "tools"`},
		{`{"roots":[]}`, "roots", `parse list page: no list is called "roots"`},
	} {
		if p, err := ParsePage([]byte(tt.result), tt.member); err == nil || err.Error() != tt.want {
			t.Errorf("ParsePage(%s, %s) = %+v, %v; want %s", tt.result, tt.member, p, err, tt.want)
		}
	}
}

func TestElementsAreNamedByWhatAPolicyDecides(t *testing.T) {
	for _, tt := range []struct {
		member, result string
		names          []string
	}{
		{"tools", `{"tools":[{"name":"a"},{"n\u0061me":"\u0062"}]}`, []string{"a", "b"}},
		{"prompts", `{"prompts":[{"name":"a","title":"t"}]}`, []string{"a"}},
		{"resources", `{"resources":[{"uri":"file:///a","name":"n"}]}`, []string{"file:///a"}},
		{"resourceTemplates", `{"resourceTemplates":[{"uriTemplate":"file:///{p}","uri":"x"}]}`, []string{"file:///{p}"}},
		{"tasks", `{"tasks":[{"taskId":"t"}]}`, []string{"t"}},
		// None of these has a name that every client reads alike.
		{"tools", `{"tools":[{},{"name":7},{"name":null},{"name":""},"a",["name"],null,{"Name":"a"},{"name":"a","NAME":"b"},{"name":"a","n\u0000ame":"b"}]}`, make([]string, 10)},
	} {
		p, err := ParsePage([]byte(tt.result), tt.member)
		if err != nil {
			t.Errorf("ParsePage(%s) = %v", tt.result, err)
			continue
		}
		if d := cmp.Diff(tt.names, p.Names); d != "" {
			t.Errorf("ParsePage(%s) (-want +got):\n%s", tt.result, d)
		}
		if got := string(p.Filter(wire.Legacy, all)); tt.names[0] == "" && got != `{"tools":[]}` {
			t.Errorf("nameless elements of %s were kept: %s", tt.result, got)
		}
	}
}

func TestFilterByExample(t *testing.T) {
	keep := func(names string) func(*Page) func(int) bool {
		return func(p *Page) func(int) bool {
			return func(i int) bool { return strings.Contains(names, p.Names[i]) }
		}
	}
	for _, tt := range []struct {
		in   string
		era  wire.Era
		keep string
		want string
	}{
		{`{"tools":[{"name":"a"},{"name":"b"},{"name":"c"}]}`, wire.Legacy, "abc", `{"tools":[{"name":"a"},{"name":"b"},{"name":"c"}]}`},
		{`{"tools":[{"name":"a"},{"name":"b"},{"name":"c"}]}`, wire.Legacy, "a", `{"tools":[{"name":"a"}]}`},
		{`{"tools":[{"name":"a"},{"name":"b"},{"name":"c"}]}`, wire.Legacy, "b", `{"tools":[{"name":"b"}]}`},
		{`{"tools":[{"name":"a"},{"name":"b"},{"name":"c"}]}`, wire.Legacy, "ac", `{"tools":[{"name":"a"},{"name":"c"}]}`},
		{`{"tools":[{"name":"a"},{"name":"b"}]}`, wire.Legacy, "", `{"tools":[]}`},
		{`{"tools":[]}`, wire.Modern, "", `{"tools":[],"cacheScope":"private"}`},
		{`{"tools":[],"cacheScope":"public","nextCursor":""}`, wire.Modern, "", `{"tools":[],"cacheScope":"private","nextCursor":""}`},
		{`{"cacheScope":"public","tools":[{"name":"a"}],"ttlMs":5}`, wire.Modern, "a", `{"cacheScope":"private","tools":[{"name":"a"}],"ttlMs":5}`},
		{`{"cacheScope" : "private" , "tools":[]}`, wire.Modern, "", `{"cacheScope" : "private" , "tools":[]}`},
		{`{"c\u0061cheScope":"public","tools":[]}`, wire.Legacy, "", `{"c\u0061cheScope":"private","tools":[]}`},
		{`{"tools":[],"cacheScope":null}`, wire.Modern, "", `{"tools":[],"cacheScope":"private"}`},
		{`{"tools":[],"cacheScope":["public"]}`, wire.Modern, "", `{"tools":[],"cacheScope":"private"}`},
		{`{"tools":[],"x":{"cacheScope":"public"}}`, wire.Legacy, "", `{"tools":[],"x":{"cacheScope":"public"}}`},
		{` { "tools" : [ {"name":"a"} , {"name":"b"} ] } `, wire.Modern, "b", ` { "tools" : [ {"name":"b"} ],"cacheScope":"private" } `},
	} {
		p, err := ParsePage([]byte(tt.in), "tools")
		if err != nil {
			t.Fatal(err)
		}
		if got := string(p.Filter(tt.era, keep(tt.keep)(p))); got != tt.want {
			t.Errorf("Filter(%s, %q) = %s; want %s", tt.in, tt.keep, got, tt.want)
		}
	}
}

// genWhite draws white space of JSON.
var genWhite = rapid.StringOfN(rapid.SampledFrom([]rune(" \t\r\n")), 0, 2, -1)

type element struct {
	raw  string
	name string
}

// genElement draws a tool definition as a server might write it.
var genElement = rapid.Custom(func(t *rapid.T) element {
	name := rapid.SampledFrom([]string{"a", "b", "read_file", "x.y-z", ""}).Draw(t, "name")
	members := []string{`"x-vendor":{"name":"evil","n":12345678901234567890}`, `"description":"\u003c] , {\"name\":\"q\"} \\"`, `"inputSchema":{"type":"object"}`}
	members = members[:rapid.IntRange(0, len(members)).Draw(t, "members")]
	if name != "" {
		at := rapid.IntRange(0, len(members)).Draw(t, "at")
		members = append(members[:at:at], append([]string{`"name"` + genWhite.Draw(t, "w") + `:"` + name + `"`}, members[at:]...)...)
	}
	return element{"{" + genWhite.Draw(t, "w") + strings.Join(members, genWhite.Draw(t, "w")+","+genWhite.Draw(t, "w")) + genWhite.Draw(t, "w") + "}", name}
})

func TestFilterKeepsEveryByteOfWhatItKeeps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		elements := rapid.SliceOfN(genElement, 0, 6).Draw(t, "elements")
		w := func() string { return genWhite.Draw(t, "w") }
		list := `"tools"` + w() + ":" + w() + "[" + w()
		for i, e := range elements {
			if i > 0 {
				list += w() + "," + w()
			}
			list += e.raw
		}
		list += w() + "]"
		scope := rapid.SampledFrom([]string{"", `"public"`, `"private"`, `"pu\u0062lic"`, `null`, `{"a":["private"]}`}).Draw(t, "scope")
		members := []string{`"nextCursor":"\u00e9"`, `"ttlMs":1.50`, `"x-new":[{"tools":[1]}]`, `"_meta":{"cacheScope":"public"}`}
		members = members[:rapid.IntRange(0, len(members)).Draw(t, "others")]
		if scope != "" {
			members = append(members, `"cacheScope":`+scope)
		}
		members = rapid.Permutation(append(members, list)).Draw(t, "order")
		in := w() + "{" + w() + strings.Join(members, w()+","+w()) + w() + "}" + w()
		if err := strictjson.Check([]byte(in), strictjson.Limits{}); err != nil {
			t.Fatalf("the generator wrote %s: %v", in, err)
		}
		p, err := ParsePage([]byte(in), "tools")
		if err != nil {
			t.Fatal(err)
		}
		era := rapid.SampledFrom([]wire.Era{wire.Legacy, wire.Modern}).Draw(t, "era")
		kept := map[int]bool{}
		out := p.Filter(era, func(i int) bool {
			kept[i] = rapid.Bool().Draw(t, "keep")
			return kept[i]
		})
		checkFiltered(t, in, out, elements, kept, era, scope)

		complete := true
		for i, e := range elements {
			complete = complete && kept[i] && e.name != ""
		}
		if complete && (scope == `"private"` || scope == "" && era == wire.Legacy) && string(out) != in {
			t.Fatalf("nothing was to change:\n in %s\nout %s", in, out)
		}
		if again, err := ParsePage(out, "tools"); err != nil || !bytes.Equal(again.Filter(era, all), out) {
			t.Fatalf("filtering once more changes %s: %v", out, err)
		}
	})
}

// checkFiltered compares the members of a filtered page with those of the page, byte for byte.
func checkFiltered(t *rapid.T, in string, out []byte, elements []element, kept map[int]bool, era wire.Era, scope string) {
	if err := strictjson.Check(out, strictjson.Limits{}); err != nil {
		t.Fatalf("filter of %s = %s: %v", in, out, err)
	}
	before, after := rawMembers(t, []byte(in)), rawMembers(t, out)
	var got []string
	spans, err := strictjson.Array([]byte(after["tools"]))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range spans {
		got = append(got, string(s.Of([]byte(after["tools"]))))
	}
	var want []string
	for i, e := range elements {
		if e.name == "" && kept[i] {
			t.Fatalf("asked about an element without a name: %s", e.raw)
		}
		if kept[i] {
			want = append(want, e.raw)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("filter of %s (-want +got):\n%s", in, d)
	}
	if scope != "" || era == wire.Modern {
		if after["cacheScope"] != `"private"` {
			t.Fatalf("filter of %s: cacheScope %s", in, after["cacheScope"])
		}
	}
	for _, m := range []map[string]string{before, after} {
		delete(m, "tools")
		delete(m, "cacheScope")
	}
	if d := cmp.Diff(before, after); d != "" {
		t.Fatalf("other members changed (-before +after):\n%s", d)
	}
}

func rawMembers(t *rapid.T, doc []byte) map[string]string {
	members, err := strictjson.Object(doc)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, m := range members {
		out[m.Name] = string(m.Value().Of(doc))
	}
	return out
}

func FuzzFilter(f *testing.F) {
	f.Add([]byte(`{"tools":[{"name":"a"} , {"name":"b"}],"cacheScope":"public"}`), uint8(1))
	f.Add([]byte(` {"x":[],"tools" :[ ] }`), uint8(3))
	f.Fuzz(func(t *testing.T, result []byte, mask uint8) {
		if strictjson.Check(result, strictjson.Limits{}) != nil {
			return
		}
		p, err := ParsePage(result, "tools")
		if err != nil {
			return
		}
		for _, era := range []wire.Era{wire.Legacy, wire.Modern} {
			out := p.Filter(era, func(i int) bool { return mask>>(i%8)&1 == 1 })
			if !json.Valid(out) {
				t.Errorf("Filter(%s) = %s", result, out)
			}
		}
	})
}
