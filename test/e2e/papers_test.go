package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// papers are an authority and what it signed: a gateway's certificate and two clients'. All are
// files in PEM.
type papers struct {
	authority                              string
	serverCert, serverKey                  string
	certFile, keyFile, otherCert, otherKey string
}

func newPapers(t *testing.T) *papers {
	t.Helper()
	dir := t.TempDir()
	var parent *x509.Certificate
	var signer *ecdsa.PrivateKey
	issue := func(name string, template *x509.Certificate) (cert, keyFile string) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template.SerialNumber, template.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		if parent == nil {
			parent, signer = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		cert, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
		for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
			if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return cert, keyFile
	}
	p := &papers{}
	p.authority, _ = issue("authority", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	p.serverCert, p.serverKey = issue("gateway", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	p.certFile, p.keyFile = issue("client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	p.otherCert, p.otherKey = issue("other", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return p
}

// config is what a gateway that takes certificates of clients has in its configuration.
func (p *papers) config() string {
	return fmt.Sprintf("tls: {cert: %q, key: %q, clientCA: %q}\n", p.serverCert, p.serverKey, p.authority)
}

// env is what Claude Code is told of its certificate and the gateway's authority.
func (p *papers) env() []string {
	return []string{"CLAUDE_CODE_CLIENT_CERT=" + p.certFile, "CLAUDE_CODE_CLIENT_KEY=" + p.keyFile, "NODE_EXTRA_CA_CERTS=" + p.authority}
}

// headers makes a grant for the first client's certificate and returns the command that prints the
// headers of its tokens.
func (p *papers) headers(t *testing.T, g *gate) string {
	t.Helper()
	out, talk, code := sallyport(t, "grant", "create", "--config", g.config, "--role", "agent", "--cert", p.certFile)
	if code != 0 {
		t.Fatalf("grant create: exit %d: %s", code, talk)
	}
	return fmt.Sprintf("%s token headers --config %s --grant %s --cert %s", binary, g.config, strings.TrimSpace(out), p.certFile)
}

// client shows the certificate in the files, or none.
func (p *papers) client(t *testing.T, cert, key string) *http.Client {
	t.Helper()
	text, err := os.ReadFile(p.authority)
	if err != nil {
		t.Fatal(err)
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	conf.RootCAs.AppendCertsFromPEM(text)
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	transport := &http.Transport{TLSClientConfig: conf}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// TestHelpersTokenIsNothingWithoutItsCertificate takes what `token headers` gives to a client with a
// certificate to other connections.
func TestHelpersTokenIsNothingWithoutItsCertificate(t *testing.T) {
	p := newPapers(t)
	g := startGate(t, setup{policies: map[string]string{"authz.rego": docsForAgents}, servers: map[string]string{"files": newRecorder(t).url}, more: p.config()})
	out, talk, code := sallyport(t, strings.Fields(p.headers(t, g))[1:]...)
	var h struct{ Authorization string }
	if err := json.Unmarshal([]byte(out), &h); err != nil || code != 0 {
		t.Fatalf("token headers: exit %d, %v: %s", code, err, talk)
	}
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{%s}}`, modern)
	for _, tt := range []struct {
		name   string
		client *http.Client
		want   int
	}{
		{"with its certificate", p.client(t, p.certFile, p.keyFile), http.StatusOK},
		{"with another's", p.client(t, p.otherCert, p.otherKey), http.StatusUnauthorized},
		{"without one", p.client(t, "", ""), http.StatusUnauthorized},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, strings.Replace(g.url(g.endpoint), "http:", "https:", 1), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"Authorization": h.Authorization, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
			"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"} {
			req.Header.Set(name, value)
		}
		resp, err := tt.client.Do(req)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("%s: %d; want %d", tt.name, resp.StatusCode, tt.want)
		}
	}
}
