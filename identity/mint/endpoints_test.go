package mint

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	neturl "net/url"
	"strings"
	"testing"
	"time"

	"sallyport/identity"
	"sallyport/identity/federate"
	"sallyport/identity/grant"
	"sallyport/identity/identitytest"
	"sallyport/identity/pop"
)

// booth is the endpoints before a desk, with an issuer whose hostile tokens they must refuse.
type booth struct {
	*desk
	ours   *identitytest.Issuer // trusted as the gateway's own, and able to sign anything
	proofs *pop.Checker
	others others
	log    bytes.Buffer
	h      http.Handler
}

// others is a federation: what each token is worth, for each use.
type others map[federate.Use]map[string]federate.Identity

func (o others) Verify(_ context.Context, token string, use federate.Use) (*federate.Identity, error) {
	if who, ok := o[use][token]; ok {
		return &who, nil
	}
	return nil, errors.New("no rule matches: ci: iss")
}

func newBooth(t testing.TB, change ...func(*EndpointsConfig)) *booth {
	t.Helper()
	b := &booth{desk: newDesk(t), others: others{}}
	b.proofs = pop.NewChecker(pop.CheckerOptions{Now: b.clock.now})
	b.ours = identitytest.For(t, url, b.clock.now)
	for use, token := range map[federate.Use]string{federate.SubjectToken: "subject", federate.Assertion: "assertion", federate.ClientAssertion: "client"} {
		who := federate.Identity{Rule: "ci", Subject: "ci:1", Issuer: "https://ci.example", ClientID: "ci", Roles: []string{"reader", "admin"},
			Until: b.clock.now().Add(10 * time.Minute), BearerAllowed: true}
		strict := who
		strict.BearerAllowed, strict.Rule = false, "strict"
		b.others[use] = map[string]federate.Identity{token: who, token + "-strict": strict}
	}
	v, err := identity.NewVerifier(identity.VerifierConfig{Issuer: url, Audience: url + "/mcp", Keys: both{b.keys, b.ours}, PublicURL: url, Proofs: b.proofs, Now: b.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	cfg := EndpointsConfig{Authority: b.Authority, Federation: b.others, Verifier: v, Proofs: b.proofs, PublicURL: url, Now: b.clock.now,
		Log: slog.New(slog.NewTextHandler(&b.log, nil))}
	for _, f := range change {
		f(&cfg)
	}
	b.h = Endpoints(cfg)
	return b
}

// both are the keys of the desk's issuer and of the one that signs hostile tokens.
type both [2]identity.KeySource

func (b both) Keys() *identity.KeySet {
	set := &identity.KeySet{ByID: maps.Clone(b[0].Keys().ByID)}
	maps.Copy(set.ByID, b[1].Keys().ByID)
	return set
}

// answer is what an endpoint said.
type answer struct {
	status      int
	header      http.Header
	Error       string   `json:"error"`
	Description string   `json:"error_description"`
	Token       string   `json:"access_token"`
	Issued      string   `json:"issued_token_type"`
	Type        string   `json:"token_type"`
	ExpiresIn   int64    `json:"expires_in"`
	Details     []detail `json:"authorization_details"`
	Active      bool     `json:"active"`
	body        string
}

// post sends parameters, given as name, value, …; with changes the request at will.
func (b *booth) post(path string, params []string, with ...func(*http.Request)) answer {
	b.t.Helper()
	form := neturl.Values{}
	for i := 0; i+1 < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	return b.send(path, form.Encode(), with...)
}

func (b *booth) send(path, body string, with ...func(*http.Request)) answer {
	b.t.Helper()
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, f := range with {
		f(r)
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header(), body: w.Body.String()}
	if w.Header().Get("Content-Type") == "application/json" {
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
			b.t.Fatalf("answer %s: %v", w.Body, err)
		}
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		b.t.Errorf("%s: Cache-Control %q; want no-store", path, got)
	}
	return a
}

// exchange sends a subject token of another issuer.
func (b *booth) exchange(token, details string, with ...func(*http.Request)) answer {
	b.t.Helper()
	return b.post(TokenPath, exchangeOf(token, typeJWT, details), with...)
}

func exchangeOf(token, kind, details string) []string {
	params := []string{"grant_type", grantExchange, "subject_token", token, "subject_token_type", kind}
	if details != "" {
		params = append(params, "authorization_details", details)
	}
	return params
}

// proof returns what adds a DPoP proof with the current nonce.
func (b *booth) proof(k *pop.Key) func(*http.Request) {
	return func(r *http.Request) {
		b.t.Helper()
		p, err := k.Proof(r.Method, url+r.URL.Path, "", b.proofs.Nonce(), b.clock.now())
		if err != nil {
			b.t.Fatal(err)
		}
		r.Header.Add("DPoP", p)
	}
}

func newKey(t testing.TB) *pop.Key {
	t.Helper()
	k, err := pop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// want checks a refusal.
func (b *booth) want(name string, a answer, status int, code, words string) {
	b.t.Helper()
	if a.status != status || a.Error != code || a.Description != words || a.Token != "" || a.Active {
		b.t.Errorf("%s: %d %s %s\nwant %d %s %s", name, a.status, a.Error, a.Description, status, code, words)
	}
}

func TestEndpointsNeedTheirParts(t *testing.T) {
	b := newBooth(t)
	for _, cfg := range []EndpointsConfig{{}, {Authority: b.Authority, PublicURL: url}, {Verifier: b.ours.Verifier, PublicURL: url}, {Authority: b.Authority, Verifier: b.ours.Verifier}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("endpoints without a part were made")
				}
			}()
			Endpoints(cfg)
		}()
	}
}

func TestFormHasOneMeaning(t *testing.T) {
	b := newBooth(t)
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	const kind = "send the parameters as Content-Type: application/x-www-form-urlencoded, in UTF-8 and not compressed"
	const pairs = "the body is not name=value pairs with '&' between them, percent-encoded UTF-8 without control characters"
	const value = "the value of a parameter is not percent-encoded UTF-8 without control characters; encode it once"
	for _, path := range []string{TokenPath, RevokePath, IntrospectPath} {
		for _, tt := range []struct {
			name, path, body string
			with             func(*http.Request)
			status           int
			want             string
		}{
			{"query", path + "?grant_type=x", "", nil, 400, "this endpoint takes no query string: what stands there ends up in logs; send the parameters in the body"},
			{"empty query", path + "?", "", nil, 400, "this endpoint takes no query string: what stands there ends up in logs; send the parameters in the body"},
			{"JSON", path, "{}", header("Content-Type", "application/json"), 400, kind},
			{"no type", path, "", header("Content-Type", ""), 400, kind},
			{"two types", path, "", func(r *http.Request) { r.Header.Add("Content-Type", "text/plain") }, 400, kind},
			{"charset", path, "", header("Content-Type", "application/x-www-form-urlencoded; charset=utf-16"), 400, kind},
			{"compressed", path, "", header("Content-Encoding", "gzip"), 400, kind},
			{"twice", path, "token=a&token=a", nil, 400, "a parameter is there twice, so two readers could see two requests; send each once"},
			{"twice, escaped", path, "token=a&t%6fken=b", nil, 400, "a parameter is there twice, so two readers could see two requests; send each once"},
			{"no value", path, "token", nil, 400, pairs},
			{"no name", path, "=a", nil, 400, pairs},
			{"empty part", path, "token=a&&x=b", nil, 400, pairs},
			{"semicolon in name", path, "a=b;token=c", nil, 400, value},
			{"bad escape", path, "token=%zz", nil, 400, value},
			{"not UTF-8", path, "token=%ff", nil, 400, value},
			{"NUL", path, "token=a%00", nil, 400, value},
			{"large", path, "token=" + strings.Repeat("a", maxForm), nil, 413, "the body is longer than 64 KiB; send fewer or shorter parameters"},
			{"web page", path, "token=a", header("Origin", "https://evil.example"), 400, "this endpoint is not for web pages (the request has an Origin)"},
			{"own page", path, "token=a", header("Origin", url), 400, "this endpoint is not for web pages (the request has an Origin)"},
		} {
			with := tt.with
			if with == nil {
				with = func(*http.Request) {}
			}
			b.want(path+": "+tt.name, b.send(tt.path, tt.body, with), tt.status, "invalid_request", tt.want)
		}
	}
}

func TestEndpointsTakePostAlone(t *testing.T) {
	b := newBooth(t)
	for _, path := range []string{TokenPath, RevokePath, IntrospectPath} {
		for _, method := range []string{"GET", "HEAD", "PUT", "OPTIONS"} {
			a := b.send(path, "", func(r *http.Request) { r.Method = method })
			if a.status != 405 || a.header.Get("Allow") != "POST" {
				t.Errorf("%s %s = %d, Allow %q; want 405", method, path, a.status, a.header.Get("Allow"))
			}
		}
	}
	for _, path := range []string{"/oauth", "/oauth/", "/oauth/token/", "/oauth/authorize", "/oauth/register"} {
		if a := b.send(path, ""); a.status != 404 {
			t.Errorf("%s = %d; want 404", path, a.status)
		}
	}
}

func TestThereAreNoClientSecrets(t *testing.T) {
	b := newBooth(t)
	const words = "this gateway has no client secrets; sign an assertion with the client's key (private_key_jwt), or exchange the token of an issuer that the operator trusts"
	for _, path := range []string{TokenPath, RevokePath, IntrospectPath} {
		a := b.post(path, []string{"grant_type", grantClient, "client_id", "ci", "client_secret", "s3cret"})
		b.want(path+", in the form", a, 401, "invalid_client", words)
		if a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: a 401 without a challenge", path)
		}
		b.want(path+", as a header", b.post(path, []string{"grant_type", grantClient}, func(r *http.Request) { r.SetBasicAuth("ci", "s3cret") }), 401, "invalid_client", words)
	}
	if strings.Contains(b.log.String(), "s3cret") {
		t.Error("the log holds the secret")
	}
}

func TestBrokenPartsAreNotTheClientsFault(t *testing.T) {
	b := newBooth(t)
	g := b.grant(dev(), Ask{})
	token, _ := b.token(dev(), TokenAsk{Grant: g.ID})
	b.broken = errors.New("disk full")
	const unaudited = "the audit log cannot be written, so nothing was done; the gateway's log says why"
	b.want("exchange", b.exchange("subject", `[{"type":"mcp_grant","roles":["reader"]}]`), 503, "temporarily_unavailable", unaudited)
	if !strings.Contains(b.log.String(), "disk full") {
		t.Errorf("log = %s; want the reason", &b.log)
	}
	if all := b.List(operator(), grant.Filter{All: true}); len(all) != 1 || all[0].State != grant.Active {
		t.Errorf("grants = %+v; want the one that there was, alive", all)
	}
	b.want("revoke", b.post(RevokePath, []string{"token", token}), 503, "temporarily_unavailable",
		"the grants have ended, and the audit log could not be written, so that nothing says so; the gateway's log says why")
	if all := b.List(operator(), grant.Filter{All: true}); len(all) != 1 || all[0].State != grant.Completed {
		t.Errorf("grants = %+v; want the end of the one", all)
	}
}

// Nobody holds a connection with a body that never comes.
func TestBodyThatDoesNotComeIsNotWaitedForLong(t *testing.T) {
	b := newBooth(t)
	var deadline time.Time
	w := deadlines{httptest.NewRecorder(), func(t time.Time) { deadline = cmp.Or(deadline, t) }}
	r := httptest.NewRequest(http.MethodPost, TokenPath, strings.NewReader("grant_type=x"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	b.h.ServeHTTP(w, r)
	if left := time.Until(deadline); left <= 0 || left > bodyTimeout {
		t.Errorf("the body may come until %s; want within %s", deadline, bodyTimeout)
	}
}

// deadlines tells of the read deadline that a handler sets.
type deadlines struct {
	*httptest.ResponseRecorder
	set func(time.Time)
}

func (d deadlines) SetReadDeadline(t time.Time) error { d.set(t); return nil }
