package identitytest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/identity"
	"sallyport/identity/grant"
	"sallyport/identity/jose"
	"sallyport/identity/pop"
)

// Issuer and audience of the tokens that [New] and [At] make.
const (
	URL      = "http://127.0.0.1:8080"
	Audience = URL + "/mcp"
)

// Issuer signs tokens with a key of its own. It is safe for concurrent use.
type Issuer struct {
	Verifier *identity.Verifier // trusts exactly this issuer
	Proofs   *pop.Checker       // of the verifier
	Kid      string
	Now      func() time.Time
	Grants   *grant.Registry // nil before WithGrants: then its tokens name none
	Store    *grant.Memory   // of Grants

	t       testing.TB
	url     string
	private ed25519.PrivateKey
	set     atomic.Pointer[identity.KeySet]
	names   string            // the grant of all tokens; empty: see Grants
	mu      sync.Mutex        // guards granted
	granted map[string]string // grants by subject and roles
}

// New returns an issuer for [URL] and [Audience], and the verifier that trusts it.
func New(t testing.TB) *Issuer {
	t.Helper()
	return At(t, time.Now)
}

// At is New with a clock.
func At(t testing.TB, now func() time.Time) *Issuer {
	t.Helper()
	return For(t, URL, now)
}

// For is New for a gateway at another public URL, with a clock.
func For(t testing.TB, publicURL string, now func() time.Time) *Issuer {
	t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails
	return holding(t, publicURL, seed, now)
}

// Stolen is For with the signing key of a gateway, from its file. All its tokens name the grant,
// which must be of subject alice, client test and role reader for them to be good.
func Stolen(t testing.TB, publicURL, file, grant string, now func() time.Time) *Issuer {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := jose.ParseJWK(text)
	if err != nil {
		t.Fatal(err)
	}
	private, err := jwk.Signer()
	if err != nil {
		t.Fatal(err)
	}
	i := holding(t, publicURL, private.Seed(), now)
	i.names = grant
	return i
}

func holding(t testing.TB, publicURL string, seed []byte, now func() time.Time) *Issuer {
	t.Helper()
	jwk := jose.NewEd25519(seed)
	key, err := jwk.Key()
	if err != nil {
		t.Fatal(err)
	}
	i := &Issuer{Kid: jwk.Kid, Now: now, t: t, url: publicURL, private: ed25519.NewKeyFromSeed(seed)}
	i.set.Store(&identity.KeySet{ByID: map[string]jose.Key{jwk.Kid: key}})
	i.Proofs = pop.NewChecker(pop.CheckerOptions{Now: now})
	i.Verifier, err = identity.NewVerifier(identity.VerifierConfig{Issuer: publicURL, Audience: publicURL + "/mcp", Keys: i,
		PublicURL: publicURL, Proofs: i.Proofs, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// Keys makes the issuer an identity.KeySource.
func (i *Issuer) Keys() *identity.KeySet { return i.set.Load() }

// DropKey takes the issuer's key out of the set, as a rotation does in the end.
func (i *Issuer) DropKey() {
	i.set.Store(&identity.KeySet{Epoch: i.set.Load().Epoch + 1})
}

// Mint returns a good token of five minutes for a subject with roles; without roles it has
// "reader".
func (i *Issuer) Mint(subject string, roles ...string) string {
	return i.With(i.Claims(subject, roles...), nil)
}

// Header returns the header of a request with the token.
func Header(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}}
}

// Claims returns the claims of a good token, to be changed and signed by [Issuer.With].
func (i *Issuer) Claims(subject string, roles ...string) map[string]any {
	if len(roles) == 0 {
		roles = []string{"reader"}
	}
	claims := i.claims(subject, roles)
	if i.names != "" {
		claims["grant"] = i.names
	}
	if i.Grants != nil {
		claims["grant"] = i.grantFor(subject, roles)
	}
	return claims
}

func (i *Issuer) claims(subject string, roles []string) map[string]any {
	now := i.Now().Unix()
	return map[string]any{"iss": i.url, "aud": i.url + "/mcp", "sub": subject, "client_id": "test",
		"roles": roles, "iat": now, "exp": now + 300, "jti": rand.Text()}
}

// With signs claims with changes on top; a nil value deletes a claim.
func (i *Issuer) With(claims, changes map[string]any) string {
	return i.Sign(i.header("EdDSA", "at+jwt"), i.Body(claims, changes))
}

// Sign signs exactly these bytes with the issuer's key, whatever they say.
func (i *Issuer) Sign(header, claims string) string {
	input := enc(header) + "." + enc(claims)
	return input + "." + enc(string(ed25519.Sign(i.private, []byte(input))))
}

func (i *Issuer) header(alg, typ string) string {
	return `{"alg":"` + alg + `","typ":"` + typ + `","kid":"` + i.Kid + `"}`
}

// Body returns claims with changes on top as JSON; a nil value deletes a claim.
func (i *Issuer) Body(claims, changes map[string]any) string {
	i.t.Helper()
	claims = maps.Clone(claims)
	for name, v := range changes {
		claims[name] = v
		if v == nil {
			delete(claims, name)
		}
	}
	body, err := json.Marshal(claims)
	if err != nil {
		i.t.Fatal(err)
	}
	return string(body)
}

func enc(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
