package wire

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"

	"sallyport/internal/strictjson"
)

// errNoHeader is returned for a value that no header can carry.
var errNoHeader = errors.New("cannot be mirrored in a header")

// MirrorHeaders returns the headers in which a request of the newer protocol says again what its
// body says: the revision, the method, the name of what the method acts on where there is one, and
// the arguments that the tool's schema binds (MCP 2026-07-28, Streamable HTTP, "Client Behavior").
func MirrorHeaders(method, name string, bindings []HeaderBinding, args []byte) (http.Header, error) {
	h := http.Header{"Content-Type": jsonType, "Accept": bothTypes, HeaderVersion: {V20260728}, HeaderMethod: {method}}
	if needsName(method) {
		value, ok := mcp.EncodeHeaderValue(name)
		if !ok {
			return nil, fmt.Errorf("the name %w", errNoHeader)
		}
		h[HeaderName] = []string{value}
	}
	for _, b := range bindings {
		raw, present := lookup(args, b.Path)
		if !present {
			continue
		}
		text := string(raw)
		if raw[0] == '"' {
			text, _ = strictjson.String(raw) // it is one
		}
		value, ok := mcp.EncodeHeaderValue(text)
		if !ok || raw[0] == '{' || raw[0] == '[' {
			return nil, fmt.Errorf("the argument for %s %w", b.Header, errNoHeader)
		}
		h[b.Header] = []string{value}
	}
	return h, nil
}
