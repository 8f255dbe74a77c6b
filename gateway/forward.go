package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"sallyport/gateway/guard"
	"sallyport/gateway/session"
	"sallyport/gateway/wire"
	"sallyport/identity"
)

// Why an exchange ends before its answer.
var (
	errCancelled  = errors.New("cancelled by the client")
	errClientGone = errors.New("the client has gone")
)

// forward spends the permit and answers with what came back.
func (x *exchange) forward(ctx context.Context, who *identity.Principal, call checked, permit *Permit) error {
	msg := call.msg
	if msg.Method == wire.NotifyCancelled && call.session == "" {
		return x.cancelOwn(who, call)
	}
	ctx, stop, end := x.lifetime(ctx, who, call)
	defer end()
	x.step(StepForward)
	x.sent = x.g.now()
	reply, err := call.send(ctx, permit)
	if err != nil {
		return x.upstreamFailed(ctx, call, err)
	}
	defer func() { _ = reply.Body.Close() }()
	if err := x.adoptSession(who, call, reply); err != nil {
		return err
	}
	r := &relay{exchange: x, ctx: ctx, stop: stop, who: who, call: call}
	if reply.Header.ContentType == "text/event-stream" && reply.Status == http.StatusOK {
		return r.events(reply.Body, permit.out.Stream)
	}
	return r.whole(reply)
}

// send is the one way of a client's request to its server.
func (rt *route) send(ctx context.Context, permit *Permit) (*Reply, error) {
	if rt.all && rt.server.Link != nil {
		return rt.server.Link.Send(ctx, permit)
	}
	return rt.server.Upstream.Send(ctx, permit)
}

// upstreamFailed tells an upstream that failed from an exchange that was cancelled, whose
// client expects no answer.
func (x *exchange) upstreamFailed(ctx context.Context, call checked, err error) error {
	if ctx.Err() == nil {
		if errors.Is(err, ErrNotSent) || errors.Is(err, ErrNoCredential) {
			x.refund()
		}
		return upstreamError(call.server.Name, err)
	}
	if ended := endedGrant(ctx); ended != nil {
		x.cancelAtServer(call)
		return unauthenticated(ended)
	}
	x.outcome("cancelled", context.Cause(ctx).Error())
	if errors.Is(context.Cause(ctx), errCancelled) {
		x.respond(http.StatusOK, wire.AppendError(nil, call.msg.ID, rpcCancelled, "Request cancelled", nil))
	}
	return nil
}

// lifetime is the context of the upstream exchange. In the newer protocol a client that hangs
// up cancels its call; in the older one it does not, and only its own notification does.
func (x *exchange) lifetime(ctx context.Context, who *identity.Principal, call checked) (_ context.Context, stop context.CancelCauseFunc, end func()) {
	stop, end = x.unbind, func() {} // the line unbinds
	if call.msg.Kind != wire.Request {
		return ctx, stop, end
	}
	if call.msg.Era != wire.Legacy {
		return ctx, stop, x.flight(who, call, stop).End
	}
	ctx, release := x.bind(context.WithoutCancel(ctx))
	flight := x.flight(who, call, release)
	return ctx, release, func() { flight.End(); release(nil) }
}

// flight notes the call as one that its caller may cancel.
func (x *exchange) flight(who *identity.Principal, call checked, stop context.CancelCauseFunc) *session.Flight {
	return x.g.flights.Start(call.endpoint(), call.session, who.Key(), string(call.msg.ID), func() { stop(errCancelled) })
}

// cancelOwn cancels a call of the caller's own. Without a session the upstream could not tell
// whose request the id names, so the notification stays here and the exchange is ended.
func (x *exchange) cancelOwn(who *identity.Principal, call checked) error {
	x.g.flights.Cancel(call.endpoint(), call.session, who.Key(), string(call.msg.RequestID))
	x.w.WriteHeader(http.StatusAccepted)
	x.outcome("ok", "")
	return nil
}

// adoptSession binds a session that the upstream began to the caller.
func (x *exchange) adoptSession(who *identity.Principal, call checked, reply *Reply) error {
	id := reply.Header.SessionID
	if id == "" || call.msg.Era != wire.Legacy || call.all {
		return nil
	}
	if call.msg.Method == wire.MethodInitialize && reply.Status == http.StatusOK {
		if err := x.g.sessions.Bind(call.server.Name, id, who.Key()); err != nil {
			return &Error{Code: CodeUnavailable, Public: "the server began a session that is somebody else's", Err: err}
		}
	} else if id != call.session {
		return nil
	}
	x.w.Header()[wire.HeaderSession] = []string{id}
	return nil
}

// whole relays a reply that is one body.
func (r *relay) whole(reply *Reply) error {
	limit := r.snap.Limits.ResultBytes
	body, err := readWhole(reply.Body, limit)
	_ = reply.Body.Close() // before the client's pace holds the connection up
	if err != nil {
		return r.upstreamFailed(r.ctx, r.call, err)
	}
	switch reply.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		// The upstream refused the gateway, not the caller, who could only misread it as a
		// problem with his own credential.
		return upstreamError(r.call.server.Name, fmt.Errorf("upstream refused the gateway's own credential: status %d", reply.Status))
	}
	if len(body) == 0 || r.msg.Kind != wire.Request && reply.Header.ContentType != "application/json" {
		return r.empty(reply)
	}
	if reply.Header.ContentType != "application/json" {
		if r.msg.Method == wire.MethodInitialize || r.msg.Method == wire.MethodDiscover || reply.Status >= 400 {
			return r.plain(reply)
		}
		return upstreamError(r.call.server.Name, fmt.Errorf("%w: content type %q", ErrGarbage, reply.Header.ContentType))
	}
	r.step(StepCheckOutput)
	out, err := r.message(body)
	if err != nil {
		return err
	}
	if reply.Status == http.StatusNotFound && r.call.session != "" && !r.call.all {
		r.g.sessions.End(r.call.server.Name, r.call.session)
	}
	r.respond(reply.Status, out)
	r.outcome("ok", "")
	return nil
}

// readWhole reads a body of at most limit bytes, into one buffer where its length is known.
func readWhole(body io.Reader, limit int64) ([]byte, error) {
	size := int64(512)
	if known, ok := body.(interface{ Len() int64 }); ok && known.Len() >= 0 {
		if size = known.Len(); size > limit {
			return nil, ErrTooLarge
		}
		whole := make([]byte, size)
		_, err := io.ReadFull(body, whole)
		return whole, err
	}
	buf := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	if _, err := buf.ReadFrom(io.LimitReader(body, limit+1)); err != nil {
		return nil, err
	}
	if int64(buf.Len()) > limit {
		return nil, ErrTooLarge
	}
	return buf.Bytes(), nil
}

// empty relays a status without a message, as 202 for a notification.
func (r *relay) empty(reply *Reply) error {
	if r.msg.Kind == wire.Request && reply.Status < 400 {
		return upstreamError(r.call.server.Name, fmt.Errorf("%w: status %d without a message", ErrGarbage, reply.Status))
	}
	return r.plain(reply)
}

// plain keeps an upstream's refusal that is no JSON-RPC message: clients tell the protocol's
// eras apart by its status. Its text stays behind; nobody has checked it.
func (r *relay) plain(reply *Reply) error {
	if reply.Status >= 300 && reply.Status < 400 || reply.Status >= 500 {
		return upstreamError(r.call.server.Name, fmt.Errorf("%w: status %d", ErrGarbage, reply.Status))
	}
	if reply.Status == http.StatusNotFound && r.call.session != "" && !r.call.all {
		r.g.sessions.End(r.call.server.Name, r.call.session)
	}
	r.started = true
	r.w.WriteHeader(reply.Status)
	if reply.Status >= 400 {
		_, _ = fmt.Fprintf(r.w, "the server answered %d\n", reply.Status) // the client has gone
	}
	r.outcome("ok", fmt.Sprintf("status %d", reply.Status))
	return nil
}

// events relays a stream, event by event. A broken stream breaks for the client as well; what
// came before has been said.
func (r *relay) events(body io.Reader, endless bool) error {
	out, release := r.beginStream(endless)
	defer release()
	// In the older era this ends the stream and not the call: the server goes on, and the client
	// may fetch the answer from another stream.
	defer context.AfterFunc(r.r.Context(), func() { r.stop(errClientGone) })()
	defer r.owe()
	reader := wire.NewEventReader(body, int(r.snap.Limits.ResultBytes))
	for {
		ev, err := reader.Next()
		if r.ctx.Err() != nil { // what is buffered came before the end and would go out after it
			return r.broken(out, r.ctx.Err())
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return r.broken(out, upstreamStreamError(err))
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
	r.rec.BytesOut = out.sent()
	if r.msg.Kind == wire.Request && !endless && !r.answered && r.msg.Era == wire.Modern {
		return r.broken(out, fmt.Errorf("%w: the stream ended without an answer", ErrGarbage))
	}
	r.outcome("ok", "")
	return nil
}

// owe remembers a request of a session whose stream ended without its answer.
func (r *relay) owe() {
	if r.answered || r.msg.Era != wire.Legacy || r.msg.Kind != wire.Request || r.call.session == "" || r.call.all {
		return
	}
	const most = 1 << 10 // bytes of a name; a tool's or a prompt's is shorter
	if len(r.msg.Name) > most {
		return
	}
	call := r.call.kept()
	r.g.owed.Add(call.server.Name, call.session, r.who.Key(), string(call.msg.ID), owed{call, r.wants})
}

// owed is a call whose answer is fetched from another stream, and what is wanted of that.
type owed struct {
	call  checked
	wants guard.Ask
}

// kept is the call without its body and its catalogue, which may be large.
func (c checked) kept() checked {
	msg := c.msg
	c.listing, c.header = nil, nil
	c.msg = &wire.Message{Era: msg.Era, Version: msg.Version, Kind: msg.Kind, Method: msg.Method,
		ID: bytes.Clone(msg.ID), Name: strings.Clone(msg.Name), Ref: strings.Clone(msg.Ref)}
	return c
}

func upstreamStreamError(err error) error {
	if errors.Is(err, wire.ErrEventTooLarge) {
		return ErrTooLarge
	}
	return err
}

// broken ends a stream that cannot go on. The request's own answer is still owed, so the
// client is told as an event instead of waiting; a subscription that the gateway itself ends is
// told that it is complete.
func (r *relay) broken(out *streamWriter, err error) error {
	defer func() { r.rec.BytesOut = out.sent() }()
	// A subscription is complete when its grant has ended; a call is not.
	cause, ended := context.Cause(r.ctx), endedGrant(r.ctx)
	if errors.Is(cause, errStreamEnded) || ended != nil && (r.msg == nil || r.msg.Method == wire.MethodListen) {
		if !r.answered && r.msg != nil && r.msg.Era == wire.Modern {
			_ = out.write(wire.AppendEvent(nil, wire.AppendResult(nil, r.msg.ID, []byte(`{"resultType":"complete"}`))), true) // the client has gone
		}
		r.outcome("ok", cause.Error())
		return nil
	}
	if ended != nil {
		r.cancelAtServer(r.call)
		err = &Error{Code: CodeUnauthenticated, Public: "the grant has ended", Err: ended, rpc: http.StatusUnauthorized}
	} else if r.ctx.Err() != nil {
		r.outcome("cancelled", cause.Error())
		return nil
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = upstreamError(r.call.server.Name, err)
	}
	if r.msg != nil && r.msg.Kind == wire.Request && !r.answered {
		_ = out.write(wire.AppendEvent(nil, errorBody(r.msg, r.msg.ID, e)), true) // the client has gone
	}
	return e
}
