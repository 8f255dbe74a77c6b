package secrets

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/gateway/guard/secrets/secretstest"
	"sallyport/internal/strictjson"
)

// Made up for the tests, in the form of tokens that GitHub and AWS give out.
const (
	pat   = "ghp_" + "x7Kq2Vn9Zt4Lw8Rb3Yd6Hs1Gf5Jc0Mp2Qa7T"
	awsID = "AKIA" + "QYLPMN5HFIQR7XYA"
)

func findings(t *testing.T, s *Scanner, doc string) []Finding {
	t.Helper()
	r := s.JSON([]byte(doc))
	if !r.Complete {
		t.Errorf("scan of %s stopped: %s", doc, r.Why)
	}
	return r.Findings
}

func TestSpansAreThoseOfTheDocument(t *testing.T) {
	s := newScanner(t, Options{})
	for _, tt := range []struct{ name, doc, span, via string }{
		{"a value", `{"a":"key ` + pat + ` end"}`, pat, ""},
		{"a member's name", `{"` + pat + `":1}`, pat, ""},
		{"an escaped letter", `{"a":"` + `\u0067` + pat[1:] + `"}`, `\u0067` + pat[1:], ""},
		{"a name and its value", `{"api_key": "f3Kq8Zr1Xw5Tn7Lb2Vy9"}`, "f3Kq8Zr1Xw5Tn7Lb2Vy9", ""},
		{"the whole of what is encoded", `{"a":"x ` + secretstest.Base64("token "+pat) + ` y"}`, secretstest.Base64("token " + pat), "base64"},
		{"lines of base64", `{"a":"` + secretstest.Wrapped(secretstest.Base64("token "+pat), 20, `\n`) + `"}`, strings.TrimRight(secretstest.Wrapped(secretstest.Base64("token "+pat), 20, `\n`), "="), "base64"},
		{"hidden characters", `{"a":"` + secretstest.Spaced(pat, `\u200b`) + `"}`, strings.TrimSuffix(secretstest.Spaced(pat, `\u200b`), `\u200b`), "hidden"},
		{"beside other letters", `{"a":"é` + pat + `日"}`, pat, ""},
		{"JSON in JSON", `{"a":` + secretstest.JSON(`{"b":"x\n`+awsID+`"}`) + `}`, awsID, "escape"},
	} {
		got := findings(t, s, tt.doc)
		if len(got) == 0 {
			t.Errorf("%s: nothing found in %s", tt.name, tt.doc)
			continue
		}
		if span := tt.doc[got[0].Start:got[0].End]; strings.TrimRight(span, "=") != strings.TrimRight(tt.span, "=") {
			t.Errorf("%s: found %q; want %q", tt.name, span, tt.span)
		}
		if via := strings.Join(got[0].Via, " "); via != tt.via {
			t.Errorf("%s: via %q; want %q", tt.name, via, tt.via)
		}
	}
}

func TestASecretOverSeveralStringsIsCutToEach(t *testing.T) {
	lines := []string{"-----BEGIN EC PRIVATE KEY-----", strings.Repeat("MHcCAQEEIA", 6), strings.Repeat("oAoGCCqGSM", 6), "-----END EC PRIVATE KEY-----"}
	doc, err := json.Marshal(map[string]any{"lines": lines, "n": 1})
	if err != nil {
		t.Fatal(err)
	}
	got := findings(t, newScanner(t, Options{}), string(doc))
	if len(got) != len(lines) {
		t.Fatalf("%d findings %v; want one for each of %d lines", len(got), got, len(lines))
	}
	for i, f := range got {
		if span := string(doc[f.Start:f.End]); span != lines[i] {
			t.Errorf("finding %d is %q; want %q", i, span, lines[i])
		}
	}
}

func TestMarkersAreFoundInEveryEncoding(t *testing.T) {
	const value = "Canary: Nightjar 7c1"
	s := newScanner(t, Options{NoRules: true, Markers: []Marker{{"nightjar", value}}})
	ways := append(secretstest.Undone(), secretstest.NotUndone()[:2]...)
	for name, do := range map[string]func(string) string{
		"upper case":                   strings.ToUpper,
		"lower case":                   strings.ToLower,
		"short base64 between letters": func(s string) string { return "zz" + secretstest.Base64("ab"+s+"c") + "zz" },
		"ROT13 in hex":                 func(s string) string { return secretstest.Hex(secretstest.ROT13(s)) },
	} {
		ways = append(ways, secretstest.Encoding{Name: name, Do: do})
	}
	for _, e := range ways {
		for _, around := range []string{"%s", "before %s after"} {
			doc := []byte(`{"x":` + secretstest.JSON(fmt.Sprintf(around, e.Do(value))) + `}`)
			r := s.JSON(doc)
			if len(r.Findings) == 0 || !r.Findings[0].Marker || r.Findings[0].Rule != "nightjar" {
				t.Errorf("%s: got %v in %s", e.Name, r.Findings, doc)
				continue
			}
			out := replaced(doc, r.Findings)
			if left := s.JSON(out).Findings; len(left) > 0 {
				t.Errorf("%s: %v left in %s", e.Name, left, out)
			}
		}
	}
}

func TestAMarkerThatIsANumberHasTheSpanOfTheNumber(t *testing.T) {
	s := newScanner(t, Options{NoRules: true, Markers: []Marker{{"account", "8812340099"}}})
	doc := `{"n":8812340099}`
	want := []Finding{{Rule: "account", Marker: true, Start: 5, End: 15}}
	if got := findings(t, s, doc); !cmp.Equal(got, want) {
		t.Errorf("got %v; want %v", got, want)
	}
}

func TestWithAddsMarkersAndLeavesTheScannerAlone(t *testing.T) {
	first := newScanner(t, Options{NoRules: true, Markers: []Marker{{"a", "marker-one"}}})
	second := first.With([]Marker{{"b", "marker-two"}, {"short", "1234567"}})
	doc := `["marker-one","marker-two","1234567"]`
	if got := findings(t, first, doc); len(got) != 1 || got[0].Rule != "a" {
		t.Errorf("first found %v; want a", got)
	}
	if got := findings(t, second, doc); len(got) != 2 || got[1].Rule != "b" {
		t.Errorf("second found %v; want a and b, and nothing for what is too short", got)
	}
}

func TestNewSaysWhichMarkerItRefuses(t *testing.T) {
	for _, tt := range []struct{ value, want string }{
		{"1234567", `marker 2 ("mine"): it has 7 bytes and would be found in innocent text; use at least 8`},
		{strings.Repeat("x", maxMarker+1), `marker 2 ("mine"): it has 65537 bytes; use at most 65536`},
	} {
		_, err := New(Options{Markers: []Marker{{"fine", "a fine marker"}, {"mine", tt.value}}})
		if err == nil || err.Error() != tt.want {
			t.Errorf("New: %v; want %s", err, tt.want)
		}
	}
}

func TestAScannerDoesNotPrintItsMarkers(t *testing.T) {
	s := newScanner(t, Options{Markers: []Marker{{"a", "do-not-print"}}})
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if out := fmt.Sprintf(format, s); strings.Contains(out, "do-not-print") {
			t.Errorf("%s prints %s", format, out)
		}
	}
}

// TestTheTextBesideASecretCannotExcuseIt: the library has a mark for that, and what a server
// sends could carry it.
func TestTheTextBesideASecretCannotExcuseIt(t *testing.T) {
	if got := findings(t, newScanner(t, Options{}), `{"a":"`+pat+` # gitleaks:allow"}`); len(got) == 0 {
		t.Error("nothing found; want the token")
	}
}

func TestAGenericFindingGivesWay(t *testing.T) {
	got := findings(t, newScanner(t, Options{}), `{"github_token":"`+pat+`"}`)
	if len(got) != 1 || got[0].Rule != "github-pat" {
		t.Errorf("got %v; want github-pat alone", got)
	}
}

func TestRulesThatDoNotCompileSayWhich(t *testing.T) {
	for _, tt := range []struct{ toml, want string }{
		{"[[rules]", "read the rules for secrets: "},
		{"[[rules]]\nid='x'\nregex='a.b'\n", "compile the rule x for secrets: it has neither three bytes to look for nor keywords"},
		{"[[rules]]\nid='x'\nregex='a.b'\nkeywords=['ab']\n", `compile the rule x for secrets: the keyword "ab" has no three bytes to look for`},
	} {
		if _, err := compileRules(tt.toml); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("rules %q: %v; want %s", tt.toml, err, tt.want)
		}
	}
}

// replaced puts a word in the place of the findings, as whoever redacts does.
func replaced(doc []byte, found []Finding) []byte {
	var out []byte
	kept := 0
	for i := 0; i < len(found); {
		start, end := found[i].Start, found[i].End
		for i++; i < len(found) && found[i].Start < end; i++ {
			end = max(end, found[i].End)
		}
		out = append(append(out, doc[kept:start]...), "[redacted]"...)
		kept = end
	}
	return append(out, doc[kept:]...)
}

func sound(doc []byte) error { return strictjson.Check(doc, strictjson.Limits{}) }

func TestATextIsScannedAsItIs(t *testing.T) {
	text := []byte(`say "` + pat + `" \` + "\n" + awsID)
	r := newScanner(t, Options{}).Text(text)
	if len(r.Findings) != 2 || !bytes.Equal(text[r.Findings[0].Start:r.Findings[0].End], []byte(pat)) {
		t.Errorf("got %v in %s; want both tokens", r.Findings, text)
	}
}
