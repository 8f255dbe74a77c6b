package wire

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"
	"pgregory.net/rapid"
)

func TestHeaderBindingsAreReadWhereTheyMayStand(t *testing.T) {
	schema := ` {"type":"object","properties":{
		"region":{"type":"string","x-mcp-header":"region"},
		"o":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"},"properties":{"type":["boolean","null"],"x-mcp-heade\u0072":"B-1"}}},
		"x-mcp-header":{"type":"object"},
		"any":{"type":["string","integer"],"x-mcp-header":"any","default":{"x-mcp-header":"no"},"enum":[{"x-mcp-header":"no"}]}
	},"required":["region"]}`
	got, err := HeaderBindings([]byte(schema))
	want := []HeaderBinding{
		{"Mcp-Param-Any", []string{"any"}, ""},
		{"Mcp-Param-B-1", []string{"o", "properties"}, "boolean"},
		{"Mcp-Param-N", []string{"o", "n"}, "integer"},
		{"Mcp-Param-Region", []string{"region"}, "string"},
	}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("HeaderBindings = %v (-want +got):\n%s", err, d)
	}
	for _, none := range []string{`{}`, `{"type":"object"}`, `true`, `{"properties":{"a":{"description":"\u0078"}}}`} {
		if got, err := HeaderBindings([]byte(none)); err != nil || len(got) != 0 {
			t.Errorf("HeaderBindings(%s) = %v, %v", none, got, err)
		}
	}
}

func TestInvalidHeaderAnnotationsAreRefused(t *testing.T) {
	const only = `only properties that are reached through properties alone may have it`
	for _, tt := range []struct{ schema, want string }{
		{`{"x-mcp-header":"A"}`, `x-mcp-header at "": ` + only},
		{`{"properties":{"a":{"items":{"type":"string","x-mcp-header":"A"}}}}`, `x-mcp-header at "a": ` + only},
		{`{"allOf":[{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}]}`, `x-mcp-header at "a": ` + only},
		{`{"$defs":{"a":{"type":"string","x-mcp-header":"A"}}}`, `x-mcp-header at "a": ` + only},
		{`{"patternProperties":{"^a":{"type":"string","x-mcp-header":"A"}}}`, `x-mcp-header at "^a": ` + only},
		{`{"additionalProperties":{"type":"string","x-mcp-header":"A"}}`, `x-mcp-header at "": ` + only},
		{`{"properties":{"a":{"type":"string","x-mcp-header":""}}}`, `x-mcp-header at "a": must be a header name`},
		{`{"properties":{"a":{"type":"string","x-mcp-header":7}}}`, `x-mcp-header at "a": must be a header name`},
		{`{"properties":{"a":{"type":"string","x-mcp-header":"A B"}}}`, `x-mcp-header at "a": must be a header name`},
		{`{"properties":{"a":{"type":"string","x-mcp-header":"A\r\nB"}}}`, `x-mcp-header at "a": must be a header name`},
		{`{"properties":{"a":{"type":"string","x-mcp-header":"é"}}}`, `x-mcp-header at "a": must be a header name`},
		{`{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}`, `x-mcp-header at "a": only a string, an integer or a boolean can have it`},
		{`{"properties":{"a":{"type":"object","x-mcp-header":"A"}}}`, `x-mcp-header at "a": only a string, an integer or a boolean can have it`},
		{`{"properties":{"a":{"type":["string","array"],"x-mcp-header":"A"}}}`, `x-mcp-header at "a": only a string, an integer or a boolean can have it`},
		{`{"properties":{"a":{"type":"null","x-mcp-header":"A"}}}`, `x-mcp-header at "a": only a string, an integer or a boolean can have it`},
		{`{"properties":{"a":{"x-mcp-header":"A"}}}`, `x-mcp-header at "a": only a string, an integer or a boolean can have it`},
		{`{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}`, `x-mcp-header at "b": the name is used twice`},
		{` {"properties":{"a":{"x-mcp-header":"A"}}}`, `x-mcp-header at "a": only a string, an integer or a boolean can have it`},
	} {
		got, err := HeaderBindings([]byte(tt.schema))
		if err == nil || err.Error() != tt.want {
			t.Errorf("HeaderBindings(%s) = %v, %v; want %s", tt.schema, got, err, tt.want)
		}
	}
}

func TestParamHeadersMirrorTheArguments(t *testing.T) {
	bindings := []HeaderBinding{
		{"Mcp-Param-B", []string{"b"}, "boolean"},
		{"Mcp-Param-My-N", []string{"o", "n"}, "integer"},
		{"Mcp-Param-S", []string{"s"}, "string"},
	}
	const hm = "header mismatch: the header "
	for _, tt := range []struct {
		args string
		h    http.Header
		want string
	}{
		{`{"s":"eu","o":{"n":42},"b":true}`, headers("Mcp-Param-S", "eu", "Mcp-Param-My-N", "42", "Mcp-Param-B", "true"), ""},
		{`{}`, headers(), ""},
		{``, headers(), ""},
		{`{"s":null,"o":null,"b":null}`, headers(), ""},
		{`{"o":{}}`, headers(), ""},
		{`{"o":"n"}`, headers(), ""},
		{`{"other":1}`, headers("Mcp-Param-Other", "2"), ""}, // unknown: forwarded, means nothing here

		{`{"s":"eu"}`, headers(), hm + "Mcp-Param-S is missing"},
		{`{"o":{"n":1}}`, headers(), hm + "Mcp-Param-My-N is missing"},
		{`{"s":"eu"}`, headers("Mcp-Param-S", "us"), hm + "Mcp-Param-S disagrees with the body"},
		{`{"s":"eu"}`, headers("Mcp-Param-S", "EU"), hm + "Mcp-Param-S disagrees with the body"},
		{`{"s":"eu"}`, headers("Mcp-Param-S", ""), hm + "Mcp-Param-S disagrees with the body"},
		{`{"s":""}`, headers("Mcp-Param-S", ""), ""},
		{`{"s":"eu"}`, headers("Mcp-Param-S", "eu", "Mcp-Param-S", "eu"), hm + "Mcp-Param-S is there 2 times"},
		{`{}`, headers("Mcp-Param-S", "eu"), hm + "Mcp-Param-S mirrors an argument that is not there"},
		{`{"s":null}`, headers("Mcp-Param-S", "null"), hm + "Mcp-Param-S mirrors an argument that is not there"},
		{``, headers("Mcp-Param-S", "eu"), hm + "Mcp-Param-S mirrors an argument that is not there"},
		{`{"o":[{"n":1}]}`, headers("Mcp-Param-My-N", "1"), hm + "Mcp-Param-My-N mirrors an argument that is not there"},
		{`{"s":"é"}`, headers("Mcp-Param-S", "=?base64?w6k=?="), ""},
		{`{"s":"\u00e9"}`, headers("Mcp-Param-S", "=?base64?w6k=?="), ""},
		{`{"s":" a "}`, headers("Mcp-Param-S", "=?base64?IGEg?="), ""},
		{`{"s":" a "}`, headers("Mcp-Param-S", "a"), hm + "Mcp-Param-S disagrees with the body"},
		{`{"s":"=?base64?eA==?="}`, headers("Mcp-Param-S", "=?base64?eA==?="), hm + "Mcp-Param-S disagrees with the body"},
		{`{"s":"é"}`, headers("Mcp-Param-S", "é"), hm + "Mcp-Param-S disagrees with the body"},
		{`{"s":"x"}`, headers("Mcp-Param-S", "=?base64?!?="), hm + "Mcp-Param-S is not valid base64"},
		{`{"s":{"a":1}}`, headers("Mcp-Param-S", `{"a":1}`), hm + "Mcp-Param-S disagrees with the body"},
		{`{"s":["eu"]}`, headers("Mcp-Param-S", `["eu"]`), hm + "Mcp-Param-S disagrees with the body"},
		{`{"s":42}`, headers("Mcp-Param-S", `"42"`), hm + "Mcp-Param-S disagrees with the body"},

		{`{"b":false}`, headers("Mcp-Param-B", "false"), ""},
		{`{"b":false}`, headers("Mcp-Param-B", "true"), hm + "Mcp-Param-B disagrees with the body"},
		{`{"b":true}`, headers("Mcp-Param-B", "True"), hm + "Mcp-Param-B disagrees with the body"},
		{`{"b":true}`, headers("Mcp-Param-B", "1"), hm + "Mcp-Param-B disagrees with the body"},

		{`{"o":{"n":42}}`, headers("Mcp-Param-My-N", "42.0"), ""},
		{`{"o":{"n":42.0}}`, headers("Mcp-Param-My-N", "42"), ""},
		{`{"o":{"n":-7}}`, headers("Mcp-Param-My-N", "-7"), ""},
		{`{"o":{"n":42}}`, headers("Mcp-Param-My-N", "43"), hm + "Mcp-Param-My-N disagrees with the body"},
		{`{"o":{"n":42}}`, headers("Mcp-Param-My-N", "0x2a"), hm + "Mcp-Param-My-N disagrees with the body"},
		{`{"o":{"n":42}}`, headers("Mcp-Param-My-N", "+42"), hm + "Mcp-Param-My-N disagrees with the body"},
		{`{"o":{"n":42}}`, headers("Mcp-Param-My-N", "4_2"), hm + "Mcp-Param-My-N disagrees with the body"},
		{`{"o":{"n":42}}`, headers("Mcp-Param-My-N", "42,42"), hm + "Mcp-Param-My-N disagrees with the body"},
		{`{"o":{"n":9007199254740993}}`, headers("Mcp-Param-My-N", "9007199254740993"), ""},
		{`{"o":{"n":9007199254740993}}`, headers("Mcp-Param-My-N", "9007199254740992"), hm + "Mcp-Param-My-N disagrees with the body"},

		// CGI-like servers read _ in a header's name as -, and would see two values.
		{`{"o":{"n":1}}`, http.Header{"Mcp-Param-My-N": {"1"}, "Mcp-Param-My_n": {"2"}}, hm + "Mcp-Param-My_n can be taken for Mcp-Param-My-N"},
		{`{}`, http.Header{"Mcp-Param-My_n": {"2"}}, hm + "Mcp-Param-My_n can be taken for Mcp-Param-My-N"},
	} {
		got := ""
		if err := CheckParamHeaders(tt.h, bindings, []byte(tt.args)); err != nil {
			got = err.Message
			if err.Code != HeaderMismatch || err.RPC != RPCHeaderMismatch {
				t.Errorf("CheckParamHeaders(%v, %s): code %v %d", tt.h, tt.args, err.Code, err.RPC)
			}
		}
		if got != tt.want {
			t.Errorf("CheckParamHeaders(%v, %s) = %q; want %q", tt.h, tt.args, got, tt.want)
		}
	}
	if err := CheckParamHeaders(headers("Mcp-Param-S", "x"), nil, nil); err != nil {
		t.Errorf("without bindings: %v", err)
	}
}

// What the protocol's own helper encodes, the check accepts, and nothing else for that value.
func TestParamHeadersAcceptWhatClientsEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(
			rapid.Map(rapid.String(), func(s string) any { return s }),
			rapid.Map(rapid.Int64Range(-1<<53+1, 1<<53-1), func(n int64) any { return n }),
			rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		)
		a, b := value.Draw(t, "a"), value.Draw(t, "b")
		raw, err := json.Marshal(map[string]any{"v": a})
		if err != nil {
			t.Fatal(err)
		}
		bindings := []HeaderBinding{{"Mcp-Param-V", []string{"v"}, ""}}
		check := func(v any) *Error {
			text, ok := mcp.EncodeHeaderValue(v)
			if !ok {
				t.Fatalf("no header for %v", v)
			}
			return CheckParamHeaders(http.Header{"Mcp-Param-V": {text}}, bindings, raw)
		}
		if err := check(a); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		text := func(v any) string {
			s, _ := mcp.EncodeHeaderValue(v)
			return s
		}
		if same := text(a) == text(b) || numeric(text(b)) && numeric(text(a)); !same && check(b) == nil {
			t.Fatalf("%s: accepted %q", raw, text(b))
		}
	})
}

func numeric(s string) bool {
	_, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return err == nil
}
