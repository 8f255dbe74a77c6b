package wire

import (
	"net/http"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
)

// checkHeaders decides the era and holds the MCP headers against the body. Authorisation
// looks at the body only; a header that says otherwise would let the next server on the way
// act on something that was never decided, so it is refused whatever the era
// (MCP 2026-07-28, Streamable HTTP, "Server Validation").
func (m *Message) checkHeaders(h http.Header, at *noted) *Error {
	if err := checkForm(h); err != nil {
		return err
	}
	if err := m.decideEra(first(h, HeaderVersion), at); err != nil {
		return err
	}
	if m.Era == Modern && m.Kind == Response {
		return invalid("protocol %s has no responses from clients: answer in inputResponses of a retry", V20260728)
	}
	// "Header requirements for notification POSTs are not defined by this revision."
	required := m.Era == Modern && m.Kind == Request
	if err := checkMirror(h, HeaderMethod, m.Method, required); err != nil {
		return err
	}
	return checkMirror(h, HeaderName, m.Name, required && needsName(m.Method))
}

// needsName adds the Tasks extension (SEP-2663) to the methods that must carry Mcp-Name.
func needsName(method string) bool {
	switch method {
	case MethodTasksGet, MethodTasksUpdate, MethodTasksCancel:
		return true
	}
	return mcp.MethodRequiresNameHeader(mcp.MCPMethod(method))
}

// checkForm refuses protocol headers that could be read in two ways: given twice, or holding
// what a header may not.
func checkForm(h http.Header) *Error {
	for name, values := range h {
		switch {
		case name == HeaderVersion, name == HeaderMethod, name == HeaderName, name == HeaderSession, name == HeaderLastEventID:
		case len(name) >= len(HeaderParamPrefix) && strings.EqualFold(name[:len(HeaderParamPrefix)], HeaderParamPrefix):
		default:
			continue
		}
		if len(values) > 1 {
			return mismatch("the header %s is there %d times", name, len(values))
		}
		if len(values) == 1 && !safeValue(values[0]) {
			return mismatch("the header %s holds characters that a header may not", name)
		}
		if name == HeaderVersion && first(h, name) == "" {
			return mismatch("the header %s is empty", name) // not the same as absent to everybody
		}
	}
	return nil
}

func first(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// decideEra takes the revision from the header and from _meta, which must agree.
func (m *Message) decideEra(header string, at *noted) *Error {
	meta, err := m.str(at, atMetaVersion, metaVersion)
	if err != nil {
		return err
	}
	declared := !at[atMetaVersion].Empty()
	switch {
	case declared && header == "":
		return mismatch("%s is missing and _meta names a revision", HeaderVersion)
	case declared && header != meta:
		return mismatch("%s and _meta name different revisions", HeaderVersion)
	case header == "" && m.Method == MethodInitialize:
		return nil // the revision is what the two sides are about to agree on
	case header == "":
		m.Version = V20250326 // the protocol's reading of an absent header
		return nil
	}
	era, known := eraOf(header)
	if !known {
		return unsupported(header)
	}
	m.Era, m.Version = era, header
	if m.Method == MethodInitialize {
		m.Version = ""
	}
	if m.Era == Legacy || m.Kind != Request {
		return nil
	}
	if !declared {
		return badParams("params._meta needs %q", metaVersion)
	}
	if raw := at.raw(m.Raw, atMetaCapabilities); raw == nil || raw[0] != '{' {
		return badParams("params._meta needs %q", metaCapabilities)
	}
	return nil
}

// checkMirror holds one mirrored header against the body's value.
func checkMirror(h http.Header, name, want string, required bool) *Error {
	if len(h[name]) == 0 {
		if required {
			return mismatch("the header %s is missing", name)
		}
		return nil
	}
	got, ok := h[name][0], true
	if name != HeaderMethod { // methods are never encoded
		got, ok = mcp.DecodeHeaderValue(got)
	}
	if !ok {
		return mismatch("the header %s is not valid base64", name)
	}
	if got != want {
		return mismatch("the header %s disagrees with the body", name)
	}
	return nil
}

// safeValue reports whether v holds only what the protocol lets a header hold: visible ASCII,
// space and tab; all else travels in base64.
func safeValue(v string) bool {
	for i := range len(v) {
		if c := v[i]; c < 0x20 && c != '\t' || c > 0x7e {
			return false
		}
	}
	return true
}
