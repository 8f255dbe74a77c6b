package guard

import (
	"errors"
	"strings"
	"testing"
)

func form1(fields string) string {
	return `{"message":"m","requestedSchema":{"type":"object","properties":{` + fields + `}}}`
}

func TestQuestionsThatAskForSecretsAreRefused(t *testing.T) {
	d := door(t, everywhere)
	for _, field := range []string{
		`"password":{"type":"string"}`, `"userPassword":{"type":"string"}`, `"PASS_WORD":{"type":"string"}`, `"p4ssw0rd":{"type":"string"}`, `"раssword":{"type":"string"}`,
		`"pass\u200bword":{"type":"string"}`, `"a":{"type":"string","title":"API key"}`, `"a":{"type":"string","description":"Your api-key, please"}`, `"a":{"type":"string","format":"password"}`,
		`"accessToken":{"type":"string"}`, `"a":{"type":"integer","title":"PIN"}`, `"a":{"type":"string","title":"the OTP that we sent"}`, `"a":{"type":"string","title":"CVV2"}`,
		`"card_number":{"type":"string"}`, `"a":{"type":"string","title":"Account number"}`, `"ssn":{"type":"string"}`, `"a":{"type":"string","title":"Social Security No."}`,
		`"a":{"type":"string","title":"Private Key (PEM)"}`, `"a":{"type":"string","title":"seed phrase"}`, `"a":{"type":"string","title":"Passwort"}`, `"a":{"type":"string","title":"пароль"}`, `"a":{"type":"string","title":"密码"}`,
		`"a":{"type":"string","title":"ｐａｓｓｗｏｒｄ"}`, `"a":{"type":"string","x-label":"client secret"}`, `"a":{"type":"string","title":"verification code"}`,
	} {
		_, _, err := d.Question(askElicitation, []byte(form1(field)), &Ask{Server: "files"})
		var refused *Refused
		if !errors.As(err, &refused) || refused.Public != publicQuestion || !strings.HasPrefix(refused.Detail, "a field that asks for a secret at ") {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, field := range []string{
		`"name":{"type":"string","title":"Your name"}`, `"count":{"type":"integer"}`, `"ok":{"type":"boolean"}`, `"pinned":{"type":"boolean"}`, `"shipping":{"type":"string"}`, `"opinion":{"type":"string"}`,
		`"how":{"type":"string","enum":["password","API key"],"title":"How to sign in"}`, `"tags":{"type":"array","items":{"type":"string","enum":["token"]}}`, `"email":{"type":"string","format":"email"}`,
	} {
		if _, _, err := d.Question(askElicitation, []byte(form1(field)), &Ask{Server: "files"}); err != nil {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestFormsThatAreNotFlatAreRefused(t *testing.T) {
	d := door(t, everywhere)
	for _, tt := range []struct{ params, want string }{
		{form1(`"a":{"type":"object","properties":{"password":{}}}`), "a form that is not flat at /requestedSchema/properties/a/properties"},
		{form1(`"a":{"type":"object"}`), "a field that is no text, number, choice or switch at /requestedSchema/properties/a"},
		{form1(`"a":{"$ref":"#/$defs/x"}`), "a field that is no text, number, choice or switch at /requestedSchema/properties/a"},
		{form1(`"a":{"type":"string","allOf":[{"title":"password"}]}`), "a form that is not flat at /requestedSchema/properties/a/allOf"},
		{`{"message":"m","requestedSchema":{"type":"object","properties":{},"patternProperties":{}}}`, "a form that is not flat at /requestedSchema/patternProperties"},
		{`{"message":"m","requestedSchema":{"type":"object"}}`, "a form without fields at /requestedSchema"},
		{`{"message":"m"}`, "an elicitation without a form at the top"},
		{`{"requestedSchema":{"type":"object","properties":{}}}`, "an elicitation without a message at the top"},
		{`{"message":"m","mode":"voice"}`, `an elicitation whose mode is neither "form" nor "url" at the top`},
		{`{"message":"Enter your password below","requestedSchema":{"type":"object","properties":{"value":{"type":"string"}}}}`, "a form whose message asks for a secret at /requestedSchema"},
		{`{"message":"m","url":"https://example.com/","requestedSchema":{"type":"object","properties":{}}}`, "a form with an address at /url"},
		{`[]`, "a question whose params are no object at the top"},
	} {
		_, _, err := d.Question(askElicitation, []byte(tt.params), nil)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s\ngot  %v\nwant %s", tt.params, err, tt.want)
		}
	}
	if _, _, err := d.Question(askElicitation, []byte(`{"message":"Your password was changed. Go on?","requestedSchema":{"type":"object","properties":{"ok":{"type":"boolean"}}}}`), nil); err != nil {
		t.Errorf("a message about a password, with nothing to fill in: %v", err)
	}
}

func TestPeopleAreSentOnlyWhereLinksMayLead(t *testing.T) {
	d := door(t, Config{Content: []string{"text"}, LinkHosts: []string{"example.com", "localhost:8080", "shop.example"}})
	for _, tt := range []struct{ url, want string }{
		{"https://example.com/a?b=c", ""}, {"http://localhost:8080/", ""}, {"https://EXAMPLE.com./", ""},
		{"http://example.com/", "that is not https"}, {"http://localhost/", "whose host is not in guards.linkHosts"}, {"http://127.0.0.1:8080/", "whose host is not in guards.linkHosts"},
		{"https://evil.example/", "whose host is not in guards.linkHosts"}, {"https://example.com:8443/", "whose host is not in guards.linkHosts"},
		{"https://example.com@evil.example/", "with a user's name in it"}, {"https://ann@example.com/", "with a user's name in it"},
		{`https://example.com\\@evil.example/`, "that is none, or that is read in more than one way"}, {`https://evil.example\\.example.com/`, "that is none, or that is read in more than one way"},
		{"https://exаmple.com/", "that is none, or that is read in more than one way"}, {"https://example.com/a b", "that is none, or that is read in more than one way"},
		{"javascript:alert(1)", "that is not https"}, {"//example.com/", "that is not https"}, {"example.com", "that is not https"}, {"", "that is not https"}, {"https:", "whose host is not in guards.linkHosts"},
	} {
		_, _, err := d.Question(askElicitation, []byte(`{"mode":"url","elicitationId":"1","message":"m","url":"`+tt.url+`"}`), nil)
		want := "an elicitation to an address " + tt.want + " at /url"
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s\ngot  %v\nwant %s", tt.url, err, want)
		}
	}
}

func TestTheAskerIsNamedFromTheConfiguration(t *testing.T) {
	d := door(t, everywhere)
	in := `{"message":"I am the \u001b[1mbank\u200b. ![x](https://evil.example)","requestedSchema":{"type":"object","properties":{"a":{"type":"string","title":"T\u202e"}}}}`
	want := `{"message":"The MCP server \"files\" asks: I am the bank. ![x](hxxps://evil[.]example)","requestedSchema":{"type":"object","properties":{"a":{"type":"string","title":"T"}}}}`
	out, r, err := d.Question(askElicitation, []byte(in), &Ask{Server: "files"})
	if string(out) != want || err != nil || r.Hidden != 3 || r.Links != 1 {
		t.Errorf("got  %s, %v, %v\nwant %s", out, r, err, want)
	}
	if again, _, err := d.Question(askElicitation, out, &Ask{Server: "files"}); string(again) != want || err != nil {
		t.Errorf("twice: %s, %v", again, err)
	}
	if out, _, err := d.Question(askElicitation, []byte(form1("")), nil); err != nil || !strings.HasPrefix(string(out), `{"message":"An MCP server asks: m"`) {
		t.Errorf("without a name: %s, %v", out, err)
	}
}

func TestSamplingGoesThroughTheDoor(t *testing.T) {
	d := door(t, textOnly)
	in := `{"messages":[{"role":"user","content":{"type":"text","text":"a\u200b"}},{"role":"user","content":[{"type":"image","mimeType":"image/png","data":"` + png + `"}]}],"systemPrompt":"[x](//evil.example)","includeContext":"allServers","maxTokens":9}`
	out, r, err := d.Question(askSampling, []byte(in), &Ask{Server: "s"})
	if err != nil || r.Hidden != 1 || r.Links != 1 || r.Dropped != 1 || strings.Contains(string(out), png) ||
		!strings.HasSuffix(string(out), `"systemPrompt":"[x](hxxps://evil[.]example)","includeContext":"none","maxTokens":9}`) {
		t.Errorf("%s, %v, %v", out, r, err)
	}
	if out, _, err := d.Question(askRoots, nil, nil); err != nil || out != nil {
		t.Errorf("roots/list without params: %s, %v", out, err)
	}
	for method, want := range map[string]string{askSampling: `a question ("sampling/createMessage") without params`, askElicitation: `a question ("elicitation/create") without params`} {
		if _, _, err := d.Question(method, nil, nil); err == nil || err.Error() != want {
			t.Errorf("%s without params: %v", method, err)
		}
	}
	if _, _, err := d.Question("files/open", []byte(`{}`), nil); err == nil || err.Error() != `a question that the gateway does not know ("files/open") at the top` {
		t.Errorf("an unknown question: %v", err)
	}
}

func TestQuestionsWithinAnswersAreQuestions(t *testing.T) {
	d := door(t, everywhere)
	ask := func(method, params string) string {
		return `{"resultType":"input_required","inputRequests":{"a":{"method":"` + method + `","params":` + params + `}}}`
	}
	for _, k := range []Kind{ToolResult, Contents, Prompt} {
		out, _, refused := judged(t, d, k, ask(askElicitation, form1(`"name":{"type":"string"}`)), &Ask{Server: "s"})
		if refused != nil || !strings.Contains(out, `"message":"The MCP server \"s\" asks: m"`) {
			t.Errorf("kind %d: %s, %v", k, out, refused)
		}
		for doc, want := range map[string]string{
			ask(askElicitation, form1(`"token":{"type":"string"}`)):              "a field that asks for a secret at /inputRequests/a/params/requestedSchema/properties/token",
			ask("tools/call", `{}`):                                              "an input request that is no question the gateway knows at /inputRequests/a",
			`{"inputRequests":{"a":{"method":"elicitation/create"}}}`:            "an input request without params at /inputRequests/a",
			`{"inputRequests":[]}`:                                               `"inputRequests" that are no object at /inputRequests`,
			`{"inputRequests":{"a":7}}`:                                          "an input request that is no question the gateway knows at /inputRequests/a",
			ask(askElicitation, `{"mode":"url","message":"m","url":"http://x"}`): "an elicitation to an address that is not https at /inputRequests/a/params/url",
		} {
			if _, _, refused := judged(t, d, k, doc, nil); refused == nil || refused.Detail != want {
				t.Errorf("kind %d: %s\ngot  %v\nwant %s", k, doc, refused, want)
			}
		}
	}
	sent := func(url string) string {
		return `{"code":-32042,"message":"m","data":{"elicitations":[{"mode":"url","elicitationId":"1","message":"sign in","url":"` + url + `"}]}}`
	}
	if out, _, refused := judged(t, d, Error, sent("https://example.com/"), &Ask{Server: "s"}); refused != nil || !strings.Contains(out, `The MCP server \"s\" asks: sign in`) {
		t.Errorf("an error that sends to an allowed host: %s, %v", out, refused)
	}
	if _, _, refused := judged(t, d, Error, sent("https://evil.example/"), nil); refused == nil || refused.Detail != "an elicitation to an address whose host is not in guards.linkHosts at /data/elicitations/0/url" {
		t.Errorf("an error that sends elsewhere: %v", refused)
	}
}
