package mint

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"sallyport/identity"
	"sallyport/identity/grant"
	"sallyport/identity/identitytest"
	"sallyport/identity/pop"
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

// Each hostile proof is refused at each endpoint, with words that do not say what was wrong.
func TestHostileProofsAreRefusedEverywhere(t *testing.T) {
	for _, path := range []string{TokenPath, RevokePath, IntrospectPath} {
		b := newBooth(t)
		k := identitytest.NewProofKey(t)
		g := b.grant(dev(), Ask{JKT: k.JKT, Roles: []string{"reader"}})
		token, _, err := b.Token(t.Context(), dev(), TokenAsk{Grant: g.ID, JKT: k.JKT})
		if err != nil {
			t.Fatal(err)
		}
		params, w := []string{"token", token}, pop.Want{Method: "POST", URL: url + path, JKT: k.JKT}
		switch path {
		case TokenPath:
			params = exchangeOf("subject-strict", typeJWT, `[{"type":"mcp_grant","roles":["reader"]}]`)
		case IntrospectPath:
			w.Token = token
		}
		with := func(proofs ...string) func(*http.Request) {
			return func(r *http.Request) {
				r.Header["Dpop"] = proofs
				if w.Token != "" {
					r.Header.Set("Authorization", "DPoP "+token)
				}
			}
		}
		made := 1
		for _, h := range identitytest.HostileProofs(t, k, w, b.proofs.Nonce(), b.clock.now()) {
			if h.First != "" {
				if a := b.post(path, params, with(h.First)); a.status != 200 {
					t.Errorf("%s, %s: the good proof before: %d %s", path, h.Name, a.status, a.body)
				}
				made++
			} else if b.state(g.ID) != grant.Active && made == 1 {
				t.Fatalf("%s: the grant ended before %s", path, h.Name)
			}
			b.log.Reset()
			a := b.post(path, params, with(h.Proofs...))
			status, code := 400, "invalid_dpop_proof"
			if path == IntrospectPath {
				status, code = 401, "invalid_client"
			}
			if errors.Is(h.Err, pop.ErrNonce) {
				code = "use_dpop_nonce"
			}
			if a.status != status || a.Error != code || a.Token != "" || a.Active || strings.Contains(a.Description, h.Message) {
				t.Errorf("%s, %s: %d %s; want %d %s and no detail", path, h.Name, a.status, a.body, status, code)
			}
			for _, p := range h.Proofs {
				if len(p) > 10 && strings.Contains(b.log.String(), p) {
					t.Errorf("%s, %s: the log holds the proof", path, h.Name)
				}
			}
		}
		if all := b.List(operator(), grant.Filter{All: true}); path == TokenPath && len(all) != made {
			t.Errorf("%s: %d grants; want those of the good proofs, %d", path, len(all), made)
		}
	}
}
