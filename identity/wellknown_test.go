package identity_test

import (
	"testing"

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
