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

// serverMetadata is RFC 8414 §2. It offers no endpoint where a client could register or log
// in: response_types_supported is required and therefore there, and empty.
func serverMetadata(publicURL string) []byte {
	return toJSON(struct {
		Issuer        string   `json:"issuer"`
		KeySet        string   `json:"jwks_uri"`
		ResponseTypes []string `json:"response_types_supported"`
		GrantTypes    []string `json:"grant_types_supported"`
	}{publicURL, publicURL + identity.KeySetPath, []string{}, []string{}})
}

// resourceMetadata is RFC 9728 §2; resource is exactly the URL that was asked about (§3.3).
func resourceMetadata(publicURL, path string) []byte {
	return toJSON(struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
		Methods  []string `json:"bearer_methods_supported"`
		Name     string   `json:"resource_name"`
	}{publicURL + path, []string{publicURL}, []string{"header"}, "Sallyport"})
}

func toJSON(v any) []byte {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic("mint: strings that do not marshal: " + err.Error()) // cannot be reached
	}
	return append(b, '\n')
}
