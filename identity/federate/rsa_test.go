package federate

import (
	"encoding/base64"
	"errors"
	"path/filepath"
	"testing"

	"sallyport/identity"
	"sallyport/identity/jose"
)

// RSA is for tokens of others. The gateway's own verifier takes none, even if such a key were
// among its own.
func TestRSAIsForTokensOfOthersAlone(t *testing.T) {
	private := rsaKey(t)
	path := filepath.Join(t.TempDir(), "keys.json")
	write(t, path, `{"keys":[{"kty":"RSA","kid":"rsa","n":"`+base64.RawURLEncoding.EncodeToString(private.N.Bytes())+`","e":"AQAB"}]}`)
	header := doc{"alg": "RS256", "typ": "JWT", "kid": "rsa"}
	if id, err := federation(t, githubRule(path)).Verify(t.Context(), signRSA(t, private, string(header.bytes(t)), string(githubClaims.bytes(t))), SubjectToken); err != nil || id.Rule != "github" {
		t.Errorf("a token of GitHub's: %v, %v; want it taken", id, err)
	}

	own, err := identity.NewVerifier(identity.VerifierConfig{Issuer: gateway, Audience: gateway + "/mcp", Now: still,
		Keys: ownKeys{"rsa": jose.Key{ID: "rsa", Alg: jose.RS256, Public: &private.PublicKey}}})
	if err != nil {
		t.Fatal(err)
	}
	claims := doc{"iss": gateway, "aud": gateway + "/mcp", "sub": "alice", "client_id": "c", "roles": []string{"r"}, "jti": "j", "iat": start.Unix(), "exp": start.Unix() + 60}
	token := signRSA(t, private, string(header.but(doc{"typ": "at+jwt"}).bytes(t)), string(claims.bytes(t)))
	if who, err := own.VerifyAt(token, start); who != nil || !errors.Is(err, identity.ErrAlgorithm) {
		t.Errorf("a token of ours signed with RSA: %v, %v; want ErrAlgorithm", who, err)
	}
}

type ownKeys map[string]jose.Key

func (k ownKeys) Keys() *identity.KeySet { return &identity.KeySet{ByID: k} }
