package identity

import (
	"net/http"
	"net/url"
	"strings"

	"sallyport/internal/strictjson"
)

// bearer takes the token from the one place where it may stand: the only Authorization
// header, scheme Bearer (RFC 6750 §2.1).
func bearer(h http.Header, rawQuery string) (string, error) {
	if rawQuery != "" && queryHasToken(rawQuery) {
		return "", ErrQueryToken
	}
	values := h["Authorization"]
	if len(values) == 0 {
		return "", ErrMissing
	}
	if len(values) > 1 {
		return "", ErrScheme
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if ok && strings.EqualFold(scheme, "DPoP") && token != "" {
		return "", ErrProof // the token's proof cannot be verified yet
	}
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", ErrScheme
	}
	return token, nil
}

// queryHasToken reports whether a query names a token: queries end up in logs and histories
// (RFC 9700 §4.3.2), so a token there is refused even beside a good header. A query that
// cannot be read is refused as well, since another reader may find one in it.
func queryHasToken(raw string) bool {
	for part := range strings.FieldsFuncSeq(raw, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return true
		}
		switch strictjson.Fold(strings.TrimSpace(name)) {
		case "access_token", "token", "id_token", "bearer_token", "authorization", "dpop":
			return true
		}
	}
	return false
}

// Paths of the documents by which clients find the issuer (RFC 9728 §3, RFC 8414 §3).
const (
	ResourceMetadataPath = "/.well-known/oauth-protected-resource"
	ServerMetadataPath   = "/.well-known/oauth-authorization-server"
	KeySetPath           = "/.well-known/jwks.json"
)

// Challenge returns the WWW-Authenticate value of a 401 for the resource at path, as
// "/mcp/files": where its metadata stands, and nothing about what was wrong.
func Challenge(publicURL, path string) string {
	return `Bearer resource_metadata="` + strings.TrimSuffix(publicURL, "/") + ResourceMetadataPath + path + `"`
}
