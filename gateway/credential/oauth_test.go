package credential

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/freeport"
)

// endpoint is a token endpoint that remembers what it was asked.
type endpoint struct {
	url    string
	answer func(w http.ResponseWriter)

	mu    sync.Mutex // guards both below
	forms []url.Values
	auths []string
}

func newEndpoint(t *testing.T) *endpoint {
	t.Helper()
	e := &endpoint{answer: say(200, `{"access_token":"token-1","token_type":"Bearer","expires_in":3600}`)}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		form, err := url.ParseQuery(string(body))
		if err != nil {
			t.Error(err)
		}
		e.mu.Lock()
		e.forms, e.auths = append(e.forms, form), append(e.auths, r.Header.Get("Authorization"))
		e.mu.Unlock()
		e.answer(w)
	}))
	t.Cleanup(srv.Close)
	e.url = srv.URL + "/token"
	return e
}

func (e *endpoint) last() (url.Values, string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := len(e.forms) - 1
	return e.forms[n], e.auths[n]
}

func (e *endpoint) asked() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.forms)
}

func say(status int, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// fixed is a source of one value.
type fixed string

func (f fixed) Get(context.Context, Who) (Secret, error) {
	if f == "" {
		return Secret{}, errors.New("credential /run/secret is empty")
	}
	return Secret{Value: string(f)}, nil
}

func TestTokenEndpointTroubleIsToldClearly(t *testing.T) {
	const hidden = "words-of-the-endpoint"
	for name, tt := range map[string]struct {
		answer func(http.ResponseWriter)
		want   string
	}{
		"redirect": {func(w http.ResponseWriter) { w.Header().Set("Location", "http://127.0.0.1:1/"); w.WriteHeader(307) },
			"it answered with a redirect (307), which is not followed; write the URL that it leads to"},
		"a web page": {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>"+hidden) },
			"its answer is not application/json; is this the URL of the token endpoint?"},
		"refused":        {say(401, `{"error":"invalid_client","error_description":"`+hidden+`"}`), "it answered 401: invalid_client (check clientID and the client's secret or key)"},
		"odd error":      {say(400, `{"error":"`+hidden+`"}`), "it answered 400"},
		"no JSON error":  {say(500, hidden), "it answered 500"},
		"no JSON":        {say(200, hidden), "its answer is no sound JSON"},
		"no object":      {say(200, `["`+hidden+`"]`), "its answer is no JSON object"},
		"twice":          {say(200, `{"access_token":"a","access_token":"`+hidden+`","token_type":"Bearer"}`), "its answer is no sound JSON"},
		"no token":       {say(200, `{"token_type":"Bearer"}`), "its answer has no access_token"},
		"odd token":      {say(200, `{"access_token":"a\r\nX: `+hidden+`","token_type":"Bearer"}`), "its answer has an access_token that cannot stand in a header"},
		"another type":   {say(200, `{"access_token":"`+hidden+`","token_type":"DPoP"}`), `its answer is a token of the type "DPoP"; only Bearer can be used`},
		"no type":        {say(200, `{"access_token":"`+hidden+`"}`), `its answer is a token of the type ""; only Bearer can be used`},
		"refresh token":  {say(200, `{"access_token":"`+hidden+`","token_type":"N_A","issued_token_type":"urn:x"}`), `its answer is a token of the type "N_A"; only Bearer can be used`},
		"not an access":  {say(200, `{"access_token":"`+hidden+`","token_type":"Bearer","issued_token_type":"urn:x"}`), `its answer is a token of the type "urn:x"; wanted is an access token`},
		"expired":        {say(200, `{"access_token":"`+hidden+`","token_type":"Bearer","expires_in":-1}`), `its answer has "expires_in": -1; it must be over 0`},
		"odd expires_in": {say(200, `{"access_token":"`+hidden+`","token_type":"Bearer","expires_in":"3600"}`), "its answer has an expires_in that is no whole number of seconds"},
		"too large":      {say(200, `{"x":"`+strings.Repeat("x", maxSecret)+`"}`), "its answer has over 65536 bytes"},
	} {
		e := newEndpoint(t)
		e.answer = tt.answer
		s := must(t)(ClientCredentials(OAuthConfig{TokenURL: e.url, ClientID: "me", Secret: fixed("hunter2-hunter2")}))
		got := refused(t, s)
		if want := "token endpoint " + e.url + ": " + tt.want; got != want {
			t.Errorf("%s: %s\nwant %s", name, got, want)
		}
		if strings.Contains(got, hidden) || strings.Contains(got, "hunter2") {
			t.Errorf("%s: the error holds what nobody may read: %s", name, got)
		}
		if again := refused(t, s); !strings.Contains(again, "; it is tried again in ") || e.asked() != 1 {
			t.Errorf("%s: asked %d times: %s; want a back-off", name, e.asked(), again)
		}
	}
}

func TestTokenEndpointThatIsDown(t *testing.T) {
	address, release, err := freeport.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	s := must(t)(ClientCredentials(OAuthConfig{TokenURL: "http://" + address + "/token", ClientID: "me", Secret: fixed("hunter2")}))
	want := "token endpoint http://" + address + "/token: cannot be reached: dial tcp " + address + ": connect: connection refused"
	if got := refused(t, s); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	s = must(t)(ClientCredentials(OAuthConfig{TokenURL: "http://" + address + "/token", ClientID: "me", Secret: fixed("")}))
	want = "token endpoint http://" + address + "/token: the client's secret: credential /run/secret is empty"
	if got := refused(t, s); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestTokenEndpointConfigurationIsChecked(t *testing.T) {
	good := OAuthConfig{TokenURL: "https://login.example.com/token", ClientID: "me", Secret: fixed("x")}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	odd := writeKey(t, other, 0o600)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	open, text := writeKey(t, private, 0o644), write(t, "key", "no key", 0o600)
	for name, tt := range map[string]struct {
		change func(*OAuthConfig)
		want   string
	}{
		"no URL":       {func(c *OAuthConfig) { c.TokenURL = "login.example.com" }, "token endpoint: its URL cannot be read; write it as https://host/path"},
		"a user":       {func(c *OAuthConfig) { c.TokenURL = "https://a:b@login.example.com/" }, "token endpoint: its URL holds a user or password; use clientID and clientSecret"},
		"a fragment":   {func(c *OAuthConfig) { c.TokenURL += "#x" }, "token endpoint: its URL has a fragment, which no server would see"},
		"http":         {func(c *OAuthConfig) { c.TokenURL = "http://login.example.com/token" }, "token endpoint: http://login.example.com/token is not https; a secret would cross the network in the clear"},
		"no client":    {func(c *OAuthConfig) { c.ClientID = "" }, "token endpoint: the client's id is missing"},
		"no secret":    {func(c *OAuthConfig) { c.Secret = nil }, "token endpoint: the client's secret is missing, or there is a key beside it"},
		"a resource":   {func(c *OAuthConfig) { c.Resource = "files" }, "token endpoint: resource must be an absolute URI without fragment (RFC 8707)"},
		"no key":       {func(c *OAuthConfig) { c.Auth, c.Secret = PrivateKeyJWT, nil }, "token endpoint: the client's key is missing, or there is a secret beside it"},
		"key missing":  {func(c *OAuthConfig) { c.Auth, c.Secret, c.KeyFile = PrivateKeyJWT, nil, "/none" }, "read key /none: no such file or directory"},
		"key for all":  {func(c *OAuthConfig) { c.Auth, c.Secret, c.KeyFile = PrivateKeyJWT, nil, open }, "key " + open + " can be read by everybody on this machine (mode 0644); chmod 0600 it, or 0640 with a group of its own"},
		"key no PEM":   {func(c *OAuthConfig) { c.Auth, c.Secret, c.KeyFile = PrivateKeyJWT, nil, text }, "key " + text + " is not PEM"},
		"key of P-384": {func(c *OAuthConfig) { c.Auth, c.Secret, c.KeyFile = PrivateKeyJWT, nil, odd }, "key " + odd + " is of a kind that cannot be used; known are Ed25519, P-256 and RSA of at least 2048 bits"},
	} {
		cfg := good
		tt.change(&cfg)
		if _, err := ClientCredentials(cfg); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v\nwant %s", name, err, tt.want)
		}
	}
	if _, err := Exchange(good, nil); err == nil {
		t.Error("an exchange without anybody who signs was taken")
	}
}

func TestClientCredentialsSendWhatTheStandardsSay(t *testing.T) {
	e := newEndpoint(t)
	cfg := OAuthConfig{TokenURL: e.url, ClientID: "me:1", Secret: fixed("p w/?"), Scope: "read write", Resource: "https://mcp.example.com/mcp"}
	s := must(t)(ClientCredentials(cfg))
	for _, who := range []Who{{}, {Subject: "ann", Issuer: "us"}} {
		if secret, err := s.Get(t.Context(), who); err != nil || secret.Value != "token-1" || secret.Expires.IsZero() {
			t.Fatalf("got %q, %v", secret.Value, err)
		}
	}
	if e.asked() != 1 {
		t.Errorf("asked %d times; want one token for all", e.asked())
	}
	form, auth := e.last()
	want := url.Values{"grant_type": {"client_credentials"}, "scope": {"read write"}, "resource": {"https://mcp.example.com/mcp"}}
	if diff := cmp.Diff(want, form); diff != "" {
		t.Error(diff)
	}
	if want := "Basic " + base64.StdEncoding.EncodeToString([]byte("me%3A1:p+w%2F%3F")); auth != want {
		t.Errorf("Authorization %s; want %s", auth, want)
	}
	cfg.Auth = SecretPost
	get(t, must(t)(ClientCredentials(cfg)))
	form, auth = e.last()
	if form.Get("client_id") != "me:1" || form.Get("client_secret") != "p w/?" || auth != "" {
		t.Errorf("client_secret_post sent %v, Authorization %q", form, auth)
	}
}

func TestPrivateKeyJWTIsSignedForTheEndpointAndUsedOnce(t *testing.T) {
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for alg, key := range map[string]crypto.Signer{"ES256": ecKey, "RS256": rsaKey, "EdDSA": edKey} {
		e := newEndpoint(t)
		cfg := OAuthConfig{TokenURL: e.url, ClientID: "me", Auth: PrivateKeyJWT, KeyFile: writeKey(t, key, 0o600), KeyID: "k1"}
		for range 2 {
			get(t, must(t)(ClientCredentials(cfg)))
			form, _ := e.last()
			if form.Get("client_id") != "me" || form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
				t.Errorf("sent %v", form)
			}
			header, claims := verify(t, alg, key.Public(), form.Get("client_assertion"))
			if header["alg"] != alg || header["kid"] != "k1" || header["typ"] != "JWT" {
				t.Errorf("header %v", header)
			}
			jti, _ := claims["jti"].(string)
			if claims["iss"] != "me" || claims["sub"] != "me" || claims["aud"] != e.url || claims["exp"].(float64)-claims["iat"].(float64) > 300 || jti == "" || seen[jti] {
				t.Errorf("claims %v", claims)
			}
			seen[jti] = true
		}
	}
}

func verify(t *testing.T, alg string, key crypto.PublicKey, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no token: %s", token)
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(json.Unmarshal(raw[0], &header), json.Unmarshal(raw[1], &claims)); err != nil {
		t.Fatal(err)
	}
	input := []byte(parts[0] + "." + parts[1])
	digest := sha256.Sum256(input)
	sound := false
	switch k := key.(type) {
	case ed25519.PublicKey:
		sound = ed25519.Verify(k, input, raw[2])
	case *rsa.PublicKey:
		sound = rsa.VerifyPKCS1v15(k, crypto.SHA256, digest[:], raw[2]) == nil
	case *ecdsa.PublicKey:
		sound = len(raw[2]) == 64 && ecdsa.Verify(k, digest[:], new(big.Int).SetBytes(raw[2][:32]), new(big.Int).SetBytes(raw[2][32:]))
	}
	if !sound {
		t.Errorf("%s: the signature does not verify", alg)
	}
	return header, claims
}

func writeKey(t *testing.T, key any, mode uint32) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), os.FileMode(mode))
}

func TestExchangeAsksForEachPrincipalWithTheGatewaysOwnWord(t *testing.T) {
	e := newEndpoint(t)
	e.answer = say(200, `{"access_token":"exchanged","token_type":"Bearer","issued_token_type":"`+typeAccessToken+`","expires_in":300}`)
	var asserted []string
	s := must(t)(Exchange(OAuthConfig{TokenURL: e.url, ClientID: "me", Secret: fixed("hunter2"), Audience: "files", SignedFor: "https://login.example.com"},
		func(_ context.Context, who Who, audience string) (string, error) {
			if who.Subject == "eve" {
				return "", errors.New("not of this issuer")
			}
			asserted = append(asserted, fmt.Sprint(who, audience))
			return "signed-for-" + who.Subject, nil
		}))
	for range 2 {
		if secret, err := s.Get(t.Context(), Who{"ann", "us"}); err != nil || secret.Value != "exchanged" {
			t.Fatalf("got %q, %v", secret.Value, err)
		}
	}
	form, _ := e.last()
	want := url.Values{"grant_type": {grantExchange}, "audience": {"files"}, "subject_token": {"signed-for-ann"},
		"subject_token_type": {typeJWT}, "requested_token_type": {typeAccessToken}}
	if diff := cmp.Diff(want, form); diff != "" {
		t.Error(diff)
	}
	if _, err := s.Get(t.Context(), Who{"bob", "us"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"{ann us}https://login.example.com", "{bob us}https://login.example.com"}, asserted); diff != "" || e.asked() != 2 {
		t.Errorf("asked %d times: %s", e.asked(), diff)
	}
	get(t, s) // the gateway itself
	if form, _ := e.last(); form.Get("grant_type") != "client_credentials" || form.Has("subject_token") {
		t.Errorf("for itself the gateway sent %v", form)
	}
	_, err := s.Get(t.Context(), Who{"eve", "them"})
	if err == nil || err.Error() != "token exchange: sign for the principal: not of this issuer" {
		t.Errorf("error %v", err)
	}
	if _, err := s.Get(t.Context(), Who{Issuer: "us"}); err == nil || err.Error() != "token exchange: the principal has no subject" {
		t.Errorf("error %v", err)
	}
}

// A token whose life is not said is used for a minute.
func TestATokenWithoutExpiryIsKeptForAMinute(t *testing.T) {
	e := newEndpoint(t)
	e.answer = say(200, `{"access_token":"token-1","token_type":"bearer"}`)
	secret, err := must(t)(ClientCredentials(OAuthConfig{TokenURL: e.url, ClientID: "me", Secret: fixed("hunter2")})).Get(t.Context(), Who{})
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(secret.Expires); left <= 0 || left > unsaidLife {
		t.Errorf("it expires in %v; want a minute", left)
	}
}
