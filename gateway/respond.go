package gateway

import (
	"net"
	"net/http"
	"strconv"

	"sallyport/gateway/wire"
)

// respondError is the only place where a refusal becomes bytes.
func (x *exchange) respondError(e *Error) {
	row := table[e.Code]
	h := x.w.Header()
	status := row.http
	switch e.Code {
	case CodeUnauthenticated:
		h.Set("WWW-Authenticate", `Bearer resource_metadata="`+x.metadataURL()+`"`)
	case CodeWrongMethod:
		h.Set("Allow", "POST, GET, DELETE")
	case CodeUnknownMethod:
		if x.msg != nil && x.msg.Era == wire.Modern {
			status = http.StatusNotFound
		}
	case CodeDenied:
		if x.msg == nil {
			status = http.StatusMethodNotAllowed // what clients take for "no stream here", and leave it
			h.Set("Allow", "POST")
		}
	case CodeInternal:
		e.Public += " (decision " + x.rec.ID + ")"
	}
	if row.rpc == 0 {
		http.Error(x.w, e.Code.String()+": "+e.Public, status)
		return
	}
	id := e.id
	if x.msg != nil {
		id = x.msg.ID
	}
	if x.msg != nil && x.msg.ID == nil && status == http.StatusOK {
		status = http.StatusBadRequest // a refused notification has no response to carry the news
	}
	var body []byte
	if row.asResult && x.msg != nil && x.msg.Method == wire.MethodToolsCall {
		body = wire.AppendResult(nil, id, wire.ToolError(x.msg.Era, e.Public))
	} else {
		rpc := row.rpc
		if e.rpc != 0 {
			rpc = e.rpc
		}
		body = wire.AppendError(nil, id, rpc, e.Public, e.data)
	}
	x.respond(status, body)
}

// respond writes a whole JSON answer, given in parts.
func (x *exchange) respond(status int, parts ...[]byte) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	h := x.w.Header()
	h["Content-Type"] = contentJSON
	h["Cache-Control"] = noStore
	h["Content-Length"] = []string{strconv.Itoa(n)}
	x.started = true
	x.rec.BytesOut = int64(n)
	x.w.WriteHeader(status)
	for _, p := range parts {
		_, _ = x.w.Write(p) // the client has gone
	}
}

// Header values that never change are shared by all answers.
var (
	contentJSON = []string{"application/json"}
	noStore     = []string{"no-store"}
)

// metadataURL is where the client finds out about this very resource (RFC 9728 §5.1).
func (x *exchange) metadataURL() string {
	path := x.r.URL.Path
	if _, ok := x.snap.serverOf(path); !ok {
		path = "/mcp"
	}
	return x.snap.PublicURL + "/.well-known/oauth-protected-resource" + path
}

func source(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
