package gateway

import (
	"sallyport/gateway/catalog"
	"sallyport/gateway/wire"
	"sallyport/identity"
	"sallyport/policy"
)

// input is the one function that decides what a policy sees of a principal and a call.
func (x *exchange) input(who *identity.Principal, call checked) (*policy.Input, *Error) {
	msg := call.msg
	in := x.ask(who, msg.Method, call.server)
	in.Request.Era = msg.Era.String()
	in.Arguments, in.ArgumentsOutline = msg.Arguments, msg.Outline
	about := &call
	if msg.Method == "" { // a client's answer: the question's method, about what the question was about
		in.Action, about = x.rec.Method, x.about
	}
	return in, x.concerns(in, about)
}

// concerns puts the tool, resource or prompt into the question that a call is about.
func (x *exchange) concerns(in *policy.Input, call *checked) *Error {
	msg, set := call.msg, x.snap.Rules[call.server.Name]
	resource, prompt := false, false
	switch msg.Method {
	case wire.MethodResRead, wire.MethodResSubscribe, wire.MethodResUnsub:
		resource = true
	case wire.MethodPromptsGet:
		prompt = true
	case wire.MethodComplete:
		resource = msg.Ref == "ref/resource"
		prompt = !resource
	}
	switch {
	case call.tool != nil:
		in.Tool = x.toolOf(call.server, call.tool)
	case prompt:
		in.Prompt = &policy.Item{Name: msg.Name, Labels: set.Prompt(msg.Name).Labels}
	case resource && msg.Method == wire.MethodComplete:
		in.Resource = &policy.Item{URI: msg.Name, Labels: set.Template(msg.Name).Labels}
	case resource:
		rule, err := set.Resource(msg.Name)
		if err != nil {
			return &Error{Code: CodeInvalidParams, Err: err, Public: "the URI can be read in more than one way, and what may be read depends on it: " + err.Error()}
		}
		in.Resource = &policy.Item{URI: msg.Name, Labels: rule.Labels}
	default:
		in.ServerLabels = set.All()
	}
	return nil
}

// ask begins a question to the policy about an action of who at a server.
func (x *exchange) ask(who *identity.Principal, action string, server *Server) *policy.Input {
	in := &policy.Input{
		Subject: x.subject(who), Action: action, Server: server.Name, ServerLabels: x.snap.Rules[server.Name].Labels(), Flow: x.live.Labels(),
		Request: policy.Request{ID: x.rec.ID, Time: x.rec.Time, Method: action},
	}
	in.Grant = x.policyGrant()
	if left, counted := x.live.CallsLeft(); counted {
		in.Grant.CallsLeft = &left
	}
	return in
}

// policyGrant is what a list sees of the grant; a call sees how many calls are left as well.
func (x *exchange) policyGrant() *policy.Grant {
	g := x.live.Grant()
	return &policy.Grant{ID: g.ID, Task: g.Task, Expires: g.Expires}
}

func (x *exchange) toolOf(s *Server, t *catalog.Tool) *policy.Tool {
	return &policy.Tool{Name: t.Name, Title: t.Title, Annotations: t.Annotations, Digest: t.Digest,
		Labels: x.snap.Rules[s.Name].Tool(t.Name).Labels, Pinned: s.Pins != nil, Reviewed: s.Reviewed(t)}
}

func (x *exchange) subject(who *identity.Principal) *policy.Subject {
	g := x.live.Grant()
	s := &policy.Subject{ID: who.Subject, Issuer: x.voucher(), Client: who.ClientID, Roles: who.Roles,
		Actors: who.Actors, Claims: who.Claims, Proof: who.Proof}
	if who.Measured != "" || g.Measured != "" {
		s.Measured = &policy.Measured{Digest: who.Measured, Changed: who.Measured != g.Measured,
			Approved: who.Measured != "" && x.snap.Approved != nil && x.snap.Approved(who.Measured)}
	}
	return s
}
