package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"sallyport/gateway/wire"
	"sallyport/identity"
)

// listening stands for the message of a GET, which has none.
var listening = &wire.Message{Kind: wire.Notification, Method: wire.MethodListen}

// serveSession is GET (the older era's stream) and DELETE (the end of a session).
func (x *exchange) serveSession(ctx context.Context, who *identity.Principal) error {
	server, ok := x.snap.serverOf(pathOf(x.r))
	all := x.snap.federates(pathOf(x.r))
	if all {
		server, ok = x.g.all, true
	}
	if !ok {
		return refuse(CodeUnknownServer, "no MCP server is at this path")
	}
	x.rec.Server, x.rec.Method = server.Name, wire.MethodListen
	if v := x.r.Header.Get(wire.HeaderVersion); v == wire.V20260728 {
		return refuse(CodeWrongMethod, "protocol %s has POST only", v)
	}
	id, err := x.sessionOf(who, server)
	if err != nil {
		return err
	}
	call := checked{route{server: server, session: id, all: all, msg: listening}}
	if all {
		return x.serveAllSession(ctx, who, call)
	}
	permit, err := x.authorizeSession(ctx, who, call)
	if err != nil {
		return err
	}
	x.sent = x.g.now()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	reply, err := server.Upstream.Send(ctx, permit)
	if err != nil {
		return upstreamError(server.Name, err)
	}
	defer func() { _ = reply.Body.Close() }()
	r := &relay{exchange: x, ctx: ctx, stop: stop, who: who, call: call}
	if x.r.Method == http.MethodGet && reply.Status == http.StatusOK && reply.Header.ContentType == "text/event-stream" {
		return r.listen(reply)
	}
	if x.r.Method == http.MethodDelete && reply.Status < 300 {
		x.g.sessions.End(server.Name, id)
	}
	return r.plain(reply)
}

func (x *exchange) authorizeSession(ctx context.Context, who *identity.Principal, call checked) (*Permit, error) {
	if err := x.decide(ctx, who, call); err != nil {
		return nil, err
	}
	if err := x.record(ctx); err != nil {
		return nil, err
	}
	h := http.Header{}
	if call.session != "" {
		h[wire.HeaderSession] = []string{call.session}
	}
	for _, name := range []string{wire.HeaderVersion, wire.HeaderLastEventID} {
		if v := x.r.Header[name]; len(v) == 1 {
			h[name] = v
		}
	}
	x.strip(h, call)
	get := x.r.Method == http.MethodGet
	if get {
		h["Accept"] = []string{"text/event-stream"}
	}
	return &Permit{out: Outbound{Method: x.r.Method, Header: h, Idempotent: get, Stream: get, For: x.party()}, valid: true}, nil
}

// listen relays the older era's stream.
func (r *relay) listen(reply *Reply) error {
	out, release := r.beginStream(true)
	defer release()
	reader := wire.NewEventReader(reply.Body, int(r.snap.Limits.ResultBytes))
	for {
		ev, err := reader.Next()
		if err != nil || r.ctx.Err() != nil {
			r.rec.BytesOut = out.sent()
			r.outcome("ok", endOf(r.ctx))
			return nil // ended, by whichever side
		}
		raw, err := r.event(ev)
		if err != nil {
			return r.broken(out, err)
		}
		if err := out.write(raw, !reader.Buffered()); err != nil {
			r.rec.BytesOut = out.sent()
			r.outcome("cancelled", errClientGone.Error())
			return nil
		}
	}
}

// reauthorizeTimeout bounds the question about an open stream. Without an answer it ends.
const reauthorizeTimeout = 5 * time.Second

// errStreamEnded is why a stream ends that the gateway itself ends.
var errStreamEnded = errors.New("ended by the gateway")

func endOf(ctx context.Context) string {
	if cause := context.Cause(ctx); cause != nil {
		return cause.Error()
	}
	return "ended by the server"
}

// stream is an open stream as the gateway sees it from outside.
type stream struct {
	x      *exchange
	who    *identity.Principal
	server *Server
	all    bool // of the federated endpoint
	era    wire.Era
	id     []byte // of the request; nil where it has none
	out    *streamWriter
	stop   context.CancelCauseFunc
	wants  change // of what it is told

	parked bool // it has no handler, and the gateway keeps it alive; guarded by the lock of streams
	second int  // of each round of keepAlive at which it is kept alive
}

func (x *exchange) stream(who *identity.Principal, call checked, out *streamWriter, stop context.CancelCauseFunc) stream {
	return stream{x: x, who: who, server: call.server, all: call.all, era: call.msg.Era, id: bytes.Clone(call.msg.ID), out: out, stop: stop, wants: wantsOf(call.msg)}
}

// end ends the upstream exchange, and with it the relay that waits for it.
func (st *stream) end(why string) { st.stop(fmt.Errorf("%w: %s", errStreamEnded, why)) }

// streams are the open streams of the gateway.
type streams struct {
	mu      sync.Mutex // guards all below
	open    map[*stream]bool
	byOwner map[string]int

	parked int  // how many are
	second int  // of the round it is
	given  int  // the second of the stream that was parked last
	ticks  bool // the timer runs
}

// maxStreams is how many streams of the gateway's own one principal may have open: they cost no
// connection to a server, which bounds the others.
const maxStreams = 256

// full reports whether a principal has as many streams open as one may have.
func (s *streams) full(owner string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byOwner[owner] >= maxStreams
}

// count is how many streams are open.
func (s *streams) count() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.open))
}

// add registers a stream. It ends with the grant that opened it, and not with the token.
func (s *streams) add(st *stream) {
	s.mu.Lock()
	if s.open == nil {
		s.open, s.byOwner = make(map[*stream]bool), make(map[string]int)
	}
	owner := st.who.Key()
	s.open[st] = true
	s.byOwner[owner]++
	s.mu.Unlock()
	if newest := st.x.g.snapshot.Load(); newest != st.x.snap {
		go st.reauthorize(context.Background(), newest) // swapped after the stream was authorised
	}
}

// remove takes a stream out, after its last word.
func (s *streams) remove(st *stream) {
	st.out.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, st)
	if st.parked {
		s.parked--
	}
	owner := st.who.Key()
	if s.byOwner[owner]--; s.byOwner[owner] == 0 {
		delete(s.byOwner, owner)
	}
}

// reauthorize asks the new policy about every open stream. One that it denies ends; the
// others are told that their tools may have changed.
func (s *streams) reauthorize(ctx context.Context, snap *Snapshot) {
	s.mu.Lock()
	open := make([]*stream, 0, len(s.open))
	for st := range s.open {
		open = append(open, st)
	}
	s.mu.Unlock()
	for _, st := range open {
		go st.reauthorize(ctx, snap)
	}
}

func (st *stream) reauthorize(ctx context.Context, snap *Snapshot) {
	ctx, cancel := context.WithTimeout(ctx, reauthorizeTimeout)
	defer cancel()
	in := st.x.ask(st.who, wire.MethodListen, st.server)
	in.Request.Era = st.era.String()
	d, err := snap.Policy.Denied(ctx, in)
	if (err != nil || !d.Allow) && !snap.RecordOnly {
		st.end("the policy denies it")
		return
	}
	st.tell(change{tools: true})
}

// tell sends the gateway's own list_changed to every stream of the federated endpoint that wants
// it.
func (s *streams) tell(news change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.open {
		if st.all {
			go st.tell(news)
		}
	}
}

// tell sends the notices of change that the stream's client has asked for.
func (st *stream) tell(news change) {
	for _, one := range []struct {
		list string
		has  bool
	}{{"tools", news.tools && st.wants.tools}, {"prompts", news.prompts && st.wants.prompts}, {"resources", news.resources && st.wants.resources}} {
		if !one.has {
			continue
		}
		if event := st.changed(one.list); event != nil {
			_ = st.out.write(event, true) // the relay notices a client that has gone
		}
	}
}

// wantsOf is what the client of a listening stream is told of: in the older era of everything.
func wantsOf(msg *wire.Message) change {
	if msg.Era == wire.Legacy {
		return change{true, true, true}
	}
	return change{tools: msg.Wants("toolsListChanged"), prompts: msg.Wants("promptsListChanged"), resources: msg.Wants("resourcesListChanged")}
}

// changed is the gateway's own list_changed for this stream, or nil before the client may have it.
func (st *stream) changed(list string) []byte {
	method := "notifications/" + list + "/list_changed"
	if st.era == wire.Legacy {
		return wire.AppendEvent(nil, []byte(`{"jsonrpc":"2.0","method":"`+method+`"}`))
	}
	if st.out.sent() == 0 { // the acknowledgement must come first
		return nil
	}
	return wire.AppendEvent(nil, fmt.Appendf(nil, `{"jsonrpc":"2.0","method":%q,"params":{"_meta":{"io.modelcontextprotocol/subscriptionId":%s}}}`, method, st.id))
}

// CloseStreams ends every open stream, for a graceful stop, and returns how many have not come to
// their end yet. Some of these have no handler that a server could wait for.
func (g *Gateway) CloseStreams() (left int) {
	g.streams.mu.Lock()
	defer g.streams.mu.Unlock()
	for st := range g.streams.open {
		st.end("the gateway is stopping")
	}
	return len(g.streams.open)
}
