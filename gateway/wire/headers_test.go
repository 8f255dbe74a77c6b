package wire

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const modernCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x",` + modernMeta + `}}`

func TestEraIsDecidedByHeaderAndMetaTogether(t *testing.T) {
	const bare, meta = `{}`, `{` + modernMeta + `}`
	oldMeta := `{"_meta":{"io.modelcontextprotocol/protocolVersion":"2025-11-25"}}`
	for _, tt := range []struct {
		name, method, params, header string
		era                          Era
		version                      string
		code                         int
	}{
		{"nothing said", "tools/list", bare, "", Legacy, V20250326, 0},
		{"2025-03-26", "tools/list", bare, V20250326, Legacy, V20250326, 0},
		{"2025-06-18", "tools/list", bare, V20250618, Legacy, V20250618, 0},
		{"2025-11-25", "tools/list", bare, V20251125, Legacy, V20251125, 0},
		{"2025-11-25 in both", "tools/list", oldMeta, V20251125, Legacy, V20251125, 0},
		{"2026-07-28 in both", "tools/list", meta, V20260728, Modern, V20260728, 0},
		{"initialize", "initialize", bare, "", Legacy, "", 0},
		{"initialize with a header", "initialize", bare, V20251125, Legacy, "", 0},
		{"2026-07-28 in the header only", "tools/list", bare, V20260728, 0, "", RPCInvalidParams},
		{"2026-07-28 in _meta only", "tools/list", meta, "", 0, "", RPCHeaderMismatch},
		{"_meta of initialize only", "initialize", meta, "", 0, "", RPCHeaderMismatch},
		{"header older than _meta", "tools/list", meta, V20251125, 0, "", RPCHeaderMismatch},
		{"header newer than _meta", "tools/list", oldMeta, V20260728, 0, "", RPCHeaderMismatch},
		{"2024-11-05", "tools/list", bare, V20241105, 0, "", RPCVersion},
		{"a later revision", "tools/list", bare, "2027-01-01", 0, "", RPCVersion},
		{"case", "tools/list", bare, "2025-11-25 ", 0, "", RPCVersion},
		{"a list", "tools/list", bare, "2025-11-25,2025-06-18", 0, "", RPCVersion},
	} {
		h := headers("Mcp-Method", tt.method)
		if tt.header != "" {
			h.Set(HeaderVersion, tt.header)
		}
		m, err := Decode([]byte(req(tt.method, tt.params)), h, Limits{})
		switch {
		case tt.code != 0 && (err == nil || err.RPC != tt.code):
			t.Errorf("%s: %+v, %+v; want code %d", tt.name, m, err, tt.code)
		case tt.code == 0 && (err != nil || m.Era != tt.era || m.Version != tt.version):
			t.Errorf("%s: %+v, %+v; want %v %q", tt.name, m, err, tt.era, tt.version)
		}
	}
}

func TestUnsupportedVersionNamesTheSupported(t *testing.T) {
	_, err := Decode([]byte(req("ping", "")), headers("Mcp-Protocol-Version", strings.Repeat("9", 100)), Limits{})
	want := `{"requested":"` + strings.Repeat("9", 64) + `","supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26"]}`
	if err == nil || err.Code != UnsupportedVersion || err.Message != "unsupported protocol version" || string(err.Data) != want {
		t.Errorf("Decode = %+v; want data %s", err, want)
	}
}

func TestModernRequestsNeedTheirMeta(t *testing.T) {
	const version = `"io.modelcontextprotocol/protocolVersion":"2026-07-28"`
	const capabilities = `"io.modelcontextprotocol/clientCapabilities"`
	for _, tt := range []refusal{
		{req("tools/list", ""), modern("tools/list", ""), -32602, `params._meta needs "io.modelcontextprotocol/protocolVersion"`},
		{req("tools/list", `{"_meta":{`+capabilities+`:{}}}`), modern("tools/list", ""), -32602, `params._meta needs "io.modelcontextprotocol/protocolVersion"`},
		{req("tools/list", `{"_meta":{`+version+`}}`), modern("tools/list", ""), -32602, `params._meta needs "io.modelcontextprotocol/clientCapabilities"`},
		{req("tools/list", `{"_meta":{`+version+`,`+capabilities+`:null}}`), modern("tools/list", ""), -32602, `params._meta needs "io.modelcontextprotocol/clientCapabilities"`},
		{req("tools/list", `{"x":{`+modernMeta+`}}`), modern("tools/list", ""), -32602, `params._meta needs "io.modelcontextprotocol/protocolVersion"`},
		{`{"jsonrpc":"2.0","id":1,"result":{}}`, headers("Mcp-Protocol-Version", V20260728), -32600, "protocol 2026-07-28 has no responses from clients: answer in inputResponses of a retry"},
	} {
		tt.check(t)
	}
}

func TestHeadersMustSayWhatTheBodySays(t *testing.T) {
	const hm = "header mismatch: "
	dup := func(name, a, b string) http.Header {
		h := modern("tools/call", "x")
		h[name] = []string{a, b}
		return h
	}
	set := func(name, value string) http.Header {
		h := modern("tools/call", "x")
		h[name] = []string{value}
		return h
	}
	without := func(name string) http.Header {
		h := modern("tools/call", "x")
		delete(h, name)
		return h
	}
	legacy := req("tools/call", `{"name":"x"}`)
	for _, tt := range []refusal{
		{modernCall, without("Mcp-Protocol-Version"), -32020, hm + "Mcp-Protocol-Version is missing and _meta names a revision"},
		{modernCall, without("Mcp-Method"), -32020, hm + "the header Mcp-Method is missing"},
		{modernCall, without("Mcp-Name"), -32020, hm + "the header Mcp-Name is missing"},

		{modernCall, dup("Mcp-Protocol-Version", V20260728, V20260728), -32020, hm + "the header Mcp-Protocol-Version is there 2 times"},
		{modernCall, dup("Mcp-Method", "tools/call", "tools/call"), -32020, hm + "the header Mcp-Method is there 2 times"},
		{modernCall, dup("Mcp-Name", "x", "y"), -32020, hm + "the header Mcp-Name is there 2 times"},
		{modernCall, dup("Mcp-Session-Id", "a", "a"), -32020, hm + "the header Mcp-Session-Id is there 2 times"},
		{modernCall, dup("Last-Event-Id", "a", "a"), -32020, hm + "the header Last-Event-Id is there 2 times"},
		{modernCall, dup("Mcp-Param-X", "1", "1"), -32020, hm + "the header Mcp-Param-X is there 2 times"},
		{modernCall, dup("mcp-param-x", "1", "1"), -32020, hm + "the header mcp-param-x is there 2 times"},

		{modernCall, set("Mcp-Protocol-Version", V20251125), -32020, hm + "Mcp-Protocol-Version and _meta name different revisions"},
		{modernCall, set("Mcp-Protocol-Version", ""), -32020, hm + "the header Mcp-Protocol-Version is empty"},
		{legacy, headers("Mcp-Protocol-Version", ""), -32020, hm + "the header Mcp-Protocol-Version is empty"},
		{modernCall, set("Mcp-Method", ""), -32020, hm + "the header Mcp-Method disagrees with the body"},
		{modernCall, set("Mcp-Method", "tools/list"), -32020, hm + "the header Mcp-Method disagrees with the body"},
		{modernCall, set("Mcp-Method", "Tools/Call"), -32020, hm + "the header Mcp-Method disagrees with the body"},
		{modernCall, set("Mcp-Method", "tools/call "), -32020, hm + "the header Mcp-Method disagrees with the body"},
		{modernCall, set("Mcp-Method", "=?base64?dG9vbHMvY2FsbA==?="), -32020, hm + "the header Mcp-Method disagrees with the body"},
		{modernCall, set("Mcp-Name", ""), -32020, hm + "the header Mcp-Name disagrees with the body"},
		{modernCall, set("Mcp-Name", "y"), -32020, hm + "the header Mcp-Name disagrees with the body"},
		{modernCall, set("Mcp-Name", "X"), -32020, hm + "the header Mcp-Name disagrees with the body"},
		{modernCall, set("Mcp-Name", " x"), -32020, hm + "the header Mcp-Name disagrees with the body"},
		{modernCall, set("Mcp-Name", "x\t"), -32020, hm + "the header Mcp-Name disagrees with the body"},
		{modernCall, set("Mcp-Name", "=?base64?eQ==?="), -32020, hm + "the header Mcp-Name disagrees with the body"},
		{modernCall, set("Mcp-Name", "=?base64?eA?="), -32020, hm + "the header Mcp-Name is not valid base64"},
		{modernCall, set("Mcp-Name", "=?base64?%%?="), -32020, hm + "the header Mcp-Name is not valid base64"},
		{modernCall, set("Mcp-Name", "=?BASE64?eA==?="), -32020, hm + "the header Mcp-Name disagrees with the body"},
		{modernCall, set("Mcp-Name", "=?base64?eA=="), -32020, hm + "the header Mcp-Name disagrees with the body"},
		{modernCall, set("Mcp-Name", "é"), -32020, hm + "the header Mcp-Name holds characters that a header may not"},
		{modernCall, set("Mcp-Name", "x\r\nA: b"), -32020, hm + "the header Mcp-Name holds characters that a header may not"},
		{modernCall, set("Mcp-Param-Y", "\x7f"), -32020, hm + "the header Mcp-Param-Y holds characters that a header may not"},

		{legacy, headers("Mcp-Name", "y"), -32020, hm + "the header Mcp-Name disagrees with the body"},
		{legacy, headers("Mcp-Method", "ping"), -32020, hm + "the header Mcp-Method disagrees with the body"},
		{`{"jsonrpc":"2.0","method":"notifications/initialized"}`, headers("Mcp-Method", "tools/call"), -32020, hm + "the header Mcp-Method disagrees with the body"},
		{`{"jsonrpc":"2.0","id":1,"result":{}}`, headers("Mcp-Method", "tools/call"), -32020, hm + "the header Mcp-Method disagrees with the body"},
		{req("tools/list", ""), headers("Mcp-Name", "x"), -32020, hm + "the header Mcp-Name disagrees with the body"},
	} {
		tt.check(t)
	}
	for _, h := range []http.Header{
		modern("tools/call", "x"), set("Mcp-Name", "=?base64?eA==?="), set("Mcp-Name", "=?base64?eB==?="), set("Mcp-Param-Unknown", "1"), set("X-Other", "é\r"),
	} {
		if _, err := Decode([]byte(modernCall), h, Limits{}); err != nil {
			t.Errorf("Decode with %v = %v", h, err)
		}
	}
}

func TestNameHeaderIsNeededWhereTheProtocolSaysSo(t *testing.T) {
	for _, tt := range []struct {
		method, params, name string
		needed               bool
	}{
		{"tools/call", `{"name":"n",` + modernMeta + `}`, "n", true},
		{"prompts/get", `{"name":"n",` + modernMeta + `}`, "n", true},
		{"resources/read", `{"uri":"n",` + modernMeta + `}`, "n", true},
		{"tasks/get", `{"taskId":"n",` + modernMeta + `}`, "n", true},
		{"tasks/update", `{"taskId":"n",` + modernMeta + `}`, "n", true},
		{"tasks/cancel", `{"taskId":"n",` + modernMeta + `}`, "n", true},
		{"completion/complete", `{"ref":{"type":"ref/prompt","name":"n"},` + modernMeta + `}`, "n", false},
		{"tools/list", `{` + modernMeta + `}`, "", false},
		{"server/discover", `{` + modernMeta + `}`, "", false},
	} {
		body := []byte(req(tt.method, tt.params))
		_, err := Decode(body, modern(tt.method, ""), Limits{})
		if needed := err != nil; needed != tt.needed {
			t.Errorf("%s without Mcp-Name: %v; want needed %v", tt.method, err, tt.needed)
		}
		if _, err := Decode(body, modern(tt.method, tt.name), Limits{}); err != nil {
			t.Errorf("%s with Mcp-Name: %v", tt.method, err)
		}
		if _, err := Decode(body, modern(tt.method, "other"), Limits{}); err == nil || err.Code != HeaderMismatch {
			t.Errorf("%s with another Mcp-Name: %v; want a mismatch", tt.method, err)
		}
	}
}

func TestAnyNameCanTravelInItsHeader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringN(1, 20, 80).Draw(t, "name")
		quoted, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		body := []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":` + string(quoted) + `,` + modernMeta + `}}`)
		h := modern("tools/call", "=?base64?"+base64.StdEncoding.EncodeToString([]byte(name))+"?=")
		m, refused := Decode(body, h, Limits{})
		if refused != nil || m.Name != name {
			t.Fatalf("Decode = %+v, %v; want name %q", m, refused, name)
		}
		other := rapid.StringN(1, 20, 80).Filter(func(s string) bool { return s != name }).Draw(t, "other")
		h.Set("Mcp-Name", "=?base64?"+base64.StdEncoding.EncodeToString([]byte(other))+"?=")
		if m, refused = Decode(body, h, Limits{}); refused == nil || refused.Code != HeaderMismatch {
			t.Fatalf("header %q, body %q: %+v, %v; want a mismatch", other, name, m, refused)
		}
	})
}

// forwardable is the allow-list, spelled out once more.
func forwardable(name string, era Era) bool {
	switch name {
	case "Content-Type", "Accept", "Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name", "Traceparent", "Tracestate":
		return true
	case "Mcp-Session-Id", "Last-Event-Id":
		return era == Legacy
	}
	return era == Modern && strings.HasPrefix(name, "Mcp-Param-")
}

func TestForwardHeadersPassNothingElse(t *testing.T) {
	names := rapid.OneOf(
		rapid.SampledFrom([]string{"Authorization", "Proxy-Authorization", "Cookie", "Dpop", "Baggage", "X-Forwarded-For", "Forwarded",
			"X-Api-Key", "Host", "Connection", "Transfer-Encoding", "Content-Length", "Content-Encoding", "Content-Type", "Accept", "Origin",
			"Mcp-Session-Id", "Last-Event-Id", "Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name", "Mcp-Param-A", "Mcp-Param-", "Mcp-Params-X",
			"Mcp-Paramx", "mcp-param-a", "Mcp_Param_A", "Mcp-Other", "Traceparent", "Tracestate", "Upgrade", "Te", "Trailer"}),
		rapid.Map(rapid.StringMatching(`[A-Za-z-]{1,12}`), http.CanonicalHeaderKey),
	)
	values := rapid.OneOf(rapid.SampledFrom([]string{"", "a", "a\r\nEvil: 1", "é", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		in := http.Header(rapid.MapOfN(names, rapid.SliceOfN(values, 0, 3), 0, 12).Draw(t, "headers"))
		before := in.Clone()
		era := rapid.SampledFrom([]Era{Legacy, Modern}).Draw(t, "era")
		out := ForwardHeaders(&Message{Era: era}, in)
		for name, v := range out {
			if !forwardable(name, era) {
				t.Errorf("%s passed in the %v era", name, era)
			}
			if len(v) != 1 || strings.ContainsFunc(v[0], func(r rune) bool { return r < 0x20 && r != '\t' || r > 0x7e }) {
				t.Errorf("%s: %q passed", name, v)
			}
			if name != "Content-Type" && name != "Accept" && (len(in[name]) != 1 || in[name][0] != v[0]) {
				t.Errorf("%s: %q was made of %q", name, v, in[name])
			}
		}
		if out.Get("Content-Type") != "application/json" || out.Get("Accept") != "application/json, text/event-stream" {
			t.Errorf("content headers %q, %q", out.Get("Content-Type"), out.Get("Accept"))
		}
		for name := range out { // no slice is shared in a way that an Add could write to
			out.Add(name, "added")
		}
		if d := cmp.Diff(before, in); d != "" {
			t.Errorf("the inbound headers changed:\n%s", d)
		}
	})
	if again := ForwardHeaders(&Message{}, nil); len(again) != 2 || again.Get("Accept") != "application/json, text/event-stream" {
		t.Errorf("ForwardHeaders of nothing = %v", again)
	}
}

func TestForwardHeadersTakeWhatTheProtocolNames(t *testing.T) {
	in := headers("Mcp-Protocol-Version", V20251125, "Mcp-Method", "ping", "Mcp-Name", "n", "Mcp-Session-Id", "s", "Last-Event-Id", "7",
		"Mcp-Param-Known", "1", "Mcp-Param-Unknown", "=?base64?eA==?=", "Authorization", "Bearer x")
	for era, want := range map[Era][]string{
		Legacy: {"Accept", "Content-Type", "Last-Event-Id", "Mcp-Method", "Mcp-Name", "Mcp-Protocol-Version", "Mcp-Session-Id"},
		Modern: {"Accept", "Content-Type", "Mcp-Method", "Mcp-Name", "Mcp-Param-Known", "Mcp-Param-Unknown", "Mcp-Protocol-Version"},
	} {
		var got []string
		for name := range ForwardHeaders(&Message{Era: era}, in) {
			got = append(got, name)
		}
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%v (-want +got):\n%s", era, d)
		}
	}
}

func TestTraceContextMustBeWellFormed(t *testing.T) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, tt := range []struct {
		parent, state       string
		hasParent, hasState bool
	}{
		{good, "a=b", true, true},
		{good, "", true, false},
		{good, strings.Repeat("a", 513), true, false},
		{good, "a=\u00e9", true, false},
		{"", "a=b", false, false},
		{strings.ToUpper(good), "a=b", false, false},
		{"01" + good[2:], "a=b", false, false},
		{good + "-x", "a=b", false, false},
		{"00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01", "", false, false},
		{"00-0af7651916cd43dd8448eb211c80319c-" + strings.Repeat("0", 16) + "-01", "", false, false},
		{strings.ReplaceAll(good, "-", "_"), "", false, false},
	} {
		in, out := http.Header{}, http.Header{}
		in["Traceparent"], in["Tracestate"], in["Baggage"] = []string{tt.parent}, []string{tt.state}, []string{"k=v"}
		TraceHeaders(out, in)
		_, p := out["Traceparent"]
		_, s := out["Tracestate"]
		if p != tt.hasParent || s != tt.hasState || out.Get("Baggage") != "" {
			t.Errorf("TraceHeaders(%q, %q) = %v", tt.parent, tt.state, out)
		}
	}
}
