package gateway

import (
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"

	"sallyport/gateway/wire"
	"sallyport/identity"
)

// respondError is the only place where a refusal becomes bytes.
func (x *exchange) respondError(e *Error) {
	row := table[e.Code]
	h := x.w.Header()
	status := row.http
	switch e.Code {
	case CodeUnauthenticated:
		maps.Copy(h, identity.Challenge(x.snap.PublicURL, x.r.URL.Path, e.Err, h.Get("DPoP-Nonce")))
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
	x.respond(status, errorBody(x.msg, id, e))
}

// errorBody is a refusal as a message: of a tool call, where the model can do something about
// it, a result whose text reaches the model. msg is nil where none was understood.
func errorBody(msg *wire.Message, id []byte, e *Error) []byte {
	row := table[e.Code]
	if row.asResult && msg != nil && msg.Method == wire.MethodToolsCall {
		return wire.AppendResult(nil, id, wire.ToolError(msg.Era, e.Public))
	}
	rpc := row.rpc
	if e.rpc != 0 {
		rpc = e.rpc
	}
	return wire.AppendError(nil, id, rpc, e.Public, e.data)
}

// respond writes a whole JSON answer, given in parts.
func (x *exchange) respond(status int, parts ...[]byte) {
	x.step(StepRespond)
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
		if x.write(p) != nil {
			return // the client has gone
		}
	}
}

// write gives a client time for each piece of a large answer, and no more: one that does not
// read must not keep what the answer holds. A small answer fits into the buffers of the
// connection.
func (x *exchange) write(p []byte) error {
	const piece = 256 << 10
	if len(p) <= piece {
		_, err := x.w.Write(p)
		return err
	}
	control := http.NewResponseController(x.w)
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }() // the next answer has its own
	for len(p) > 0 {
		_ = control.SetWriteDeadline(time.Now().Add(writeTimeout)) // not all writers can
		n, err := x.w.Write(p[:min(piece, len(p))])
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// Header values that never change are shared by all answers.
var (
	contentJSON = []string{"application/json"}
	noStore     = []string{"no-store"}
)

func source(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
