package gateway

import (
	"context"
	"strings"
	"testing"

	"sallyport/gateway/approval"
	"sallyport/gateway/guard/secrets"
	"sallyport/gateway/rules"
	"sallyport/policy"
)

// withDesk is an obliged fixture with somebody to ask.
func withDesk(t *testing.T, obligations ...string) (*fixture, *approval.Desk) {
	t.Helper()
	f := obliged(t, obligations...)
	desk := approval.New(approval.Options{})
	f.g.approvals = desk
	return f, desk
}

var releaser = approval.Approver{Name: "rita", Subject: "rita", Roles: []string{"releaser"}}

const wantsReleaser = `{"type": "require_approval", "by": "releaser"}`

// The call that a person has agreed to is made once; any other asks again, and none of those that
// wait costs its grant anything.
func TestACallWaitsForAPerson(t *testing.T) {
	f, desk := withDesk(t, wantsReleaser, `{"type": "max_calls", "n": 1, "per": "grant"}`)
	body := f.post(f.reader, readCall).Body.String()
	waiting := desk.List(releaser)
	if len(waiting) != 1 || !strings.Contains(body, waiting[0].ID) || !strings.Contains(body, `"isError":true`) {
		t.Fatalf("%d tickets; the caller got %s", len(waiting), body)
	}
	if got := f.rec.last(); got.Code != "approval_required" || len(f.up.requests()) != 0 {
		t.Errorf("recorded as %s, %d requests at the server; want approval_required and none", got.Code, len(f.up.requests()))
	}
	if _, err := desk.Decide(waiting[0].ID, releaser, true, ""); err != nil {
		t.Fatal(err)
	}
	other := legacyCall("read_file", `{"path":"/srv/other"}`)
	if got := toolText(f.post(f.reader, other).Body.String()); !strings.HasPrefix(got, "This call needs a person's approval: ap_") {
		t.Errorf("other arguments: %s", got)
	}
	if got := toolText(f.post(f.other, readCall).Body.String()); !strings.HasPrefix(got, "This call needs a person's approval: ap_") {
		t.Errorf("another caller: %s", got)
	}
	if got := toolText(f.post(f.reader, readCall).Body.String()); got != "ok" {
		t.Errorf("the call that was agreed to: %s", got)
	}
	for _, r := range f.rec.all() {
		if r.Phase == "decision" && (len(r.Reasons) != 1 || r.Reasons[0] != "approval "+waiting[0].ID+" by rita") {
			t.Errorf("the decision says %q; want who agreed", r.Reasons)
		}
	}
	if got := toolText(f.post(f.reader, readCall).Body.String()); !strings.HasPrefix(got, "the policy allows 1 call") {
		t.Errorf("once more: %s; want the grant used up by the one call", got)
	}
}

// What the record gives back it must have charged: else calls that wait for a person would earn their
// grant more calls at the next start.
func TestARefusalGivesNothingBackThatWasNotCharged(t *testing.T) {
	f, desk := withDesk(t, wantsReleaser)
	for range 3 {
		f.post(f.reader, readCall)
	}
	waiting := desk.List(releaser)
	if _, err := desk.Decide(waiting[0].ID, releaser, true, ""); err != nil {
		t.Fatal(err)
	}
	f.post(f.reader, readCall)
	calls, bytes := int64(0), int64(0)
	for _, r := range f.rec.all() {
		if r.Code == "approval_required" && (r.Calls != 0 || r.Bytes != 0) {
			t.Errorf("the record of a call that waits charges %d calls and %d bytes; want nothing", r.Calls, r.Bytes)
		}
		calls, bytes = calls+r.Calls, bytes+r.Bytes
	}
	if calls != 1 {
		t.Errorf("all records together charge %d calls and %d bytes; want the 1 call that was made", calls, bytes)
	}
}

func TestAnApprovalEndsWithThePolicyThatAskedForIt(t *testing.T) {
	f, desk := withDesk(t, wantsReleaser)
	f.post(f.reader, readCall)
	if _, err := desk.Decide(desk.List(releaser)[0].ID, releaser, true, ""); err != nil {
		t.Fatal(err)
	}
	f.snap.Policy = mustPolicy(t, "package mcp.authz\n\nallow if input.tool.name == \"read_file\"\n\nobligations contains "+wantsReleaser+" if true\n# another revision\n")
	f.swap()
	if got := toolText(f.post(f.reader, readCall).Body.String()); !strings.HasPrefix(got, "This call needs a person's approval") {
		t.Errorf("under another policy: %s", got)
	}
}

func TestWithoutADeskNobodyCanAgree(t *testing.T) {
	f := obliged(t, wantsReleaser)
	if got := toolText(f.post(f.reader, readCall).Body.String()); !strings.HasPrefix(got, "Denied: the policy wants a person's approval, and this gateway has nobody to ask") {
		t.Errorf("%s", got)
	}
}

func TestBoundsOfThePolicyAreHeldBeforeTheCall(t *testing.T) {
	for obligation, want := range map[string][]string{
		`{"type": "max_repeats", "n": 2}`:                                   {"ok", "ok", "this very call has been made 2 times already, and the policy allows no more; do something else than repeat it"},
		`{"type": "max_bytes", "n": 40, "of": "arguments", "per": "grant"}`: {"ok", "ok", "the policy allows 40 bytes of arguments, and this call would be beyond; ask for a new grant"},
		`{"type": "max_bytes", "n": 3, "of": "arguments"}`:                  {"Denied: the policy allows 3 bytes of arguments, and these are 17"},
	} {
		f := obliged(t, obligation)
		for i, w := range want {
			if got := toolText(f.post(f.reader, legacyCall("read_file", `{"path":"/srv/a"}`)).Body.String()); !strings.HasPrefix(got, w) {
				t.Errorf("%s: call %d: %s; want %s", obligation, i+1, got, w)
			}
		}
		n := 0
		for _, w := range want {
			if w == "ok" {
				n++
			}
		}
		if got := len(f.up.requests()); got != n {
			t.Errorf("%s: %d calls at the server; want %d", obligation, got, n)
		}
	}
}

func TestACanaryIsNotToldToASink(t *testing.T) {
	f := labelled(t)
	f.snap.Canaries = true
	f.scan(secrets.Options{Markers: []secrets.Marker{{Name: "canary 1", Value: "marker-in-the-drawer"}}, NoRules: true})
	got := toolText(f.post(f.reader, legacyCall("ask", `{"q":"marker-in-the-drawer"}`)).Body.String())
	if want := "Denied: the call holds what looks like a secret (canary 1)"; !strings.HasPrefix(got, want) || strings.Contains(got, "drawer") {
		t.Errorf("%s; want %s", got, want)
	}
	if n := len(f.up.requests()); n != 0 {
		t.Errorf("%d requests reached the server", n)
	}
}

// The gateway's own credential for one server is no argument for a sink.
func TestTheGatewaysOwnCredentialIsNotToldToASink(t *testing.T) {
	f := labelled(t)
	f.server.Upstream = leaky{f.up}
	got := toolText(f.post(f.reader, legacyCall("ask", `{"q":"`+ownSecret+`"}`)).Body.String())
	if want := `Denied: the call holds the gateway's own credential for the server "files"`; !strings.HasPrefix(got, want) {
		t.Errorf("%s; want %s", got, want)
	}
}

// A key that is known by its form is refused in the arguments of a sink, and goes to others.
func TestASecretIsNotToldToASink(t *testing.T) {
	f := labelled(t)
	f.scan(secrets.Options{})
	const key = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
	got := toolText(f.post(f.reader, legacyCall("ask", `{"q":"`+key+`"}`)).Body.String())
	if want := "Denied: the call holds what looks like a secret (github-pat)"; !strings.HasPrefix(got, want) || strings.Contains(got, key) {
		t.Errorf("to a sink: %s; want %s", got, want)
	}
	if got := toolText(f.post(f.reader, legacyCall("read_file", `{"path":"/srv/`+key+`"}`)).Body.String()); got != "ok" {
		t.Errorf("to another tool: %s", got)
	}
}

// The record keeps arguments where a policy says so, and no secret with them.
func TestTheRecordKeepsNoSecretOfArguments(t *testing.T) {
	f := obliged(t, `{"type": "record_arguments"}`)
	f.scan(secrets.Options{})
	f.post(f.reader, legacyCall("read_file", `{"path":"/srv/ghp_`+"a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"+`"}`))
	if got, want := string(f.rec.last().Arguments), `{"path":"/srv/[redacted: github-pat]"}`; got != want {
		t.Errorf("recorded %s; want %s", got, want)
	}
}

func TestASearchForSecretsThatIsOffRefuses(t *testing.T) {
	for _, o := range []string{`{"type": "redact", "what": "secrets"}`, `{"type": "refuse", "what": "secrets"}`, `{"type": "refuse", "what": "secrets", "in": "arguments"}`} {
		f := obliged(t, o)
		if got := toolText(f.post(f.reader, readCall).Body.String()); !strings.Contains(got, "the policy asks for a search for secrets, and guards.secrets is off") {
			t.Errorf("%s: %s", o, got)
		}
	}
}

func TestResultsAreDecidedByThePolicy(t *testing.T) {
	f := newFixture(t)
	f.snap.Policy = mustPolicies(t, map[string]string{"authz.rego": testPolicy, "response.rego": `package mcp.response

allow if true

deny contains "it has three rows" if count(input.result.content) == 3
`})
	f.swap()
	for result, want := range map[string]string{
		`{"content":[{"type":"text","text":"a"}]}`:                                                       `"text":"a"`,
		`{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"},{"type":"text","text":"c"}]}`: "Denied by policy: it has three rows",
	} {
		f.up.answer = func(context.Context, Outbound) (*Reply, error) {
			return jsonReply(200, `{"jsonrpc":"2.0","id":7,"result":`+result+`}`), nil
		}
		if got := f.post(f.reader, readCall).Body.String(); !strings.Contains(got, want) {
			t.Errorf("%s became %s; want %s", result, got, want)
		}
	}
}

// What the policy for results wants besides its yes is done, each wish alone.
func TestEachWishOfThePolicyForResultsIsMet(t *testing.T) {
	for obligation, through := range map[string]bool{
		`{"type": "mask", "pointer": "/email"}`: false,
		`{"type": "max_bytes", "n": 40}`:        false,
		`{"type": "max_bytes", "n": 4000}`:      true,
	} {
		f := newFixture(t)
		f.snap.Policy = mustPolicies(t, map[string]string{"authz.rego": testPolicy,
			"response.rego": "package mcp.response\n\nallow if true\n\nobligations contains " + obligation + "\n"})
		f.swap()
		f.up.answer = func(context.Context, Outbound) (*Reply, error) {
			return jsonReply(200, `{"jsonrpc":"2.0","id":7,"result":{"content":[],"structuredContent":{"email":"ann@example.com","more":"and the rest"}}}`), nil
		}
		if got := f.post(f.reader, readCall).Body.String(); strings.Contains(got, "ann@example.com") != through {
			t.Errorf("%s: client got %s; want the address through: %t", obligation, got, through)
		}
	}
}

func TestAResultOfAnUnknownTypeIsWithheld(t *testing.T) {
	f := newFixture(t)
	f.up.answer = func(context.Context, Outbound) (*Reply, error) {
		return jsonReply(200, `{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"unheard of"}],"resultType":"trust_me"}}`), nil
	}
	got := f.post(f.reader, modernCall("ask", `{}`), modernHeaders("tools/call", "ask")...).Body.String()
	if !strings.Contains(got, `the server \"files\" sent a result of an unknown type`) || strings.Contains(got, "unheard of") {
		t.Errorf("client got %s", got)
	}
	if code := f.rec.last().Code; code != "invalid_output" {
		t.Errorf("recorded as %s; want invalid_output", code)
	}
}

// A log line on a stream of no call would bring what a source knows to a task that has no label of
// it.
func TestLogLinesOfASourceNeedACall(t *testing.T) {
	for name, tt := range map[string]struct {
		labels []string
		want   bool
	}{"a source": {[]string{rules.SourcePrivate}, false}, "no source": {nil, true}} {
		f := newFixture(t)
		f.say(rules.Config{Labels: tt.labels})
		f.up.answer = func(_ context.Context, out Outbound) (*Reply, error) {
			if out.Method == "GET" {
				return sseReply(`data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"what I know"}}` + "\n\n" +
					`data: {"jsonrpc":"2.0","method":"notifications/resources/list_changed"}` + "\n\n"), nil
			}
			return jsonReply(200, `{"jsonrpc":"2.0","id":1,"result":{}}`), nil
		}
		f.withSession("s1")
		f.post(f.reader, initialize)
		got := f.do("GET", f.reader, "", "Mcp-Session-Id", "s1", "Accept", "text/event-stream", "Content-Type", "").Body.String()
		if strings.Contains(got, "what I know") != tt.want || !strings.Contains(got, "resources/list_changed") {
			t.Errorf("%s: the stream says %q", name, got)
		}
	}
}

// A person is shown all that the server is told, and agrees to all of it; what clients make anew
// for each try is no part of it.
func TestAPersonAgreesToAllThatACallSays(t *testing.T) {
	f, desk := withDesk(t, wantsReleaser)
	call := func(more string) string {
		return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read_file","arguments":{"path":"/srv/a"}` + more + `}}`
	}
	f.post(f.reader, call(`,"task":{"ttl":60},"_meta":{"progressToken":1}`))
	waiting := desk.List(releaser)
	if len(waiting) != 1 || string(waiting[0].Arguments) != `{"path":"/srv/a"}` || string(waiting[0].Also) != `{"task":{"ttl":60}}` {
		t.Fatalf("a person is shown %+v", waiting)
	}
	if _, err := desk.Decide(waiting[0].ID, releaser, true, ""); err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]string{"without": call(""), "with another": call(`,"task":{"ttl":61}`)} {
		if got := toolText(f.post(f.reader, other).Body.String()); !strings.HasPrefix(got, "This call needs a person's approval") {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := toolText(f.post(f.reader, call(`,"task":{"ttl":60},"_meta":{"progressToken":2}`)).Body.String()); got != "ok" {
		t.Errorf("the same call: %s", got)
	}
}

// Metadata that the protocol gives no meaning is for the server: a person is shown it, and agrees to
// it alone. So is a state of the older era, which nobody has sealed.
func TestAnApprovalIsForTheMetadataToo(t *testing.T) {
	call := func(more string) string {
		return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read_file","arguments":{"path":"/srv/a"},` + more + `}}`
	}
	for _, tt := range []struct{ agreed, shown, same, other string }{
		{`"_meta":{"progressToken":1,"example.com/to":"staging"}`, `{"_meta":{"example.com/to":"staging"}}`,
			`"_meta":{"progressToken":2,"baggage":"a=b","claudecode/toolUseId":"toolu_2","vscode.requestId":"3","example.com/to":"staging"}`, `"_meta":{"progressToken":1,"example.com/to":"production"}`},
		{`"requestState":"a"`, `{"requestState":"a"}`, `"requestState":"a"`, `"requestState":"b"`},
	} {
		f, desk := withDesk(t, wantsReleaser)
		f.post(f.reader, call(tt.agreed))
		waiting := desk.List(releaser)
		if len(waiting) != 1 || string(waiting[0].Also) != tt.shown {
			t.Fatalf("%s: a person is shown %+v; want %s", tt.agreed, waiting, tt.shown)
		}
		if _, err := desk.Decide(waiting[0].ID, releaser, true, ""); err != nil {
			t.Fatal(err)
		}
		if got := toolText(f.post(f.reader, call(tt.other)).Body.String()); !strings.HasPrefix(got, "This call needs a person's approval") {
			t.Errorf("%s: %s; want that it asks again", tt.other, got)
		}
		if got := toolText(f.post(f.reader, call(tt.same)).Body.String()); got != "ok" {
			t.Errorf("%s: %s; want ok", tt.same, got)
		}
	}
}

// A call that says something else in its metadata is the same call again.
func TestRepeatsAreCountedWhateverTheirMetadata(t *testing.T) {
	f := obliged(t, `{"type": "max_repeats", "n": 1}`)
	for _, tt := range []struct{ meta, want string }{
		{`{"progressToken":1,"example.com/to":"a"}`, "ok"},
		{`{"progressToken":1,"example.com/to":"b"}`, "this very call has been made once already"},
		{`{"progressToken":2,"example.com/to":"a"}`, "this very call has been made once already"},
	} {
		body := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read_file","arguments":{"path":"/srv/a"},"_meta":` + tt.meta + `}}`
		if got := toolText(f.post(f.reader, body).Body.String()); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %s; want %s", tt.meta, got, tt.want)
		}
	}
}

// Of two obligations that differ about what could not be searched, the stricter holds.
func TestTheStricterOfTwoObligationsHolds(t *testing.T) {
	const passes, refuses = `{"type": "refuse", "what": "secrets", "in": "arguments", "unscanned": "pass"}`, `{"type": "refuse", "what": "secrets", "in": "arguments"}`
	for _, tt := range []struct {
		obligations []string
		pass        bool
	}{
		{[]string{passes}, true}, {[]string{refuses}, false}, {[]string{passes, refuses}, false}, {[]string{refuses, passes}, false},
		{[]string{passes, `{"type": "refuse", "what": "hidden", "in": "arguments"}`}, true},
	} {
		x := &exchange{snap: &Snapshot{}}
		for _, raw := range tt.obligations {
			o := policy.Obligation{Type: policy.Refuse, Raw: []byte(raw)}
			if err := x.meet(o); err != nil {
				t.Fatal(err)
			}
		}
		if x.passUnscanned != tt.pass {
			t.Errorf("%v: what was not searched passes: %v; want %v", tt.obligations, x.passUnscanned, tt.pass)
		}
	}
}
