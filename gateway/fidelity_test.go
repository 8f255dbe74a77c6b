package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sallyport/gateway/wire"
)

// genJSON draws a JSON value in an unusual but valid spelling.
func genJSON(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		kinds := 5
		if depth > 0 {
			kinds = 7
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return rapid.SampledFrom([]string{"null", "true", "false"}).Draw(t, "literal")
		case 1:
			return rapid.SampledFrom([]string{"0", "-0", "1.50", "9007199254740993", "123456789012345678901234567890", "1E+2", "-1e-7"}).Draw(t, "number")
		case 2, 3:
			return rapid.SampledFrom([]string{`""`, `"\u0041\/b"`, `"é\n"`, `"\ud83d\ude00"`, `"😀 plain"`, `"<script>&amp;"`}).Draw(t, "string")
		case 4:
			return rapid.SampledFrom([]string{"[]", "{}", "[ ]", "{\n}"}).Draw(t, "empty")
		case 5:
			return "[" + strings.Join(rapid.SliceOfN(genJSON(depth-1), 0, 3).Draw(t, "array"), rapid.SampledFrom([]string{",", " , ", ",\t"}).Draw(t, "comma")) + "]"
		}
		var members []string
		for i, v := range rapid.SliceOfN(genJSON(depth-1), 0, 3).Draw(t, "object") {
			members = append(members, fmt.Sprintf(`"%s%d"%s%s`, rapid.SampledFrom([]string{"m", "x-", `\u006d`, "π"}).Draw(t, "name"), i, rapid.SampledFrom([]string{":", " : "}).Draw(t, "colon"), v))
		}
		return "{" + strings.Join(members, ",") + "}"
	})
}

var genSpace = rapid.SampledFrom([]string{"", " ", "\n", "\t ", "\r\n"})

// What policy did not touch leaves byte for byte as it came: requests upstream.
func TestRequestsGoUpstreamByteForByte(t *testing.T) {
	f := newFixture(t)
	rapid.Check(t, func(t *rapid.T) {
		s := func() string { return genSpace.Draw(t, "space") }
		id := rapid.SampledFrom([]string{`7`, `"a\u0062"`, `-1`, `123456789012345678901`, `""`}).Draw(t, "id")
		args := genJSON(3).Draw(t, "arguments")
		if args[0] != '{' {
			args = `{"v":` + args + `}`
		}
		extra := genJSON(2).Draw(t, "extra")
		body := fmt.Sprintf(`%s{"jsonrpc":"2.0",%s"id":%s,"x-vendor":%s,"method":"tools/call","params":{%s"name":"ask","arguments":%s,"x-more":%s,%s}%s}%s`,
			s(), s(), id, extra, s(), args, extra, meta, s(), s())
		if len(body) > 4096 {
			return // over the fixture's limit
		}
		n := len(f.up.requests())
		w := f.post(f.reader, body, modernHeaders("tools/call", "ask")...)
		sent := f.up.requests()
		if len(sent) != n+1 {
			t.Fatalf("%s was refused: %s", body, w.Body)
		}
		if got := string(sent[n].Body); got != body {
			t.Fatalf("upstream got %s; want %s", got, body)
		}
	})
}

// …and answers, whole or streamed, with what else stands in a stream.
func TestAnswersComeBackByteForByte(t *testing.T) {
	f := newFixture(t)
	rapid.Check(t, func(t *rapid.T) {
		s := func() string { return genSpace.Draw(t, "space") }
		result := genJSON(3).Draw(t, "result")
		if result[0] != '{' {
			result = `{"v":` + result + `}`
		}
		answer := fmt.Sprintf(`{%s"jsonrpc":"2.0","id":7,"result":%s,"x-vendor":%s}`, strings.Trim(s(), "\r\n"), result, genJSON(1).Draw(t, "extra"))
		stream := rapid.Bool().Draw(t, "stream")
		want := answer
		if stream {
			nl := rapid.SampledFrom([]string{"\n", "\r\n", "\r"}).Draw(t, "newline")
			answer = strings.Map(func(r rune) rune {
				if r == '\n' || r == '\r' {
					return ' '
				}
				return r
			}, answer)
			want = ": hello" + nl + nl + "retry: 100" + nl + nl + "id: 1" + nl + "data:" + nl + nl +
				"event: message" + nl + `data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":0.50}}` + nl + "x-field: kept" + nl + nl +
				"id: é" + nl + "data: " + answer + nl + nl
		}
		f.up.answer = func(context.Context, Outbound) (*Reply, error) {
			if stream {
				return &Reply{Status: 200, Header: ReplyHeader{ContentType: "text/event-stream"}, Body: io.NopCloser(iotestOneByte{strings.NewReader(want)})}, nil
			}
			return jsonReply(200, want), nil
		}
		w := f.post(f.reader, modernCall("ask", `{}`), modernHeaders("tools/call", "ask")...)
		if got := w.Body.String(); got != want {
			t.Fatalf("client got\n%q; want\n%q", got, want)
		}
		wantType := "application/json"
		if stream {
			wantType = "text/event-stream"
		}
		if got := w.Header().Get("Content-Type"); got != wantType {
			t.Fatalf("Content-Type %q; want %q", got, wantType)
		}
	})
}

// iotestOneByte hands out one byte at a time, so that events arrive in the worst pieces.
type iotestOneByte struct{ r io.Reader }

func (o iotestOneByte) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return o.r.Read(p[:1])
}

// Only what the protocol names goes upstream, and never the client's credential.
func TestNoInboundCredentialGoesUpstream(t *testing.T) {
	f := newFixture(t)
	f.post(f.reader, modernCall("ask", `{}`), modernHeaders("tools/call", "ask", "Cookie", "a=b", "X-Forwarded-For", "1.2.3.4",
		"Proxy-Authorization", "Basic x", "Mcp-Session-Id", "s", "Baggage", "secret=1", "Mcp-Param-Region", "eu")...)
	sent := f.up.requests()
	if len(sent) != 1 {
		t.Fatalf("%d requests went upstream; want 1", len(sent))
	}
	want := map[string]bool{"Content-Type": true, "Accept": true, wire.HeaderVersion: true, wire.HeaderMethod: true, wire.HeaderName: true, "Mcp-Param-Region": true}
	for name, values := range sent[0].Header {
		if !want[name] {
			t.Errorf("%s: %v went upstream", name, values)
		}
	}
	if all := fmt.Sprint(sent[0]); strings.Contains(all, f.reader) {
		t.Error("the client's token went upstream")
	}
}

// Errors and statuses of an upstream are the upstream's word.
func TestUpstreamErrorsKeepStatusAndBody(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct {
		status int
		body   string
	}{
		{404, `{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no","data":{"x":1.0}}}`},
		{400, `{"jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"mismatch"}}`},
		{400, `{"jsonrpc":"2.0","id":7,"error":{"code":-32022,"message":"v","data":{"supported":["2026-07-28"]}}}`},
		{200, `{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"bad params"}}`},
		{429, `{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"slow down"}}`},
	} {
		f.up.answer = func(context.Context, Outbound) (*Reply, error) { return jsonReply(tt.status, tt.body), nil }
		w := f.post(f.reader, legacyCall("ask", `{}`))
		if w.Code != tt.status || w.Body.String() != tt.body {
			t.Errorf("client got %d %s; want %d %s", w.Code, w.Body, tt.status, tt.body)
		}
	}
}

// Every way in which an upstream can misbehave gives the caller its own clear error.
func TestUpstreamTroubleIsToldClearly(t *testing.T) {
	f := newFixture(t)
	fail := func(err error) func(context.Context, Outbound) (*Reply, error) {
		return func(context.Context, Outbound) (*Reply, error) { return nil, err }
	}
	say := func(r *Reply) func(context.Context, Outbound) (*Reply, error) {
		return func(context.Context, Outbound) (*Reply, error) { return r, nil }
	}
	big := `{"jsonrpc":"2.0","id":7,"result":{"v":"` + strings.Repeat("x", 1<<16) + `"}}`
	for _, tt := range []struct {
		name   string
		answer func(context.Context, Outbound) (*Reply, error)
		want   string
	}{
		{"down", fail(fmt.Errorf("%w: secret detail", ErrUnreachable)), `502 the server "files" cannot be reached`},
		{"slow", fail(fmt.Errorf("%w: secret detail", ErrTimeout)), `504 the server "files" did not answer in time`},
		{"garbage", say(jsonReply(200, `<html>`)), `502 the server "files" sent an answer that is not valid`},
		{"duplicate members", say(jsonReply(200, `{"jsonrpc":"2.0","id":7,"result":{"a":1,"a":2}}`)), `502 the server "files" sent an answer that is not valid`},
		{"folded member", say(jsonReply(200, `{"jsonrpc":"2.0","id":7,"RESULT":{},"result":{}}`)), `502 the server "files" sent an answer that is not valid`},
		{"another's answer", say(jsonReply(200, `{"jsonrpc":"2.0","id":8,"result":{}}`)), `502 the server "files" sent an answer that is not valid`},
		{"over the limit", say(jsonReply(200, big)), `the answer of the server "files" was over the size limit`},
		{"html", say(&Reply{Status: 200, Header: ReplyHeader{ContentType: "text/html"}, Body: io.NopCloser(strings.NewReader("<b>"))}), `502 the server "files" sent an answer that is not valid`},
		{"empty", say(jsonReply(200, "")), `502 the server "files" sent an answer that is not valid`},
		{"redirect", say(jsonReply(302, "")), `502 the server "files" sent an answer that is not valid`},
		{"401", say(jsonReply(401, `{}`)), `502 the server "files" failed`},
		{"403", say(jsonReply(403, `{}`)), `502 the server "files" failed`},
		{"500", say(jsonReply(500, "")), `502 the server "files" sent an answer that is not valid`},
		{"panic", func(context.Context, Outbound) (*Reply, error) { panic("injected") }, "500 internal error (decision ID)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.up.answer = tt.answer
			w := f.post(f.reader, legacyCall("ask", `{}`))
			got := decisionID.ReplaceAllString(toolText(w.Body.String()), "(decision ID)")
			if got != tt.want || w.Code == 401 || w.Code == 403 {
				t.Errorf("client got %d %q; want %q", w.Code, got, tt.want)
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("the upstream's own detail reached the client: %s", w.Body)
			}
		})
	}
}

// A stream that breaks owes the request's answer, and the client is told instead of waiting.
func TestBrokenStreamTellsTheClient(t *testing.T) {
	f := newFixture(t)
	progress := `data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}` + "\n\n"
	for _, tt := range []struct{ name, stream, want string }{
		{"ended early", progress, `sent an answer that is not valid`},
		{"garbage", progress + "data: {not json}\n\n", `sent an answer that is not valid`},
		{"another's answer", progress + `data: {"jsonrpc":"2.0","id":99,"result":{"secret":1}}` + "\n\n", `sent an answer that is not valid`},
		{"server request in the newer era", progress + `data: {"jsonrpc":"2.0","id":1,"method":"sampling/createMessage"}` + "\n\n", `sent an answer that is not valid`},
		{"endless event", progress + "data: " + strings.Repeat("x", 1<<17) + "\n\n", `over the size limit`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.up.answer = func(context.Context, Outbound) (*Reply, error) { return sseReply(tt.stream), nil }
			w := f.post(f.reader, modernCall("ask", `{}`), modernHeaders("tools/call", "ask")...)
			rest, ok := strings.CutPrefix(w.Body.String(), progress)
			if !ok || !strings.Contains(rest, tt.want) || strings.Contains(rest, "secret") || !bytes.HasSuffix([]byte(rest), []byte("\n\n")) {
				t.Errorf("client got %q; want the progress event and then %q", w.Body, tt.want)
			}
		})
	}
}

func TestNotificationsAreAcceptedWithoutABody(t *testing.T) {
	f := newFixture(t)
	f.up.answer = func(context.Context, Outbound) (*Reply, error) {
		return &Reply{Status: http.StatusAccepted, Body: io.NopCloser(strings.NewReader(""))}, nil
	}
	w := f.post(f.reader, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	if w.Code != http.StatusAccepted || w.Body.Len() != 0 {
		t.Errorf("client got %d %q; want 202 and nothing", w.Code, w.Body)
	}
	banned := f.issuer.Mint("banned")
	if w := f.post(banned, `{"jsonrpc":"2.0","method":"notifications/initialized"}`); w.Code != 400 || !strings.Contains(w.Body.String(), "banned") {
		t.Errorf("denied notification: %d %s; want 400 with the reason", w.Code, w.Body)
	}
	if n := len(f.up.requests()); n != 1 {
		t.Errorf("%d notifications went upstream; want 1", n)
	}
}

// One request has one answer: a second would be another's to a client that had begun to wait for
// something else under the same id.
func TestSecondAnswerDoesNotPass(t *testing.T) {
	f := newFixture(t)
	first := `data: {"jsonrpc":"2.0","id":7,"result":{"content":[]}}` + "\n\n"
	for _, second := range []string{first, `data: {"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"no"}}` + "\n\n", `data: {"jsonrpc":"2.0","error":{"code":1,"message":"no"}}` + "\n\n"} {
		f.up.answer = func(context.Context, Outbound) (*Reply, error) { return sseReply(first + second), nil }
		if w := f.post(f.reader, modernCall("ask", `{}`), modernHeaders("tools/call", "ask")...); w.Body.String() != first {
			t.Errorf("client got %q; want the first answer alone", w.Body)
		}
	}
}
