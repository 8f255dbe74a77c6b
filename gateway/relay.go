package gateway

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sallyport/gateway/catalog"
	"sallyport/gateway/guard"
	"sallyport/gateway/wire"
	"sallyport/identity"
	"sallyport/internal/strictjson"
)

// relay is the way back: each message from the upstream passes here once.
type relay struct {
	*exchange
	ctx      context.Context // of the upstream exchange
	stop     context.CancelCauseFunc
	who      *identity.Principal
	call     checked
	answered bool // the request's own response has passed
}

// message checks one message from the upstream and returns the bytes for the client: the same
// bytes, but for what sealing and filtering change, and but for secrets of the gateway in them.
func (r *relay) message(raw []byte) ([]byte, error) {
	raw = r.scrub(raw)
	reply, err := wire.DecodeReply(raw, wire.Limits{Depth: r.snap.Limits.Depth})
	if err != nil {
		return nil, upstreamError(r.call.server.Name, fmt.Errorf("%w: %w", ErrGarbage, err))
	}
	switch reply.Kind {
	case wire.Request:
		return r.question(reply)
	case wire.Notification:
		if reply.Method == wire.NotifyToolsChanged {
			// The client will ask for the list at once, and must not get the old one.
			r.call.server.refreshSince(r.ctx, time.Now())
		}
		raw, err := r.notification(reply)
		if err == nil && raw != nil && r.call.all {
			raw = r.outward(reply, raw)
		}
		return raw, err
	}
	if r.msg == nil {
		return r.resumed(reply)
	}
	// An error about a request that could not be read has no id; it is still the answer.
	if !strictjson.Equal(reply.ID, r.msg.ID) && !(reply.Error != nil && reply.ID == nil) {
		return nil, upstreamError(r.call.server.Name, fmt.Errorf("%w: answer to another request", ErrGarbage))
	}
	if r.answered {
		return nil, upstreamError(r.call.server.Name, fmt.Errorf("%w: a second answer", ErrGarbage))
	}
	out, err := r.response(reply)
	r.answered = err == nil // of one that may not pass the client is told by an error
	return out, err
}

// resumed passes an answer that a client fetches from a stream of its session. It is judged as
// the request was; an answer to no request of this caller is dropped.
func (r *relay) resumed(reply *wire.Reply) ([]byte, error) {
	q, ok := r.g.owed.Take(r.call.server.Name, r.call.session, r.who.Key(), string(reply.ID))
	if !ok {
		return nil, nil
	}
	call := q.call
	x := *r.exchange
	x.snap, x.msg, x.wants = r.g.snapshot.Load(), call.msg, q.wants
	call.listing = call.server.listing(call.msg.Era)
	earlier := &relay{exchange: &x, ctx: r.ctx, stop: r.stop, who: r.who, call: call}
	return earlier.response(reply)
}

// response applies to the answer what belongs to the request's method.
func (r *relay) response(reply *wire.Reply) ([]byte, error) {
	if member := listMember(r.msg.Method); member != "" && reply.Result != nil {
		return r.list(reply, member)
	}
	reply, err := r.judged(reply)
	if err != nil {
		return nil, err
	}
	if reply.Result == nil {
		return reply.Raw, nil
	}
	if r.msg.Method == wire.MethodInitialize || r.msg.Method == wire.MethodDiscover {
		return r.call.server.introduce(r.msg.Era, reply), nil
	}
	if reply.TaskID != "" && r.call.all {
		return nil, refuse(CodeUnavailable, "the server began a task; tasks are not served at /mcp: use /mcp/%s", r.call.server.Name)
	}
	const mostTaskID = 1 << 10 // bytes: ids are kept
	if len(reply.TaskID) > mostTaskID {
		return nil, upstreamError(r.call.server.Name, fmt.Errorf("%w: a task id of %d bytes", ErrGarbage, len(reply.TaskID)))
	}
	if reply.TaskID != "" && r.msg.Method == wire.MethodToolsCall {
		if err := r.g.handles.Bind(r.call.server.Name, reply.TaskID, r.who.Key(), r.call.msg.Name); err != nil {
			return nil, &Error{Code: CodeUnavailable, Public: "the server began a task that is somebody else's", Err: err}
		}
	}
	if !reply.InputRequests.Empty() {
		if reply, err = r.asksAll(reply); err != nil {
			return nil, err
		}
	}
	if r.call.all {
		return r.outward(reply, r.rewrite(reply)), nil
	}
	return r.rewrite(reply), nil
}

// rewrite splices the two values that may not pass as they are: a state for the client to
// keep is sealed, and an answer that was authorised for one principal is nobody else's to
// cache.
func (r *relay) rewrite(reply *wire.Reply) []byte {
	out := reply.Raw
	type change struct {
		at   strictjson.Span
		with []byte
	}
	var changes []change
	if reply.HasRequestState && r.msg.Era == wire.Modern {
		if state, err := strictjson.String(reply.RequestState.Of(reply.Raw)); err == nil {
			sealed := r.g.sealer.Seal(binding(r.who, r.call), state)
			changes = append(changes, change{reply.RequestState, strictjson.AppendString(nil, sealed)})
		}
	}
	if reply.HasCacheScope && r.msg.Method == wire.MethodResRead {
		changes = append(changes, change{reply.CacheScope, []byte(`"private"`)})
	}
	if len(changes) == 2 && changes[0].at.Start < changes[1].at.Start {
		changes[0], changes[1] = changes[1], changes[0] // later places first, so that earlier spans stay right
	}
	for _, c := range changes {
		out = wire.Splice(out, c.at, c.with)
	}
	return out
}

// question decides whether a server may ask the client something (sampling, elicitation,
// roots). A question that may not be asked is answered by the gateway.
func (r *relay) question(reply *wire.Reply) ([]byte, error) {
	if r.msg != nil && r.msg.Era == wire.Modern {
		return nil, upstreamError(r.call.server.Name, fmt.Errorf("%w: a request to the client, which this protocol does not have", ErrGarbage))
	}
	const most = 1 << 10 // bytes of a name: what a question is about is kept until its answer
	if reply.Method != wire.MethodPing {
		params, refusal := r.mayAsk(reply.Method, reply.Params)
		if refusal != nil || len(r.call.msg.Name) > most {
			r.answerForClient(reply)
			return nil, nil
		}
		var err error
		if reply, err = replaced(reply, "params", reply.Params, params); err != nil {
			return nil, upstreamError(r.call.server.Name, err)
		}
	}
	if r.call.all {
		return r.putQuestion(reply), nil
	}
	r.g.asked.Add(r.call.server.Name, r.call.session, r.who.Key(), string(reply.ID), r.asked(reply))
	return reply.Raw, nil
}

// mayAsk asks the newest policy, not the request's: a stream may be older than that.
// What may be asked goes through the door, and is returned as it may be asked.
func (r *relay) mayAsk(method string, params []byte) ([]byte, *Error) {
	snap := r.g.snapshot.Load()
	rec := r.rec
	rec.Obligations = nil
	forgetQuestion(&rec)
	question := exchange{g: r.g, snap: snap, r: r.r, rec: rec, who: r.who, live: r.live}
	question.rec.Method = method
	in := question.ask(r.who, method, r.call.server)
	in.Request.Era = r.call.msg.Era.String()
	refusal := question.concerns(in, &r.call)
	if refusal == nil {
		d, err := snap.Policy.Decide(r.ctx, in)
		question.question = in
		question.note(d)
		question.advised(d)
		question.compare(in, false, d)
		question.keep(in, d, err)
		if refusal = question.verdict(d, err); refusal == nil {
			refusal = question.uncounted()
		}
		if refusal == nil && question.approvedBy != "" {
			refusal = refuse(CodeDenied, "Denied: the policy wants a person's approval for a question of a server, which nobody can give (decision %s)", question.rec.ID)
		}
	}
	out := params
	if refusal == nil && len(params) > 0 {
		through := relay{exchange: &question, call: r.call}
		var report guard.Report
		var err error
		out, report, err = snap.Door.Question(method, params, through.wanted())
		if err = through.noted(report, err); err != nil {
			refusal = asError(err)
		}
	}
	code := "ok"
	if refusal != nil {
		code, question.rec.Decision = CodeDenied.String(), "deny"
		if snap.RecordOnly {
			out, refusal, question.rec.Decision = params, nil, wouldDeny
		}
	}
	question.outcome(code, "")
	return out, refusal
}

func (r *relay) answerForClient(reply *wire.Reply) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), 5*time.Second)
	go func() {
		defer cancel()
		if r.call.all && r.call.server.Link != nil {
			_ = r.call.server.Link.Refuse(ctx, r.call.session, r.party(), reply.ID) // the server waits, and gives up
			return
		}
		if answer, err := r.call.server.Upstream.Ask(ctx, RefuseQuestion(r.call.session, reply.ID)); err == nil {
			_ = answer.Body.Close()
		}
	}()
}

// event passes one server-sent event. Events without data (comments, ids, retry) go as they
// are; a nil result means that nothing goes to the client.
func (r *relay) event(ev wire.Event) ([]byte, error) {
	if !ev.HasData || len(ev.Data) == 0 {
		return ev.Raw, nil
	}
	if ev.Incomplete {
		return nil, nil // clients ignore it, and nobody could say what it would have been
	}
	out, err := r.message(ev.Data)
	if err != nil || out == nil {
		return nil, err
	}
	if &out[0] == &ev.Data[0] {
		return ev.Raw, nil
	}
	return ev.ReplaceData(out), nil
}

// list filters a list that came from the upstream by asking, for each element, the question
// that using it would ask.
func (r *relay) list(reply *wire.Reply, member string) ([]byte, error) {
	page, err := catalog.ParsePage(reply.Result, member)
	if err == nil {
		page, err = catalog.ParsePage(r.call.server.pinnedPage(r.msg.Era, member, page), member)
	}
	if err != nil {
		return nil, upstreamError(r.call.server.Name, fmt.Errorf("%w: %w", ErrGarbage, err))
	}
	filtered, err := r.filter(r.ctx, r.who, r.call, page, member)
	if err != nil {
		return nil, err
	}
	if filtered, err = r.judge(guard.Other, filtered, r.wanted()); err != nil {
		return nil, err
	}
	return wire.Splice(reply.Raw, strictjson.Span{Start: reply.ResultStart, End: reply.ResultEnd}, filtered), nil
}

// listMember is the member of a list's result that holds its elements.
func listMember(method string) string {
	switch method {
	case wire.MethodToolsList, wire.MethodPromptsList, wire.MethodResList, wire.MethodTasksList:
		return strings.TrimSuffix(method, "/list")
	case wire.MethodResTemplates:
		return "resourceTemplates"
	}
	return ""
}
