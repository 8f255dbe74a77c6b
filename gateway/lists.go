package gateway

import (
	"context"
	"errors"
	"net/http"

	"sallyport/gateway/catalog"
	"sallyport/gateway/wire"
	"sallyport/identity"
	"sallyport/policy"
)

// serveTools answers tools/list from the catalogue. The bytes are shared by all callers of
// whom the policy reads the same; only the id is spliced in.
func (x *exchange) serveTools(ctx context.Context, who *identity.Principal, call checked) error {
	if err := x.decide(ctx, who, call); err != nil {
		return err
	}
	page, ok := call.listing.Page(call.msg.Cursor, call.msg.HasCursor)
	if !ok {
		return refuse(CodeInvalidParams, "Invalid cursor")
	}
	key := catalog.ViewKey{Server: call.server.Name, Digest: call.listing.Digest, Cursor: cursorKey(call.msg)}
	return x.serveView(who, call, key, func() ([]byte, error) {
		return x.filter(context.WithoutCancel(ctx), who, call, page, "tools")
	})
}

// serveView answers with a list that all callers share of whom the policy reads the same; key says
// which list.
func (x *exchange) serveView(who *identity.Principal, call checked, key catalog.ViewKey, build func() ([]byte, error)) error {
	key.Revision, key.Era = x.snap.viewRevision(), call.msg.Era
	key.SubjectKey = x.snap.Policy.SubjectKey(x.subject(who)) + x.snap.Policy.GrantKey(x.policyGrant())
	if x.live.Narrow() { // the grant hides what its role may see
		key.SubjectKey += "\x00" + who.Grant
	}
	view, err := x.g.views.Get(key, build)
	if err != nil {
		return err
	}
	// The shared bytes are written as they are, between the two ends of this answer.
	ends := wire.AppendResult(make([]byte, 0, 64), call.msg.ID, nil)
	x.respond(http.StatusOK, ends[:len(ends)-1], view, ends[len(ends)-1:])
	x.outcome("ok", "")
	return nil
}

// cursorKey tells the first page from the page with the empty cursor.
func cursorKey(msg *wire.Message) string {
	if !msg.HasCursor {
		return ""
	}
	return "=" + msg.Cursor
}

// viewRevision tells views of one policy apart by whether it is enforced.
func (s *Snapshot) viewRevision() string {
	if s.RecordOnly {
		return s.Policy.Revision() + s.said + " record-only"
	}
	return s.Policy.Revision() + s.said
}

// filter returns the page's result with what the caller may use.
func (x *exchange) filter(ctx context.Context, who *identity.Principal, call checked, page *catalog.Page, member string) ([]byte, error) {
	era := call.msg.Era
	listing := call.listing
	if member == "tools" && listing == nil {
		var err error
		if listing, err = catalog.BuildListing(era, []catalog.PageResult{{Result: page.Result}}); err != nil {
			return nil, upstreamError(call.server.Name, errors.Join(ErrGarbage, err))
		}
	}
	var failed error
	out := page.Filter(era, func(i int) bool {
		if failed != nil || page.Names[i] == "" {
			return false
		}
		in := x.ask(who, useOf(member), call.server)
		in.Request.Era = era.String()
		if !x.describe(in, who, call, listing, member, page.Names[i]) {
			return false
		}
		visible, err := x.visible(ctx, in)
		failed = err
		return visible && err == nil
	})
	if failed != nil {
		return nil, &Error{Code: CodeDenied, Public: "Denied: the policy could not be evaluated (decision " + x.rec.ID + ")", Err: failed}
	}
	return out, nil
}

// useOf is the method that uses an element of the list.
func useOf(member string) string {
	switch member {
	case "tools":
		return wire.MethodToolsCall
	case "prompts":
		return wire.MethodPromptsGet
	case "tasks":
		return wire.MethodTasksGet
	default:
		return wire.MethodResRead
	}
}

// describe puts the element into the question; false means that it may not be seen whatever
// the policy says.
func (x *exchange) describe(in *policy.Input, who *identity.Principal, call checked, listing *catalog.Listing, member, name string) bool {
	set := x.snap.Rules[call.server.Name]
	switch member {
	case "prompts":
		in.Prompt = &policy.Item{Name: name, Labels: set.Prompt(name).Labels}
		return true
	case "resources":
		rule, err := set.Resource(name)
		in.Resource = &policy.Item{URI: name, Labels: rule.Labels}
		return err == nil // else it could not be read
	case "resourceTemplates":
		in.Resource = &policy.Item{URI: name, Labels: set.Template(name).Labels}
		in.ResourceTemplate = true
		return true
	case "tasks":
		tool, ok := x.g.handles.Tool(call.server.Name, name, who.Key())
		if !ok {
			return false
		}
		name = tool
	}
	if listing == nil {
		return false
	}
	tool := listing.Tools[name]
	if tool == nil || tool.Problem != "" {
		return false
	}
	in.Tool = x.toolOf(call.server, tool)
	return true
}
