package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sallyport/identity/federate"
)

// provider is a running OpenID Connect provider, the example of zitadel/oidc (see idp/main.go).
type provider struct{ issuer string }

const (
	providerClient   = "sallyport-e2e"
	providerSecret   = "secret"
	providerCallback = "http://127.0.0.1/callback"
)

// startProvider runs the provider until the test ends.
func startProvider(t *testing.T) *provider {
	t.Helper()
	cmd := exec.Command(cached(t, "bin", "idp"))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe() // it ends when this closes
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the provider ended: %v", err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("read the provider's issuer: %v", err)
	}
	return &provider{issuer: strings.TrimSpace(line)}
}

// idToken logs a user in as a browser would, and returns the ID token that the client gets.
func (p *provider) idToken(t *testing.T, user string) string {
	t.Helper()
	browser := &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	get := func(address string) string { return p.redirect(t, browser.Get, address) }
	login := get(p.issuer + "auth?" + url.Values{"client_id": {providerClient}, "redirect_uri": {providerCallback},
		"response_type": {"code"}, "scope": {"openid"}, "state": {"s"}}.Encode())
	id := queryOf(t, login).Get("authRequestID")
	back := p.redirect(t, func(address string) (*http.Response, error) {
		return browser.PostForm(address, url.Values{"id": {id}, "username": {user}, "password": {"verysecure"}})
	}, p.issuer+"login/username")
	code := queryOf(t, get(back)).Get("code")
	res, err := browser.PostForm(p.issuer+"oauth/token", url.Values{"grant_type": {"authorization_code"}, "code": {code},
		"redirect_uri": {providerCallback}, "client_id": {providerClient}, "client_secret": {providerSecret}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		IDToken string `json:"id_token"`
		Error   string `json:"error_description"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.IDToken == "" {
		t.Fatalf("the provider's token endpoint: %d %q, %v", res.StatusCode, answer.Error, err)
	}
	return answer.IDToken
}

// redirect does a step of the login and returns where it leads.
func (p *provider) redirect(t *testing.T, step func(string) (*http.Response, error), address string) string {
	t.Helper()
	res, err := step(address)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	to, err := res.Location()
	if err != nil {
		t.Fatalf("%s: %d, %v; want a redirect", address, res.StatusCode, err)
	}
	return to.String()
}

func queryOf(t *testing.T, address string) url.Values {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// The identity of a real provider's user, by way of its discovery document and its keys.
func TestTokenOfARealProviderIsTakenByARule(t *testing.T) {
	p := startProvider(t)
	token := p.idToken(t, "test-user2")
	rule := federate.Rule{Name: "zitadel", Issuer: p.issuer, Audience: providerClient, Require: map[string]string{"sub": "id2"}, Roles: []string{"reader"}}
	f, err := federate.New([]federate.Rule{rule}, federate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	id, err := f.Verify(t.Context(), token, federate.SubjectToken)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(id.Until); id.Subject != "zitadel:id2" || id.Issuer != p.issuer || left <= 0 || left > time.Hour {
		t.Errorf("identity %+v, %s left; want id2 of the provider for at most an hour", id, left)
	}
	const want = "no federation rule takes the token: zitadel: sub is not what it requires"
	if _, err := f.Verify(t.Context(), p.idToken(t, "test-user@127.0.0.1"), federate.SubjectToken); err == nil || err.Error() != want {
		t.Errorf("another user: %v; want %s", err, want)
	}
}

// The whole way of an outside identity: a login at a real provider, an exchange at the gateway, a
// call by the grant that it made, and the end of all of it.
func TestTokenOfARealProviderIsExchangedForAGrant(t *testing.T) {
	p, rec := startProvider(t), newRecorder(t)
	g := startGate(t, setup{policies: map[string]string{"authz.rego": readersRead}, servers: map[string]string{"files": rec.url},
		more: fmt.Sprintf("identity:\n  federation:\n    - {name: zitadel, issuer: %q, audience: %s, require: {sub: id2}, roles: [reader], bearerAllowed: true}\n", p.issuer, providerClient)})
	exchanged := g.exchange(t, p.idToken(t, "test-user2"))
	if exchanged.Token == "" || exchanged.Type != "Bearer" || exchanged.Expires <= 0 || exchanged.Expires > 300 {
		t.Fatalf("exchange: %d, %+v; want a token of five minutes at most", exchanged.status, exchanged)
	}
	if r := g.modernCall(t, exchanged.Token, "read_file", `{"path":"/srv/docs/a"}`); r.Status != http.StatusOK || r.isError() {
		t.Errorf("call with the token: %d %s", r.Status, r.Raw)
	}
	if r := g.exchange(t, p.idToken(t, "test-user@127.0.0.1")); r.Token != "" || r.status != http.StatusBadRequest {
		t.Errorf("exchange for a user of no rule: %d, %+v; want 400", r.status, r)
	}
	g.says(t, "zitadel: sub is not what it requires")
	for _, used := range []string{exchanged.Token, "x." + exchanged.Token} {
		if r := g.exchange(t, used); r.Token != "" {
			t.Errorf("what is no identity of the provider's was exchanged: %+v", r)
		}
	}
	out, stderr, code := sallyport(t, "grant", "revoke", "--config", g.config, "--subject", "zitadel:id2")
	if code != 0 {
		t.Fatalf("grant revoke: exit %d: %s%s", code, out, stderr)
	}
	if r := g.modernCall(t, exchanged.Token, "read_file", `{"path":"/srv/docs/a"}`); r.Status != http.StatusUnauthorized {
		t.Errorf("call after the grant was revoked: %d; want 401", r.Status)
	}
}

// exchanged is what the token endpoint answers.
type exchanged struct {
	Token   string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
	Error   string `json:"error"`
	Why     string `json:"error_description"`
	status  int
}

// exchange shows a token of others at the gateway's token endpoint (RFC 8693).
func (g *gate) exchange(t *testing.T, token string) exchanged {
	t.Helper()
	res, err := http.PostForm(g.url("/oauth/token"), url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token": {token}, "subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer := exchanged{status: res.StatusCode}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatalf("the gateway's token endpoint: %d, %v", res.StatusCode, err)
	}
	return answer
}
