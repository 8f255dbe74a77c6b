package mint

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/identity"
	"sallyport/identity/jose"
)

func cancelable(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}

func ask(h http.Handler, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestResourceIsTheURLAskedAbout(t *testing.T) {
	h := Handler(issuer(open(t, keyDir(t), nil), nil), url+"/")
	for path, resource := range map[string]string{
		"/.well-known/oauth-protected-resource":             url + "/mcp",
		"/.well-known/oauth-protected-resource/mcp":         url + "/mcp",
		"/.well-known/oauth-protected-resource/mcp/files":   url + "/mcp/files",
		"/.well-known/oauth-protected-resource/mcp/a-b.c_1": url + "/mcp/a-b.c_1",
	} {
		var doc struct {
			Resource string   `json:"resource"`
			Servers  []string `json:"authorization_servers"`
			Methods  []string `json:"bearer_methods_supported"`
			Proofs   []string `json:"dpop_signing_alg_values_supported"`
		}
		w := ask(h, "GET", path)
		err := json.Unmarshal(w.Body.Bytes(), &doc)
		if err != nil || doc.Resource != resource || len(doc.Servers) != 1 || doc.Servers[0] != url || len(doc.Methods) != 1 || doc.Methods[0] != "header" ||
			len(doc.Proofs) != 2 {
			t.Errorf("%s = %s, %v; want resource %s of %s", path, w.Body, err, resource, url)
		}
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s = %d %s; want 200 application/json", path, w.Code, w.Header().Get("Content-Type"))
		}
	}
}

// What is offered is there, and nothing where a client could register or log in.
func TestServerMetadataNamesTheEndpointsThatThereAre(t *testing.T) {
	w := ask(Handler(issuer(open(t, keyDir(t), nil), nil), url), "GET", "/.well-known/oauth-authorization-server")
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	algs := []any{"ES256", "EdDSA", "RS256", "PS256"}
	want := map[string]any{
		"issuer": url, "jwks_uri": url + "/.well-known/jwks.json",
		"token_endpoint": url + "/oauth/token", "revocation_endpoint": url + "/oauth/revoke", "introspection_endpoint": url + "/oauth/introspect",
		"response_types_supported": []any{},
		"grant_types_supported": []any{"urn:ietf:params:oauth:grant-type:token-exchange",
			"urn:ietf:params:oauth:grant-type:jwt-bearer", "client_credentials"},
		"token_endpoint_auth_methods_supported": []any{"private_key_jwt"}, "token_endpoint_auth_signing_alg_values_supported": algs,
		"revocation_endpoint_auth_methods_supported":    []any{"none"},
		"introspection_endpoint_auth_methods_supported": []any{"private_key_jwt"}, "introspection_endpoint_auth_signing_alg_values_supported": algs,
		"dpop_signing_alg_values_supported":          []any{"ES256", "EdDSA"},
		"tls_client_certificate_bound_access_tokens": true,
		"authorization_details_types_supported":      []any{"mcp_grant"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

func TestUnknownPagesAreNotFoundInPlainWords(t *testing.T) {
	h := Handler(issuer(open(t, keyDir(t), nil), nil), url)
	for _, path := range []string{
		"/", "/register", "/authorize", "/token", "/oauth/register", "/login", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/mcp",
		"/.well-known/oauth-protected-resource/", "/.well-known/oauth-protected-resource/other", "/.well-known/oauth-protected-resourceful",
		"/.well-known/oauth-protected-resource/mcp/", "/.well-known/oauth-protected-resource/mcp/a/b", "/.well-known/oauth-protected-resource/mcp/..",
		"/.well-known/oauth-protected-resource/mcp/%22%3E", "/.well-known/oauth-protected-resource/mcp/" + strings.Repeat("a", 65), "/.well-known/jwks.json/x",
	} {
		for _, method := range []string{"GET", "POST"} {
			w := ask(h, method, path)
			if w.Code != 404 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") || !strings.HasPrefix(w.Body.String(), "404: this gateway has no such page.") {
				t.Errorf("%s %s = %d %s %q; want 404 in plain words", method, path, w.Code, w.Header().Get("Content-Type"), w.Body)
			}
		}
	}
	if w := ask(h, "POST", "/.well-known/jwks.json"); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST to a page = %d, Allow %q; want 405", w.Code, w.Header().Get("Allow"))
	}
}

// A verifier that knows nothing but the published set accepts our tokens, by the next key too.
func TestPublishedKeysVerifyAndTellNoSecret(t *testing.T) {
	c := newClock()
	keys := open(t, keyDir(t), c.now)
	i := issuer(keys, c.now)
	if err := keys.Rotate(); err != nil {
		t.Fatal(err)
	}
	c.pass(publishAhead) // the second key signs
	if err := keys.Rotate(); err != nil {
		t.Fatal(err)
	}
	w := ask(Handler(i, url), "GET", "/.well-known/jwks.json")
	if strings.Contains(w.Body.String(), `"d"`) {
		t.Fatal("the published keys hold a private half")
	}
	published, err := jose.ParseKeySet(w.Body.Bytes())
	if err != nil || len(published.ByID) != 3 {
		t.Fatalf("published = %v, %v; want the retiring, the active and the next key", published, err)
	}
	if w.Header().Get("Cache-Control") != "public, max-age=300" || publishAhead < 2*300*time.Second {
		t.Errorf("Cache-Control %q and %s ahead: a cached set may lack the signing key", w.Header().Get("Cache-Control"), publishAhead)
	}
	v := verifier(t, source(published.ByID), c.now)
	if _, err := v.VerifyToken(mustMint(t, i, reader(time.Minute))); err != nil {
		t.Errorf("verified by the published keys: %v", err)
	}
}

type source map[string]jose.Key

func (s source) Keys() *identity.KeySet { return &identity.KeySet{ByID: s} }
