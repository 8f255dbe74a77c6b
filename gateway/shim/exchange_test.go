package shim

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/identity/jose"
)

// fakeIssuer is a token endpoint that wants a nonce in each proof and answers as told.
type fakeIssuer struct {
	*httptest.Server
	forms   []url.Values
	revoked []string
	answer  func(form url.Values) (int, any)
	grants  []string // grant_types_supported
	details []string
}

func newFakeIssuer(t *testing.T, answer func(url.Values) (int, any)) *fakeIssuer {
	i := &fakeIssuer{answer: answer, grants: []string{grantExchange, grantBearer, grantClient}, details: []string{"mcp_grant"}}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/oauth-protected-resource", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{"resource": i.URL + "/mcp", "authorization_servers": []string{i.URL}})
	})
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{"issuer": i.URL, "token_endpoint": i.URL + "/oauth/token", "revocation_endpoint": i.URL + "/oauth/revoke", "grant_types_supported": i.grants, "authorization_details_types_supported": i.details})
	})
	mux.HandleFunc("POST /oauth/token", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("DPoP-Nonce", "n1")
		if r.Header.Get("DPoP") != "proof POST "+i.URL+"/oauth/token n1" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprint(w, `{"error":"use_dpop_nonce"}`)
			return
		}
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		i.forms = append(i.forms, r.PostForm)
		status, v := i.answer(r.PostForm)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	})
	mux.HandleFunc("POST /oauth/revoke", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("DPoP") != "proof POST "+i.URL+"/oauth/revoke n1" {
			t.Errorf("revoked with the proof %q", r.Header.Get("DPoP"))
		}
		i.revoked = append(i.revoked, r.PostFormValue("token"))
		writeJSON(w, struct{}{})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

var exchangeAsk = SourceAsk{JKT: "thumb", Measured: "sha256:1", Proof: func(method, url, nonce string) (string, error) {
	return "proof " + method + " " + url + " " + nonce, nil
}}

func goodAnswer(url.Values) (int, any) {
	return 200, map[string]any{"access_token": "tok", "token_type": "DPoP", "expires_in": 300,
		"authorization_details": []any{map[string]any{"type": "mcp_grant", "grant": "gr_1", "args": []any{map[string]any{"tools": "a.b"}}, "expires_in": 3600}}}
}

func (i *fakeIssuer) source(t *testing.T, cfg ExchangeConfig) *Exchange {
	t.Helper()
	cfg.URL = i.URL + "/mcp"
	s, err := NewExchange(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tokenFile(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFirstExchangeMakesAGrantAndTheOthersRenewIt(t *testing.T) {
	i := newFakeIssuer(t, goodAnswer)
	path := tokenFile(t, "first\n")
	now := time.Unix(1_000_000, 0)
	s := i.source(t, ExchangeConfig{Credential: FileCredential(path), Now: func() time.Time { return now },
		Roles: []string{"reader"}, Tools: []string{"files.read_*"}, Task: "JIRA-1", MaxCalls: 9, TTL: time.Hour})
	for n := range 2 {
		got, err := s.Token(t.Context(), exchangeAsk)
		if want := (Token{Value: "tok", Expires: now.Add(5 * time.Minute), Grant: "gr_1"}); err != nil || got != want {
			t.Fatalf("token %d = %+v, %v; want %+v", n, got, err, want)
		}
		if err := os.WriteFile(path, []byte("second"), 0o600); err != nil { // as a projected volume does
			t.Fatal(err)
		}
	}
	form := func(subject, details string) url.Values {
		return url.Values{"grant_type": {grantExchange}, "subject_token": {subject}, "subject_token_type": {typeJWT},
			"requested_token_type": {typeAccess}, "resource": {i.URL + "/mcp"}, "authorization_details": {details}}
	}
	want := []url.Values{
		form("first", `[{"type":"mcp_grant","roles":["reader"],"tools":["files.read_*"],"task":"JIRA-1","max_calls":9,"expires_in":3600,"measured":"sha256:1"}]`),
		form("second", `[{"type":"mcp_grant","grant":"gr_1","measured":"sha256:1"}]`),
	}
	if diff := cmp.Diff(want, i.forms); diff != "" {
		t.Errorf("forms (-want +got):\n%s", diff)
	}
}

func TestIssuerWithoutTokenExchangeIsGivenAnAssertion(t *testing.T) {
	i := newFakeIssuer(t, func(url.Values) (int, any) { return 200, map[string]any{"access_token": "tok", "token_type": "Bearer"} })
	i.grants, i.details = []string{grantBearer}, nil
	now := time.Unix(1_000_000, 0)
	s := i.source(t, ExchangeConfig{Credential: FileCredential(tokenFile(t, "abc")), Now: func() time.Time { return now }})
	got, err := s.Token(t.Context(), exchangeAsk)
	if want := (Token{Value: "tok", Expires: now.Add(time.Minute), Bearer: true}); err != nil || got != want {
		t.Errorf("token = %+v, %v; want %+v", got, err, want)
	}
	if diff := cmp.Diff([]url.Values{{"grant_type": {grantBearer}, "assertion": {"abc"}, "resource": {i.URL + "/mcp"}}}, i.forms); diff != "" {
		t.Errorf("form (-want +got):\n%s", diff)
	}
}

func TestRefusalsOfTheIssuerAreSaidInItsWords(t *testing.T) {
	refusal := func(code, words string) func(url.Values) (int, any) {
		return func(url.Values) (int, any) {
			return 400, map[string]any{"error": code, "error_description": words}
		}
	}
	for _, tt := range []struct {
		name   string
		answer func(url.Values) (int, any)
		want   string
	}{
		{"words", refusal("invalid_request", "the subject_token is not accepted; the gateway's log says why"), "refused: the subject_token is not accepted; the gateway's log says why (invalid_request)"},
		{"none", refusal("invalid_target", ""), `refused ("invalid_target")`},
		{"a grant that never gave one", refusal("invalid_grant", "there is no grant"), "refused: there is no grant (invalid_grant)"},
		{"no token", func(url.Values) (int, any) { return 200, map[string]any{} }, "it answers 200 OK and no token"},
		{"another shape", func(url.Values) (int, any) { return 200, []int{1} }, "it answers with JSON of another shape"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newFakeIssuer(t, tt.answer)
			s := i.source(t, ExchangeConfig{Credential: FileCredential(tokenFile(t, "abc")), Grant: "gr_1"})
			_, err := s.Token(t.Context(), exchangeAsk)
			if want := "exchange at " + i.URL + "/oauth/token: " + tt.want; err == nil || err.Error() != want || errors.Is(err, ErrEnded) {
				t.Errorf("error = %v; want %s", err, want)
			}
		})
	}
}

func TestGrantThatGaveTokensAndGivesNoMoreHasEnded(t *testing.T) {
	i := newFakeIssuer(t, goodAnswer)
	s := i.source(t, ExchangeConfig{Credential: FileCredential(tokenFile(t, "abc"))})
	if _, err := s.Token(t.Context(), exchangeAsk); err != nil {
		t.Fatal(err)
	}
	i.answer = func(url.Values) (int, any) {
		return 400, map[string]any{"error": "invalid_grant", "error_description": "the grant gr_1 ended: revoked by dana (lunch); ask for a new one"}
	}
	_, err := s.Token(t.Context(), exchangeAsk)
	if want := "task grant gr_1 has ended: revoked by dana (lunch); start the task again"; !errors.Is(err, ErrEnded) || err.Error() != want {
		t.Errorf("error = %v; want ErrEnded: %s", err, want)
	}
	i.answer = func(url.Values) (int, any) {
		return 400, map[string]any{"error": "invalid_request", "error_description": "expired"}
	}
	if _, err := s.Token(t.Context(), exchangeAsk); err == nil || errors.Is(err, ErrEnded) {
		t.Errorf("a credential that is refused: %v; want an error that may pass", err)
	}
}

func TestMetadataOfAnotherIssuerAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name     string
		metadata map[string]any
		want     string
	}{
		{"another", map[string]any{"issuer": "https://evil.example", "token_endpoint": "https://evil.example/t"}, "the metadata at URL/.well-known/oauth-authorization-server are those of another issuer"},
		{"no endpoint", map[string]any{"issuer": "URL"}, "URL has no token endpoint: it exchanges nothing"},
		{"unencrypted endpoint", map[string]any{"issuer": "URL", "token_endpoint": "http://gw.example/token"}, "the token endpoint of URL: gw.example is another machine and http is not encrypted: use https, or --plain-http where something else protects the way"},
		{"exchanges nothing", map[string]any{"issuer": "URL", "token_endpoint": "URL/token", "grant_types_supported": []string{"authorization_code"}}, "URL neither exchanges tokens (RFC 8693) nor takes assertions (RFC 7523)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var base string
			mux := http.NewServeMux()
			mux.HandleFunc("/.well-known/oauth-protected-resource/mcp", func(w http.ResponseWriter, _ *http.Request) {
				writeJSON(w, map[string]any{"resource": base + "/mcp", "authorization_servers": []string{base}})
			})
			mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
				text, _ := json.Marshal(tt.metadata)
				w.Header().Set("Content-Type", "application/json")
				_, _ = fmt.Fprint(w, strings.ReplaceAll(string(text), "URL", base))
			})
			srv := httptest.NewServer(mux)
			defer srv.Close()
			base = srv.URL
			s, err := NewExchange(ExchangeConfig{URL: base + "/mcp", Credential: FileCredential(tokenFile(t, "secret"))})
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Token(t.Context(), exchangeAsk)
			if want := strings.ReplaceAll(tt.want, "URL", base); err == nil || err.Error() != want {
				t.Errorf("error = %v; want %s", err, want)
			}
		})
	}
}

func TestCredentialThatIsNoneIsSaid(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name string
		c    Credential
		want string
	}{
		{"no file", FileCredential(dir + "/nothing"), "read the token in " + dir + "/nothing: the file does not exist; is the volume mounted, and the path right?"},
		{"empty file", FileCredential(tokenFile(t, " \n")), "is empty"},
		{"two words", FileCredential(tokenFile(t, "a b")), "is no token: want one word and nothing else"},
		{"huge file", FileCredential(tokenFile(t, strings.Repeat("x", maxCredential+1))), "is no token: want one word and nothing else"},
		{"failing command", CommandCredential("exit 3"), "run the command that prints a token: exit status 3"},
		{"silent command", CommandCredential("true"), "the token from the command is empty"},
		{"no key file", KeyCredential(dir+"/nothing", "c", nil), "read the client's key: open " + dir + "/nothing: no such file or directory"},
		{"no key", KeyCredential(tokenFile(t, "hello"), "c", nil), "neither a JWK nor PEM"},
		{"bad GitHub URL", GitHubCredential("http://evil.example/", "t"), "ACTIONS_ID_TOKEN_REQUEST_URL is not an https URL"},
	} {
		_, err := tt.c.Prove(t.Context(), "https://gw.example")
		if err == nil || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("%s: error = %v; want …%s", tt.name, err, tt.want)
		}
	}
}

func TestCommandPrintsATokenForTheIssuer(t *testing.T) {
	p, err := CommandCredential(`echo "for:$SALLYPORT_AUDIENCE"`).Prove(t.Context(), "https://gw.example")
	if err != nil || p.Subject != "for:https://gw.example" {
		t.Errorf("proof = %+v, %v; want the printed word", p, err)
	}
}

func TestGitHubGivesATokenForTheIssuer(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer req" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		writeJSON(w, map[string]any{"value": "jwt:" + r.URL.Query().Get("audience") + ":" + r.URL.Query().Get("api-version")})
	}))
	defer srv.Close()
	p, err := GitHubCredential(srv.URL+"/token?api-version=2", "req").Prove(t.Context(), "https://gw.example")
	if err != nil || p.Subject != "jwt:https://gw.example:2" {
		t.Errorf("proof = %+v, %v; want the job's token for the issuer", p, err)
	}
	_, err = GitHubCredential(srv.URL, "other").Prove(t.Context(), "https://gw.example")
	if want := "ask GitHub for the job's token: it answers 401 Unauthorized; the job needs `permissions: id-token: write`"; err == nil || err.Error() != want {
		t.Errorf("error = %v; want %s", err, want)
	}
}

func TestClientAssertionIsSignedByTheKeyInTheFile(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	jwk := jose.NewEd25519(make([]byte, ed25519.SeedSize))
	inPEM := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	point, err := ec.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_000_000, 0)
	for _, tt := range []struct {
		name, file, alg, kid string
		public               crypto.PublicKey
	}{
		{"JWK", string(jwk.Private()), "EdDSA", jwk.Thumbprint(), ed.Public()},
		{"Ed25519", inPEM(ed), "EdDSA", jose.NewEd25519(ed.Seed()).Kid, ed.Public()},
		{"P-256", inPEM(ec), "ES256", jose.NewP256(point).Thumbprint(), ec.Public()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := KeyCredential(tokenFile(t, tt.file), "agent", func() time.Time { return now }).Prove(context.Background(), "https://gw.example")
			if err != nil {
				t.Fatal(err)
			}
			tok, err := jose.Parse(p.ClientAssertion)
			if err != nil || p.ClientID != "agent" || tok.Kid != tt.kid || tok.Alg != tt.alg {
				t.Fatalf("assertion = %+v, %v; want client agent, alg %s, kid %q", tok, err, tt.alg, tt.kid)
			}
			if !verifies(p.ClientAssertion, tt.public) {
				t.Error("the signature is not the key's")
			}
			var claims map[string]any
			if err := json.Unmarshal(tok.Claims, &claims); err != nil {
				t.Fatal(err)
			}
			if claims["jti"] == "" {
				t.Error("no jti")
			}
			delete(claims, "jti")
			want := map[string]any{"iss": "agent", "sub": "agent", "aud": "https://gw.example", "iat": 1e6, "exp": 1e6 + 60}
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
}

func verifies(token string, public crypto.PublicKey) bool {
	i := strings.LastIndexByte(token, '.')
	sig, err := base64.RawURLEncoding.DecodeString(token[i+1:])
	if err != nil {
		return false
	}
	switch k := public.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(k, []byte(token[:i]), sig)
	case *ecdsa.PublicKey:
		digest := sha256.Sum256([]byte(token[:i]))
		return ecdsa.Verify(k, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	}
	return false
}

func TestGrantThatWasMadeIsGivenBackAndOneThatWasGivenIsNot(t *testing.T) {
	for _, given := range []string{"", "gr_1"} {
		i := newFakeIssuer(t, goodAnswer)
		now := time.Unix(1_000_000, 0)
		s := i.source(t, ExchangeConfig{Credential: FileCredential(tokenFile(t, "abc")), Grant: given, Now: func() time.Time { return now }})
		if err := s.Close(t.Context()); err != nil || len(i.revoked) > 0 {
			t.Errorf("before there was a token: %v, revoked %v; want nothing done", err, i.revoked)
		}
		if _, err := s.Token(t.Context(), exchangeAsk); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Hour)
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		want, tokens := []string{"tok"}, 2 // the first has ended by now
		if given != "" {
			want, tokens = nil, 1
		}
		if diff := cmp.Diff(want, i.revoked); diff != "" || len(i.forms) != tokens {
			t.Errorf("grant %q: %d tokens, want %d; revoked (-want +got):\n%s", given, len(i.forms), tokens, diff)
		}
	}
}
