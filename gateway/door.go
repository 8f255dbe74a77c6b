package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"sallyport/gateway/guard"
	"sallyport/gateway/rules"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// The second door. Every message from a server passes here, whole, before a byte of it goes to the
// client. What the tool's labels, its pinned schema and the policy's obligations want of it is in
// the guard.Ask; the judging itself is package guard's.

// wanted is what is wanted of what comes back for the call.
func (r *relay) wanted() *guard.Ask {
	a := r.wants
	if r.snap.RecordOnly {
		a = guard.Ask{} // what a policy asks for is recorded and not done
	}
	a.Server = r.call.server.Name
	set := r.snap.Rules[a.Server]
	switch msg := r.call.msg; {
	case r.call.tool != nil:
		a.Content = set.Tool(r.call.tool.Name).Content
	case msg == nil:
	case msg.Method == wire.MethodPromptsGet:
		a.Content = set.Prompt(msg.Name).Content
	case msg.Method == wire.MethodResRead:
		if rule, err := set.Resource(msg.Name); err == nil {
			a.Content = rule.Content
		}
	}
	return &a
}

// judge lets a part of a message through the door.
func (r *relay) judge(kind guard.Kind, doc []byte, a *guard.Ask) ([]byte, error) {
	out, report, err := r.snap.Door.Judge(kind, doc, a)
	if err = r.noted(report, err); err != nil && r.snap.RecordOnly {
		r.withheld = err
		return doc, nil
	}
	return out, err
}

// noted keeps what the door has done, for the record, and turns what it refuses into a refusal.
func (r *relay) noted(report guard.Report, err error) error {
	r.reports.Hidden += report.Hidden
	r.reports.Links += report.Links
	r.reports.Secrets += report.Secrets
	r.reports.Masked += report.Masked
	r.reports.Dropped += report.Dropped
	r.reports.Unscanned = r.reports.Unscanned || report.Unscanned
	r.reports.Rules = merge(r.reports.Rules, report.Rules)
	if report.Canary && !r.reports.Canary {
		r.reports.Canary = true
		r.g.log.Warn("a canary was in what a server sent; it was taken out", slog.String("id", r.rec.ID),
			slog.String("server", r.call.server.Name), slog.String("tool", r.rec.Tool))
	}
	if err == nil {
		return nil
	}
	public := "the answer of the server was withheld: it is not what it should be"
	if refused, ok := errors.AsType[*guard.Refused](err); ok {
		public = refused.Public
	}
	return &Error{Code: CodeInvalidOutput, Public: fmt.Sprintf("%s (decision %s)", public, r.rec.ID), Err: err}
}

// judged is the answer as the door lets it through.
func (r *relay) judged(reply *wire.Reply) (*wire.Reply, error) {
	part, member := reply.Result, "result"
	kind := r.kind(reply)
	if part == nil {
		part, member, kind = reply.Error, "error", guard.Error
	} else if err := r.resultType(reply); err != nil {
		return nil, err
	}
	a := r.wanted()
	if kind == guard.ToolResult && r.call.tool.Output != nil {
		a.Output = r.call.tool.Output.Validate
	}
	now, err := r.ofTask(part, kind)
	if err != nil {
		return nil, err
	}
	out, err := r.judge(kind, now, a)
	if err != nil {
		return nil, err
	}
	if out, err = r.byResponsePolicy(kind, out, a); err != nil {
		return nil, err
	}
	return replaced(reply, member, part, out)
}

// ofTask judges the result of a call that a task's state carries, as if the call had returned it.
func (r *relay) ofTask(state []byte, kind guard.Kind) ([]byte, error) {
	if r.msg.Method != wire.MethodTasksGet || r.call.tool == nil || kind == guard.Error || state[0] != '{' {
		return state, nil
	}
	span, ok := strictjson.Find(state, "result")
	if !ok || state[span.Start] != '{' {
		return state, nil
	}
	a := r.wanted()
	if r.call.tool.Output != nil {
		a.Output = r.call.tool.Output.Validate
	}
	out, err := r.judge(guard.ToolResult, span.Of(state), a)
	if err != nil {
		return nil, err
	}
	return wire.Splice(state, span, out), nil
}

// kind says what a result is. One that asks for input, or stands for a task, holds no content yet.
func (r *relay) kind(reply *wire.Reply) guard.Kind {
	if reply.ResultType == "input_required" || reply.TaskID != "" {
		return guard.Other
	}
	switch r.msg.Method {
	case wire.MethodToolsCall, wire.MethodTasksResult:
		if r.call.tool != nil {
			return guard.ToolResult
		}
	case wire.MethodResRead:
		return guard.Contents
	case wire.MethodPromptsGet:
		return guard.Prompt
	}
	return guard.Other
}

// resultType refuses a result of a type that nobody here has heard of: it could not be judged.
func (r *relay) resultType(reply *wire.Reply) error {
	switch reply.ResultType {
	case "", "complete", "input_required", "task":
		return nil
	}
	return &Error{Code: CodeInvalidOutput, Public: fmt.Sprintf("the server %q sent a result of an unknown type (decision %s)", r.call.server.Name, r.rec.ID),
		Err: fmt.Errorf("resultType %.64q; known are complete, input_required and task", reply.ResultType)}
}

// replaced is the message with another value in place of one of its members.
func replaced(reply *wire.Reply, member string, was, now []byte) (*wire.Reply, error) {
	if len(was) == 0 || len(was) == len(now) && &was[0] == &now[0] {
		return reply, nil
	}
	at, ok := strictjson.Find(reply.Raw, member)
	if !ok {
		return nil, fmt.Errorf("%w: no %s", ErrGarbage, member)
	}
	again, err := wire.DecodeReply(wire.Splice(reply.Raw, at, now), wire.Limits{})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGarbage, err)
	}
	return again, nil
}

// notification lets a notification through the door. A log message on a stream that belongs to no
// call has no labels that a task could get by it; from a server with a source it does not pass.
func (r *relay) notification(reply *wire.Reply) ([]byte, error) {
	ofNoCall := r.msg == nil || r.msg.Method == wire.MethodListen
	if ofNoCall && reply.Method == wire.NotifyMessage && rules.Source(r.snap.Rules[r.call.server.Name].All()) {
		return nil, nil
	}
	if len(reply.Params) == 0 {
		return reply.Raw, nil
	}
	out, err := r.judge(guard.Notification, reply.Params, r.wanted())
	if err != nil {
		return nil, err
	}
	next, err := replaced(reply, "params", reply.Params, out)
	if err != nil {
		return nil, err
	}
	return next.Raw, nil
}

// asksAll decides each of the questions in a result, and lets it through the door.
func (r *relay) asksAll(reply *wire.Reply) (*wire.Reply, error) {
	raw := reply.InputRequests.Of(reply.Raw)
	out := raw
	var refused *Error
	var entries []strictjson.Member
	if err := strictjson.EachMember(raw, func(m strictjson.Member) { entries = append(entries, m) }); err != nil {
		return nil, upstreamError(r.call.server.Name, ErrGarbage)
	}
	for _, m := range slices.Backward(entries) { // from the end, so that earlier places stay right
		entry := m.Value()
		at, _ := strictjson.Find(entry.Of(raw), "params")
		params, refusal := r.mayAsk(textAt(entry.Of(raw), "method"), at.Of(entry.Of(raw)))
		if refusal != nil {
			refused = refusal
		}
		if len(params) > 0 {
			out = wire.Splice(out, strictjson.Span{Start: entry.Start + at.Start, End: entry.Start + at.End}, params)
		}
	}
	if refused != nil {
		return nil, refused
	}
	again, err := wire.DecodeReply(wire.Splice(reply.Raw, reply.InputRequests, out), wire.Limits{})
	if err != nil {
		return nil, upstreamError(r.call.server.Name, fmt.Errorf("%w: %w", ErrGarbage, err))
	}
	return again, nil
}

func merge(list, more []string) []string {
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// byResponsePolicy asks the policy about a result as the door has let it through, and does with it
// what the policy wants besides.
func (r *relay) byResponsePolicy(kind guard.Kind, result []byte, a *guard.Ask) ([]byte, error) {
	snap := r.snap
	if kind == guard.Error || !snap.Policy.JudgesResults() || housekeeping(r.msg) {
		return result, nil
	}
	in := r.ask(r.who, r.msg.Method, r.call.server)
	in.Request.Era, in.Arguments, in.Result = r.msg.Era.String(), r.msg.Arguments, result
	if refusal := r.concerns(in, &r.call); refusal != nil {
		return nil, refusal
	}
	d, err := snap.Policy.DecideResult(r.ctx, in)
	judged := exchange{g: r.g, snap: snap, r: r.r, rec: r.rec, who: r.who, live: r.live}
	judged.note(d)
	if refusal := judged.verdict(d, err); refusal != nil {
		if snap.RecordOnly {
			r.withheld = refusal
			return result, nil
		}
		r.rec.Reasons = judged.rec.Reasons
		return nil, refusal
	}
	if judged.wants.Redact|judged.wants.Refuse == 0 && len(judged.wants.Mask) == 0 && judged.wants.MaxBytes == 0 {
		return result, nil
	}
	own := judged.wants
	own.Server, own.Content, own.Secrets = a.Server, a.Content, a.Secrets
	return r.judge(kind, result, &own)
}
