package guard

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sallyport/internal/strictjson"
)

// judged returns what passes, or the refusal.
func judged(t testing.TB, d *Door, k Kind, doc string, a *Ask) (string, Report, *Refused) {
	t.Helper()
	out, r, err := d.Judge(k, []byte(doc), a)
	if err == nil {
		if err := strictjson.Check(out, strictjson.Limits{Depth: maxDepth}); err != nil {
			t.Errorf("%s: what passes is no sound JSON: %v\n%s", doc, err, out)
		}
		return string(out), r, nil
	}
	var refused *Refused
	if !errors.As(err, &refused) || out != nil || refused.Public == "" || refused.Detail == "" {
		t.Fatalf("%s: %v, out %q; want a Refused and nothing else", doc, err, out)
	}
	return "", r, refused
}

var textOnly = Config{Content: []string{"text"}}

const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

func TestWhatNeedsNoChangePassesAsItCame(t *testing.T) {
	d := door(t, everywhere)
	for _, tt := range []struct {
		k   Kind
		doc string
	}{
		{ToolResult, `{"content":[{"type":"text","text":"Grüße – 日本語 \"quoted\"\n\ttab \u00e9 🙂"}],"isError":false,"x-unknown":{"a":[1,2.50,1e3,null]}}`},
		{ToolResult, ` { "content" : [ ] , "structuredContent":{"n":12345678901234567890,"s":"a\/b"} } `},
		{ToolResult, `{"content":[{"type":"image","mimeType":"image/png","data":"` + png + `"},{"type":"resource_link","uri":"https://example.com/a","name":"a"},{"type":"resource_link","uri":"docs://a","name":"a"},{"type":"resource","resource":{"uri":"a://b","blob":"AAAA"}}]}`},
		{ToolResult, `{"resultType":"input_required","requestState":"\u200b<a href=https://evil.example/>"}`},
		{Contents, `{"contents":[{"uri":"file:///a","text":"x"},{"uri":"file:///b","blob":"AAAA","mimeType":"application/zip"}]}`},
		{Prompt, `{"description":"d","messages":[{"role":"user","content":{"type":"text","text":"hi"}},{"role":"user","content":[{"type":"text","text":"hi"}]}]}`},
		{Other, `{"completion":{"values":["a","b"],"hasMore":false}}`}, {Other, `{}`}, {Other, `[1,"a"]`},
		{Error, `{"code":-32602,"message":"no such file","data":{"why":"x"}}`},
		{Notification, `{"progressToken":"p","progress":1.5,"message":"half"}`},
	} {
		out, r, refused := judged(t, d, tt.k, tt.doc, nil)
		if refused != nil || out != tt.doc || r.String() != "" {
			t.Errorf("%s\ngot %s, %q, %v", tt.doc, out, r, refused)
		}
		in := []byte(tt.doc)
		if same, _, err := d.Judge(tt.k, in, nil); err == nil && &same[0] != &in[0] {
			t.Errorf("%s: was copied", tt.doc)
		}
	}
}

func TestHiddenCharactersAreTakenOutOfEveryText(t *testing.T) {
	d := door(t, textOnly)
	for _, tt := range []struct {
		k        Kind
		in, want string
		n        int
	}{
		{ToolResult, `{"content":[{"type":"text","text":"a\u200bb\u001b[31mc"}]}`, `{"content":[{"type":"text","text":"abc"}]}`, 2},
		{ToolResult, "{\"content\":[],\"structuredContent\":{\"a\":[\"x\u202ey\"]}}", `{"content":[],"structuredContent":{"a":["xy"]}}`, 1},
		{ToolResult, "{\"content\":[],\"_meta\":{\"a\":\"x\U000e0041\"}}", `{"content":[],"_meta":{"a":"x"}}`, 1},
		{Contents, `{"contents":[{"uri":"a://b","text":"\b\f"}]}`, `{"contents":[{"uri":"a://b","text":""}]}`, 2},
		{Prompt, `{"messages":[{"role":"user","content":{"type":"text","text":"x\ufeff"}}]}`, `{"messages":[{"role":"user","content":{"type":"text","text":"x"}}]}`, 1},
		{Error, `{"code":1,"message":"\u009b2Jx","data":["\u00ad"]}`, `{"code":1,"message":"x","data":[""]}`, 2},
		{Notification, `{"level":"info","data":{"m":"a\rb"}}`, `{"level":"info","data":{"m":"a\nb"}}`, 1},
		{Other, `{"values":["\ue000"]}`, `{"values":[""]}`, 1},
	} {
		out, r, refused := judged(t, d, tt.k, tt.in, nil)
		if refused != nil || out != tt.want || r.Hidden != tt.n {
			t.Errorf("%s\ngot  %s, %d, %v\nwant %s, %d", tt.in, out, r.Hidden, refused, tt.want, tt.n)
		}
	}
	keeps := door(t, Config{Content: []string{"text"}, KeepHidden: true})
	doc := `{"content":[{"type":"text","text":"a\u200bb"}]}`
	if out, _, _ := judged(t, keeps, ToolResult, doc, nil); out != doc {
		t.Errorf("guards.hidden false: %s", out)
	}
	if out, r, _ := judged(t, keeps, ToolResult, doc, &Ask{Redact: Hidden}); r.Hidden != 1 || out == doc {
		t.Errorf("guards.hidden false and a policy that asks: %s", out)
	}
}

func TestContentThatIsNotAllowedIsLeftOut(t *testing.T) {
	d := door(t, textOnly)
	image := `{"type":"image","mimeType":"image/png","data":"` + png + `"}`
	note := `{"type":"text","text":"[left out by the gateway: content of the kind image, which may not be returned here. An operator allows it with guards.content, with content under mcpServers.files, or with the label content:image]"}`
	out, r, refused := judged(t, d, ToolResult, `{"content":[{"type":"text","text":"x"},`+image+`]}`, &Ask{Server: "files"})
	if want := `{"content":[{"type":"text","text":"x"},` + note + `]}`; out != want || r.Dropped != 1 || refused != nil {
		t.Errorf("got  %s (%v, %v)\nwant %s", out, r, refused, want)
	}
	if out, r, _ := judged(t, d, ToolResult, `{"content":[`+image+`]}`, &Ask{Content: []string{"image"}}); r.Dropped != 0 || !strings.Contains(out, png) {
		t.Errorf("an image that the operator allows: %s", out)
	}
	for _, tt := range []struct {
		k       Kind
		in, say string
	}{
		{ToolResult, `{"content":[{"type":"audio","mimeType":"audio/wav","data":"AAAA"}]}`, "kind audio"},
		{ToolResult, `{"content":[{"type":"resource_link","uri":"docs://a","name":"a"}]}`, "kind resource_link"},
		{ToolResult, `{"content":[{"type":"resource","resource":{"uri":"a://b","text":"x"}}]}`, "kind resource,"},
		{ToolResult, `{"content":[{"type":"tool_use","id":"x","name":"y","input":{}}]}`, "of a kind that the gateway does not know"},
		{ToolResult, `{"content":[{"type":"blob","blob":"AAAA"}]}`, "of a kind that the gateway does not know"},
		{Contents, `{"contents":[{"uri":"a://b","blob":"AAAA"}]}`, "kind blob"},
		{Prompt, `{"messages":[{"role":"user","content":` + image + `}]}`, "kind image"},
	} {
		out, r, refused := judged(t, d, tt.k, tt.in, nil)
		if refused != nil || r.Dropped != 1 || !strings.Contains(out, tt.say) || strings.Contains(out, "AAAA") || strings.Contains(out, png) {
			t.Errorf("%s\ngot %s, %v, %v", tt.in, out, r, refused)
		}
		if again, r, _ := judged(t, d, tt.k, out, nil); again != out || r.String() != "" {
			t.Errorf("%s\nonce  %s\ntwice %s", tt.in, out, again)
		}
	}
	some := door(t, Config{Content: []string{"text", "resource"}})
	if out, r, _ := judged(t, some, ToolResult, `{"content":[{"type":"resource","resource":{"uri":"a://b","blob":"AAAA"}}]}`, nil); r.Dropped != 1 || strings.Contains(out, "AAAA") {
		t.Errorf("a blob in a resource: %s", out)
	}
	if out, r, _ := judged(t, door(t, Config{}), ToolResult, `{"content":[{"type":"text","text":"words"}]}`, nil); r.Dropped != 1 || strings.Contains(out, "words") {
		t.Errorf("the zero configuration lets pass %s", out)
	}
}

func TestBadAnswersAreRefusedInWords(t *testing.T) {
	d := door(t, everywhere)
	image := func(mime, data string) string {
		return `{"content":[{"type":"image","mimeType":"` + mime + `","data":"` + data + `"}]}`
	}
	html := base64.StdEncoding.EncodeToString([]byte("<html><script>alert(1)</script></html>"))
	for _, tt := range []struct {
		k            Kind
		doc          string
		a            *Ask
		public, want string
	}{
		{ToolResult, image("image/png", html), nil, publicMedia, "image that claims to be image/png and is not, at /content/0/data"},
		{ToolResult, image("image/jpeg", png), nil, publicMedia, "image that claims to be image/jpeg and is not, at /content/0/data"},
		{ToolResult, image("image/png", "%%%"), nil, publicMedia, "image that is no base64 at /content/0/data"},
		{ToolResult, image("image/png", png[:10]), nil, publicMedia, "image that is no base64 at /content/0/data"},
		{ToolResult, image("image/svg+xml", html), nil, publicMedia, "image of a type that is not taken (image/svg+xml) at /content/0"},
		{ToolResult, image("text/html", html), nil, publicMedia, "image of a type that is not taken (text/html) at /content/0"},
		{ToolResult, image("audio/wav", html), nil, publicMedia, "image of a type that is not taken (audio/wav) at /content/0"},
		{ToolResult, `{"content":[{"type":"image","data":"AAAA"}]}`, nil, publicMedia, "image of a type that is not taken (none is given) at /content/0"},
		{ToolResult, `{"content":[{"type":"audio","mimeType":"audio/mpeg","data":"` + html + `"}]}`, nil, publicMedia, "audio that claims to be audio/mpeg and is not, at /content/0/data"},
		{ToolResult, `{"content":[{"type":"image","mimeType":"image/png"}]}`, nil, publicForm, `image without a string "data" at /content/0`},
		{Contents, `{"contents":[{"uri":"a://b","mimeType":"image/gif","blob":"` + png + `"}]}`, nil, publicMedia, "blob that claims to be image/gif and is not, at /contents/0/blob"},
		{Contents, `{"contents":[{"uri":"a://b","blob":7}]}`, nil, publicForm, `blob without a string "blob" at /contents/0`},
		{ToolResult, `{"content":"text"}`, nil, publicForm, `"content" that is no array at /content`},
		{ToolResult, `{"content":["text"]}`, nil, publicForm, "an item of content that is no object at /content/0"},
		{ToolResult, `{"content":[{"text":"x"}]}`, nil, publicForm, `an item of content whose "type" is no string at /content/0`},
		{ToolResult, `{"content":[{"type":"text","text":{"a":1}}]}`, nil, publicForm, "a text that is no string at /content/0/text"},
		{ToolResult, `{"content":[{"type":"text","Text":"x"}]}`, nil, publicForm, `a member whose name can be read as "text" at /content/0/Text`},
		{ToolResult, `{"content":[{"type":"text","text":"x","\u0064ata":"x","DATA":"y"}]}`, nil, publicForm, `a member whose name can be read as "data" at /content/0/data`},
		{ToolResult, `{"content":[],"isError":"no"}`, nil, publicForm, `"isError" that is neither true nor false at /isError`},
		{ToolResult, `[]`, nil, publicForm, "a result that is no object at the top"},
		{Contents, `{"contents":{}}`, nil, publicForm, `"contents" that is no array at /contents`},
		{Contents, `{"contents":[1]}`, nil, publicForm, "contents of a resource that are no object at /contents/0"},
		{Prompt, `{"messages":[1]}`, nil, publicForm, "a message that is no object at /messages/0"},
		{Error, `"x"`, nil, publicForm, "an error that is no object at the top"},
		{ToolResult, `{"content":[],"structuredContent":{"a\u200bb":1}}`, nil, publicHidden, "U+200B ZERO WIDTH SPACE at byte 1 in a member's name at /structuredContent/a\\u200bb"},
		{ToolResult, `{"content":[{"type":"text","text":"a\u200bb"}]}`, &Ask{Refuse: Hidden}, publicHidden, "the policy refuses 1 hidden characters or control sequences, at /content/0/text"},
		{ToolResult, `{"content":[{"type":"text","text":"see https://evil.example/"}]}`, &Ask{Refuse: Links}, publicLinks, "the policy refuses 1 links to hosts outside guards.linkHosts, at /content/0/text"},
		{ToolResult, `{"content":[{"type":"resource_link","uri":"https://evil.example/","name":"x"}]}`, &Ask{Refuse: Links}, publicLinks, "the policy refuses a link to a host outside guards.linkHosts at /content/0"},
		{ToolResult, `{"content":[]}`, &Ask{MaxBytes: 5}, publicSize, "14 bytes; the policy allows 5 (max_bytes)"},
		{ToolResult, `{"content":[]}`, &Ask{Redact: Secrets}, publicScan, "the policy asks about secrets, and there is no scanner (guards.secrets is false)"},
		{ToolResult, `{"content":[]`, nil, publicForm, "not sound JSON, or nested deeper than 256 levels"},
		{ToolResult, `{"content":[]}}`, nil, publicForm, "not sound JSON, or nested deeper than 256 levels"},
		{ToolResult, `x`, nil, publicForm, "a result that is no object at the top"},
		{Other, `{"a":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`, nil, publicForm, "nested deeper than 256 levels at the top"},
	} {
		_, _, refused := judged(t, d, tt.k, tt.doc, tt.a)
		if refused == nil || refused.Public != tt.public || refused.Detail != tt.want {
			t.Errorf("%.200s\ngot  %+v\nwant %s: %s", tt.doc, refused, tt.public, tt.want)
		}
	}
}

func TestStructuredContentIsHeldToThePinnedSchema(t *testing.T) {
	d := door(t, textOnly)
	object := func(raw []byte) error {
		if raw[0] != '{' {
			return errors.New("want an object")
		}
		return nil
	}
	for _, tt := range []struct{ doc, want string }{
		{`{"content":[],"structuredContent":{"a":1}}`, ""},
		{`{"content":[],"structuredContent":[1]}`, "structured content does not match the tool's output schema: want an object; at /structuredContent"},
		{`{"content":[]}`, "no structured content though the tool has an output schema, at the top"},
		{`{}`, "no structured content though the tool has an output schema, at the top"},
		{`{"content":[],"resultType":"complete"}`, "no structured content though the tool has an output schema, at the top"},
		{`{"content":[],"resultType":"partial"}`, `a "resultType" that is unknown, without structured content though the tool has an output schema, at the top`},
		{`{"content":[],"resultType":"input_required","inputRequests":{}}`, "no structured content though the tool has an output schema, at the top"},
		{`{"resultType":"input_required","inputRequests":{}}`, ""},
		{`{"task":{"taskId":"1","status":"working"}}`, ""},
		{`{"content":[],"isError":true}`, ""},
		{`{"structuredContent":[1],"isError":true}`, ""},
	} {
		if _, _, refused := judged(t, d, ToolResult, tt.doc, &Ask{Output: object}); (refused == nil) != (tt.want == "") || refused != nil && refused.Detail != tt.want {
			t.Errorf("%s: %+v; want %q", tt.doc, refused, tt.want)
		}
	}
}

func TestLinksInAllTextsAreMadeInert(t *testing.T) {
	d := door(t, everywhere)
	for _, tt := range []struct {
		k        Kind
		in, want string
	}{
		{ToolResult, `{"content":[{"type":"text","text":"![x](https://evil.example/?q)"}]}`, `{"content":[{"type":"text","text":"![x](hxxps://evil[.]example/?q)"}]}`},
		{ToolResult, `{"content":[{"type":"text","text":"\u003cimg src=\"https://evil.example/\"\u003e"}]}`, `{"content":[{"type":"text","text":"<img src=\"hxxps://evil[.]example/\">"}]}`},
		{ToolResult, `{"content":[],"structuredContent":{"url":"https://evil.example/","md":"[x](\u200b//evil.example)"}}`, `{"content":[],"structuredContent":{"url":"https://evil.example/","md":"[x](hxxps://evil[.]example)"}}`},
		{Error, `{"code":1,"message":"see <https://evil.example/>"}`, `{"code":1,"message":"see <hxxps://evil[.]example/>"}`},
		{Notification, `{"progress":1,"message":"[x](javascript:1)"}`, `{"progress":1,"message":"[x](inert-javascript:1)"}`},
		{ToolResult, `{"content":[{"type":"resource_link","uri":"https://evil.example/a","name":"a"}]}`, `{"content":[{"type":"text","text":"[link left out by the gateway, to a host that is not in guards.linkHosts: hxxps://evil[.]example/a, named a]"}]}`},
		{ToolResult, `{"content":[{"type":"resource_link","uri":"docs://a","name":"a","icons":[{"src":"https://evil.example/i.png"}]}]}`, `{"content":[{"type":"resource_link","uri":"docs://a","name":"a","icons":[{"src":"hxxps://evil[.]example/i.png"}]}]}`},
	} {
		out, r, refused := judged(t, d, tt.k, tt.in, nil)
		if refused != nil || out != tt.want || r.Links != 1 {
			t.Errorf("%s\ngot  %s, %v, %v\nwant %s", tt.in, out, r, refused, tt.want)
		}
	}
	bare := `{"content":[],"structuredContent":{"url":"https://evil.example/"}}`
	if out, r, _ := judged(t, d, ToolResult, bare, &Ask{Redact: Links}); r.Links != 1 || strings.Contains(out, "https:") {
		t.Errorf("a policy that asks for links: %s", out)
	}
}

func TestMasksHideValuesWhereverTheyAreRepeated(t *testing.T) {
	d := door(t, everywhere)
	a := &Ask{Server: "s", Mask: []string{"/rows/*/email", "/total", "/a~1b"}}
	data := `{"rows":[{"id":1,"email":"ann@example.com"},{"email":"bob@example.com"}],"total":7,"a/b":true,"n":1}`
	hiddenData := `{"rows":[{"id":1,"email":"[masked]"},{"email":"[masked]"}],"total":null,"a/b":null,"n":1}`
	quoted := func(s string) string { return string(strictjson.AppendString(nil, s)) }
	for _, tt := range []struct {
		k        Kind
		in, want string
	}{
		{ToolResult, `{"content":[{"type":"text","text":` + quoted(data) + `}],"structuredContent":` + data + `}`, `{"content":[{"type":"text","text":` + quoted(hiddenData) + `}],"structuredContent":` + hiddenData + `}`},
		{ToolResult, `{"content":[{"type":"text","text":"ann@example.com is one"}]}`, `{"content":[{"type":"text","text":` + quoted(withheld) + `}]}`},
		{ToolResult, `{"content":[{"type":"text","text":"{\"rows\":[],\"rows\":[{\"email\":\"x\"}]}"}]}`, `{"content":[{"type":"text","text":` + quoted(withheld) + `}]}`},
		{ToolResult, `{"content":[{"type":"text","text":"\"ann@example.com\""}]}`, `{"content":[{"type":"text","text":` + quoted(withheld) + `}]}`},
		{ToolResult, `{"structuredContent":"ann","_meta":{"x":1},"debug":["ann"],"note":"ann","n":1,"isError":false}`, `{"structuredContent":"[masked]","_meta":{},"debug":[],"note":` + quoted(withheld) + `,"n":null,"isError":false}`},
		{Contents, `{"contents":[{"uri":"a://b","text":"{\"total\":\"7\"}"}]}`, `{"contents":[{"uri":"a://b","text":"{\"total\":\"[masked]\"}"}]}`},
		{Error, `{"code":1,"message":"ann","data":{"x":"ann"}}`, `{"code":1,"message":` + quoted(withheld) + `,"data":{}}`},
		{Notification, `{"progressToken":1,"progress":2,"message":"ann"}`, `{"progressToken":1,"progress":2,"message":` + quoted(withheld) + `}`},
	} {
		out, r, refused := judged(t, d, tt.k, tt.in, a)
		if refused != nil || out != tt.want || r.Masked == 0 {
			t.Errorf("%s\ngot  %s, %v, %v\nwant %s", tt.in, out, r, refused, tt.want)
		}
		if again, r, _ := judged(t, d, tt.k, out, a); again != out || r.String() != "" {
			t.Errorf("%s\nonce  %s\ntwice %s, %v", tt.in, out, again, r)
		}
	}
	for k, doc := range map[Kind]string{ToolResult: `{"inputRequests":{"a":{"method":"roots/list"}}}`, Error: `{"code":1,"message":"m","data":{"elicitations":[{}]}}`} {
		if _, _, refused := judged(t, d, k, doc, a); refused == nil || !strings.HasPrefix(refused.Detail, "a question, in which the policy's masks cannot be applied, at ") {
			t.Errorf("%s: %v", doc, refused)
		}
	}
	for _, doc := range []string{`{"content":[{"type":"image","mimeType":"image/png","data":"` + png + `"}]}`, `{"content":[{"type":"resource","resource":{"uri":"a://b","blob":"AAAA"}}]}`} {
		if out, r, _ := judged(t, d, ToolResult, doc, a); r.Dropped != 1 || strings.Contains(out, "AAAA") || strings.Contains(out, png) {
			t.Errorf("%s\ngot %s", doc, out)
		}
	}
}

// Whatever comes: what passes is sound JSON, judging it again changes nothing, and nothing
// crashes.
func TestJudgingTwiceChangesNothing(t *testing.T) {
	texts := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"text", "image", "resource", "![x](https://evil.example)", "<a href='//evil.example'>", "a\u200bb", "\x1b[31m", `{"a":{"b":1}}`, png, "image/png", "https://evil.example", "input_required", "elicitation/create"}))
	names := rapid.OneOf(rapid.SampledFrom([]string{"content", "type", "text", "data", "mimeType", "resource", "blob", "uri", "structuredContent", "a", "b", "message", "messages", "contents", "isError", "icons", "src", "inputRequests", "method", "params", "elicitations", "requestedSchema", "properties", "mode", "url"}), rapid.StringN(0, 3, -1))
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		leaf := rapid.OneOf(rapid.Map(texts, func(s string) any { return s }), rapid.Map(rapid.Int(), func(n int) any { return n }), rapid.Just[any](nil), rapid.Just[any](true))
		if depth == 0 {
			return leaf
		}
		return rapid.OneOf(leaf,
			rapid.Map(rapid.SliceOfN(value(depth-1), 0, 3), func(v []any) any { return v }),
			rapid.Map(rapid.MapOfN(names, value(depth-1), 0, 4), func(v map[string]any) any { return v }))
	}
	item := rapid.Custom(func(t *rapid.T) any {
		m := rapid.MapOfN(names, value(2), 0, 3).Draw(t, "more")
		m["type"] = rapid.SampledFrom([]string{"text", "image", "resource", "resource_link", "odd"}).Draw(t, "type")
		m["text"] = texts.Draw(t, "text")
		return m
	})
	d := door(t, Config{Content: []string{"text", "resource"}, LinkHosts: []string{"example.com"}})
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOfN(names, value(3), 0, 3).Draw(t, "members")
		m[rapid.SampledFrom([]string{"content", "contents", "messages", "x"}).Draw(t, "list")] = rapid.SliceOfN(item, 0, 3).Draw(t, "items")
		doc, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		k := Kind(rapid.IntRange(0, 5).Draw(t, "kind"))
		a := &Ask{Server: "s", Redact: What(rapid.IntRange(0, 3).Draw(t, "redact")<<1) & (Hidden | Links)}
		if rapid.Bool().Draw(t, "mask") {
			a.Mask = []string{"/a/b", "/*/text"}
		}
		out, first, err := d.Judge(k, doc, a)
		if err != nil {
			return
		}
		if err := strictjson.Check(out, strictjson.Limits{Depth: maxDepth}); err != nil {
			t.Fatalf("%s\npasses as %s: %v", doc, out, err)
		}
		if a.Mask != nil && first.Dropped+first.Links > 0 {
			return // a note is no JSON, and so is withheld the second time
		}
		again, r, err := d.Judge(k, out, a)
		if err != nil || string(again) != string(out) || r.String() != "" {
			t.Fatalf("%s\nonce  %s\ntwice %s, %v, %v", doc, out, again, r, err)
		}
	})
}

// Bytes that no check has seen are refused and cause nothing worse.
func TestBytesThatAreNoJSONCauseNoHarm(t *testing.T) {
	d := door(t, everywhere)
	a := &Ask{Mask: []string{"/a"}, Redact: Hidden | Links}
	whole := `{"content":[{"type":"text","text":"a\u200b"},{"type":"image","mimeType":"image/png","data":"` + png + `"}],"structuredContent":{"a":[1,{"b":"c"}]},"inputRequests":{"a":{"method":"elicitation/create","params":{"message":"m","requestedSchema":{"properties":{}}}}}}`
	for k := ToolResult; k <= Notification; k++ {
		for n := range len(whole) {
			for _, doc := range []string{whole[:n], whole[n:], whole[:n] + "\x00" + whole[n:], whole[:n] + `"` + whole[n:]} {
				if out, _, err := d.Judge(k, []byte(doc), a); err == nil && !json.Valid(out) && len(doc) > 0 {
					t.Fatalf("kind %d: %s passes as %s", k, doc, out)
				}
			}
		}
	}
	deep := strings.Repeat(`{"content":[`, 1<<16)
	for k := ToolResult; k <= Notification; k++ {
		if _, _, err := d.Judge(k, []byte(deep), a); err == nil {
			t.Errorf("kind %d: a document without an end passes", k)
		}
	}
}
