package e2e

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/identity"
	"sallyport/identity/grant"
	"sallyport/identity/identitytest"
	"sallyport/identity/pop"
)

// thief is somebody who has a gateway's signing key, and so can sign what the gateway would not.
func (g *gate) thief(t *testing.T, grant string, now func() time.Time) *identitytest.Issuer {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(g.state, "keys", "*.jwk"))
	if err != nil || len(files) != 1 {
		t.Fatalf("signing keys %v, %v; want one", files, err)
	}
	return identitytest.Stolen(t, g.url(""), files[0], grant, now)
}

// alices makes a grant as the tokens of identitytest name it.
func (g *gate) alices(t *testing.T, args ...string) string {
	t.Helper()
	return g.createGrant(t, append([]string{"--subject", "alice", "--client", "test"}, args...)...).ID
}

// said is what an endpoint answers.
type said struct {
	status      int
	header      http.Header
	raw         string
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Active      bool   `json:"active"`
	Token       string `json:"access_token"`
}

// form posts parameters to an endpoint, with headers.
func (g *gate) form(t *testing.T, path string, params url.Values, header http.Header) said {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url(path), strings.NewReader(params.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return do(t, req)
}

// mcp calls read_file with headers.
func (g *gate) mcp(t *testing.T, path string, header http.Header) said {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url(path), strings.NewReader(readFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	for name, value := range map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "read_file"} {
		req.Header.Set(name, value)
	}
	return do(t, req)
}

func do(t *testing.T, req *http.Request) said {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := said{status: resp.StatusCode, header: resp.Header, raw: string(text)}
	_ = json.Unmarshal(text, &a) // of /mcp it is something else, and of 401 no JSON
	return a
}

// What the token endpoint takes.
const (
	typeExchange  = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeJWTBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	typeAccess    = "urn:ietf:params:oauth:token-type:access_token"
	typeAssertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// child asks for a child of the grant that a token names.
func child(token string) url.Values {
	return url.Values{"grant_type": {typeExchange}, "subject_token": {token}, "subject_token_type": {typeAccess},
		"authorization_details": {`[{"type":"mcp_grant","tools":["files.read_file"]}]`}}
}

// Each hostile token, signed by the gateway's own key from its state directory and naming a
// grant that lives, is refused at each endpoint and in each place where a token can stand. What
// was wrong is in the log and not in the answer.
func TestHostileTokensOfTheRealKeyAreRefusedEverywhere(t *testing.T) {
	up := newRecorder(t)
	g := startGate(t, setup{policies: map[string]string{"authz.rego": readersRead}, servers: map[string]string{"files": up.url}})
	id := g.alices(t)
	thief := g.thief(t, id, time.Now)
	good := thief.Mint("alice")
	as := func(token string) http.Header { return identitytest.Header(token) }
	if a := g.mcp(t, "/mcp/files", as(good)); a.status != http.StatusOK || !strings.Contains(a.raw, "done") {
		t.Fatalf("the key's good token: %d %s; refusals of others would prove nothing", a.status, a.raw)
	}
	if a := g.form(t, "/oauth/introspect", url.Values{"token": {good}}, as(good)); !a.Active {
		t.Fatalf("the key's good token, introspected: %d %s", a.status, a.raw)
	}
	for _, h := range thief.Hostile() {
		up.untouched(t, h.Name, func() { g.refuses(t, h, good) })
	}
	if s := g.show(t, id); s.State != grant.Active || s.Usage.Calls != 0 && s.Usage.Calls != 1 {
		t.Errorf("the grant is %s with %d calls; want active, with the first", s.State, s.Usage.Calls)
	}
}

// refuses tries a hostile token beside a good one at each endpoint and in each place.
func (g *gate) refuses(t *testing.T, h identitytest.Hostile, good string) {
	t.Helper()
	as := func(token string) http.Header { return identitytest.Header(token) }
	said := g.log.String()
	a := g.mcp(t, "/mcp/files", as(h.Token))
	if a.status != http.StatusUnauthorized || !strings.Contains(a.header.Get("WWW-Authenticate"), "resource_metadata") || strings.Contains(a.raw, h.Message) {
		t.Errorf("%s: %d %s; want 401, a challenge and no detail", h.Name, a.status, a.raw)
	}
	g.explains(t, h.Name, said, h.Message, h.Token)
	for place, params := range map[string]url.Values{
		"subject":   child(h.Token),
		"assertion": {"grant_type": {typeJWTBearer}, "assertion": {h.Token}},
		"client":    {"grant_type": {"client_credentials"}, "client_assertion_type": {typeAssertion}, "client_assertion": {h.Token}},
	} {
		if a := g.form(t, "/oauth/token", params, nil); a.status != http.StatusBadRequest && a.status != http.StatusUnauthorized || a.Token != "" || strings.Contains(a.raw, h.Message) {
			t.Errorf("%s as %s: %d %s; want a refusal without detail", h.Name, place, a.status, a.raw)
		}
	}
	bound := errors.Is(h.Err, identity.ErrProof) // which is good, but not for who only has the token
	a = g.form(t, "/oauth/introspect", url.Values{"token": {h.Token}}, as(good))
	if want := "{\"active\":false}\n"; a.status != http.StatusOK || !bound && a.raw != want || bound && !strings.Contains(a.raw, `"cnf":{"jkt":`) {
		t.Errorf("%s, introspected: %d %s; want that it is not active and no more, or to whom it is bound", h.Name, a.status, a.raw)
	}
	if a := g.form(t, "/oauth/introspect", url.Values{"token": {good}}, as(h.Token)); a.status != http.StatusUnauthorized || a.Active {
		t.Errorf("%s, asking about another: %d %s; want 401", h.Name, a.status, a.raw)
	}
	a = g.form(t, "/oauth/revoke", url.Values{"token": {h.Token}}, nil)
	if want := map[bool]int{false: http.StatusOK, true: http.StatusBadRequest}[bound]; a.status != want {
		t.Errorf("%s, revoked: %d %s; want %d", h.Name, a.status, a.raw, want)
	}
}

// explains holds what the log has said since against what it should say.
func (g *gate) explains(t *testing.T, name, before, want, secret string) {
	t.Helper()
	quoted := strings.ReplaceAll(want, `"`, `\"`)
	eventually(t, "the log says what was wrong with: "+name, func() error {
		since := g.log.String()[len(before):]
		if !strings.Contains(since, quoted) {
			return errors.New(since)
		}
		return nil
	})
	if len(secret) > 10 && strings.Contains(g.log.String(), secret) {
		t.Errorf("%s: the log holds it", name)
	}
}

// Each hostile proof is refused at each endpoint that takes a good one.
func TestHostileProofsAreRefusedByTheRealGateway(t *testing.T) {
	for _, path := range []string{"/mcp/files", "/oauth/token", "/oauth/revoke", "/oauth/introspect"} {
		t.Run(path, func(t *testing.T) {
			up := newRecorder(t)
			g := startGate(t, setup{policies: map[string]string{"authz.rego": readersRead}, servers: map[string]string{"files": up.url}})
			k := identitytest.NewProofKey(t)
			id := g.alices(t, "--key", k.JKT)
			token := g.thief(t, id, time.Now).MintBound(k.JKT, "alice")
			w := pop.Want{Method: http.MethodPost, URL: g.url(path), JKT: k.JKT}
			if path == "/mcp/files" || path == "/oauth/introspect" {
				w.Token = token
			}
			send := func(proofs ...string) said {
				header := http.Header{}
				if proofs != nil {
					header["Dpop"] = proofs
				}
				if w.Token != "" {
					header.Set("Authorization", "DPoP "+token)
				}
				switch path {
				case "/mcp/files":
					return g.mcp(t, path, header)
				case "/oauth/token":
					return g.form(t, path, child(token), header)
				}
				return g.form(t, path, url.Values{"token": {token}}, header)
			}
			nonce := send(k.Proof(w, "", time.Now())).header.Get("DPoP-Nonce")
			if nonce == "" {
				t.Fatal("a proof without a nonce was not told one")
			}
			calls := 0
			for i := range identitytest.HostileProofs(t, k, w, nonce, time.Now()) {
				h := identitytest.HostileProofs(t, k, w, nonce, time.Now())[i] // of now, however long the others took
				if h.First != "" {
					if s := g.show(t, id); calls == 0 && s.State != grant.Active {
						t.Fatalf("one of the proofs before %q has ended the grant", h.Name)
					}
					if a := send(h.First); a.status != http.StatusOK {
						t.Errorf("%s: the good proof before: %d %s", h.Name, a.status, a.raw)
					}
					calls++
				}
				a := send(h.Proofs...)
				if a.status != http.StatusBadRequest && a.status != http.StatusUnauthorized || a.Token != "" || a.Active || strings.Contains(a.raw, h.Message) {
					t.Errorf("%s: %d %s; want a refusal without detail", h.Name, a.status, a.raw)
				}
				if path == "/mcp/files" {
					asked := strings.Contains(strings.Join(a.header["Www-Authenticate"], " "), "use_dpop_nonce") && a.header.Get("DPoP-Nonce") != ""
					if a.status != http.StatusUnauthorized || asked != errors.Is(h.Err, pop.ErrNonce) {
						t.Errorf("%s: %d %v; want 401, and a nonce where that is what is wrong", h.Name, a.status, a.header)
					}
				}
			}
			if path != "/mcp/files" {
				calls = 0
			}
			if n := len(up.seen()); n != calls {
				t.Errorf("%d calls reached the server; want the %d with good proofs", n, calls)
			}
		})
	}
}
