package wire

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"

	"sallyport/internal/strictjson"
)

// checkHeaders decides the era and holds the MCP headers against the body. Authorisation
// looks at the body only; a header that says otherwise would let the next server on the way
// act on something that was never decided, so it is refused whatever the era.
func (m *Message) checkHeaders(h http.Header, meta metaFields) *Error {
	version, err := single(h, HeaderVersion)
	if err != nil {
		return err
	}
	if err := m.decideEra(version, meta); err != nil {
		return err
	}
	if err := m.checkMirror(h, HeaderMethod, m.Method, m.Era == Modern && m.Kind != Response); err != nil {
		return err
	}
	named := m.Era == Modern && m.Kind == Request && nameMember(m.Method) != "" && m.Method != MethodResSubscribe
	if err := m.checkMirror(h, HeaderName, m.Name, named); err != nil {
		return err
	}
	if m.Era == Modern && m.Kind == Response {
		return invalid("protocol %s has no responses from clients: answer in inputResponses of a retry", V20260728)
	}
	for name, values := range h {
		if strings.HasPrefix(name, headerParamPrefix) && len(values) != 1 {
			return mismatch("the header %s is there %d times", name, len(values))
		}
	}
	return nil
}

func (m *Message) decideEra(header string, meta metaFields) *Error {
	declared := header
	if meta.hasVersion {
		declared = meta.version
	}
	if declared == "" {
		if m.Method != MethodInitialize {
			m.Version = V20250326 // the spec's reading of an absent header
		}
		m.Era = Legacy
		return nil
	}
	for _, v := range []string{header, meta.version} {
		if _, known := eraOf(v); v != "" && !known {
			return unsupported(v)
		}
	}
	m.Era, _ = eraOf(declared)
	m.Version = declared
	if header != "" && meta.hasVersion && header != meta.version {
		return mismatch("%s is %q and _meta says %q", HeaderVersion, header, meta.version)
	}
	if m.Era == Legacy {
		return nil
	}
	switch {
	case header == "":
		return mismatch("%s is missing and _meta says %q", HeaderVersion, meta.version)
	case m.Kind != Request:
		return nil
	case !meta.hasVersion:
		return &Error{RPC: RPCInvalidParams, Message: fmt.Sprintf("params._meta needs %q", metaVersion)}
	case !meta.capabilities:
		return &Error{RPC: RPCInvalidParams, Message: fmt.Sprintf("params._meta needs %q", metaCapabilities)}
	}
	return nil
}

// checkMirror holds one mirrored header against the body's value.
func (m *Message) checkMirror(h http.Header, name, want string, required bool) *Error {
	got, err := single(h, name)
	if err != nil {
		return err
	}
	if got == "" && len(h[name]) == 0 {
		if required {
			return mismatch("the header %s is missing", name)
		}
		return nil
	}
	decoded, ok := mcp.DecodeHeaderValue(got)
	if !ok {
		return mismatch("the header %s is not valid base64", name)
	}
	if decoded != want {
		return mismatch("the header %s disagrees with the body", name)
	}
	return nil
}

func single(h http.Header, name string) (string, *Error) {
	switch v := h[name]; len(v) {
	case 0:
		return "", nil
	case 1:
		return v[0], nil
	default:
		return "", mismatch("the header %s is there %d times", name, len(v))
	}
}

func mismatch(format string, args ...any) *Error {
	return &Error{Code: HeaderMismatch, RPC: RPCHeaderMismatch, Message: "header mismatch: " + fmt.Sprintf(format, args...)}
}

func unsupported(version string) *Error {
	data, err := json.Marshal(map[string]any{"supported": Supported(), "requested": version})
	if err != nil {
		data = nil
	}
	return &Error{Code: UnsupportedVersion, RPC: RPCVersion, Message: "unsupported protocol version", Data: data}
}

// HeaderBinding says that an argument travels in a header as well (x-mcp-header).
type HeaderBinding struct {
	Header string   // full name, canonical form
	Path   []string // from the root of the arguments
}

// HeaderBindings reads the x-mcp-header annotations of an input schema. The error says which
// annotation breaks the rules of the protocol (SEP-2243).
func HeaderBindings(inputSchema []byte) ([]HeaderBinding, error) {
	if !strings.Contains(string(inputSchema), "x-mcp-header") {
		return nil, nil
	}
	tool := &mcp.Tool{RawInputSchema: inputSchema}
	if err := mcp.ValidateParamHeaderAnnotations(tool); err != nil {
		return nil, err
	}
	var out []HeaderBinding
	for _, b := range mcp.ExtractParamHeaderBindings(tool) {
		out = append(out, HeaderBinding{Header: http.CanonicalHeaderKey(b.HeaderName()), Path: b.Path})
	}
	slices.SortFunc(out, func(a, b HeaderBinding) int { return strings.Compare(a.Header, b.Header) })
	return out, nil
}

// CheckParamHeaders holds the Mcp-Param headers of a call against its arguments. A bound
// argument that is present must be mirrored, one that is absent or null must not be.
func CheckParamHeaders(h http.Header, bindings []HeaderBinding, args []byte) *Error {
	for _, b := range bindings {
		raw, present := lookup(args, b.Path)
		got, err := single(h, b.Header)
		if err != nil {
			return err
		}
		has := len(h[b.Header]) == 1
		if has != present {
			return mismatch("the header %s and the argument it mirrors are not both there", b.Header)
		}
		if !has {
			continue
		}
		decoded, ok := mcp.DecodeHeaderValue(got)
		if !ok || !sameScalar(decoded, raw) {
			return mismatch("the header %s disagrees with the body", b.Header)
		}
	}
	return nil
}

func lookup(v []byte, path []string) ([]byte, bool) {
	for _, name := range path {
		if len(v) == 0 {
			return nil, false
		}
		span, ok := strictjson.Find(v, name)
		if !ok {
			return nil, false
		}
		v = span.Of(v)
	}
	return v, string(v) != "null"
}

// sameScalar compares a header with a JSON string, boolean or number; numbers by value.
func sameScalar(header string, raw []byte) bool {
	if raw[0] == '"' {
		s, err := strictjson.String(raw)
		return err == nil && s == header
	}
	if header == string(raw) {
		return true
	}
	a, errA := strconv.ParseFloat(header, 64)
	b, errB := strconv.ParseFloat(string(raw), 64)
	// Beyond 2^53 two different integers can be one float; only equal text is equal there.
	return errA == nil && errB == nil && a == b && a > -1<<53 && a < 1<<53
}

// ForwardHeaders returns the headers that accompany a message upstream. It starts from
// nothing and takes only what the protocol names; no credential can be among them.
func ForwardHeaders(m *Message, in http.Header) http.Header {
	out := make(http.Header, 8)
	out["Content-Type"] = jsonType
	out["Accept"] = bothTypes
	take := func(name string) {
		if v := in[name]; len(v) == 1 && safeValue(v[0]) {
			out[name] = v
		}
	}
	take(HeaderVersion)
	take(HeaderMethod)
	take(HeaderName)
	if m.Era == Legacy {
		take(HeaderSession)
	} else {
		for name := range maps.Keys(in) {
			if strings.HasPrefix(name, headerParamPrefix) {
				take(name)
			}
		}
	}
	TraceHeaders(out, in)
	return out
}

var (
	jsonType  = []string{"application/json"}
	bothTypes = []string{"application/json, text/event-stream"}
)

// TraceHeaders copies a well-formed W3C trace context. Baggage stays behind: it is the
// client's word about anything at all.
func TraceHeaders(out, in http.Header) {
	if v := in["Traceparent"]; len(v) == 1 && len(v[0]) == 55 && safeValue(v[0]) {
		out["Traceparent"] = v
		if s := in["Tracestate"]; len(s) == 1 && len(s[0]) <= 512 && safeValue(s[0]) {
			out["Tracestate"] = s
		}
	}
}

func safeValue(v string) bool {
	for i := range len(v) {
		if c := v[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return false
		}
	}
	return len(v) <= 8<<10
}
