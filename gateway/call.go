package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"sallyport/gateway/audit"
	"sallyport/gateway/catalog"
	"sallyport/gateway/guard"
	"sallyport/gateway/wire"
	"sallyport/identity"
	"sallyport/identity/grant"
	"sallyport/policy"
)

// exchange is one request on its way along the line. Only its own goroutine touches it.
type exchange struct {
	g    *Gateway
	snap *Snapshot
	w    http.ResponseWriter
	r    *http.Request
	rec  audit.Record

	who     *identity.Principal
	live    *grant.Live             // what the principal's token is worth
	bound   context.Context         // ends with the grant
	unbind  context.CancelCauseFunc // ends bound
	bounds  []grant.Bound           // the policy's, of this call
	held    *grant.Reservation      // of this call; nil where it costs nothing, or was given back
	inTurn  bool                    // it has a place among those of its grant that are read and decided
	room    int64                   // bytes that its body has of the gateway's room
	leave   func()                  // this call is one of the grant's under way
	msg     *wire.Message
	started bool // the first byte of the answer has been written
	parked  bool // it is a stream that goes on without its handler, who must not touch it any more
	decided bool // the decision is on disk, an outcome must follow
	sent    time.Time

	watch       Watch  // nil: nobody watches
	settled     bool   // which trace it belongs to
	traceparent string // what goes upstream; "" for none
	came        string // the code of what came of it

	about *checked // of a client's answer: the call that the question came with

	question *policy.Input // what the policy was asked; nil until it was

	approvedBy    string     // the role that must agree to the call
	noneOf        guard.What // what the policy wants none of in the arguments
	passUnscanned bool       // arguments that could not be scanned to their end
	bare          bool       // the headers are told to somebody who is told no secret

	wants    guard.Ask // what the policy's obligations want of what comes back
	reports  guard.Report
	withheld error // why the door would have withheld the answer, where nothing is enforced
	redacted int   // secrets of the gateway's own that were in the answer
}

// route is where a message goes: a server that exists, and the tool where it names one.
type route struct {
	server  *Server
	msg     *wire.Message
	tool    *catalog.Tool // nil unless the method concerns a tool
	listing *catalog.Listing
	session string
	all     bool        // by way of the federated endpoint, whose session it is
	header  http.Header // of the message under the server's own names; nil unless all
}

// endpoint is what the tables of sessions, questions and calls in flight know the route by.
func (rt *route) endpoint() string {
	if rt.all {
		return ""
	}
	return rt.server.Name
}

// checked is a message whose arguments the tool's own schema has accepted.
type checked struct{ route }

// open begins the record, so that refusals of every kind are in it.
func (g *Gateway) open(w http.ResponseWriter, r *http.Request, snap *Snapshot) *exchange {
	x := &exchange{g: g, snap: snap, w: w, r: r}
	x.rec.ID = audit.NewID()
	x.rec.Time = g.now()
	if g.observer != nil {
		x.watch = g.observer.Begin(r)
	}
	return x
}

// done is the end of the handler, and of the exchange but for one that is parked.
func (x *exchange) done() {
	x.endTurn()
	if x.parked {
		return
	}
	x.vacate(0)
	if x.leave != nil { // what it has held of its grant
		x.leave()
	}
	x.seen()
}

// serve is the line.
func (x *exchange) serve(ctx context.Context) error {
	x.setBodyDeadline()
	x.step(StepEdge)
	if err := x.edge(); err != nil {
		return err
	}
	x.step(StepAuthenticate)
	who, err := x.authenticate(ctx)
	if err != nil {
		return err
	}
	ctx, release := x.bind(ctx)
	defer release(nil)
	if x.r.Method != http.MethodPost {
		x.traced()
		return x.serveSession(ctx, who)
	}
	x.step(StepDecode)
	if err := x.turn(ctx); err != nil {
		return err
	}
	msg, err := x.decode()
	x.traced()
	if err != nil {
		return err
	}
	x.snap = x.g.snapshot.Load() // the newest decides, however long the body was on its way
	x.step(StepResolve)
	rt, err := x.resolve(who, msg)
	if err != nil {
		return err
	}
	x.step(StepCheckInput)
	call, err := x.checkInput(ctx, who, rt)
	if err != nil {
		return err
	}
	x.step(StepAuthorize)
	if call.server == x.g.all {
		x.endTurn()
		return x.answer(ctx, who, call)
	}
	if msg.Method == wire.MethodToolsList && rt.listing != nil {
		x.endTurn()
		return x.serveTools(ctx, who, call)
	}
	permit, err := x.authorize(ctx, who, call)
	if err != nil {
		return err
	}
	x.endTurn()
	return x.forward(ctx, who, call, permit)
}

// authenticate says who is calling under which grant, or that nobody is.
func (x *exchange) authenticate(ctx context.Context) (*identity.Principal, error) {
	r := identity.Request{Method: x.r.Method, Header: x.r.Header, Path: x.r.URL.EscapedPath(), RawQuery: x.r.URL.RawQuery, TLS: x.r.TLS}
	who, err := x.snap.Verifier.Verify(ctx, &r)
	if r.Nonce != "" {
		x.w.Header()["Dpop-Nonce"] = []string{r.Nonce}
	}
	if err != nil || !who.Valid() {
		return nil, &Error{Code: CodeUnauthenticated, Public: "a valid access token is needed", Err: err}
	}
	x.who = who
	x.rec.Subject, x.rec.Client, x.rec.Grant, x.rec.Task = who.Subject, who.ClientID, who.Grant, who.Task
	x.rec.JTI, x.rec.Roles = who.TokenID, who.Roles
	if x.live, err = x.findGrant(who); err != nil {
		return nil, err
	}
	return who, nil
}

// setBodyDeadline sets the time by which the body must be here. It holds for a body that nobody will read
// as well: the server takes in what is left of it before it answers and before it lets the connection
// go, so that a refusal would wait for as long as the client likes to send.
func (x *exchange) setBodyDeadline() {
	if x.r.ContentLength != 0 {
		// One that cannot be set (HTTP/2 in tests) leaves the server's own timeouts.
		_ = http.NewResponseController(x.w).SetReadDeadline(time.Now().Add(x.snap.Limits.BodyTimeout))
	}
}

// decode reads the body whole, within its bounds, and understands it in exactly one way.
func (x *exchange) decode() (*wire.Message, error) {
	body, err := x.readBody()
	if err != nil {
		return nil, err
	}
	x.rec.BytesIn = int64(len(body))
	msg, refused := wire.Decode(body, x.r.Header, wire.Limits{Depth: x.snap.Limits.Depth})
	if refused != nil {
		return nil, wireError(refused)
	}
	x.msg = msg
	x.rec.Method = clip(msg.Method)
	return msg, nil
}

func (x *exchange) readBody() ([]byte, error) {
	limit := x.snap.Limits.RequestBytes
	size := int64(512)
	if x.r.ContentLength > 0 {
		size = x.r.ContentLength
	}
	if size > smallBody {
		if err := x.enter(size); err != nil {
			return nil, err
		}
	}
	// One byte more than was announced, so that the end is seen without growing. Not more than
	// this at once: the rest of what was announced may never come.
	const atOnce = 1 << 20
	body := make([]byte, 0, min(size, atOnce)+1)
	for {
		if len(body) == cap(body) {
			if len(body) >= smallBody && x.room == 0 { // nothing was announced
				if err := x.enter(limit); err != nil {
					return nil, err
				}
			}
			body = append(body, 0)[:len(body)]
		}
		n, err := x.r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > limit:
			return nil, refuse(CodeTooLarge, "the request is larger than %d bytes", limit)
		case errors.Is(err, io.EOF):
			_ = http.NewResponseController(x.w).SetReadDeadline(time.Time{}) // of setBodyDeadline; what follows may be a stream
			x.vacate(int64(len(body)))
			return body, nil
		case err != nil:
			return nil, &Error{Code: CodeMalformed, Public: "the request body did not arrive whole and in time", Err: err}
		}
	}
}

// resolve finds the server, and the session, tool or task that the message names.
func (x *exchange) resolve(who *identity.Principal, msg *wire.Message) (route, error) {
	rt := route{msg: msg}
	if x.snap.federates(pathOf(x.r)) {
		return x.resolveAll(who, msg)
	}
	server, ok := x.snap.serverOf(pathOf(x.r))
	if !ok {
		return rt, &Error{Code: CodeUnknownServer, Public: "no MCP server is at this path; try /mcp", Err: fmt.Errorf("path %.80q", x.r.URL.Path)}
	}
	rt.server = server
	x.rec.Server = server.Name
	if !msg.MethodKnown() {
		return rt, refuse(CodeUnknownMethod, "Method not found: %s", clip(msg.Method))
	}
	if msg.Era == wire.Legacy {
		var err error
		if rt.session, err = x.sessionOf(who, server); err != nil {
			return rt, err
		}
	}
	if msg.Kind == wire.Response {
		return rt, x.takeAnswer(who, rt)
	}
	rt.listing = server.listing(msg.Era)
	return rt, x.resolveName(who, &rt)
}

// sessionOf returns the session that the request names, if it is the caller's.
func (x *exchange) sessionOf(who *identity.Principal, server *Server) (string, error) {
	ids := x.r.Header[wire.HeaderSession]
	if len(ids) == 0 {
		return "", nil
	}
	if len(ids) != 1 || !x.g.sessions.Owned(server.Name, ids[0], who.Key()) {
		return "", refuse(CodeUnknownSession, "Session not found")
	}
	return ids[0], nil
}

// takeAnswer takes a client's answer only to a question that was put to it.
func (x *exchange) takeAnswer(who *identity.Principal, rt route) error {
	q, ok := x.g.asked.Take(rt.server.Name, rt.session, who.Key(), string(rt.msg.ID))
	if !ok {
		return refuse(CodeMalformed, "the response answers no open question")
	}
	return x.noteQuestion(q)
}

// noteQuestion notes what a client's answer is about, which is judged like the call that the question
// came with: what a sink asks for is told to a sink.
func (x *exchange) noteQuestion(q asked) error {
	x.rec.Method, x.rec.Server = q.method, q.about.server.Name
	if q.about.tool != nil {
		x.rec.Tool = q.about.tool.Name
	}
	x.about = &q.about
	return nil
}

func (x *exchange) resolveName(who *identity.Principal, rt *route) error {
	switch rt.msg.Method {
	case wire.MethodToolsCall:
		x.rec.Tool = clip(rt.msg.Name)
		return x.find(rt, rt.msg.Name)
	case wire.MethodTasksGet, wire.MethodTasksResult, wire.MethodTasksCancel, wire.MethodTasksUpdate:
		name, ok := x.g.handles.Tool(rt.server.Name, rt.msg.Name, who.Key())
		if !ok {
			return refuse(CodeInvalidParams, "Unknown task")
		}
		x.rec.Tool = name
		return x.find(rt, name)
	}
	return x.offPin(rt)
}

// find looks the tool up in the catalogue. A tool with a problem is as good as none; of a
// server that has never answered nothing is known, and that is said of every name alike.
func (x *exchange) find(rt *route, name string) error {
	if rt.server.catalogue.Load() == nil {
		return rt.server.unavailable()
	}
	if rt.listing == nil {
		hint := ""
		if x.snap.Sole == "" {
			hint = "; /mcp serves it in both"
		}
		return refuse(CodeUnavailable, "the server %q does not speak this era of the protocol (%s)%s", rt.server.Name, rt.msg.Era, hint)
	}
	if tool := rt.listing.Tools[name]; tool != nil && tool.Problem == "" {
		rt.tool = tool
		return nil
	}
	return x.unknownTool()
}

// unknownTool names the tool as the client did.
func (x *exchange) unknownTool() *Error {
	return refuse(CodeUnknownTool, "Unknown tool: %s", clip(x.msg.Name))
}

// checkInput holds a call against the tool's own schema, before any policy sees it: with the
// wrong type, `not startswith(input.arguments.path, "/etc")` would be true.
func (x *exchange) checkInput(ctx context.Context, who *identity.Principal, rt route) (checked, error) {
	call := checked{rt}
	if rt.tool == nil || rt.msg.Method != wire.MethodToolsCall {
		if err := rt.msg.Outline.CheckArguments(rt.msg.Arguments, x.snap.argumentNames, nil); err != nil {
			return call, &Error{Code: CodeMalformed, Public: "arguments: " + err.Error(), Err: err}
		}
		return call, nil
	}
	x.rec.ToolDigest = rt.tool.Digest
	err := x.inputError(rt)
	if err == nil {
		return call, nil
	}
	// What is wrong with the arguments tells what the tool looks like, so a caller who may not
	// see the tool learns only that it is unknown.
	in, refusal := x.input(who, call)
	if refusal != nil {
		return call, refusal
	}
	if visible, verr := x.visible(ctx, in); verr != nil || !visible {
		return call, &Error{Code: CodeUnknownTool, Public: x.unknownTool().Public, Err: errors.Join(errors.New("hidden"), verr)}
	}
	return call, err
}

func (x *exchange) inputError(rt route) error {
	args := rt.msg.Arguments
	if err := rt.msg.Outline.CheckArguments(args, x.snap.argumentNames, rt.tool.Schema.Names()); err != nil {
		return &Error{Code: CodeMalformed, Public: "arguments: " + err.Error(), Err: err}
	}
	if err := wire.CheckParamHeaders(x.r.Header, rt.tool.Bindings, args); rt.msg.Era == wire.Modern && err != nil {
		return wireError(err)
	}
	if args == nil {
		args = []byte("{}")
	}
	if err := rt.tool.Schema.ValidateOutlined(args, rt.msg.Outline); err != nil {
		return &Error{Code: CodeInvalidInput, Public: fmt.Sprintf("invalid arguments for %s: %v", clip(x.msg.Name), err)}
	}
	return nil
}

// clip bounds the client's own text in an answer to it.
func clip(s string) string {
	const most = 128
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
