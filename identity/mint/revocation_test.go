package mint

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/identity/federate"
	"sallyport/identity/grant"
	"sallyport/identity/pop"
)

func (b *booth) state(id string) grant.State {
	b.t.Helper()
	s, ok := b.cfg.Grants.Get(id)
	if !ok {
		b.t.Fatalf("no grant %s", id)
	}
	return s.State
}

func TestHolderEndsHisGrant(t *testing.T) {
	b := newBooth(t)
	parent := b.grant(dev(), Ask{})
	child := b.grant(b.holderOf(parent), Ask{})
	other := b.grant(dev(), Ask{})
	childs, _ := b.token(dev(), TokenAsk{Grant: child.ID})
	token, _ := b.token(dev(), TokenAsk{Grant: parent.ID})
	if a := b.post(RevokePath, []string{"token", childs, "token_type_hint", "refresh_token"}); a.status != 200 || a.body != "{}\n" {
		t.Errorf("revoke = %d %s", a.status, a.body)
	}
	if b.state(child.ID) != grant.Completed || b.state(parent.ID) != grant.Active {
		t.Errorf("child %s, parent %s; want the child alone ended", b.state(child.ID), b.state(parent.ID))
	}
	again := b.grant(b.holderOf(parent), Ask{})
	for range 2 { // the second time there is nothing to end
		if a := b.post(RevokePath, []string{"token", token}); a.status != 200 || a.body != "{}\n" {
			t.Errorf("revoke = %d %s", a.status, a.body)
		}
	}
	if b.state(parent.ID) != grant.Completed || b.state(again.ID) != grant.Completed || b.state(other.ID) != grant.Active {
		t.Errorf("parent %s, child %s, other %s; want the tree ended and nothing else", b.state(parent.ID), b.state(again.ID), b.state(other.ID))
	}
	if act := b.acts[len(b.acts)-1]; act.Method != ActRevoke || act.Grant != parent.ID || act.Source != "dev via token" {
		t.Errorf("record = %+v", act)
	}
	b.want("no token", b.post(RevokePath, nil), 400, "invalid_request", "the parameter token is missing")
}

func TestBoundTokenEndsItsGrantOnlyWithItsKey(t *testing.T) {
	b := newBooth(t)
	k := newKey(t)
	g := b.grant(dev(), Ask{JKT: k.JKT()})
	token, _, err := b.Token(t.Context(), dev(), TokenAsk{Grant: g.ID, JKT: k.JKT()})
	if err != nil {
		t.Fatal(err)
	}
	params := []string{"token", token}
	b.want("no proof", b.post(RevokePath, params), 400, "invalid_dpop_proof", "the token is bound to a key; send a DPoP proof by that key")
	b.want("another key", b.post(RevokePath, params, b.proof(newKey(t))), 400, "invalid_dpop_proof", "the DPoP proof is not accepted; the gateway's log says why")
	b.want("old nonce", b.post(RevokePath, params, b.proofWith(k, "nonce")), 400, "use_dpop_nonce", "sign a new proof with the nonce of the DPoP-Nonce header")
	if b.state(g.ID) != grant.Active {
		t.Fatal("ended without its key")
	}
	if a := b.post(RevokePath, params, b.proof(k)); a.status != 200 || b.state(g.ID) != grant.Completed {
		t.Errorf("with its key: %d %s, grant %s", a.status, a.body, b.state(g.ID))
	}
	cert := b.grant(dev(), Ask{X5T: thumb('x')})
	if token, _, err = b.Token(t.Context(), dev(), TokenAsk{Grant: cert.ID, X5T: thumb('x')}); err != nil {
		t.Fatal(err)
	}
	b.want("another certificate", b.post(RevokePath, []string{"token", token}, certificate), 400, "invalid_dpop_proof",
		"the token is bound to a client certificate, which this connection does not have; connect with it")
}

func TestCallerLearnsOfHisOwnTokensAlone(t *testing.T) {
	b := newBooth(t)
	k := newKey(t)
	g := b.grant(dev(), Ask{Task: "T-1", Roles: []string{"reader"}})
	mine, who := b.token(dev(), TokenAsk{Grant: g.ID})
	bound := b.grant(dev(), Ask{JKT: k.JKT(), Roles: []string{"reader"}})
	boundToken, claims, err := b.Token(t.Context(), dev(), TokenAsk{Grant: bound.ID, JKT: k.JKT(), Measured: "digest"})
	if err != nil {
		t.Fatal(err)
	}
	theirs, _ := b.token(ci(), TokenAsk{Grant: b.grant(ci(), Ask{}).ID})
	namesake := dev()
	namesake.Issuer = "https://other.example"
	sameName, _ := b.token(namesake, TokenAsk{Grant: b.grant(namesake, Ask{}).ID})
	as := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	a := b.post(IntrospectPath, []string{"token", mine}, as(mine))
	var got map[string]any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"active": true, "iss": url, "aud": url + "/mcp", "sub": "dev", "client_id": "cli", "roles": []any{"reader"}, "grant": g.ID,
		"task": "T-1", "token_type": "Bearer", "jti": who.TokenID, "iat": float64(who.IssuedAt.Unix()), "exp": float64(who.Expires.Unix())}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("introspection (-want +got):\n%s", diff)
	}
	a = b.post(IntrospectPath, []string{"token", boundToken}, as(mine))
	var full struct {
		Claims
		TokenType string `json:"token_type"`
	}
	if err := json.Unmarshal([]byte(a.body), &full); err != nil || full.TokenType != "DPoP" || !cmp.Equal(full.Claims, claims) {
		t.Errorf("introspection of a bound token = %s, %v; want the claims %+v", a.body, err, claims)
	}
	const no = "{\"active\":false}\n"
	for name, token := range map[string]string{"another's": theirs, "a namesake's": sameName, "garbage": "x"} {
		if a := b.post(IntrospectPath, []string{"token", token}, as(mine)); a.status != 200 || a.body != no {
			t.Errorf("%s: %d %s; want active false and nothing more", name, a.status, a.body)
		}
	}
	b.end(bound.ID)
	if a := b.post(IntrospectPath, []string{"token", boundToken}, as(mine)); a.body != no {
		t.Errorf("a token of a revoked grant: %s; want active false", a.body)
	}
	b.want("no token", b.post(IntrospectPath, nil, as(mine)), 400, "invalid_request", "the parameter token is missing")
	b.end(g.ID)
	if a := b.post(IntrospectPath, []string{"token", theirs}, as(mine)); a.status != 401 {
		t.Errorf("asked with a token whose grant was revoked: %d; want 401", a.status)
	}
}

func TestCallerSaysWhoHeIs(t *testing.T) {
	b := newBooth(t)
	k := newKey(t)
	g := b.grant(dev(), Ask{JKT: k.JKT()})
	token, _, err := b.Token(t.Context(), dev(), TokenAsk{Grant: g.ID, JKT: k.JKT()})
	if err != nil {
		t.Fatal(err)
	}
	const words = "say who asks: an access token of yours that works, with its proof, in the Authorization header, or a client_assertion"
	params := []string{"token", token}
	b.want("nobody", b.post(IntrospectPath, params), 401, "invalid_client", words)
	b.want("bound token as Bearer", b.post(IntrospectPath, params, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }), 401, "invalid_client", words)
	asker := func(nonce string) func(*http.Request) {
		return func(r *http.Request) {
			p, err := k.Proof("POST", url+IntrospectPath, token, nonce, b.clock.now())
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("DPoP", p)
			r.Header.Set("Authorization", "DPoP "+token)
		}
	}
	a := b.post(IntrospectPath, params, asker(""))
	b.want("no nonce", a, 401, "use_dpop_nonce", "sign a new proof with the nonce of the DPoP-Nonce header")
	if a := b.post(IntrospectPath, params, asker(a.header.Get("DPoP-Nonce"))); a.status != 200 || !a.Active {
		t.Errorf("with a proof: %d %s; want it active", a.status, a.body)
	}
	// A client that has a key of its own asks with an assertion.
	client := b.others[federate.ClientAssertion]["client"]
	asClient := Asker{Name: "ci:1", Subject: client.Subject, Issuer: client.Issuer, ClientID: client.ClientID, Roles: client.Roles, Via: "federation:ci"}
	theirs, _ := b.token(asClient, TokenAsk{Grant: b.grant(asClient, Ask{Roles: []string{"reader"}}).ID})
	assertion := []string{"token", theirs, "client_assertion", "client", "client_assertion_type", typeAssertion}
	if a := b.post(IntrospectPath, assertion); a.status != 200 || !a.Active {
		t.Errorf("with an assertion: %d %s; want it active", a.status, a.body)
	}
	assertion[1] = token
	if a := b.post(IntrospectPath, assertion); a.status != 200 || a.Active {
		t.Errorf("another's token: %d %s; want it inactive", a.status, a.body)
	}
}

// proofWith returns what adds a proof with a nonce of any kind.
func (b *booth) proofWith(k *pop.Key, nonce string) func(*http.Request) {
	return func(r *http.Request) {
		p, err := k.Proof(r.Method, url+r.URL.Path, "", nonce, b.clock.now())
		if err != nil {
			b.t.Fatal(err)
		}
		r.Header.Add("DPoP", p)
	}
}
