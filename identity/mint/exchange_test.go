package mint

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/identity"
	"sallyport/identity/federate"
	"sallyport/identity/grant"
	"sallyport/identity/pop"
)

// principal returns whom a token of an answer speaks for.
func (b *booth) principal(a answer) *identity.Principal {
	b.t.Helper()
	if a.status != 200 {
		b.t.Fatalf("answer = %d %s", a.status, a.body)
	}
	who, err := verifier(b.t, b.keys, b.clock.now).VerifyUnproven(a.Token)
	if err != nil {
		b.t.Fatal(err)
	}
	return who
}

func TestOutsideTokensAreExchangedForAGrant(t *testing.T) {
	b := newBooth(t)
	for _, tt := range []struct {
		name   string
		params []string
	}{
		{"token exchange, jwt", exchangeOf("subject", typeJWT, `[{"type":"mcp_grant","roles":["reader"]}]`)},
		{"token exchange, id token", exchangeOf("subject", typeID, `[{"type":"mcp_grant","roles":["reader"]}]`)},
		{"jwt-bearer", []string{"grant_type", grantBearer, "assertion", "assertion", "authorization_details", `[{"type":"mcp_grant","roles":["reader"]}]`}},
		{"client credentials", []string{"grant_type", grantClient, "client_assertion_type", typeAssertion, "client_assertion", "client",
			"authorization_details", `[{"type":"mcp_grant","roles":["reader"]}]`}},
	} {
		a := b.post(TokenPath, append(tt.params, "resource", url+"/mcp/files", "scope", "whatever"))
		who := b.principal(a)
		if who.Subject != "ci:1" || who.ClientID != "ci" || who.Grant == "" || !cmp.Equal(who.Roles, []string{"reader"}) || a.Type != "Bearer" ||
			a.Issued != typeAccess || a.ExpiresIn != 300 || len(a.Details) != 1 || a.Details[0].Grant != who.Grant || strings.Contains(a.body, "scope") {
			t.Errorf("%s: %+v, %s", tt.name, who, a.body)
		}
		g, ok := b.cfg.Grants.Get(who.Grant)
		if !ok || g.Via != "federation:ci" || g.Issuer != "https://ci.example" || g.Subject != "ci:1" {
			t.Errorf("%s: grant = %+v", tt.name, g)
		}
	}
}

func TestGrantIsDescribedByAuthorizationDetails(t *testing.T) {
	b := newBooth(t)
	k := newKey(t)
	a := b.exchange("subject", `[{"type":"mcp_grant","roles":["reader"],"tools":["files.read_*"],"args":[{"tools":"files.*","schema":{"Tools":1}}],
		"max_calls":7,"budgets":[{"tools":"files.*","calls":3}],"task":"JIRA-1","expires_in":1200,"measured":"digest"}]`, b.proof(k))
	who := b.principal(a)
	want := detail{Type: "mcp_grant", Grant: who.Grant, Roles: []string{"reader"}, Tools: []string{"files.read_*"},
		Args:     []grant.Constraint{{Tools: "files.*", Schema: []byte(`{"Tools":1}`)}},
		MaxCalls: 7, Budgets: []grant.Budget{{Tools: "files.*", Calls: 3}}, Task: "JIRA-1", ExpiresIn: 1200}
	if diff := cmp.Diff([]detail{want}, a.Details); diff != "" {
		t.Errorf("authorization_details (-want +got):\n%s", diff)
	}
	g, _ := b.cfg.Grants.Get(who.Grant)
	if g.JKT != k.JKT() || who.JKT != k.JKT() || a.Type != "DPoP" || g.Measured != "digest" || who.Measured != "digest" || who.Task != "JIRA-1" {
		t.Errorf("grant %+v, principal %+v; want both bound to the proof's key", g.Grant, who)
	}
	// Without details the rule decides.
	a = b.exchange("subject", "", b.proof(k))
	if who := b.principal(a); !cmp.Equal(who.Roles, []string{"admin", "reader"}) {
		t.Errorf("roles = %v; want all of the rule", who.Roles)
	}
}

func TestAuthorizationDetailsAreReadStrictly(t *testing.T) {
	b := newBooth(t)
	const list = `must be a list of exactly one object, [{'type':'mcp_grant', ?}]`
	const unknown = "has a member that is not known; known are type, grant, roles, tools, args (tools, schema, rego), max_calls, budgets (tools, calls), task, client_id, expires_in, measured and jkt"
	const either = "either names a grant that is there (grant, with measured and jkt) or describes a new one, not both: a grant cannot be changed"
	for _, tt := range []struct{ details, want string }{
		{`{"type":"mcp_grant"}`, list},
		{`[]`, list},
		{`[1]`, list},
		{`[{"type":"mcp_grant"},{"type":"mcp_grant"}]`, list},
		{`[{"type":"payment"}]`, `must be of the type 'mcp_grant'`},
		{`[{}]`, `must be of the type 'mcp_grant'`},
		{`[{"type":"mcp_grant","subject":"root"}]`, unknown},
		{`[{"type":"mcp_grant","args":[{"tools":"a.*","regex":"x"}]}]`, unknown},
		{`[{"type":"mcp_grant","roles":"reader"}]`, "roles has the wrong type: it must be a JSON list"},
		{`[{"type":"mcp_grant","max_calls":1.5}]`, "max_calls has the wrong type: it must be a JSON whole number"},
		{`[{"type":"mcp_grant","task":1}]`, "task has the wrong type: it must be a JSON string"},
		{`[{"type":"mcp_grant","tools":[]}]`, "has an empty member ('tools'); leave it out where there is to be no bound"},
		{`[{"type":"mcp_grant","tools":null}]`, "has an empty member ('tools'); leave it out where there is to be no bound"},
		{`[{"type":"mcp_grant","args":{"tools":"a.*"}}]`, "args must be a list of objects"},
		{`[{"type":"mcp_grant","expires_in":86401}]`, "has an expires_in that is not from 1 to 86400 seconds"},
		{`[{"type":"mcp_grant","expires_in":-1}]`, "has an expires_in that is not from 1 to 86400 seconds"},
		{`[{"type":"mcp_grant","expires_in":0}]`, "has an empty member ('expires_in'); leave it out where there is to be no bound"},
		{`[{"type":"mcp_grant","max_calls":0}]`, "has an empty member ('max_calls'); leave it out where there is to be no bound"},
		{`[{"type":"mcp_grant","grant":""}]`, "has an empty member ('grant'); leave it out where there is to be no bound"},
		{`[{"type":"mcp_grant","grant":"gr_x","roles":["reader"]}]`, either},
		{`[{"type":"mcp_grant","grant":"gr_x","expires_in":60}]`, either},
		{`[{"type":"mcp_grant","roles":["reader"],"Roles":["admin"]}]`, ""},
		{`[{"type":"mcp_grant","roles":["reader"],"roles":["admin"]}]`, ""},
		{`[{"type":"mcp_grant","budgets":[{"tools":"a.*","calls":1,"Calls":9}]}]`, ""},
		{`[{"type":"mcp_grant"`, ""},
		{`[{"type":"mcp_grant"}] x`, ""},
	} {
		a := b.exchange("subject", tt.details)
		if a.status != 400 || a.Error != "invalid_authorization_details" || a.Token != "" ||
			!strings.HasPrefix(a.Description, "authorization_details "+tt.want) {
			t.Errorf("%s: %d %s %s\nwant authorization_details %s", tt.details, a.status, a.Error, a.Description, tt.want)
		}
	}
	if all := b.List(operator(), grant.Filter{All: true}); len(all) != 0 {
		t.Errorf("%d grants were made", len(all))
	}
}

func TestRenewalMakesNoGrant(t *testing.T) {
	b := newBooth(t)
	k := newKey(t)
	first := b.exchange("subject", "", b.proof(k))
	id := b.principal(first).Grant
	renew := `[{"type":"mcp_grant","grant":"` + id + `","measured":"now"}]`
	b.clock.pass(4 * time.Minute)
	again := b.exchange("subject", renew, b.proof(k))
	if who := b.principal(again); who.Grant != id || who.Measured != "now" || again.Token == first.Token || again.Details[0].Grant != id {
		t.Errorf("renewed = %+v", who)
	}
	if all := b.List(operator(), grant.Filter{All: true}); len(all) != 1 {
		t.Errorf("%d grants; want one", len(all))
	}
	bound := "the grant " + id + " is bound to a key, and gives tokens to the holder of that key alone; use the 'sallyport connect' or 'run' that made it, or make a grant of your own"
	b.want("another key", b.exchange("subject", renew, b.proof(newKey(t))), 400, "invalid_grant", bound)
	b.want("no key", b.exchange("subject", renew), 400, "invalid_grant", bound)
	b.others[federate.SubjectToken]["stranger"] = federate.Identity{Rule: "ci", Subject: "ci:2", Issuer: "https://ci.example", ClientID: "ci",
		Roles: []string{"reader"}, BearerAllowed: true}
	none := "there is no grant '" + id + "' of yours; 'sallyport grant list' shows those that are, 'sallyport grant create' makes one"
	b.want("another subject", b.exchange("stranger", renew, b.proof(k)), 400, "invalid_grant", none)
	b.end(id)
	b.want("after its end", b.exchange("subject", renew, b.proof(k)), 400, "invalid_grant",
		"the grant "+id+" ended: revoked by user root (uid 0) (wrong branch); ask for a new one")
	if all := b.List(operator(), grant.Filter{All: true}); len(all) != 1 {
		t.Errorf("%d grants; want the ended one alone: renewal must not undo its end", len(all))
	}
}

// The life of an outside token bounds that of ours.
func TestTokenEndsWithWhatBoughtIt(t *testing.T) {
	b := newBooth(t)
	who := b.others[federate.SubjectToken]["subject"]
	who.Until = b.clock.now().Add(90*time.Second + time.Millisecond)
	b.others[federate.SubjectToken]["short"] = who
	if a := b.exchange("short", `[{"type":"mcp_grant","roles":["reader"]}]`); a.ExpiresIn != 90 || a.Details[0].ExpiresIn != 3600 {
		t.Errorf("expires_in = %d of a grant of %d; want 90 of 3600", a.ExpiresIn, a.Details[0].ExpiresIn)
	}
	who.Until = b.clock.now()
	b.others[federate.SubjectToken]["over"] = who
	before := len(b.List(operator(), grant.Filter{All: true}))
	a := b.exchange("over", `[{"type":"mcp_grant","roles":["reader"]}]`)
	if a.status != 400 || !strings.HasPrefix(a.Description, "less than a second is left") {
		t.Errorf("%d %s; want it refused", a.status, a.Description)
	}
	all := b.List(operator(), grant.Filter{All: true})
	if len(all) != before+1 || all[0].State != grant.Completed && all[1].State != grant.Completed {
		t.Errorf("grants = %+v; want that without a token ended", all)
	}
}

func TestBearerTokensAreTheRulesToAllow(t *testing.T) {
	b := newBooth(t)
	reader := `[{"type":"mcp_grant","roles":["reader"]}]`
	b.want("rule", b.exchange("subject-strict", reader), 400, "invalid_dpop_proof",
		"the rule for this identity gives only tokens that are bound to a key: send a DPoP proof or a client certificate ('sallyport connect' does), or let the operator set bearerAllowed")
	b.want("role", b.exchange("subject", `[{"type":"mcp_grant","roles":["admin"]}]`), 400, "invalid_dpop_proof",
		"role admin: here only tokens that are bound to a key are given; use 'sallyport connect' or 'sallyport run', which hold one, or a client certificate (--cert)")
	k := newKey(t)
	if who := b.principal(b.exchange("subject-strict", reader, b.proof(k))); who.JKT != k.JKT() {
		t.Errorf("jkt = %q; want %q", who.JKT, k.JKT())
	}
	if who := b.principal(b.exchange("subject-strict", reader, certificate)); who.X5T != pop.X5T(&x509.Certificate{Raw: []byte("cert")}) || who.JKT != "" {
		t.Errorf("principal = %+v; want it bound to the certificate", who)
	}
	unverified := func(r *http.Request) { certificate(r); r.TLS.VerifiedChains = nil }
	if a := b.exchange("subject-strict", reader, unverified); a.Error != "invalid_dpop_proof" {
		t.Errorf("a certificate that nobody verified: %d %s; want it to count for nothing", a.status, a.Error)
	}
}

// certificate gives the connection a client certificate.
func certificate(r *http.Request) {
	cert := &x509.Certificate{Raw: []byte("cert")}
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}, VerifiedChains: [][]*x509.Certificate{{cert}}}
}

func TestOwnTokenBuysAChild(t *testing.T) {
	b := newBooth(t)
	k := newKey(t)
	parent := b.principal(b.exchange("subject", `[{"type":"mcp_grant","roles":["reader"],"tools":["files.*"]}]`, b.proof(k)))
	token := b.exchange("subject", `[{"type":"mcp_grant","grant":"`+parent.Grant+`"}]`, b.proof(k)).Token
	own := func(details string, with ...func(*http.Request)) answer {
		return b.post(TokenPath, exchangeOf(token, typeAccess, details), with...)
	}
	b.clock.pass(2 * time.Minute)
	a := own(`[{"type":"mcp_grant","tools":["files.read_*"],"client_id":"sub"}]`, b.proof(k))
	who := b.principal(a)
	g, _ := b.cfg.Grants.Get(who.Grant)
	if g.Parent != parent.Grant || who.JKT != k.JKT() || !cmp.Equal(who.Actors, []string{"sub", "ci"}) || who.Subject != "ci:1" || a.ExpiresIn != 180 {
		t.Errorf("child %+v of %+v, for %d s; want a child bound to the same key that ends with the token shown, in 180 s", g.Grant, who, a.ExpiresIn)
	}
	const refused = "the subject_token is not accepted; the gateway's log says why"
	b.want("no details", own("", b.proof(k)), 400, "invalid_authorization_details",
		"with an access token of this gateway say what the child grant may do (authorization_details), less than its own; it makes no other grant")
	b.want("a copy without the key", own(`[{"type":"mcp_grant","tools":["files.read_*"]}]`), 400, "invalid_dpop_proof",
		"the token is bound to a key; send a DPoP proof by that key")
	b.want("a copy with another key", own(`[{"type":"mcp_grant","tools":["files.read_*"]}]`, b.proof(newKey(t))), 400, "invalid_dpop_proof",
		"the DPoP proof is not accepted; the gateway's log says why")
	b.want("wider", own(`[{"type":"mcp_grant","tools":["*.*"]}]`, b.proof(k)), 400, "invalid_authorization_details",
		"tools: *.* is wider than the parent's files.*")
	acting := b.post(TokenPath, exchangeOf(a.Token, typeAccess, `[{"type":"mcp_grant","tools":["files.read_me"]}]`), b.proof(k))
	b.want("by an actor", acting, 400, "access_denied",
		"a token that acts for another (act) makes no grant: nobody approves themselves; ask whoever started this agent")
	b.end(parent.Grant)
	b.want("of an ended grant", own(`[{"type":"mcp_grant","tools":["files.read_*"]}]`, b.proof(k)), 400, "invalid_request", refused)
	b.want("without a grant", b.post(TokenPath, exchangeOf(b.ours.Mint("alice"), typeAccess, `[{"type":"mcp_grant","roles":["reader"]}]`)), 400, "invalid_request", refused)
}

// A sub-agent with a key of its own gets a child, and tokens of it, for that key alone.
func TestChildIsBoundToTheKeyOfTheSubAgent(t *testing.T) {
	b := newBooth(t)
	mine, theirs := newKey(t), newKey(t)
	parent := b.exchange("subject", `[{"type":"mcp_grant","roles":["reader"]}]`, b.proof(mine))
	own := func(details string) answer {
		return b.post(TokenPath, exchangeOf(parent.Token, typeAccess, details), b.proof(mine))
	}
	who := b.principal(own(`[{"type":"mcp_grant","tools":["files.read_*"],"client_id":"sub","jkt":"` + theirs.JKT() + `"}]`))
	g, _ := b.cfg.Grants.Get(who.Grant)
	if who.JKT != theirs.JKT() || g.JKT != theirs.JKT() || g.Parent != parent.Details[0].Grant {
		t.Errorf("grant %+v, principal %+v; want both bound to the key of the sub-agent", g.Grant, who)
	}
	renew := `[{"type":"mcp_grant","grant":"` + g.ID + `","jkt":"`
	if who := b.principal(own(renew + theirs.JKT() + `"}]`)); who.JKT != theirs.JKT() {
		t.Errorf("renewed for %q; want %q", who.JKT, theirs.JKT())
	}
	if a := own(renew + mine.JKT() + `"}]`); a.Error != "invalid_grant" || !strings.HasPrefix(a.Description, "the grant "+g.ID+" is bound to a key") {
		t.Errorf("renewed for the parent's key: %d %s; want it refused", a.status, a.Description)
	}
	b.want("no thumbprint", own(`[{"type":"mcp_grant","jkt":"key"}]`), 400, "invalid_request",
		"the key's thumbprint is not a SHA-256 digest in base64url; take it from the tool that made the key")
	b.want("by an outside token", b.exchange("subject", `[{"type":"mcp_grant","jkt":"`+theirs.JKT()+`"}]`, b.proof(mine)), 400, "invalid_authorization_details",
		"jkt is for the child of a grant whose token is shown; a grant of your own is bound to the key of the request's proof")
}

func TestTokenEndpointSaysWhatIsMissing(t *testing.T) {
	b := newBooth(t)
	const noClient = "client_credentials needs client_assertion (a JWT that the client signed) and client_assertion_type " + typeAssertion + "; there are no client secrets"
	const kinds = "subject_token_type must be " + typeJWT + " or " + typeID + " for another issuer's token, or " + typeAccess + " for one of this gateway"
	for _, tt := range []struct {
		params     []string
		code, want string
	}{
		{nil, "invalid_request", "the parameter grant_type is missing"},
		{[]string{"grant_type", "authorization_code", "code", "x"}, "unsupported_grant_type",
			"grant_type must be " + grantExchange + ", " + grantBearer + " or " + grantClient},
		{[]string{"grant_type", "password", "username", "x"}, "unsupported_grant_type",
			"grant_type must be " + grantExchange + ", " + grantBearer + " or " + grantClient},
		{[]string{"grant_type", grantExchange}, "invalid_request", "the parameter subject_token is missing"},
		{[]string{"grant_type", grantExchange, "subject_token", "subject"}, "invalid_request", kinds},
		{[]string{"grant_type", grantExchange, "subject_token", "subject", "subject_token_type", "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request", kinds},
		{append(exchangeOf("subject", typeJWT, ""), "actor_token", "x"), "invalid_request",
			"actor_token is not taken: who acts is the holder of the key, or the client_id in authorization_details"},
		{append(exchangeOf("subject", typeJWT, ""), "client_assertion", "client"), "invalid_request",
			"client_assertion goes with grant_type client_credentials; here the token itself says who asks"},
		{append(exchangeOf("subject", typeJWT, ""), "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"), "invalid_request",
			"requested_token_type must be " + typeAccess + ": this gateway makes no other"},
		{[]string{"grant_type", grantBearer}, "invalid_request", "the parameter assertion is missing"},
		{[]string{"grant_type", grantClient}, "invalid_client", noClient},
		{[]string{"grant_type", grantClient, "client_assertion", "client"}, "invalid_client", noClient},
		{[]string{"grant_type", grantClient, "client_assertion", "client", "client_assertion_type", typeAssertion, "client_id", "other"}, "invalid_client",
			"client_id is not the client of the client_assertion; leave it out"},
	} {
		b.want(strings.Join(tt.params, " "), b.post(TokenPath, tt.params), 400, tt.code, tt.want)
	}
}

func TestTokensAreForThisGatewayAlone(t *testing.T) {
	b := newBooth(t)
	reader := `[{"type":"mcp_grant","roles":["reader"]}]`
	for _, name := range []string{"resource", "audience"} {
		for _, value := range []string{url + "/mcp", url + "/mcp/files", "http://localhost:8080/mcp", "http://[::1]:8080/mcp/a", "HTTP://127.0.0.1:8080/mcp"} {
			a := b.post(TokenPath, append(exchangeOf("subject", typeJWT, reader), name, value))
			if who := b.principal(a); who == nil {
				t.Errorf("%s %s: %s", name, value, a.body)
			}
		}
		for _, value := range []string{"", url, url + "/", url + "/mcp/", url + "/mcp/a/b", url + "/mcp?x=1", url + "/mcp#x", "https://127.0.0.1:8080/mcp",
			"http://127.0.0.1/mcp", "http://127.0.0.1:8081/mcp", "http://evil.example:8080/mcp", "http://u@127.0.0.1:8080/mcp", url + "/mcpx", url + "/mcp/%2e%2e", "::", "files"} {
			a := b.post(TokenPath, append(exchangeOf("subject", typeJWT, reader), name, value))
			b.want(name+" "+value, a, 400, "invalid_target", "the "+name+" is not at or below "+url+"/mcp, and tokens of this gateway are for nothing else")
		}
	}
}
