package identity

import (
	"errors"
	"net/http"
	"strings"
)

// Paths of the documents by which clients find the issuer (RFC 9728 §3, RFC 8414 §3).
const (
	ResourceMetadataPath = "/.well-known/oauth-protected-resource"
	ServerMetadataPath   = "/.well-known/oauth-authorization-server"
	KeySetPath           = "/.well-known/jwks.json"
)

// IsResource reports whether path is that of a protected resource: /mcp or /mcp/{server},
// the name of 1 to 64 letters, digits, '-', '_' and '.', not starting with a dot. It does not
// say that such a server exists.
func IsResource(path string) bool {
	if path == "/mcp" {
		return true
	}
	name, ok := strings.CutPrefix(path, "/mcp/")
	if !ok || name == "" || len(name) > 64 || name[0] == '.' {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// ResourceMetadataURL returns where the metadata of the resource at path stands. What is no
// resource of ours counts as /mcp, so that a path from a request can be passed as it came.
func ResourceMetadataURL(publicURL, path string) string {
	if !IsResource(path) {
		path = "/mcp"
	}
	return strings.TrimSuffix(publicURL, "/") + ResourceMetadataPath + path
}

// Challenge returns the headers of a 401 for the resource at path: where its metadata stands
// (RFC 9728 §5.1) and which proofs are taken (RFC 9449 §7.1). Of what was wrong they say only
// that a proof needs the nonce, where err is ErrNonce; nonce is the request's Nonce.
func Challenge(publicURL, path string, err error, nonce string) http.Header {
	proof := `DPoP algs="ES256 EdDSA"`
	if errors.Is(err, ErrNonce) {
		proof += `, error="use_dpop_nonce"`
	}
	h := http.Header{"Www-Authenticate": {`Bearer resource_metadata="` + ResourceMetadataURL(publicURL, path) + `"`, proof}}
	if nonce != "" {
		h["Dpop-Nonce"] = []string{nonce}
	}
	return h
}
