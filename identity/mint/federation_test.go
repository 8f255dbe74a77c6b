package mint

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/identity/federate"
	"sallyport/identity/grant"
	"sallyport/identity/jose"
)

// outsider signs tokens with a key that a federation rule knows.
type outsider struct {
	t    testing.TB
	jwk  jose.JWK
	file string // its key set
}

func newOutsider(t testing.TB) *outsider {
	t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails
	o := &outsider{t: t, jwk: jose.NewEd25519(seed), file: filepath.Join(t.TempDir(), "keys.jwks")}
	if err := os.WriteFile(o.file, append(append([]byte(`{"keys":[`), o.jwk.Public()...), "]}"...), 0o600); err != nil {
		t.Fatal(err)
	}
	return o
}

// sign signs claims with changes on top.
func (o *outsider) sign(claims, changes map[string]any) string {
	o.t.Helper()
	claims = maps.Clone(claims)
	maps.Copy(claims, changes)
	body, err := json.Marshal(claims)
	if err != nil {
		o.t.Fatal(err)
	}
	private, err := o.jwk.Signer()
	if err != nil {
		o.t.Fatal(err)
	}
	enc := base64.RawURLEncoding
	input := enc.EncodeToString([]byte(`{"alg":"EdDSA","typ":"JWT","kid":"`+o.jwk.Kid+`"}`)) + "." + enc.EncodeToString(body)
	return input + "." + enc.EncodeToString(ed25519.Sign(private, []byte(input)))
}

// federated returns endpoints with two real rules: an issuer of CI tokens, and a client with a key.
func federated(t testing.TB) (b *booth, ci, client *outsider) {
	t.Helper()
	ci, client = newOutsider(t), newOutsider(t)
	b = newBooth(t, func(cfg *EndpointsConfig) {
		f, err := federate.New([]federate.Rule{
			{Name: "ci", Issuer: "https://ci.example", Audience: url, JWKSFile: ci.file, Require: map[string]string{"repository_id": "7"},
				Subject: "ci:{repository_id}:{run_id}", Roles: []string{"reader"}},
			{Name: "robot", Kind: "private_key_jwt", ClientID: "robot", Audience: url, JWKSFile: client.file, Roles: []string{"reader"}},
		}, federate.Options{Now: cfg.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(f.Close)
		cfg.Federation = f
	})
	b.clock.pass(10 * time.Minute) // a federation takes no assertion that could be from before its start
	return b, ci, client
}

func TestRealRulesDecideWhoGetsAGrant(t *testing.T) {
	b, ci, _ := federated(t)
	now := b.clock.now().Unix()
	claims := map[string]any{"iss": "https://ci.example", "aud": url, "sub": "repo:x", "repository_id": "7", "run_id": "42", "iat": now, "exp": now + 600}
	k := newKey(t)
	who := b.principal(b.exchange(ci.sign(claims, nil), "", b.proof(k)))
	if who.Subject != "ci:7:42" || who.ClientID != "ci" || who.JKT != k.JKT() {
		t.Errorf("principal = %+v", who)
	}
	for name, changes := range map[string]map[string]any{
		"another repository": {"repository_id": "8"},
		"another audience":   {"aud": "https://other.example"},
		"another issuer":     {"iss": "https://other.example"},
		"expired":            {"iat": now - 700, "exp": now - 100},
		"lives for days":     {"exp": now + 7*24*3600},
		"an hour ahead":      {"iat": now + 3600, "exp": now + 4200},
		"an hour behind":     {"iat": now - 4200, "exp": now - 3600},
	} {
		b.log.Reset()
		b.want(name, b.exchange(ci.sign(claims, changes), "", b.proof(k)), 400, "invalid_request", "the subject_token is not accepted; the gateway's log says why")
		if !strings.Contains(b.log.String(), "error=") || strings.Contains(b.log.String(), "repo:x") {
			t.Errorf("%s: log = %s; want the reason and no claim's value", name, &b.log)
		}
	}
	b.want("an assertion of a client as a subject", b.exchange(newOutsider(t).sign(claims, nil), "", b.proof(k)), 400, "invalid_request",
		"the subject_token is not accepted; the gateway's log says why")
}

func TestAssertionOfAClientIsGoodOnce(t *testing.T) {
	b, _, client := federated(t)
	now := b.clock.now().Unix()
	claims := map[string]any{"iss": "robot", "sub": "robot", "aud": url, "iat": now, "exp": now + 60, "jti": "1"}
	assertion := client.sign(claims, nil)
	params := []string{"grant_type", grantClient, "client_assertion_type", typeAssertion, "client_assertion", assertion, "client_id", "robot"}
	k := newKey(t)
	// To be asked for the nonce does not use the assertion up: clients send the same again.
	for _, nonce := range []string{"", "old"} {
		a := b.post(TokenPath, params, b.proofWith(k, nonce))
		b.want("without the nonce", a, 400, "use_dpop_nonce", "sign a new proof with the nonce of the DPoP-Nonce header")
		if a.header.Get("DPoP-Nonce") != b.proofs.Nonce() {
			t.Errorf("DPoP-Nonce = %q; want the current one", a.header.Get("DPoP-Nonce"))
		}
	}
	if who := b.principal(b.post(TokenPath, params, b.proof(k))); who.ClientID != "robot" || who.JKT != k.JKT() {
		t.Errorf("principal = %+v", who)
	}
	const refused = "the client_assertion is not accepted; the gateway's log says why"
	b.want("again", b.post(TokenPath, params, b.proof(k)), 401, "invalid_client", refused)
	params[5] = client.sign(claims, map[string]any{"jti": "2"})
	params[7] = "other"
	b.want("for another client_id", b.post(TokenPath, params, b.proof(k)), 400, "invalid_client", "client_id is not the client of the client_assertion; leave it out")
	params[7], params[5] = "robot", client.sign(claims, map[string]any{"jti": "3", "exp": now + 600})
	b.want("ten minutes", b.post(TokenPath, params, b.proof(k)), 401, "invalid_client", refused)
	if all := b.List(operator(), grant.Filter{All: true}); len(all) != 1 {
		t.Errorf("%d grants; want one", len(all))
	}
}
