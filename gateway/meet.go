package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"sallyport/gateway/approval"
	"sallyport/gateway/guard"
	"sallyport/gateway/guard/secrets"
	"sallyport/gateway/rules"
	"sallyport/gateway/wire"
	"sallyport/identity"
	"sallyport/identity/grant"
	"sallyport/internal/strictjson"
	"sallyport/policy"
)

// meet does what an obligation asks for, or notes it for what comes later: a bound that is charged
// before the call, a person who must agree, what is done with the answer. It says why that cannot
// be.
func (x *exchange) meet(o policy.Obligation) error {
	if err := o.Check(); err != nil {
		return err
	}
	switch o.Type {
	case policy.RecordArguments:
		if x.msg != nil {
			x.rec.Arguments = x.recordable(x.msg.Arguments)
		}
	case policy.RequireProof:
		if x.who.Proof == identity.ProofNone {
			return errors.New("the policy wants a token that is bound to a key, as `sallyport connect` has")
		}
	case policy.MaxCalls:
		n, perTool, err := o.MaxCalls()
		if err != nil {
			return err
		}
		x.bounds = append(x.bounds, grant.Bound{N: n, PerTool: perTool})
	case policy.MaxRepeats:
		n, within, err := o.MaxRepeats()
		if err != nil {
			return err
		}
		x.bounds = append(x.bounds, grant.Bound{Kind: grant.Repeats, N: n, Within: within})
	case policy.Label:
		labels, err := o.Labels()
		if err != nil {
			return err
		}
		return x.label(labels)
	case policy.RequireApproval:
		by, err := o.Approval()
		if err != nil {
			return err
		}
		if x.approvedBy != "" && x.approvedBy != by {
			return errors.New("the policy wants approval by two roles, and a call can have one")
		}
		x.approvedBy = by
	default:
		return x.meetLater(o)
	}
	return nil
}

// meetLater notes what the second door is to do, and what is done with the arguments.
func (x *exchange) meetLater(o policy.Obligation) error {
	switch o.Type {
	case policy.Redact:
		what, pass, err := o.Redact()
		if err != nil {
			return err
		}
		return x.want(guard.What(what), 0, pass)
	case policy.Refuse:
		what, inArguments, pass, err := o.Refuse()
		if err != nil {
			return err
		}
		if !inArguments {
			return x.want(0, guard.What(what), pass)
		}
		if what == policy.Secrets { // of two, the stricter holds
			before := x.noneOf&guard.Secrets != 0
			x.passUnscanned = pass && (!before || x.passUnscanned)
		}
		x.noneOf |= guard.What(what)
	case policy.Mask:
		pointer, err := o.Mask()
		if err != nil {
			return err
		}
		x.wants.Mask = append(x.wants.Mask, pointer)
	case policy.MaxBytes:
		return x.meetBytes(o)
	default:
		return fmt.Errorf("the policy asks for %q, which this gateway cannot do", o.Type)
	}
	return nil
}

// want adds to what the door does with the answer. Where two obligations differ about what was not
// scanned, the stricter holds.
func (x *exchange) want(redact, refuse guard.What, pass bool) error {
	if (redact|refuse)&guard.Secrets != 0 {
		if !x.snap.findsSecrets() {
			return errors.New("the policy asks for a search for secrets, and guards.secrets is off")
		}
		before := (x.wants.Redact|x.wants.Refuse)&guard.Secrets != 0
		x.wants.PassUnscanned = pass && (!before || x.wants.PassUnscanned)
	}
	x.wants.Redact |= redact
	x.wants.Refuse |= refuse
	return nil
}

func (x *exchange) meetBytes(o policy.Obligation) error {
	n, of, per, err := o.MaxBytes()
	switch {
	case err != nil:
		return err
	case of == "result":
		if x.wants.MaxBytes == 0 || n < x.wants.MaxBytes {
			x.wants.MaxBytes = n
		}
	case per == "call":
		if x.msg != nil && int64(len(x.msg.Arguments)) > n {
			return fmt.Errorf("the policy allows %d bytes of arguments, and these are %d", n, len(x.msg.Arguments))
		}
	default:
		x.bounds = append(x.bounds, grant.Bound{Kind: grant.Bytes, N: n, PerTool: per == "tool"})
	}
	return nil
}

// withinRules says which argument is not of the kind that the operator's configuration wants.
func (x *exchange) withinRules(call checked) *Error {
	if call.tool == nil || call.msg.Method != wire.MethodToolsCall {
		return nil
	}
	bad := x.snap.Rules[call.server.Name].Tool(call.tool.Name).Judge(call.msg.Arguments)
	if len(bad) == 0 {
		return nil
	}
	return refuse(CodeDenied, "Denied: the argument %q: %s (decision %s)", bad[0].Argument, bad[0].Why, x.rec.ID)
}

// leaks refuses what must not be in the message: secrets on their way to a sink, the gateway's own
// credentials and canaries among them, and what the policy wants none of.
func (x *exchange) leaks(call checked, in *policy.Input) *Error {
	sink := rules.Sink(labelsOf(in)) || labelsOf(in) == nil && rules.Sink(in.ServerLabels)
	if x.noneOf&^guard.Secrets != 0 {
		if refusal := x.cleanArguments(call); refusal != nil {
			return refusal
		}
	}
	if !sink && x.noneOf&guard.Secrets == 0 || call.server == x.g.all {
		return nil
	}
	x.bare = true
	raw := call.msg.Raw
	for _, server := range x.snap.members {
		if _, n := server.scrub(raw); n > 0 {
			return refuse(CodeDenied, "Denied: the call holds the gateway's own credential for the server %q (decision %s)", server.Name, x.rec.ID)
		}
	}
	if x.noneOf&guard.Secrets != 0 && !x.snap.findsSecrets() {
		return refuse(CodeDenied, "Denied: the policy asks for a search for secrets, and guards.secrets is off (decision %s)", x.rec.ID)
	}
	if x.snap.Secrets == nil {
		return nil
	}
	found := x.snap.Secrets.JSON(raw)
	if len(found.Findings) > 0 {
		return x.secret(call, found.Findings[0])
	}
	if !found.Complete && !x.passUnscanned {
		return refuse(CodeDenied, "Denied: the call could not be searched for secrets to its end: %s; send less at once (decision %s)", found.Why, x.rec.ID)
	}
	return nil
}

// strip takes out of the headers of a message that leaks has searched what a client writes there at will,
// and no search has seen: trace state, the last event, and parameters that the tool's schema does not bind
// to an argument. What is bound says what the searched body says.
func (x *exchange) strip(h http.Header, call checked) {
	if !x.bare {
		return
	}
	delete(h, wire.HeaderLastEventID)
	delete(h, "Tracestate")
	for name := range h {
		bound := call.tool != nil && slices.ContainsFunc(call.tool.Bindings, func(b wire.HeaderBinding) bool { return b.Header == name })
		if strings.HasPrefix(name, wire.HeaderParamPrefix) && !bound {
			delete(h, name)
		}
	}
}

// secret refuses a call for what was found in it.
func (x *exchange) secret(call checked, f secrets.Finding) *Error {
	if f.Marker {
		x.g.log.Warn("a canary was on its way to a sink; the call was refused", slog.String("id", x.rec.ID), slog.String("canary", f.Rule),
			slog.String("server", call.server.Name), slog.String("tool", x.rec.Tool), slog.String("subject", x.rec.Subject))
	}
	return refuse(CodeDenied, "Denied: the call holds what looks like a secret (%s), and what %s is told can be read elsewhere; take it out (decision %s)",
		f.Rule, call.server.Name, x.rec.ID)
}

// cleanArguments refuses hidden characters and links in arguments, where the policy wants none.
func (x *exchange) cleanArguments(call checked) *Error {
	if len(call.msg.Arguments) == 0 {
		return nil
	}
	a := guard.Ask{Server: call.server.Name, Refuse: x.noneOf &^ guard.Secrets}
	if _, _, err := x.snap.Door.Judge(guard.Other, call.msg.Arguments, &a); err != nil {
		return &Error{Code: CodeDenied, Err: err, Public: fmt.Sprintf("Denied: the arguments hold hidden characters or links, which the policy does not allow (decision %s)", x.rec.ID)}
	}
	return nil
}

// approved refuses until a person has agreed to exactly this call, and takes the agreement, which
// counts once.
func (x *exchange) approved(_ context.Context, call checked) *Error {
	if x.approvedBy == "" {
		return nil
	}
	if x.snap.RecordOnly { // nobody is asked for what is not enforced, and no agreement is used up
		return refuse(CodeApprovalRequired, "somebody with the role %s would have to agree", x.approvedBy)
	}
	if x.g.approvals == nil || x.msg == nil {
		return refuse(CodeDenied, "Denied: the policy wants a person's approval, and this gateway has nobody to ask (decision %s)", x.rec.ID)
	}
	g, said, also := x.live.Grant(), call.msg.Arguments, saidBeside(call.msg)
	if also != nil {
		said = slices.Concat(said, []byte{0}, also) // no JSON has a NUL
	}
	ticket, ok, err := x.g.approvals.Ask(approval.Call{Method: call.msg.Method, Server: call.server.Name, Tool: call.msg.Name,
		Digest: x.g.recorder.Digest(said), Subject: x.who.Subject, Issuer: x.voucher(),
		Client: x.who.ClientID, Grant: g.ID, Root: g.Root, Task: g.Task, PolicyRevision: x.snap.Policy.Revision(), By: x.approvedBy,
		Arguments: call.msg.Arguments, Also: also})
	switch {
	case err != nil:
		return &Error{Code: CodeDenied, Err: err, Public: fmt.Sprintf("Denied: %v (decision %s)", err, x.rec.ID)}
	case !ok:
		x.rec.Reasons = merge(x.rec.Reasons, []string{"approval " + ticket.ID})
		return &Error{Code: CodeApprovalRequired, Public: ticket.Advice()}
	}
	x.rec.Reasons = append(x.rec.Reasons, fmt.Sprintf("approval %s by %s", ticket.ID, ticket.DecidedBy))
	return nil
}

// saidBeside is what a client says with a call beside its name and its arguments, as one object, or
// nil: answers to what the server asked in between, what stands in _meta, and whatever else a server
// may read. Left out are the sealed state, which is another each time a call begins anew, and what
// metaBeside leaves out.
func saidBeside(msg *wire.Message) []byte {
	if len(msg.Params) == 0 || msg.Params[0] != '{' {
		return nil
	}
	members, err := strictjson.Object(msg.Params)
	if err != nil {
		return nil
	}
	var out []byte
	for _, m := range members {
		switch m.Name {
		case "arguments":
			continue
		case "requestState":
			if msg.Era == wire.Modern { // in the older era it is sealed by nobody
				continue
			}
		case "_meta":
			if meta := metaBeside(m.Value().Of(msg.Params)); meta != nil {
				out = append(append(out, `,"_meta":`...), meta...)
			}
			continue
		case "name", "uri", "taskId":
			if s, err := strictjson.String(m.Value().Of(msg.Params)); err == nil && s == msg.Name {
				continue
			}
		}
		out = append(out, ',')
		out = append(append(strictjson.AppendString(out, m.Name), ':'), m.Value().Of(msg.Params)...)
	}
	if out == nil {
		return nil
	}
	out[0] = '{'
	return append(out, '}')
}

// metaBeside is the object _meta without what the protocol makes anew for each request, and without the
// ids that clients give each of theirs, or nil where nothing else is in it.
func metaBeside(meta []byte) []byte {
	if len(meta) == 0 || meta[0] != '{' {
		return meta
	}
	members, err := strictjson.Object(meta)
	if err != nil {
		return meta
	}
	var out []byte
	for _, m := range members {
		switch m.Name {
		case "progressToken", "traceparent", "tracestate", "baggage",
			"claudecode/toolUseId", "vscode.requestId", "vscode.conversationId": // of Claude Code and of VS Code
			continue
		}
		if strings.HasPrefix(m.Name, "io.modelcontextprotocol/") {
			continue
		}
		out = append(out, ',')
		out = append(append(strictjson.AppendString(out, m.Name), ':'), m.Value().Of(meta)...)
	}
	if out == nil {
		return nil
	}
	out[0] = '{'
	return append(out, '}')
}
