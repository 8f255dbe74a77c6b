package gateway

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"sallyport/gateway/wire"
	"sallyport/identity"
	"sallyport/internal/strictjson"
)

// answer is what the federated endpoint says itself: nothing of it goes to a server.
func (x *exchange) answer(ctx context.Context, who *identity.Principal, call checked) error {
	if err := x.decide(ctx, who, call); err != nil {
		return err
	}
	switch call.msg.Method {
	case wire.MethodToolsList, wire.MethodPromptsList, wire.MethodResList, wire.MethodResTemplates:
		return x.listAll(ctx, who, call)
	case wire.MethodListen:
		return x.listenAll(who, call)
	case wire.NotifyCancelled:
		return x.cancelOwn(who, call)
	case wire.MethodInitialize:
		return x.beginSession(who, call)
	case wire.MethodSetLevel:
		return x.setLevel(call)
	}
	if call.msg.Kind == wire.Notification {
		x.w.WriteHeader(http.StatusAccepted)
		x.outcome("ok", "")
		return nil
	}
	result := `{}`
	if call.msg.Method == wire.MethodDiscover {
		result = `{"supportedVersions":` + supported() + `,"capabilities":` + x.capabilities(call.msg.Era) + `,"serverInfo":` + serverInfo +
			`,"instructions":` + instructions + `,"ttlMs":60000,"cacheScope":"private","resultType":"complete"}`
	}
	x.respond(http.StatusOK, wire.AppendResult(nil, call.msg.ID, []byte(result)))
	x.outcome("ok", "")
	return nil
}

const (
	serverInfo   = `{"name":"sallyport","title":"Sallyport","version":"1"}`
	instructions = `"Tools of several servers behind one gateway. A name is the server's name, two underscores, and the tool's own name."`
)

func supported() string {
	var out []byte
	for _, v := range wire.Supported() {
		out = strictjson.AppendString(append(out, ','), v)
	}
	return "[" + string(out[1:]) + "]"
}

// beginSession answers initialize. The session is the endpoint's own; those of the servers begin
// when they are first needed.
func (x *exchange) beginSession(who *identity.Principal, call checked) error {
	version := call.msg.InitVersion
	if version == wire.V20260728 || !slices.Contains(wire.Supported(), version) {
		version = wire.V20251125
	}
	id := rand.Text()
	if err := x.g.sessions.Bind("", id, who.Key()); err != nil {
		return err
	}
	if oldest := x.g.begun.Add(who.Key(), id); oldest != "" {
		x.endAll(oldest)
	}
	x.g.clients.Put(id, fedClient{can: capabilitiesOf(call.msg)})
	x.w.Header()[wire.HeaderSession] = []string{id}
	result := `{"protocolVersion":"` + version + `","capabilities":` + x.capabilities(wire.Legacy) + `,"serverInfo":` + serverInfo +
		`,"instructions":` + instructions + `}`
	x.respond(http.StatusOK, wire.AppendResult(nil, call.msg.ID, []byte(result)))
	x.outcome("ok", "")
	return nil
}

// capabilitiesOf returns what the client can be asked, by its own word.
func capabilitiesOf(msg *wire.Message) (can Capabilities) {
	for _, path := range [][]string{{"capabilities"}, {"_meta", "io.modelcontextprotocol/clientCapabilities"}} {
		at := msg.Params
		for _, name := range path {
			span, ok := strictjson.Find(at, name)
			if !ok {
				at = nil
				break
			}
			at = span.Of(at)
		}
		_, sampling := strictjson.Find(at, "sampling")
		_, elicitation := strictjson.Find(at, "elicitation")
		_, roots := strictjson.Find(at, "roots")
		can = Capabilities{can.Sampling || sampling, can.Elicitation || elicitation, can.Roots || roots}
	}
	return can
}

// fedClient is what a session of the federated endpoint is known by.
type fedClient struct {
	can   Capabilities
	level string
}

// clientOf returns what is known of the client of a message to the federated endpoint.
func (x *exchange) clientOf(call checked) fedClient {
	if call.msg.Era == wire.Modern {
		return fedClient{can: capabilitiesOf(call.msg)}
	}
	known, _ := x.g.clients.Get(call.session)
	return known
}

// setLevel keeps the level for the session, and passes it to the servers that it has used.
func (x *exchange) setLevel(call checked) error {
	span, ok := strictjson.Find(call.msg.Params, "level")
	level := ""
	if ok {
		level, _ = strictjson.String(span.Of(call.msg.Params))
	}
	if !slices.Contains(LogLevels, level) {
		return refuse(CodeInvalidParams, "params.level must be one of %s", strings.Join(LogLevels, ", "))
	}
	if known, ok := x.g.clients.Get(call.session); ok {
		known.level = level
		x.g.clients.Put(call.session, known)
		for _, s := range x.snap.members {
			if s.Link != nil {
				s.Link.SetLevel(call.session, level)
			}
		}
	}
	x.respond(http.StatusOK, wire.AppendResult(nil, call.msg.ID, []byte(`{}`)))
	x.outcome("ok", "")
	return nil
}

// capabilities is what the servers have, together.
func (x *exchange) capabilities(era wire.Era) string {
	var prompts, resources, completions, logging bool
	for _, s := range x.snap.members {
		if _, o := s.offered(era); o != nil {
			prompts = prompts || o.prompts != nil
			resources = resources || o.resources != nil || o.templates != nil
			completions = completions || o.completions
			logging = logging || o.logging
		}
	}
	out := `{"tools":{"listChanged":true}`
	if prompts {
		out += `,"prompts":{"listChanged":true}`
	}
	if resources {
		out += `,"resources":{"listChanged":true}`
	}
	if completions {
		out += `,"completions":{}`
	}
	if logging {
		out += `,"logging":{}`
	}
	return out + "}"
}

// serveAllSession is GET and DELETE at the federated endpoint.
func (x *exchange) serveAllSession(ctx context.Context, who *identity.Principal, call checked) error {
	if err := x.decide(ctx, who, call); err != nil {
		return err
	}
	if x.r.Method == http.MethodGet {
		return x.streamAll(who, call, nil)
	}
	if call.session == "" {
		return refuse(CodeUnknownSession, "Session not found")
	}
	x.endAll(call.session)
	x.w.WriteHeader(http.StatusNoContent)
	x.outcome("ok", "")
	return nil
}

// endAll ends a session of the endpoint, and what the servers have of it.
func (x *exchange) endAll(id string) {
	x.g.sessions.End("", id)
	x.g.clients.Drop(id)
	for _, s := range x.snap.members {
		if s.Link != nil {
			s.Link.EndClient(id)
		}
	}
}

// listenAll is the newer era's subscription. What the endpoint cannot watch is missing from its
// acknowledgement, as the protocol says.
func (x *exchange) listenAll(who *identity.Principal, call checked) error {
	granted := ""
	for _, name := range []string{"toolsListChanged", "promptsListChanged", "resourcesListChanged"} {
		if call.msg.Wants(name) {
			granted += `,"` + name + `":true`
		}
	}
	if granted != "" {
		granted = granted[1:]
	}
	ack := fmt.Appendf(nil, `{"jsonrpc":"2.0","method":%q,"params":{"_meta":{"io.modelcontextprotocol/subscriptionId":%s},"notifications":{%s}}}`,
		wire.NotifyAcknowledged, call.msg.ID, granted)
	return x.streamAll(who, call, wire.AppendEvent(nil, ack))
}
