package pin

import (
	"slices"
	"strings"
	"testing"

	"sallyport/gateway/catalog"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// whole has every member that a definition can have.
const whole = `{"name":"t","title":"Title","description":"Reads a file.\nSlowly.","inputSchema":{"type":"object","properties":{"path":{"type":"string","description":"where","maxLength":10,"pattern":"^a","enum":["a","b"]},"n":{"type":"number","multipleOf":0.1}},"required":["path"],"additionalProperties":false,"$defs":{"d":{"const":1.0}}},` +
	`"outputSchema":{"type":"object","properties":{"text":{"type":"string"}}},"annotations":{"title":"A","readOnlyHint":true,"destructiveHint":false,"idempotentHint":true,"openWorldHint":false},` +
	`"icons":[{"src":"https://x.example/i.png","mimeType":"image/png","sizes":["48x48"]}],"execution":{"taskSupport":"optional"},"_meta":{"vendor/x":{"deep":[1,{"y":null}]}},"x-other":"z"}`

// TestOneChangeInAnyMemberIsCaught changes each member in turn.
func TestOneChangeInAnyMemberIsCaught(t *testing.T) {
	for _, change := range []struct{ old, new string }{
		{`"title":"Title"`, `"title":"Titlf"`}, {`Reads`, `Feads`}, {`\nSlowly`, ` Slowly`}, {`"title":"Title",`, ``},
		{`"type":"object","properties"`, `"properties"`}, {`"path":{"type":"string"`, `"path":{"type":"number"`}, {`"where"`, `"there"`},
		{`"maxLength":10`, `"maxLength":11`}, {`"^a"`, `"^b"`}, {`["a","b"]`, `["b","a"]`}, {`"multipleOf":0.1`, `"multipleOf":0.10`},
		{`"required":["path"]`, `"required":[]`}, {`"additionalProperties":false`, `"additionalProperties":true`}, {`"const":1.0`, `"const":1`},
		{`"outputSchema":{"type":"object"`, `"outputSchema":{"type":"array"`}, {`"text":{"type":"string"}`, `"text":{}`},
		{`"title":"A"`, `"title":"B"`}, {`"readOnlyHint":true`, `"readOnlyHint":false`}, {`"destructiveHint":false,`, ``},
		{`i.png"`, `j.png"`}, {`image/png`, `image/svg`}, {`48x48`, `48x49`}, {`"optional"`, `"required"`},
		{`{"y":null}`, `{"y":0}`}, {`"vendor/x"`, `"vendor/y"`}, {`"x-other":"z"`, `"x-other":"Z"`}, {`"x-other":"z"`, `"x-other":"z","new":1`},
	} {
		r := fresh(t, FirstUse)
		if got := r.see(tools(whole)); got != `{"tools":[`+whole+`]}` {
			t.Fatalf("at first sight: %s", got)
		}
		changed := strings.Replace(whole, change.old, change.new, 1)
		if changed == whole {
			t.Fatalf("%s is not in the definition", change.old)
		}
		if got := r.see(tools(changed)); got != `{"tools":[]}` || len(r.events) != 1 {
			t.Errorf("%s became %s: served %s, events %v", change.old, change.new, got, r.told())
		}
	}
}

// TestOneByteAnywhereIsCaught changes each byte that is no punctuation to each of some others.
func TestOneByteAnywhereIsCaught(t *testing.T) {
	r := fresh(t, FirstUse)
	r.see(tools(whole))
	tried := 0
	for i := range len(whole) {
		if strings.IndexByte("{}[],:\" \\", whole[i]) >= 0 {
			continue
		}
		for _, b := range []byte("a0 Z\x80") {
			changed := whole[:i] + string(rune(b)) + whole[i+1:]
			if b == whole[i] || strictjson.Check([]byte(changed), strictjson.Limits{}) != nil {
				continue
			}
			tried++
			if got := r.Server("s").Live(wire.Modern, Tool, "t", []byte(changed)); got != nil {
				t.Fatalf("byte %d as %q is not caught: %s", i, b, got)
			}
		}
	}
	if tried < 1000 {
		t.Errorf("only %d changes were tried", tried)
	}
}

func TestDiffShowsEachChangeWhereItIs(t *testing.T) {
	edit := strings.NewReplacer(`Slowly.`, `Quickly\u200b.`, `"title":"Title",`, ``, `"readOnlyHint":true`, `"readOnlyHint":false`,
		`"maxLength":10`, `"maxLength":10,"minLength":1`, `"required":["path"]`, `"required":["path","n"]`, `"48x48"`, `"49x49"`)
	var got []string
	for _, c := range Diff([]byte(whole), []byte(edit.Replace(whole))) {
		got = append(got, c.Path+" "+c.What+": "+strings.Join(c.Lines, " | "))
	}
	want := []string{
		"title removed: -Title",
		"description changed:  Reads a file. | -Slowly. | +Quickly⟨U+200B ZERO WIDTH SPACE⟩.",
		"inputSchema.properties.path.minLength added: +1",
		`inputSchema.required changed: -["path"] | +["path","n"]`,
		"annotations.readOnlyHint changed: -true | +false",
		"icons.0.sizes.0 changed: -48x48 | +49x49",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if same := Diff([]byte(whole), []byte(whole)); same != nil {
		t.Errorf("a definition differs from itself: %v", same)
	}
}

func TestDiffOfWhatIsNewShowsAllOfIt(t *testing.T) {
	var shown []string
	for _, c := range Diff(nil, []byte(whole)) {
		shown = append(shown, c.Path)
	}
	want := []string{"name", "title", "description", "inputSchema", "outputSchema", "annotations", "icons", "execution", "_meta", "x-other"}
	if !slices.Equal(shown, want) {
		t.Errorf("shown %v; want %v", shown, want)
	}
}

func TestVisibleLetsNothingHideOrPassForWhatIsSeen(t *testing.T) {
	for in, want := range map[string]string{
		"plain ä 😀":            "plain ä 😀",
		"a\x1b[2Kb":            "a⟨U+001B ESCAPE⟩[2Kb",
		"a\u202eb":             "a⟨U+202E RIGHT-TO-LEFT OVERRIDE⟩b",
		"\U000e0041":           "⟨U+E0041 TAG 'A'⟩",
		"⟨U+200B⟩":             "⟨U+27E8 '⟨'⟩U+200B⟨U+27E9 '⟩'⟩",
		"tab\tline\nend\r":     `tab\tline\nend⟨U+000D CARRIAGE RETURN⟩`,
		"no\u00a0break\u3164x": "no⟨U+00A0 '\\u00a0'⟩break⟨U+3164 HANGUL FILLER⟩x",
	} {
		if got := Visible(in); got != want {
			t.Errorf("Visible(%q) = %s; want %s", in, got, want)
		}
	}
}

func TestDigestsAreThoseOfTheCatalogue(t *testing.T) {
	r := fresh(t, FirstUse)
	r.see(tools(whole))
	l, err := catalog.BuildListing(0, list("tools", whole))
	if err != nil {
		t.Fatal(err)
	}
	if got := r.List(Selection{})[0].Digest; got != l.Tools["t"].Digest {
		t.Errorf("a person approves %s and a policy sees %s", got, l.Tools["t"].Digest)
	}
}
