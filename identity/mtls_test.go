package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"sallyport/identity"
	"sallyport/identity/identitytest"
	"sallyport/identity/pop"
)

// authority signs client certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	tls := a.issue(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.cert, a.key = tls.Leaf, tls.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// issue signs a certificate, by itself while the authority has none.
func (a *authority) issue(template *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber, template.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: "test"}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) client() tls.Certificate {
	return a.issue(&x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// What a connection says of itself is made by crypto/tls here, not by the test.
func TestCertificateBoundTokenOverRealTLS(t *testing.T) {
	ca, i := newAuthority(t), identitytest.New(t)
	mine, other := ca.client(), ca.client()
	stranger := newAuthority(t).client()
	bind := func(c tls.Certificate) string {
		return i.With(i.Claims("alice"), map[string]any{"cnf": map[string]any{"x5t#S256": pop.X5T(c.Leaf)}})
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	for _, tt := range []struct {
		name    string
		auth    tls.ClientAuthType
		cert    *tls.Certificate
		token   string
		want    error
		resumed bool
	}{
		{"mine", tls.VerifyClientCertIfGiven, &mine, bind(mine), nil, false},
		{"mine, on a resumed session", tls.VerifyClientCertIfGiven, &mine, bind(mine), nil, true},
		{"another's", tls.VerifyClientCertIfGiven, &other, bind(mine), identity.ErrCertificate, false},
		{"another's, on a resumed session", tls.VerifyClientCertIfGiven, &other, bind(mine), identity.ErrCertificate, true},
		{"none", tls.VerifyClientCertIfGiven, nil, bind(mine), identity.ErrProof, false},
		{"one that nobody verified", tls.RequireAnyClientCert, &stranger, bind(stranger), identity.ErrProof, false},
	} {
		var got error
		var resumed bool
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			resumed = r.TLS.DidResume
			_, got = i.Verifier.Verify(r.Context(), &identity.Request{Method: r.Method, Path: r.URL.EscapedPath(), Header: r.Header, TLS: r.TLS})
		}))
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.TLS = &tls.Config{ClientAuth: tt.auth, ClientCAs: pool}
		s.StartTLS()
		transport := s.Client().Transport.(*http.Transport)
		transport.DisableKeepAlives = true // the next request makes a connection of its own
		transport.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		if tt.cert != nil {
			transport.TLSClientConfig.Certificates = []tls.Certificate{*tt.cert}
		}
		connections := 1
		if tt.resumed {
			connections = 2
		}
		for range connections {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/mcp", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header = identitytest.Header(tt.token)
			answer, err := s.Client().Do(r)
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
		}
		s.Close()
		if !errors.Is(got, tt.want) || resumed != tt.resumed {
			t.Errorf("%s: %v, resumed %v; want %v, %v", tt.name, got, resumed, tt.want, tt.resumed)
		}
	}
}
