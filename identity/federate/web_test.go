package federate

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/freeport"
)

// serve runs an issuer's web server on this machine.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

func answer(kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write([]byte(body)) // who hangs up has what it wanted
	}
}

// What an operator reads when an issuer's keys are not what they should be.
func TestKeySetsAreRefusedWithAReason(t *testing.T) {
	i := newIssuer(t, "i")
	key := string(i.jwk.Public())
	var elsewhere atomic.Int64
	other := serve(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	gone, release, err := freeport.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	down := "http://" + gone
	for _, tt := range []struct {
		name string
		url  string
		want string
	}{
		{"down", down, "read URL: dial tcp " + strings.TrimPrefix(down, "http://") + ": connect: connection refused"},
		{"an error", serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }), "read URL: answers 503 Service Unavailable"},
		{"no content", serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }), "read URL: answers 204 No Content"},
		{"a redirect", serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, http.StatusFound) }),
			"read URL: answers 302, a redirect, which is not followed; give the address where the keys really are as jwksURL"},
		{"huge", serve(t, func(w http.ResponseWriter, _ *http.Request) {
			for _, err := w.Write([]byte(`{"keys":[`)); err == nil; {
				_, err = w.Write([]byte(strings.Repeat(" ", 64<<10)))
			}
		}), "read URL: longer than 1048576 bytes"},
		{"cut off", serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"keys":[`))
		}), "read URL: unexpected EOF"},
		{"a login page", serve(t, answer("text/html; charset=utf-8", "<html>")), "URL gives no usable key set: read key set: invalid JSON syntax, at byte 0; it came as text/html"},
		{"no set", serve(t, answer("application/json", "[]")), `URL gives no usable key set: read key set: no member "keys"`},
		{"a kid twice", serve(t, answer("application/json", `{"keys":[`+key+`,`+key+`]}`)), `URL gives no usable key set: read key set: kid "` + i.jwk.Kid + `" twice`},
		{"a symmetric key", serve(t, answer("application/json", `{"keys":[`+key+`,{"kty":"oct","kid":"s"}]}`)),
			`URL gives no usable key set: read key set: key "s" is symmetric: who can verify with it can sign`},
		{"a private key", serve(t, answer("application/jwk-set+json", `{"keys":[`+string(i.jwk.Private())+`]}`)),
			`URL gives no usable key set: read key set: key "` + i.jwk.Kid + `" is there with its private half: who can read it can sign`},
		{"keys twice", serve(t, answer("application/json", `{"keys":[],"keys":[`+key+`]}`)), "URL gives no usable key set: read key set: the same member name twice in one object, at byte 11"},
	} {
		_, _, err := newWeb(nil).keySet(t.Context(), tt.url, nil)
		if err == nil || strings.ReplaceAll(err.Error(), tt.url, "URL") != tt.want {
			t.Errorf("%s:\n got %v\nwant %s", tt.name, err, tt.want)
		}
	}
	if elsewhere.Load() != 0 {
		t.Error("the redirect was followed")
	}
}

func TestSlowIssuersAreGivenUp(t *testing.T) {
	never := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-never
	})
	t.Cleanup(func() { close(never) }) // before the server closes
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("no answer within 5s"))
	defer cancel()
	_, _, err := newWeb(nil).keySet(ctx, url, nil)
	if want := "read " + url + ": no answer within 5s"; err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestDiscoveryIsRefusedWithAReason(t *testing.T) {
	const issuer = "https://idp.example"
	for doc, want := range map[string]string{
		`<html>`: "is no discovery document: invalid JSON syntax, at byte 0",
		`{"issuer":"https://idp.example","issuer":"https://evil.example","jwks_uri":"https://idp.example/keys"}`: "is no discovery document: the same member name twice in one object, at byte 32",
		`{"issuer":"https://idp.example"}`:                                                 "is no discovery document: it has no jwks_uri",
		`{"issuer":"https://idp.example","jwks_uri":7}`:                                    "is no discovery document: jwks_uri is not a string",
		`{"issuer":"https://idp.example/","jwks_uri":"https://idp.example/keys"}`:          `says that its issuer is "https://idp.example/"; the rule's issuer must be the same to the letter`,
		`{"issuer":"https://idp.example","jwks_uri":"http://idp.example/keys"}`:            `jwks_uri "http://idp.example/keys" is not https, so anybody on the way could give other keys; http is for loopback only`,
		`{"issuer":"https://idp.example","jwks_uri":"http://127.0.0.1:8080/keys"}`:         "jwks_uri points at this machine, which is not the issuer's",
		`{"issuer":"https://idp.example","jwks_uri":"https://localhost/keys"}`:             "jwks_uri points at this machine, which is not the issuer's",
		`{"issuer":"https://idp.example","jwks_uri":"/keys"}`:                              "jwks_uri is no URL with a host",
		`{"issuer":"https://idp.example","jwks_uri":"https://a:b@idp.example/keys"}`:       "jwks_uri has a user or password in it; keys are public and fetched without",
		`{"issuer":"https://idp.example","jwks_uri":"gopher://idp.example/keys"}`:          `jwks_uri "gopher://idp.example/keys" is not https, so anybody on the way could give other keys; http is for loopback only`,
		`{"issuer":"https://idp.example","jwks_uri":"https://keys.example","JWKS_URI":""}`: `is no discovery document: member name "JWKS_URI" would be read as "jwks_uri" by a parser that ignores case, at byte 76`,
	} {
		if _, err := readDiscovery([]byte(doc), issuer); err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", doc, err, want)
		}
	}
	if keys, err := readDiscovery([]byte(`{"issuer":"https://idp.example","jwks_uri":"https://keys.example/v3"}`), issuer); err != nil || keys != "https://keys.example/v3" {
		t.Errorf("a good document: %q, %v", keys, err)
	}
}

// The whole way: discovery, keys, a token, with an issuer on this machine.
func TestTokensOfADiscoveredIssuerAreTaken(t *testing.T) {
	i := newIssuer(t, "idp")
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	defer s.Close()
	mux.HandleFunc(discoveryPath, answer("application/json", `{"issuer":"`+s.URL+`","jwks_uri":"`+s.URL+`/keys"}`))
	mux.HandleFunc("/keys", answer("application/json", i.set()))
	f := federation(t, Rule{Name: "idp", Issuer: s.URL, Audience: gateway, Roles: []string{"r"}})
	id, err := f.Verify(t.Context(), i.token(t, githubClaims.but(doc{"iss": s.URL, "sub": "alice"}), nil), SubjectToken)
	if err != nil || id.Subject != "idp:alice" {
		t.Fatalf("%v, %v; want idp:alice", id, err)
	}
	if err := f.Probe(t.Context()); err != nil {
		t.Errorf("Probe: %v", err)
	}
	mux.HandleFunc("/other"+discoveryPath, answer("application/json", `{"issuer":"`+s.URL+`","jwks_uri":"`+s.URL+`/keys"}`))
	f = federation(t, Rule{Name: "other", Issuer: s.URL + "/other", Audience: gateway, Roles: []string{"r"}})
	want := `federation rule "other": issuer: ` + s.URL + "/other" + discoveryPath + `: says that its issuer is "` + s.URL + `"; the rule's issuer must be the same to the letter`
	if err := f.Probe(t.Context()); err == nil || err.Error() != want {
		t.Errorf("Probe:\n got %v\nwant %s", err, want)
	}
}

func TestCertificatesOfAnIssuerAreThoseOfTheRule(t *testing.T) {
	i := newIssuer(t, "idp")
	s := httptest.NewUnstartedServer(answer("application/json", i.set()))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that fails
	s.StartTLS()
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	rule := Rule{Name: "idp", Issuer: "https://idp.example", Audience: gateway, JWKSURL: s.URL, CA: ca, Roles: []string{"r"}}
	token := i.token(t, githubClaims.but(doc{"iss": "https://idp.example"}), nil)
	if _, err := federation(t, rule).Verify(t.Context(), token, SubjectToken); err != nil {
		t.Errorf("with its certificate: %v", err)
	}
	rule.CA = ""
	want := "federation rule idp: keys of the issuer are not available: read " + s.URL + ": tls: failed to verify certificate: x509: certificate signed by unknown authority; the next try is in 10s"
	if _, err := federation(t, rule).Verify(t.Context(), token, SubjectToken); !errors.Is(err, ErrKeys) || err.Error() != want {
		t.Errorf("without:\n got %v\nwant %s", err, want)
	}
}

func TestFreshnessIsWhatCacheControlSays(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": 0, "max-age=600": 10 * time.Minute, "public, Max-Age=600, immutable": 10 * time.Minute, "no-store, max-age=600": 0, "max-age=600, no-cache": 0,
		"max-age=-1": 0, "max-age=99999999999999999999": 0, "s-maxage=600": 0, "max-age=soon": 0,
	} {
		if got := freshness(http.Header{"Cache-Control": {header}}); got != want {
			t.Errorf("%q: %s; want %s", header, got, want)
		}
	}
}
