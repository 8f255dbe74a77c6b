package mint

import (
	"net/http"
	"strings"
	"testing"

	"sallyport/identity"
	"sallyport/identity/grant"
)

// Each hostile token is refused at each endpoint, in each place where it could stand, with
// words that do not say what was wrong; those are in the log.
func TestHostileTokensAreRefusedEverywhere(t *testing.T) {
	b := newBooth(t)
	g := b.grant(dev(), Ask{})
	good, _ := b.token(dev(), TokenAsk{Grant: g.ID})
	const child = `[{"type":"mcp_grant","tools":["files.read"]}]`
	as := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	for _, h := range b.ours.Hostile() {
		const subject = "the subject_token is not accepted; the gateway's log says why"
		b.want(h.Name+", own", b.post(TokenPath, exchangeOf(h.Token, typeAccess, child)), 400, "invalid_request", subject)
		b.want(h.Name+", exchange", b.exchange(h.Token, ""), 400, "invalid_request", subject)
		b.want(h.Name+", assertion", b.post(TokenPath, []string{"grant_type", grantBearer, "assertion", h.Token}), 400, "invalid_grant",
			"the assertion is not accepted; the gateway's log says why")
		b.want(h.Name+", client", b.post(TokenPath, []string{"grant_type", grantClient, "client_assertion_type", typeAssertion, "client_assertion", h.Token}),
			401, "invalid_client", "the client_assertion is not accepted; the gateway's log says why")
		b.want(h.Name+", caller", b.post(IntrospectPath, []string{"token", good}, as(h.Token)), 401, "invalid_client",
			"say who asks: an access token of yours that works, with its proof, in the Authorization header, or a client_assertion")
		b.log.Reset()
		if a := b.post(IntrospectPath, []string{"token", h.Token}, as(good)); a.status != 200 || a.body != "{\"active\":false}\n" {
			t.Errorf("%s, introspected: %d %s; want active false and nothing more", h.Name, a.status, a.body)
		}
		if h.Err == identity.ErrProof {
			b.want(h.Name+", revoked", b.post(RevokePath, []string{"token", h.Token}), 400, "invalid_dpop_proof",
				"the token is bound to a key; send a DPoP proof by that key")
			continue
		}
		if a := b.post(RevokePath, []string{"token", h.Token}); a.status != 200 || a.body != "{}\n" {
			t.Errorf("%s, revoked: %d %s; want 200 as for any unknown token", h.Name, a.status, a.body)
		}
		if strings.Count(b.log.String(), h.Message) != 2 {
			t.Errorf("%s: the log does not say %q twice:\n%s", h.Name, h.Message, &b.log)
		}
		if strings.Contains(b.log.String(), h.Token) {
			t.Errorf("%s: the log holds the token", h.Name)
		}
	}
	if all := b.List(operator(), grant.Filter{All: true}); len(all) != 1 || all[0].State != grant.Active {
		t.Errorf("grants = %+v; want the one that there was, alive", all)
	}
}
