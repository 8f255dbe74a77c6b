package identity_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/identity"
	"sallyport/identity/identitytest"
	"sallyport/identity/pop"
)

// wanted is what a proof for a POST to the test gateway's /mcp must prove.
func wanted(k *identitytest.ProofKey, token string) pop.Want {
	return pop.Want{Method: "POST", URL: identitytest.Audience, Token: token, JKT: k.JKT}
}

func request(h http.Header) *identity.Request {
	return &identity.Request{Method: "POST", Path: "/mcp", Header: h}
}

func TestHostileProofsAreRefusedWithAGoodToken(t *testing.T) {
	i, k := identitytest.At(t, at(start)), identitytest.NewProofKey(t)
	token := i.MintBound(k.JKT, "alice")
	w := wanted(k, token)
	for _, h := range identitytest.HostileProofs(t, k, w, i.Proofs.Nonce(), start) {
		if h.First != "" {
			if _, err := i.Verifier.Verify(t.Context(), request(identitytest.ProofHeader(token, h.First))); err != nil {
				t.Errorf("%s: the proof before: %v", h.Name, err)
			}
		}
		r := request(identitytest.ProofHeader(token, h.Proofs...))
		who, err := i.Verifier.Verify(t.Context(), r)
		if who != nil || !errors.Is(err, h.Err) || !strings.HasPrefix(err.Error(), h.Message) {
			t.Errorf("%s: %v, %v; want %v, %q", h.Name, who, err, h.Err, h.Message)
		}
		if told := r.Nonce != ""; told != errors.Is(err, identity.ErrNonce) {
			t.Errorf("%s: nonce %q with %v; it is told where it is the cure", h.Name, r.Nonce, err)
		}
	}
	who, err := i.Verifier.Verify(t.Context(), request(identitytest.ProofHeader(token, k.Proof(w, i.Proofs.Nonce(), start))))
	if err != nil || who.Proof != identity.ProofDPoP || who.JKT != k.JKT {
		t.Errorf("a good proof: %+v, %v", who, err)
	}
}

func TestProofIsForThisRequest(t *testing.T) {
	i, k := identitytest.At(t, at(start)), identitytest.NewProofKey(t)
	token := i.MintBound(k.JKT, "alice")
	for _, tt := range []struct {
		name string
		r    identity.Request
		ok   bool
	}{
		{"the same", identity.Request{Method: "POST", Path: "/mcp", RawQuery: "cursor=1"}, true},
		{"another method", identity.Request{Method: "GET", Path: "/mcp"}, false},
		{"another path", identity.Request{Method: "POST", Path: "/mcp/files"}, false},
		{"another spelling", identity.Request{Method: "POST", Path: "/%6dcp"}, false},
		{"no path", identity.Request{Method: "POST"}, false},
	} {
		tt.r.Header = identitytest.ProofHeader(token, k.Proof(wanted(k, token), i.Proofs.Nonce(), start))
		// What a client or a proxy says of the host is not looked at.
		tt.r.Header["X-Forwarded-Host"] = []string{"other.example"}
		if _, err := i.Verifier.Verify(t.Context(), &tt.r); (err == nil) != tt.ok || err != nil && !errors.Is(err, identity.ErrBadProof) {
			t.Errorf("%s: %v; want accepted: %v", tt.name, err, tt.ok)
		}
	}
}

func TestSchemeSaysHowTheTokenIsBound(t *testing.T) {
	i, k := identitytest.At(t, at(start)), identitytest.NewProofKey(t)
	bound, free := i.MintBound(k.JKT, "alice"), i.Mint("alice")
	send := func(scheme, token string) error {
		h := identitytest.ProofHeader(token, k.Proof(wanted(k, token), i.Proofs.Nonce(), start))
		h.Set("Authorization", scheme+" "+token)
		_, err := i.Verifier.Verify(t.Context(), request(h))
		return err
	}
	for _, tt := range []struct {
		scheme, token string
		want          error
	}{
		{"DPoP", bound, nil}, {"dpop", bound, nil}, {"Bearer", free, nil},
		{"Bearer", bound, identity.ErrProof}, {"DPoP", free, identity.ErrUnbound},
		{"DPoP", i.Expired(), identity.ErrExpired}, {"DPoP", i.Bound(), identity.ErrBadProof},
	} {
		if err := send(tt.scheme, tt.token); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v; want %v", tt.scheme, err, tt.want)
		}
	}
}

func TestProofIsNeverCached(t *testing.T) {
	i, k := identitytest.At(t, at(start)), identitytest.NewProofKey(t)
	token := i.MintBound(k.JKT, "alice")
	good := func() http.Header {
		return identitytest.ProofHeader(token, k.Proof(wanted(k, token), i.Proofs.Nonce(), start))
	}
	first, err := i.Verifier.Verify(t.Context(), request(good()))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := i.Verifier.Verify(t.Context(), request(good())); err != nil || again != first {
		t.Errorf("the next: %p, %v; want the cached %p", again, err, first)
	}
	for name, h := range map[string]http.Header{"no proof": identitytest.ProofHeader(token), "Bearer": identitytest.Header(token)} {
		if who, err := i.Verifier.Verify(t.Context(), request(h)); who != nil || !errors.Is(err, identity.ErrProof) {
			t.Errorf("%s, with the token in the cache: %v, %v; want ErrProof", name, who, err)
		}
	}
	if who, err := i.Verifier.VerifyToken(token); who != nil || !errors.Is(err, identity.ErrProof) {
		t.Errorf("the bare token: %v, %v; want ErrProof", who, err)
	}
	if who, err := i.Verifier.VerifyUnproven(token); err != nil || who.JKT != k.JKT {
		t.Errorf("the token without its proof: %+v, %v", who, err)
	}
}

func TestWithoutACheckerBoundTokensAreRefused(t *testing.T) {
	i, k := identitytest.At(t, at(start)), identitytest.NewProofKey(t)
	token := i.MintBound(k.JKT, "alice")
	for _, cfg := range []identity.VerifierConfig{{PublicURL: identitytest.URL}, {Proofs: i.Proofs}} {
		cfg.Issuer, cfg.Audience, cfg.Keys, cfg.Now = identitytest.URL, identitytest.Audience, i, at(start)
		v, err := identity.NewVerifier(cfg)
		if err != nil {
			t.Fatal(err)
		}
		h := identitytest.ProofHeader(token, k.Proof(wanted(k, token), i.Proofs.Nonce(), start))
		if who, err := v.Verify(t.Context(), request(h)); who != nil || !errors.Is(err, identity.ErrProof) ||
			err.Error() != "token is bound to a key and the request proves none that could be checked here" {
			t.Errorf("%v, %v; want ErrProof", who, err)
		}
	}
}

func TestNewNonceIsToldWithSuccess(t *testing.T) {
	now := start
	i, k := identitytest.At(t, func() time.Time { return now }), identitytest.NewProofKey(t)
	token := i.MintBound(k.JKT, "alice")
	nonce := i.Proofs.Nonce()
	send := func() *identity.Request {
		r := request(identitytest.ProofHeader(token, k.Proof(wanted(k, token), nonce, now)))
		r.Nonce = "left over"
		if _, err := i.Verifier.Verify(t.Context(), r); err != nil {
			t.Error(err)
		}
		return r
	}
	if r := send(); r.Nonce != "" {
		t.Errorf("nonce %q while the client's is the current one; want none", r.Nonce)
	}
	now = now.Add(time.Minute)
	if r := send(); r.Nonce != i.Proofs.Nonce() || r.Nonce == nonce {
		t.Errorf("nonce %q a minute later; want the new one", r.Nonce)
	}
}

func TestCertificateOfTheConnectionIsTheTokens(t *testing.T) {
	i, k := identitytest.At(t, at(start)), identitytest.NewProofKey(t)
	mine, other := &x509.Certificate{Raw: []byte("mine")}, &x509.Certificate{Raw: []byte("other")}
	chain := func(certs ...*x509.Certificate) *tls.ConnectionState {
		return &tls.ConnectionState{PeerCertificates: certs, VerifiedChains: [][]*x509.Certificate{certs}}
	}
	byCert := i.With(i.Claims("alice"), map[string]any{"cnf": map[string]any{"x5t#S256": pop.X5T(mine)}})
	byBoth := i.With(i.Claims("alice"), map[string]any{"cnf": map[string]any{"x5t#S256": pop.X5T(mine), "jkt": k.JKT}})
	bearer := func(token string) http.Header { return identitytest.Header(token) }
	proven := func(token string) http.Header {
		return identitytest.ProofHeader(token, k.Proof(wanted(k, token), i.Proofs.Nonce(), start))
	}
	for _, tt := range []struct {
		name  string
		h     http.Header
		tls   *tls.ConnectionState
		want  error
		proof string
	}{
		{"mine", bearer(byCert), chain(mine), nil, "mtls"},
		{"mine, then others", bearer(byCert), chain(mine, other), nil, "mtls"},
		{"another's", bearer(byCert), chain(other), identity.ErrCertificate, ""},
		{"another's, mine behind", bearer(byCert), chain(other, mine), identity.ErrCertificate, ""},
		{"no TLS", bearer(byCert), nil, identity.ErrProof, ""},
		{"no certificate", bearer(byCert), &tls.ConnectionState{}, identity.ErrProof, ""},
		{"not verified", bearer(byCert), &tls.ConnectionState{PeerCertificates: []*x509.Certificate{mine}}, identity.ErrProof, ""},
		{"scheme DPoP", proven(byCert), chain(mine), identity.ErrUnbound, ""},
		{"both", proven(byBoth), chain(mine), nil, "dpop"},
		{"both, key alone", proven(byBoth), nil, identity.ErrProof, ""},
		{"both, another's certificate", proven(byBoth), chain(other), identity.ErrCertificate, ""},
		{"both, certificate alone", bearer(byBoth), chain(mine), identity.ErrProof, ""},
		{"both, certificate and no proof", identitytest.ProofHeader(byBoth), chain(mine), identity.ErrProof, ""},
	} {
		r := request(tt.h)
		r.TLS = tt.tls
		who, err := i.Verifier.Verify(t.Context(), r)
		if !errors.Is(err, tt.want) || who != nil && who.Proof != tt.proof || who == nil && tt.proof != "" {
			t.Errorf("%s: %+v, %v; want %v and proof %q", tt.name, who, err, tt.want, tt.proof)
		}
	}
}
