package wire

import (
	"net/http"
	"strings"
)

// Values shared by all upstream requests; nothing may write to them.
var (
	jsonType  = []string{"application/json"}
	bothTypes = []string{"application/json, text/event-stream"}
)

// ForwardHeaders returns the headers that accompany a message upstream. It starts from
// nothing and takes only what the protocol names, one value each, so that no credential can be
// among them. m and in must have passed [Decode] together.
func ForwardHeaders(m *Message, in http.Header) http.Header {
	out := make(http.Header, 8)
	out["Content-Type"] = jsonType
	out["Accept"] = bothTypes
	take(out, in, HeaderVersion)
	take(out, in, HeaderMethod)
	take(out, in, HeaderName)
	if m.Era == Legacy {
		take(out, in, HeaderSession)
		take(out, in, HeaderLastEventID)
	} else {
		takeParams(out, in)
	}
	TraceHeaders(out, in)
	return out
}

// take copies a header that has one value, which shares its slice with in.
func take(out, in http.Header, name string) {
	if v := in[name]; len(v) == 1 && safeValue(v[0]) {
		out[name] = v
	}
}

// takeParams forwards those it does not know as well, as the protocol demands of intermediaries.
func takeParams(out, in http.Header) {
	for name := range in {
		if strings.HasPrefix(name, HeaderParamPrefix) {
			take(out, in, name)
		}
	}
}

// TraceHeaders copies a well-formed W3C trace context. Baggage stays behind: it is the
// client's word about anything at all.
func TraceHeaders(out, in http.Header) {
	const traceparent, tracestate, most = "Traceparent", "Tracestate", 512
	v := in[traceparent]
	if len(v) != 1 || !validTraceparent(v[0]) {
		return
	}
	out[traceparent] = v
	if s := in[tracestate]; len(s) == 1 && s[0] != "" && len(s[0]) <= most && safeValue(s[0]) {
		out[tracestate] = s
	}
}

// Traceparent returns the trace context that a client has sent: that of the header or, where it has
// none, of the message's _meta (SEP-414). "" where none is well formed. m may be nil.
func Traceparent(h http.Header, m *Message) string {
	if v := h["Traceparent"]; len(v) == 1 && validTraceparent(v[0]) {
		return v[0]
	}
	if m != nil && len(h["Traceparent"]) == 0 && validTraceparent(m.Traceparent) {
		return m.Traceparent
	}
	return ""
}

// SetTraceparent puts the gateway's own trace context in place of the client's. tracestate stays: it
// belongs to the trace and not to one of its spans.
func SetTraceparent(out http.Header, traceparent string) { out["Traceparent"] = []string{traceparent} }

// TraceID returns the trace that a trace context belongs to; "" of "".
func TraceID(traceparent string) string {
	const from, to = len("00-"), len("00-") + 32
	if len(traceparent) < to {
		return ""
	}
	return traceparent[from:to]
}

// SpanID returns the span that a trace context names; "" of "".
func SpanID(traceparent string) string {
	const from, to = len("00-") + 32 + len("-"), len("00-") + 32 + len("-") + 16
	if len(traceparent) < to {
		return ""
	}
	return traceparent[from:to]
}

const traceparentForm = "00-hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh-hhhhhhhhhhhhhhhh-hh"

// validTraceparent accepts version 00 only (W3C Trace Context, §3.2.2): of a later version the
// fields that follow are unknown.
func validTraceparent(v string) bool {
	const form = traceparentForm
	if len(v) != len(form) {
		return false
	}
	for i := range len(v) {
		hex := '0' <= v[i] && v[i] <= '9' || 'a' <= v[i] && v[i] <= 'f'
		if form[i] == 'h' && !hex || form[i] != 'h' && form[i] != v[i] {
			return false
		}
	}
	zeros := strings.Repeat("0", 32)
	return v[3:35] != zeros && v[36:52] != zeros[:16]
}
