package gateway

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"sallyport/gateway/session"
	"sallyport/gateway/wire"
	"sallyport/identity"
	"sallyport/internal/strictjson"
	"sallyport/policy"
)

// authorize asks the policy, puts the decision on disk and makes the permit of a message;
// authorizeSession makes those of GET and DELETE, and nothing else makes any.
func (x *exchange) authorize(ctx context.Context, who *identity.Principal, call checked) (*Permit, error) {
	out, err := x.outbound(who, call)
	if err != nil {
		return nil, err
	}
	if err := x.decide(ctx, who, call); err != nil {
		return nil, err
	}
	x.strip(out.Header, call)
	if err := x.charge(call); err != nil {
		return nil, err
	}
	if refusal := x.approved(ctx, call); refusal != nil && !x.only(refusal) {
		x.refund()
		return nil, refusal
	}
	if err := x.record(ctx); err != nil {
		return nil, err
	}
	if ended := endedGrant(ctx); ended != nil {
		x.refund()
		return nil, unauthenticated(ended)
	}
	return &Permit{out: out, valid: true}, nil
}

// decide returns nil when the call may be made.
func (x *exchange) decide(ctx context.Context, who *identity.Principal, call checked) error {
	in, refusal := x.input(who, call)
	if refusal != nil {
		return refusal
	}
	if refusal = x.withinGrant(ctx, call, in); refusal != nil {
		x.note(policy.Decision{Revision: x.snap.Policy.Revision(), Reasons: []string{"the grant does not allow it"}})
		x.rec.Decision = "deny"
		return x.hide(ctx, call, in, refusal)
	}
	for _, may := range []func() *Error{
		func() *Error { return x.askPolicy(ctx, call, in) },
		func() *Error { return x.withinRules(call) },
		func() *Error { return x.leaks(call, in) },
	} {
		if refusal = may(); refusal != nil && !x.only(refusal) {
			x.rec.Decision = "deny"
			return x.hide(ctx, call, in, refusal)
		}
	}
	if refusal = x.touch(call, in); refusal != nil && !x.only(refusal) {
		return refusal
	}
	return nil
}

// wouldDeny is the decision of a record about something that was let through only because it is not
// enforced what refuses it.
const wouldDeny = "would_deny"

// only reports whether a refusal is only recorded.
func (x *exchange) only(refusal *Error) bool {
	if !x.snap.RecordOnly {
		return false
	}
	x.rec.Decision = wouldDeny
	if len(x.rec.Reasons) == 0 {
		x.rec.Reasons = []string{refusal.Public}
	}
	return true
}

func (x *exchange) askPolicy(ctx context.Context, call checked, in *policy.Input) *Error {
	ask := x.snap.Policy.Decide
	if housekeeping(call.msg) {
		ask = x.snap.Policy.Denied
	}
	d, err := ask(ctx, in)
	x.g.counts.decisions.Add(1)
	if d.Cached {
		x.g.counts.decisionsCached.Add(1)
	}
	if err != nil {
		d = policy.Decision{Revision: x.snap.Policy.Revision()}
	}
	x.question = in
	x.note(d)
	x.advised(d)
	x.compare(in, housekeeping(call.msg), d)
	if !housekeeping(call.msg) {
		x.keep(in, d, err)
	}
	return x.verdict(d, err)
}

// hide turns the refusal of what the caller may not see into that of what does not exist.
func (x *exchange) hide(ctx context.Context, call checked, in *policy.Input, refusal *Error) *Error {
	if call.tool != nil {
		if visible, verr := x.visible(ctx, in); verr != nil || !visible {
			hidden := x.unknownTool()
			hidden.Err = refusal
			if call.msg.Method != wire.MethodToolsCall {
				hidden = refuse(CodeInvalidParams, "Unknown task")
			}
			return hidden
		}
	}
	if call.all && (in.Prompt != nil || in.Resource != nil) {
		if visible, verr := x.visible(ctx, in); verr != nil || !visible {
			hidden := x.unknownName()
			hidden.Err = refusal
			return hidden
		}
	}
	return refusal
}

// visible reports whether the caller may see what in asks about. Record-only hides nothing but
// what the grant does not cover.
func (x *exchange) visible(ctx context.Context, in *policy.Input) (bool, error) {
	if !x.grantSees(in) {
		return false, nil
	}
	if x.snap.RecordOnly {
		return true, nil
	}
	return x.snap.Policy.Visible(ctx, in)
}

// verdict turns a decision into a refusal, or nil. Obligations that cannot be met refuse.
func (x *exchange) verdict(d policy.Decision, err error) *Error {
	if err != nil {
		return &Error{Code: CodeDenied, Public: "Denied: the policy could not be evaluated (decision " + x.rec.ID + ")", Err: err}
	}
	if !d.Allow {
		if len(d.Reasons) == 0 {
			x.rec.Reasons = []string{"no rule allows it"}
		}
		why := strings.Join(x.rec.Reasons, "; ")
		return refuse(CodeDenied, "Denied by policy: %s (decision %s)", why, x.rec.ID)
	}
	for _, o := range d.Obligations {
		if err := x.meet(o); err != nil {
			return refuse(CodeDenied, "Denied: %s (decision %s)", err, x.rec.ID)
		}
	}
	return nil
}

// note puts a decision into the record.
func (x *exchange) note(d policy.Decision) {
	x.rec.Decision = "allow"
	x.rec.Reasons, x.rec.Rules, x.rec.PolicyRevision = d.Reasons, d.Rules, d.Revision
	x.rec.LabelsBefore = x.live.Labels()
	x.rec.LabelsAfter = x.rec.LabelsBefore
	for _, o := range d.Obligations {
		x.rec.Obligations = append(x.rec.Obligations, o.Raw)
	}
	if x.msg != nil && x.msg.Arguments != nil {
		x.rec.ArgumentsDigest = x.g.recorder.Digest(x.msg.Arguments)
	}
}

// outbound builds what goes upstream: the client's bytes, with a sealed state opened.
func (x *exchange) outbound(who *identity.Principal, call checked) (Outbound, error) {
	msg := call.msg
	h := x.r.Header
	if call.all {
		h = call.header
	}
	out := Outbound{Method: http.MethodPost, Header: wire.ForwardHeaders(msg, h), Body: msg.Raw,
		Idempotent: idempotent(msg.Method), Stream: msg.Method == wire.MethodListen, Message: msg, For: x.party()}
	if x.watch != nil && x.traceparent != "" {
		wire.SetTraceparent(out.Header, x.traceparent)
	}
	if call.all {
		known := x.clientOf(call)
		out.Session, out.Can, out.Level = call.session, x.askable(call, known.can), known.level
		delete(out.Header, wire.HeaderSession) // the endpoint's, which no server knows
		delete(out.Header, wire.HeaderLastEventID)
	}
	if !msg.HasRequestState || msg.Era != wire.Modern {
		return out, nil
	}
	sealed, err := strictjson.String(msg.RequestState.Of(msg.Raw))
	if err != nil {
		return Outbound{}, refuse(CodeInvalidParams, "params.requestState is not valid for this call")
	}
	state, err := x.g.sealer.Open(binding(who, call), sealed)
	if err != nil {
		return Outbound{}, &Error{Code: CodeInvalidParams, Public: "params.requestState is not valid for this call", Err: err}
	}
	out.Body = wire.Splice(msg.Raw, msg.RequestState, strictjson.AppendString(nil, state))
	var refused *wire.Error
	if out.Message, refused = wire.Decode(out.Body, h, x.limits()); refused != nil {
		return Outbound{}, &Error{Code: CodeInvalidParams, Public: "params.requestState is not valid for this call", Err: refused}
	}
	return out, nil
}

// party is whose requests the exchange sends. Who vouched for the subject belongs to it: two issuers
// may know different people by one name.
func (x *exchange) party() Party {
	return Party{Key: x.who.Key(), Grant: x.who.Grant, Subject: x.who.Subject, Issuer: x.voucher()}
}

// voucher is who vouched for the subject: this gateway, or the issuer of the identity that was
// exchanged for the grant.
func (x *exchange) voucher() string { return cmp.Or(x.live.Grant().Issuer, x.who.Issuer) }

func binding(who *identity.Principal, call checked) session.Binding {
	return session.Binding{Owner: who.Key(), Server: call.server.Name, Method: call.msg.Method, Name: call.msg.Name}
}

// idempotent methods may be sent again after a broken connection; a call may have had effect.
func idempotent(method string) bool {
	switch method {
	case wire.MethodPing, wire.MethodDiscover, wire.MethodToolsList, wire.MethodPromptsList, wire.MethodResList,
		wire.MethodResTemplates, wire.MethodTasksGet, wire.MethodTasksList:
		return true
	}
	return false
}

// housekeeping needs no allow from an authenticated caller; deny may still refuse it.
func housekeeping(msg *wire.Message) bool {
	return policy.Housekeeping(msg.Method) || msg.Kind == wire.Notification
}
