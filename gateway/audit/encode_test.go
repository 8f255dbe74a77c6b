package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func fullRecord() Record {
	return Record{
		Seq: 1, Time: time.Date(2026, 7, 28, 1, 2, 3, 4, time.UTC), ID: "i", Phase: PhaseDecision, Method: "tools/call", Server: "s",
		Tool: "quote\" back\\ line\n esc\x1b del\x7f nul\x00 csi\u009b ls\u2028 rtl\u202e é 😀", ToolDigest: "d", ArgumentsDigest: "a",
		Subject: "s", Client: "c", Grant: "g", Task: "t", JTI: "j",
		Roles: []string{"r1", "r2"}, Decision: "allow", Code: "ok", Reasons: []string{"why"},
		Obligations: []json.RawMessage{json.RawMessage(`{"type":"mask"}`), json.RawMessage(`[]`)}, PolicyRevision: "p", Rules: []string{"x"},
		LabelsBefore: []string{"b"}, LabelsAfter: []string{"a"}, UpstreamMS: 1.25, BytesIn: 1, BytesOut: 2, TraceID: "tr",
		Arguments: json.RawMessage(`{"a":1.0}`), Count: 3, Source: "src", Lost: [2]uint64{3, 5}, Detail: "det",
		PolicyAllow: new(false), Replayable: true, Input: json.RawMessage(`{"action":"tools/call"}`), InputSealed: "c2VhbGVk",
		InputKey: "k", InputErased: []string{"/input/arguments/pin"}, InputMissing: "m", WrappedKey: "d3JhcHBlZA==",
		Advisory: &Verdict{Allow: true, Reasons: []string{"r"}, Obligations: []json.RawMessage{json.RawMessage(`{"type":"redact"}`)}, Rules: []string{"x"}},
		Shadow:   &Verdict{Revision: "sha256:1", Reasons: []string{}, Obligations: []json.RawMessage{}, Rules: []string{}, Kind: "newly_refused", Error: "e"},
	}
}

func line(r *Record) []byte { return append([]byte(`{"seq":1`), appendTail(nil, r)...) }

func TestRecordSurvivesEncoding(t *testing.T) {
	want := fullRecord()
	got := Record{}
	if err := json.Unmarshal(line(&want), &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Every member that the contract names is there in every record.
func TestRecordLacksNoMember(t *testing.T) {
	var got map[string]json.RawMessage
	if err := json.Unmarshal(line(&Record{}), &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields("seq time id phase method server tool tool_digest arguments_digest subject client grant task jti roles decision code " +
		"reasons obligations policy_revision rules labels_before labels_after upstream_ms bytes_in bytes_out trace_id") {
		if v, ok := got[name]; !ok || string(v) == "null" {
			t.Errorf("%s is %s", name, v)
		}
	}
	if n := len(line(&Record{})); n < minLine {
		t.Errorf("the shortest line has %d bytes, fewer than minLine", n)
	}
}

func TestRawMembersStayOnTheLineAndInTheRecord(t *testing.T) {
	for _, tt := range []struct{ raw, want string }{
		{"{\n\t\"a b\" : [ 1.0 , true ]\r\n}", `{"a b":[1.0,true]}`},
		{`{"a":" \" \\ x "}`, `{"a":" \" \\ x "}`},
		{"\"\x7f\u009b\u2028\u202eé😀\"", `"\u007f\u009b\u2028\u202eé😀"`},
		{"18446744073709551617", "18446744073709551617"},
		{"{", `"{"`},
		{"", `""`},
		{"1}\n{\"seq\":2", `"1}\u000a{\"seq\":2"`},
		{"\"a\xffb\"", "\"\\\"a\ufffdb\\\"\""},
	} {
		if got := appendRaw(nil, json.RawMessage(tt.raw)); string(got) != tt.want {
			t.Errorf("appendRaw(%q) = %s; want %s", tt.raw, got, tt.want)
		}
	}
}

// The first and the last of each range of characters that act on a terminal, and their neighbours.
func TestOnlyHiddenCharactersAreEscaped(t *testing.T) {
	for r, want := range map[rune]bool{0x7e: false, 0x7f: true, 0x80: true, 0x9f: true, 0xa0: false,
		0x2027: false, 0x2028: true, 0x202e: true, 0x202f: false, 0x2065: false, 0x2066: true, 0x2069: true, 0x206a: false} {
		plain := `"` + string(r) + `"`
		for what, got := range map[string]string{"string": string(appendString(nil, string(r))), "raw": string(appendRaw(nil, json.RawMessage(plain)))} {
			if escaped := got == fmt.Sprintf(`"\u%04x"`, r); escaped != want || !escaped && got != plain {
				t.Errorf("%U as %s is %s; want it escaped: %v", r, what, got, want)
			}
		}
	}
	if got := string(appendString(nil, "a\x80b")); got != "\"a\ufffdb\"" {
		t.Errorf("a byte that begins no character is %q", got)
	}
}

func TestNumbersThatJSONLacksAreZero(t *testing.T) {
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if !json.Valid(line(&Record{UpstreamMS: f})) {
			t.Errorf("%v made the line invalid", f)
		}
	}
}

// No value, however it is made, breaks its line, leaves JSON, or reaches a terminal as a command.
func FuzzLineIsOneLineOfJSON(f *testing.F) {
	f.Add("a", []byte(`{"a":"b"}`))
	f.Add("\xff\"\\\n\u2028", []byte("\"\xc2\x9b\x7f\""))
	f.Add("\xed\xa0\x80", []byte(`["\ud800","\\"]`))
	f.Fuzz(func(t *testing.T, s string, raw []byte) {
		b := line(&Record{Tool: s, Roles: []string{s}, Arguments: raw, Obligations: []json.RawMessage{raw}})
		body, ok := bytes.CutSuffix(b, []byte("\n"))
		if !ok || !json.Valid(body) || !utf8.Valid(body) {
			t.Fatalf("line %q", b)
		}
		for _, r := range string(body) {
			if r < ' ' || r == 0x7f || hidden(r) {
				t.Fatalf("line %q has %U", b, r)
			}
		}
		var got Record
		if err := json.Unmarshal(body, &got); err != nil || got.Tool != strings.ToValidUTF8(got.Tool, "") {
			t.Fatalf("line %q: %v", b, err)
		}
		if utf8.ValidString(s) && got.Tool != s {
			t.Fatalf("tool %q became %q", s, got.Tool)
		}
		if json.Valid(raw) && utf8.Valid(raw) {
			var want, have any
			if json.Unmarshal(raw, &want) == nil && json.Unmarshal(got.Arguments, &have) == nil && !cmp.Equal(want, have) {
				t.Fatalf("arguments %s became %s", raw, got.Arguments)
			}
		}
	})
}
