// Package federation makes one set of names out of the tools, prompts and resources of many
// servers.
//
// A tool or prompt of a server is served as server__name, a resource under a URI that begins
// with the server's name. The server's name is the operator's, never what a server calls itself,
// and has no underscore in it, so that no two servers can bring the same name and none can take
// another's. What could be mistaken for another name is not served at all: [Index.Problems] says
// which, and why.
//
// Everything here is immutable once built and looks at bytes only: it decides nothing, and knows
// no caller. It may be imported by gateway and gateway/config; it imports gateway/wire,
// gateway/catalog and the strict JSON reader.
package federation
