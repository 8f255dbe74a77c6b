package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/gateway/audit"
	"sallyport/identity/grant"
	"sallyport/identity/identitytest"
)

// revoke ends a grant as an operator does.
func (f *fixture) revoke(id string) {
	f.t.Helper()
	if _, err := f.issuer.Grants.Revoke(f.t.Context(), grant.Filter{ID: id}, grant.Revoked, "test", "it is over"); err != nil {
		f.t.Fatal(err)
	}
}

// under makes a grant for ann and returns its id and a token of it.
func (f *fixture) under(g grant.Grant) (id, token string) {
	f.t.Helper()
	g.Subject = "ann"
	if g.Roles == nil {
		g.Roles = []string{"reader"}
	}
	id = f.issuer.Grant(g)
	return id, f.issuer.Under(id)
}

var readCall = legacyCall("read_file", `{"path":"/srv/a"}`)

// A token without a live grant that it belongs to is as good as none, and its holder learns no
// more than that.
func TestATokenIsWorthItsLiveGrant(t *testing.T) {
	f := newFixture(t)
	revoked, dead := f.under(grant.Grant{})
	f.revoke(revoked)
	_, early := f.under(grant.Grant{NotBefore: time.Now().Add(time.Minute)})
	_, bound := f.under(grant.Grant{JKT: "a-thumbprint"})
	_, certified := f.under(grant.Grant{X5T: "a-thumbprint"})
	claims := func(changes map[string]any) string { return f.issuer.With(f.issuer.Claims("ann"), changes) }
	want := f.post("", readCall)
	for name, token := range map[string]string{
		"no grant":             claims(map[string]any{"grant": nil}),
		"a grant nobody made":  claims(map[string]any{"grant": "gr_" + strings.Repeat("a", 26)}),
		"a revoked grant":      dead,
		"a grant of tomorrow":  early,
		"another's grant":      claims(map[string]any{"sub": "bob"}),
		"another client's":     claims(map[string]any{"client_id": "other"}),
		"a role too many":      claims(map[string]any{"roles": []string{"reader", "writer"}}),
		"a grant with another": bound,
		"one of a certificate": certified,
	} {
		w := f.post(token, readCall)
		if w.Code != http.StatusUnauthorized || w.Body.String() != want.Body.String() {
			t.Errorf("%s: %d %s; want the answer to no token: %s", name, w.Code, w.Body, want.Body)
		}
	}
	if n := len(f.up.requests()); n != 0 {
		t.Errorf("%d requests reached the server", n)
	}
}

func TestStaleGrantsRefuse(t *testing.T) {
	f := newFixture(t)
	if err := f.issuer.Store.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the grants are stale", func() bool { return f.issuer.Grants.Healthy() != nil })
	w := f.post(f.reader, readCall)
	if want := "503 which grants live is not known at the moment"; w.Code != http.StatusServiceUnavailable || toolText(w.Body.String()) != want {
		t.Errorf("%d %s; want %s", w.Code, w.Body, want)
	}
	if got := f.rec.last().Code; got != "stale" {
		t.Errorf("recorded as %q; want stale", got)
	}
}

// What may be done is what role, grant and policy allow together. A tool that the grant does not
// name is hidden like one that does not exist.
func TestAGrantNarrowsAndNeverWidens(t *testing.T) {
	f := newFixture(t)
	_, files := f.under(grant.Grant{Tools: []string{"files.read_*"}})
	_, write := f.under(grant.Grant{Tools: []string{"files.*"}})
	_, elsewhere := f.under(grant.Grant{Tools: []string{"mail.*"}})
	const resource = `{"jsonrpc":"2.0","id":7,"method":"resources/read","params":{"uri":"file:///srv/a"}}`
	for _, tt := range []struct{ name, token, body, want string }{
		{"named", files, readCall, "ok"},
		{"not named", files, legacyCall("ask", `{}`), "-32602 Unknown tool: ask"},
		{"named, but not the role's", write, legacyCall("write_file", `{"path":"/srv/a"}`), "-32602 Unknown tool: write_file"},
		{"of another server", elsewhere, readCall, "-32602 Unknown tool: read_file"},
		{"wrong arguments of a tool that is not named", files, legacyCall("write_file", `{"path":7}`), "-32602 Unknown tool: write_file"},
		{"a resource under a grant for tools", files, resource, "403 Denied: the grant does not cover it (decision ID)"},
		{"a resource under any other", f.reader, resource, "ok"},
	} {
		got := toolText(f.post(tt.token, tt.body).Body.String())
		if at := strings.Index(got, "(decision "); at >= 0 {
			got = got[:at] + "(decision ID)"
		}
		if got != tt.want {
			t.Errorf("%s: %s; want %s", tt.name, got, tt.want)
		}
	}
}

// A grant that names tools is for tools, whatever the policy lets the role do besides.
func TestPromptsAreNotUnderAGrantForTools(t *testing.T) {
	f := newFixture(t)
	f.snap.Policy = mustPolicy(t, flowPolicy)
	f.swap()
	_, files := f.under(grant.Grant{Tools: []string{"files.read_*"}})
	const prompt = `{"jsonrpc":"2.0","id":7,"method":"prompts/get","params":{"name":"briefing"}}`
	if got := toolText(f.post(files, prompt).Body.String()); !strings.HasPrefix(got, "403 Denied: the grant does not cover it") {
		t.Errorf("a prompt under a grant for tools: %s", got)
	}
	if got := toolText(f.post(f.reader, prompt).Body.String()); got != "ok" {
		t.Errorf("a prompt under any other: %s", got)
	}
}

func TestListsShowWhatTheGrantCovers(t *testing.T) {
	f := newFixture(t)
	_, narrow := f.under(grant.Grant{Tools: []string{"files.read_*"}})
	for range 2 { // made, and from the cache
		for token, want := range map[string][]string{f.reader: {"read_file", "ask"}, narrow: {"read_file"}} {
			var list struct {
				Result struct{ Tools []struct{ Name string } }
			}
			if err := json.Unmarshal(f.post(token, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`).Body.Bytes(), &list); err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, tool := range list.Result.Tools {
				names = append(names, tool.Name)
			}
			if diff := cmp.Diff(want, names); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
	}
}

func TestRecordOnlyKeepsTheGrant(t *testing.T) {
	f := newFixture(t)
	f.snap.RecordOnly = true
	f.swap()
	_, narrow := f.under(grant.Grant{Tools: []string{"files.read_*"}})
	if got := toolText(f.post(narrow, legacyCall("ask", `{}`)).Body.String()); got != "-32602 Unknown tool: ask" {
		t.Errorf("a tool beyond the grant: %s", got)
	}
	if got := toolText(f.post(narrow, legacyCall("read_file", `{"path":"/etc/x"}`)).Body.String()); got != "ok" {
		t.Errorf("what only the policy refuses: %s; want ok", got)
	}
}

func TestArgumentsAreHeldAgainstTheGrant(t *testing.T) {
	f := newFixture(t)
	f.snap.Policy = mustPolicy(t, testPolicy+"\n")
	_, schema := f.under(grant.Grant{Args: []grant.Constraint{{Tools: "files.read_*", Schema: json.RawMessage(`{"properties":{"path":{"pattern":"^/srv/docs/"}}}`)}}})
	_, broken := f.under(grant.Grant{Args: []grant.Constraint{{Tools: "*.*", Schema: json.RawMessage(`{"$ref":"https://example.com/s"}`)}}})
	_, rego := f.under(grant.Grant{Args: []grant.Constraint{{Tools: "files.*", Rego: "data.mcp.constraints.nothing_here"}}})
	for _, tt := range []struct{ name, token, path, want string }{
		{"held", schema, "/srv/docs/a", "ok"},
		{"not held", schema, "/srv/a", "Denied: the grant does not allow these arguments: "},
		{"a schema that reaches out", broken, "/srv/docs/a", "Denied: the grant does not allow these arguments: they could not be checked"},
		{"a rule that is not there", rego, "/srv/docs/a", "Denied: the grant does not allow these arguments: they could not be checked"},
	} {
		got := toolText(f.post(tt.token, legacyCall("read_file", `{"path":"`+tt.path+`"}`)).Body.String())
		if !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %s; want %s", tt.name, got, tt.want)
		}
	}
	if n := len(f.up.requests()); n != 1 {
		t.Errorf("%d requests reached the server; want the one that was held", n)
	}
}

func TestArgumentsAreHeldAgainstARuleOfThePolicy(t *testing.T) {
	f := newFixture(t)
	f.snap.Policy = mustPolicies(t, map[string]string{"authz.rego": testPolicy,
		"grants.rego": "package mcp.constraints\n\nonly_docs if startswith(input.arguments.path, \"/srv/docs/\")\n"})
	f.swap()
	_, token := f.under(grant.Grant{Args: []grant.Constraint{{Tools: "files.*", Rego: "data.mcp.constraints.only_docs"}}})
	if got := toolText(f.post(token, legacyCall("read_file", `{"path":"/srv/docs/a"}`)).Body.String()); got != "ok" {
		t.Errorf("below /srv/docs: %s", got)
	}
	got := toolText(f.post(token, readCall).Body.String())
	if want := "Denied: the grant does not allow these arguments: data.mcp.constraints.only_docs does not hold (decision "; !strings.HasPrefix(got, want) {
		t.Errorf("elsewhere: %s; want %s", got, want)
	}
}

// One more call than the grant has is never made, however many race for the last one.
func TestCountedGrantsAreExact(t *testing.T) {
	f := newFixture(t)
	f.snap.Limits.ConcurrentPerGrant = 2000
	f.swap()
	_, token := f.under(grant.Grant{MaxCalls: 100})
	var ok, limited atomic.Int64
	var racing sync.WaitGroup
	for range 1000 {
		racing.Go(func() {
			for {
				switch got := toolText(f.post(token, readCall).Body.String()); {
				case got == "ok":
					ok.Add(1)
				case strings.HasSuffix(got, "allows 100 calls and all are used; ask for a new grant"):
					limited.Add(1)
				case strings.HasPrefix(got, "503 which grants live is not known"): // so many are busy that the store is not heard
					time.Sleep(10 * time.Millisecond)
					continue
				default:
					t.Errorf("answer %s", got)
				}
				return
			}
		})
	}
	racing.Wait()
	if ok.Load() != 100 || limited.Load() != 900 || len(f.up.requests()) != 100 {
		t.Errorf("%d answered, %d limited, %d sent; want 100, 900, 100", ok.Load(), limited.Load(), len(f.up.requests()))
	}
	charges := int64(0)
	for _, r := range f.rec.all() {
		charges += r.Calls
	}
	if charges != 100 {
		t.Errorf("the record charges %d calls; want 100", charges)
	}
}

// A call is given back only where the server surely had nothing of it.
func TestOnlyWhatWasNotSentIsGivenBack(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		left int64
	}{
		{"not sent", ErrNotSent, 5}, {"no credential", ErrNoCredential, 5},
		{"unreachable", ErrUnreachable, 4}, {"timeout", ErrTimeout, 4}, {"garbage", ErrGarbage, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.up.answer = func(context.Context, Outbound) (*Reply, error) { return nil, tt.err }
			id, token := f.under(grant.Grant{MaxCalls: 5})
			f.post(token, readCall)
			status, _ := f.issuer.Grants.Get(id)
			if status.CallsLeft == nil || *status.CallsLeft != tt.left {
				t.Errorf("calls left %v; want %d", status.CallsLeft, tt.left)
			}
			net := int64(0)
			for _, r := range f.rec.all() {
				net += r.Calls
			}
			if net != 5-tt.left {
				t.Errorf("the record charges %d; want %d", net, 5-tt.left)
			}
		})
	}
}

// A decision that was refused because the disk hangs may yet come to it, and then counts.
func TestACallWhoseDecisionIsNotOnDiskCostsNothing(t *testing.T) {
	for _, tt := range []struct {
		err  error
		left int64
	}{{errors.New("disk full"), 5}, {audit.ErrLate, 4}} {
		f := newFixture(t)
		id, token := f.under(grant.Grant{MaxCalls: 5})
		f.rec.err = tt.err
		if w := f.post(token, readCall); w.Code != http.StatusServiceUnavailable {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if status, _ := f.issuer.Grants.Get(id); status.CallsLeft == nil || *status.CallsLeft != tt.left {
			t.Errorf("%v: calls left %v; want %d", tt.err, status.CallsLeft, tt.left)
		}
	}
}

func TestCallsAtTheSameTimeAreBoundedPerGrant(t *testing.T) {
	f := newFixture(t)
	f.snap.Limits.ConcurrentPerGrant = 1
	f.swap()
	reached, go_on := make(chan struct{}), make(chan struct{})
	f.up.answer = func(context.Context, Outbound) (*Reply, error) {
		reached <- struct{}{}
		<-go_on
		return jsonReply(200, `{"jsonrpc":"2.0","id":7,"result":{"content":[]}}`), nil
	}
	_, token := f.under(grant.Grant{})
	first := make(chan string)
	go func() { first <- toolText(f.post(token, readCall).Body.String()) }()
	<-reached
	if got, want := toolText(f.post(token, readCall).Body.String()), "1 calls of this grant are under way; wait until one has ended"; got != want {
		t.Errorf("second call: %s; want %s", got, want)
	}
	close(go_on)
	if got := <-first; got != "ok" {
		t.Errorf("first call: %s", got)
	}
	go func() { <-reached }()
	if got := toolText(f.post(token, readCall).Body.String()); got != "ok" {
		t.Errorf("a call after the first: %s; want ok", got)
	}
}

func TestProofIsWantedWhereTheConfigurationSaysSo(t *testing.T) {
	f := newFixture(t)
	f.snap.RequireProofFor = []string{"writer"}
	f.swap()
	if got := toolText(f.post(f.reader, readCall).Body.String()); got != "ok" {
		t.Errorf("a reader's bearer token: %s", got)
	}
	if w := f.post(f.writer, readCall); w.Code != http.StatusUnauthorized {
		t.Errorf("a writer's bearer token: %d; want 401", w.Code)
	}
	f.snap.RequireProof = true
	f.swap()
	if w := f.post(f.reader, readCall); w.Code != http.StatusUnauthorized {
		t.Errorf("a reader's bearer token, with requireProof: %d; want 401", w.Code)
	}
}

// A credential for ann of one issuer is not that of another's ann.
func TestWhoVouchedIsPartOfWhoAsks(t *testing.T) {
	f := newFixture(t)
	_, own := f.under(grant.Grant{})
	_, outside := f.under(grant.Grant{Issuer: "https://idp.example"})
	f.post(own, readCall)
	f.post(outside, readCall)
	sent := f.up.requests()
	if len(sent) != 2 || sent[0].For.Issuer != identitytest.URL || sent[1].For.Issuer != "https://idp.example" || sent[0].For.Key == sent[1].For.Key {
		t.Errorf("requests for %+v and %+v; want each with who vouched for ann", sent[0].For, sent[1].For)
	}
}
