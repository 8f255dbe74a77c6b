package federation

import "strings"

// scheme begins every URI of a resource at the federated endpoint.
const scheme = "sallyport://"

// URI returns the URI under which a server's own resource is served: sallyport://server/ and the
// server's URI as it is. Nothing in it is escaped, so the same works for a URI template.
func URI(server, own string) string { return scheme + server + "/" + own }

// SplitURI takes a URI of the federated endpoint apart. ok is false for one that URI does not
// make.
func SplitURI(uri string) (server, own string, ok bool) {
	rest, ok := strings.CutPrefix(uri, scheme)
	if !ok {
		return "", "", false
	}
	server, own, ok = strings.Cut(rest, "/")
	if !ok || own == "" || CheckServer(server) != nil {
		return "", "", false
	}
	return server, own, true
}
