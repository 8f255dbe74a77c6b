package mint

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"sallyport/identity"
)

// Handler serves the documents by which clients find the issuer: JWK Set, RFC 8414 and
// RFC 9728. publicURL has no path of its own. Which servers exist is not shown: the document
// of a resource says the same for each name. Everything else is 404 in plain words, also
// /register, /authorize and /token: a client that tries them on a guess must see a page that
// is not there, not something to go on with.
func Handler(i *Issuer, publicURL string) http.Handler {
	publicURL = strings.TrimSuffix(publicURL, "/")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		doc, ok := document(i, publicURL, r.URL.Path)
		if !ok {
			http.Error(w, "404: this gateway has no such page. Tokens come from `sallyport token mint` and `sallyport token headers`.", http.StatusNotFound)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "405: this page can only be read (GET)", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(keySetMaxAge.Seconds())))
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(doc) // an error means that the client has gone
	})
}

func document(i *Issuer, publicURL, path string) ([]byte, bool) {
	switch path {
	case identity.KeySetPath:
		return i.cfg.Keys.jwks(), true
	case identity.ServerMetadataPath:
		return serverMetadata(publicURL), true
	case identity.ResourceMetadataPath:
		return resourceMetadata(publicURL, "/mcp"), true
	}
	resource, ok := strings.CutPrefix(path, identity.ResourceMetadataPath)
	if !ok || !identity.IsResource(resource) {
		return nil, false
	}
	return resourceMetadata(publicURL, resource), true
}

// proofAlgorithms are those of DPoP proofs, assertionAlgorithms those of what others sign.
var (
	proofAlgorithms     = []string{"ES256", "EdDSA"}
	assertionAlgorithms = []string{"ES256", "EdDSA", "RS256", "PS256"}
)

// serverMetadata is RFC 8414 §2, with RFC 8705 §3.3, RFC 9396 §10 and RFC 9449 §5.1. It offers
// no endpoint where a client could register or log in: response_types_supported is required
// and therefore there, and empty.
func serverMetadata(publicURL string) []byte {
	return toJSON(struct {
		Issuer         string   `json:"issuer"`
		KeySet         string   `json:"jwks_uri"`
		Token          string   `json:"token_endpoint"`
		Revoke         string   `json:"revocation_endpoint"`
		Introspect     string   `json:"introspection_endpoint"`
		ResponseTypes  []string `json:"response_types_supported"`
		GrantTypes     []string `json:"grant_types_supported"`
		TokenAuth      []string `json:"token_endpoint_auth_methods_supported"`
		TokenAlgs      []string `json:"token_endpoint_auth_signing_alg_values_supported"`
		RevokeAuth     []string `json:"revocation_endpoint_auth_methods_supported"`
		IntrospectAuth []string `json:"introspection_endpoint_auth_methods_supported"`
		IntrospectAlgs []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
		Proofs         []string `json:"dpop_signing_alg_values_supported"`
		Certificates   bool     `json:"tls_client_certificate_bound_access_tokens"`
		Details        []string `json:"authorization_details_types_supported"`
	}{publicURL, publicURL + identity.KeySetPath, publicURL + TokenPath, publicURL + RevokePath, publicURL + IntrospectPath,
		[]string{}, []string{grantExchange, grantBearer, grantClient},
		[]string{"private_key_jwt"}, assertionAlgorithms,
		[]string{"none"}, // possession of the token, and of its key, is what counts
		[]string{"private_key_jwt"}, assertionAlgorithms,
		proofAlgorithms, true, []string{detailType}})
}

// resourceMetadata is RFC 9728 §2; resource is exactly the URL that was asked about (§3.3).
func resourceMetadata(publicURL, path string) []byte {
	return toJSON(struct {
		Resource     string   `json:"resource"`
		Servers      []string `json:"authorization_servers"`
		Methods      []string `json:"bearer_methods_supported"`
		Name         string   `json:"resource_name"`
		Proofs       []string `json:"dpop_signing_alg_values_supported"`
		Certificates bool     `json:"tls_client_certificate_bound_access_tokens"`
		Details      []string `json:"authorization_details_types_supported"`
	}{publicURL + path, []string{publicURL}, []string{"header"}, "Sallyport", proofAlgorithms, true, []string{detailType}})
}

func toJSON(v any) []byte {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic("mint: strings that do not marshal: " + err.Error()) // cannot be reached
	}
	return append(b, '\n')
}
