package identity_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/identity"
)

func TestChallengePointsToTheMetadataOfTheResource(t *testing.T) {
	const root = `Bearer resource_metadata="https://gw.example/.well-known/oauth-protected-resource`
	for path, want := range map[string]string{
		"/mcp":                root + `/mcp"`,
		"/mcp/files":          root + `/mcp/files"`,
		"/":                   root + `/mcp"`,
		"":                    root + `/mcp"`,
		"/mcp/a\"b":           root + `/mcp"`,
		"/mcp/a\r\nX-Evil: 1": root + `/mcp"`,
		"/mcp/../admin":       root + `/mcp"`,
	} {
		for _, publicURL := range []string{"https://gw.example", "https://gw.example/"} {
			if got := identity.Challenge(publicURL, path, nil, "").Get("WWW-Authenticate"); got != want {
				t.Errorf("Challenge(%q, %q) = %s; want %s", publicURL, path, got, want)
			}
		}
	}
}

func TestChallengeTellsOfTheNonceAndNothingElse(t *testing.T) {
	const bearer = `Bearer resource_metadata="https://gw.example/.well-known/oauth-protected-resource/mcp"`
	for _, tt := range []struct {
		err   error
		nonce string
		want  http.Header
	}{
		{identity.ErrNonce, "n", http.Header{"Www-Authenticate": {bearer, `DPoP algs="ES256 EdDSA", error="use_dpop_nonce"`}, "Dpop-Nonce": {"n"}}},
		{fmt.Errorf("wrapped: %w", identity.ErrNonce), "n", http.Header{"Www-Authenticate": {bearer, `DPoP algs="ES256 EdDSA", error="use_dpop_nonce"`}, "Dpop-Nonce": {"n"}}},
		{identity.ErrExpired, "", http.Header{"Www-Authenticate": {bearer, `DPoP algs="ES256 EdDSA"`}}},
		{identity.ErrReplay, "", http.Header{"Www-Authenticate": {bearer, `DPoP algs="ES256 EdDSA"`}}},
		{identity.ErrProofsFull, "", http.Header{"Www-Authenticate": {bearer, `DPoP algs="ES256 EdDSA"`}}},
		{nil, "", http.Header{"Www-Authenticate": {bearer, `DPoP algs="ES256 EdDSA"`}}},
	} {
		if diff := cmp.Diff(tt.want, identity.Challenge("https://gw.example", "/mcp", tt.err, tt.nonce)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.err, diff)
		}
	}
}

func TestResourceNamesHaveBounds(t *testing.T) {
	for _, name := range []string{"a", "z", "A", "Z", "0", "9", "a-b_c.d", "-", "_", strings.Repeat("a", 64)} {
		if !identity.IsResource("/mcp/" + name) {
			t.Errorf("IsResource(/mcp/%s) = false; want true", name)
		}
	}
	// Beside the letters and digits stand @ and [, ` and {, / and :.
	for _, name := range []string{"", ".a", "@", "[", "`", "{", "/", ":", "a@", "a[", "a`", "a{", "a/", "a:", "a%", "a b", "ä", strings.Repeat("a", 65)} {
		if identity.IsResource("/mcp/" + name) {
			t.Errorf("IsResource(/mcp/%s) = true; want false", name)
		}
	}
}
