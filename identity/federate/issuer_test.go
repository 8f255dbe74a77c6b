package federate

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sallyport/identity/jose"
)

// start is the time of the tests that stand still.
var start = time.Unix(1_800_000_000, 0)

func still() time.Time { return start }

// issuer signs tokens of others. Its key follows from its name.
type issuer struct {
	jwk     jose.JWK
	private ed25519.PrivateKey
}

func newIssuer(t testing.TB, name string) *issuer {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	i := &issuer{jwk: jose.NewEd25519(seed[:])}
	var err error
	if i.private, err = i.jwk.Signer(); err != nil {
		t.Fatal(err)
	}
	return i
}

// set is the issuer's JWK Set.
func (i *issuer) set() string { return `{"keys":[` + string(i.jwk.Public()) + `]}` }

func (i *issuer) file(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	write(t, path, i.set())
	return path
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

type doc map[string]any

// but returns the document with changes; a nil value takes a member out.
func (d doc) but(changes doc) doc {
	d = maps.Clone(d)
	for name, v := range changes {
		d[name] = v
		if v == nil {
			delete(d, name)
		}
	}
	return d
}

func (d doc) bytes(t testing.TB) []byte {
	t.Helper()
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// token signs claims under a header with the issuer's kid, on top of which come changes.
func (i *issuer) token(t testing.TB, claims, header doc) string {
	t.Helper()
	return i.sign(doc{"alg": "EdDSA", "typ": "JWT", "kid": i.jwk.Kid}.but(header).bytes(t), claims.bytes(t))
}

// sign signs exactly these bytes.
func (i *issuer) sign(header, claims []byte) string {
	input := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	return input + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(i.private, []byte(input)))
}

const gateway = "https://gw.example"

// What a token of each kind of issuer says.
var (
	githubClaims = doc{"iss": "https://token.actions.githubusercontent.com", "aud": gateway, "sub": "repo:octo/repo:ref:refs/heads/main",
		"repository": "octo/repo", "repository_id": "123", "repository_owner_id": "65", "run_id": "77", "jti": "j",
		"iat": start.Unix(), "nbf": start.Unix() - 600, "exp": start.Unix() + 300}
	podClaims = doc{"iss": "https://kubernetes.default.svc", "aud": []string{gateway}, "sub": "system:serviceaccount:agents:runner",
		"iat": start.Unix(), "nbf": start.Unix(), "exp": start.Unix() + 600,
		"kubernetes.io": doc{"namespace": "agents", "pod": doc{"name": "runner-1", "uid": "2f5e"}, "serviceaccount": doc{"name": "runner", "uid": "9c1b"}}}
	svidClaims   = doc{"aud": []string{gateway}, "sub": "spiffe://corp.example/ns/agents/runner", "exp": start.Unix() + 300}
	clientClaims = doc{"iss": "batch", "sub": "batch", "aud": gateway, "jti": "one", "iat": start.Unix(), "exp": start.Unix() + 60}
)

// The rules that take them; keys come from files.
func githubRule(file string) Rule {
	return Rule{Name: "github", Issuer: "https://token.actions.githubusercontent.com", Audience: gateway, JWKSFile: file,
		Require: map[string]string{"repository_id": "123", "repository_owner_id": "65"},
		Subject: "ci:github:{repository_id}:{run_id}", Roles: []string{"ci-reader"}}
}

func podRule(file string) Rule {
	return Rule{Name: "k8s", Issuer: "https://kubernetes.default.svc", Audience: gateway, JWKSFile: file,
		Require: map[string]string{"kubernetes.io/serviceaccount/uid": "9c1b"}, RequireClaim: []string{"kubernetes.io/pod/uid"},
		Subject: "k8s:{sub}", Client: "runner", Roles: []string{"reader", "writer"}, BearerAllowed: true}
}

func svidRule(file string) Rule {
	return Rule{Name: "spire", Kind: "spiffe", TrustDomain: "corp.example", Audience: gateway, JWKSFile: file, Roles: []string{"reader"}}
}

func clientRule(file string) Rule {
	return Rule{Name: "batch", Kind: "private_key_jwt", ClientID: "batch", Audience: gateway, JWKSFile: file, Roles: []string{"batch"}}
}

// federation makes a Federation that stands still and is closed with the test.
func federation(t testing.TB, rules ...Rule) *Federation {
	t.Helper()
	f, err := New(rules, Options{Now: still})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}
