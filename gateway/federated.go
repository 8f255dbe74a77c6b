package gateway

import (
	"context"
	"crypto/rand"
	"slices"
	"strconv"
	"strings"

	"sallyport/gateway/catalog"
	"sallyport/gateway/federation"
	"sallyport/gateway/guard"
	"sallyport/gateway/wire"
	"sallyport/identity"
	"sallyport/internal/strictjson"
)

// The federated endpoint is one MCP server made of all. Its names become a server's own ones in
// resolveAll, before anything is checked or decided, so that schema, policy and record see what
// they see at /mcp/{server}; what belongs to no server is answered here.

// index is the federation's index with what it was made of.
type index struct {
	*federation.Index
	of []madeOf
}

type madeOf struct {
	server    *Server
	catalogue *catalogue
	down      bool
}

// indexOf returns the index of the snapshot's servers for clients of an era. It is made anew
// only when a catalogue is another or a server has gone or come back.
func (g *Gateway) indexOf(snap *Snapshot, era wire.Era) *federation.Index {
	of := make([]madeOf, len(snap.members))
	for i, s := range snap.members {
		of[i] = madeOf{s, s.catalogue.Load(), s.down.Load()}
	}
	old := g.indexes[era].Load()
	if old != nil && slices.Equal(old.of, of) {
		return old.Index
	}
	g.indexing.Lock() // one build for all who wait
	defer g.indexing.Unlock()
	if old = g.indexes[era].Load(); old != nil && slices.Equal(old.of, of) {
		return old.Index
	}
	members := make([]federation.Member, len(of))
	for i, m := range of {
		members[i] = m.member(era)
	}
	next := &index{Index: federation.Build(members), of: of}
	if old == nil || !slices.Equal(old.Problems, next.Problems) {
		for _, problem := range next.Problems {
			g.log.Warn("not served at /mcp", "problem", problem)
		}
	}
	g.indexes[era].Store(next)
	return next.Index
}

func (m madeOf) member(era wire.Era) federation.Member {
	out := federation.Member{Server: m.server.Name}
	if m.down {
		out.Unavailable = "the server does not answer"
	}
	if m.catalogue == nil {
		return out
	}
	era = m.catalogue.nearest(era)
	out.Tools = m.catalogue.byEra[era]
	if o := m.catalogue.offers[era]; o != nil {
		out.Prompts, out.Resources, out.Templates = o.prompts, o.resources, o.templates
	}
	return out
}

// nearest is the era in which the server is asked for a client of the given one.
func (c *catalogue) nearest(era wire.Era) wire.Era {
	if c.byEra[era] == nil {
		return 1 - era
	}
	return era
}

// resolveAll finds the server that a message to the federated endpoint is for, and puts the
// server's own name into it. What is for no server in particular keeps g.all.
func (x *exchange) resolveAll(who *identity.Principal, msg *wire.Message) (route, error) {
	rt := route{msg: msg, server: x.g.all, all: true}
	if !msg.MethodKnown() || strings.HasPrefix(msg.Method, "tasks/") {
		return rt, refuse(CodeUnknownMethod, "Method not found: %s", clip(msg.Method))
	}
	if msg.Era == wire.Legacy {
		var err error
		if rt.session, err = x.sessionOf(who, x.g.all); err != nil {
			return rt, err
		}
	}
	if msg.Kind == wire.Response {
		return x.answeredAll(who, rt)
	}
	server, own, err := x.owner(msg)
	if err != nil || server == nil {
		return rt, err
	}
	rt.server = server
	x.rec.Server = server.Name
	if rt.msg, rt.header, err = wire.Rename(msg, x.r.Header, own, x.limits()); err != nil {
		return rt, &Error{Code: CodeMalformed, Public: "the name cannot be replaced by the server's own", Err: err}
	}
	if c := server.catalogue.Load(); c != nil {
		rt.listing = c.byEra[c.nearest(msg.Era)]
	}
	if msg.Method != wire.MethodToolsCall {
		return rt, x.offPin(&rt)
	}
	x.rec.Tool = clip(own)
	return rt, x.find(&rt, own)
}

func (x *exchange) limits() wire.Limits { return wire.Limits{Depth: x.snap.Limits.Depth} }

// owner returns whose tool, prompt or resource the message names, and what the owner calls it;
// nil for a message that names none.
func (x *exchange) owner(msg *wire.Message) (*Server, string, error) {
	ix := x.g.indexOf(x.snap, msg.Era)
	switch {
	case msg.Method == wire.MethodToolsCall:
		x.rec.Tool = clip(msg.Name)
		if e := ix.Tool(msg.Name); e != nil {
			return x.snap.Servers[e.Server], e.Own, nil
		}
		return nil, "", x.unknownOr(msg, x.unknownTool())
	case msg.Method == wire.MethodPromptsGet, msg.Method == wire.MethodComplete && msg.Ref == "ref/prompt":
		if e := ix.Prompt(msg.Name); e != nil {
			return x.snap.Servers[e.Server], e.Own, nil
		}
		return nil, "", x.unknownOr(msg, x.unknownName())
	case msg.Method == wire.MethodResRead, msg.Method == wire.MethodResSubscribe, msg.Method == wire.MethodResUnsub, msg.Method == wire.MethodComplete:
		name, own, ok := federation.SplitURI(msg.Name)
		if server := x.snap.Servers[name]; ok && server != nil {
			return server, own, nil
		}
		return nil, "", x.unknownName()
	}
	return nil, "", nil
}

// unknownName refuses a prompt or resource that is not there, or that the caller may not see, with
// the same bytes.
func (x *exchange) unknownName() *Error {
	if x.msg.Method == wire.MethodPromptsGet || x.msg.Ref == "ref/prompt" {
		return refuse(CodeInvalidParams, "Unknown prompt: %s", clip(x.msg.Name))
	}
	return refuse(CodeInvalidParams, "Resource not found: %s; resources here begin with sallyport:// and the name of a server", clip(x.msg.Name))
}

// unknownOr is the refusal of a name that nobody brings. Where the server that it begins with has
// never answered, that is said instead, of every such name alike.
func (x *exchange) unknownOr(msg *wire.Message, unknown *Error) *Error {
	name, _, _ := strings.Cut(msg.Name, "__")
	if server := x.snap.Servers[name]; server != nil && server.catalogue.Load() == nil {
		x.rec.Server = name
		return server.unavailable()
	}
	return unknown
}

// asked is a question of a server that a client has been put.
type asked struct {
	about  checked // the call that it came with, without its body
	method string
	id     []byte // the server's own, raw
}

// asked is what is kept of a question until its answer comes.
func (r *relay) asked(reply *wire.Reply) asked {
	return asked{about: r.call.kept(), method: reply.Method, id: slices.Clone(reply.ID)}
}

// putQuestion gives a server's question an id that is unique at the endpoint: two servers may use
// the same.
func (r *relay) putQuestion(reply *wire.Reply) []byte {
	id := strconv.AppendQuote(nil, "sallyport-"+rand.Text())
	span, ok := strictjson.Find(reply.Raw, "id")
	if !ok { // a request has one
		return nil
	}
	r.g.asked.Add("", r.call.session, r.who.Key(), string(id), r.asked(reply))
	return wire.Splice(reply.Raw, span, id)
}

// answeredAll takes a client's answer to the server that asked.
func (x *exchange) answeredAll(who *identity.Principal, rt route) (route, error) {
	q, ok := x.g.asked.Take("", rt.session, who.Key(), string(rt.msg.ID))
	if !ok || x.snap.Servers[q.about.server.Name] != q.about.server {
		return rt, refuse(CodeMalformed, "the response answers no open question")
	}
	err := x.noteQuestion(q)
	if err != nil {
		return rt, err
	}
	rt.server = q.about.server
	if rt.msg, rt.header, err = wire.WithID(rt.msg, x.r.Header, q.id, x.limits()); err != nil {
		return rt, &Error{Code: CodeMalformed, Public: "the id cannot be replaced by the server's own", Err: err}
	}
	return rt, nil
}

// outward puts the names of the federated endpoint into what a server sends.
func (r *relay) outward(reply *wire.Reply, raw []byte) []byte {
	member := "result"
	if reply.Kind == wire.Notification {
		member = "params"
	}
	at, ok := strictjson.Find(raw, member)
	if !ok {
		return raw
	}
	mapped, changed := federation.Outward(r.call.server.Name, at.Of(raw))
	if !changed {
		return raw
	}
	return wire.Splice(raw, at, mapped)
}

// listAll answers a list from all catalogues at once. The bytes are shared by all callers of
// whom the policy reads the same.
func (x *exchange) listAll(ctx context.Context, who *identity.Principal, call checked) error {
	if call.msg.HasCursor {
		return refuse(CodeInvalidParams, "Invalid cursor")
	}
	member := listMember(call.msg.Method)
	ix := x.g.indexOf(x.snap, call.msg.Era)
	list := member
	if member != "tools" { // the door's settings change with a reload, and are in no digest
		list += "\x00" + strconv.FormatUint(x.snap.number, 10)
	}
	return x.serveView(who, call, catalog.ViewKey{Digest: ix.Digest, Cursor: list}, func() ([]byte, error) {
		return x.filterAll(context.WithoutCancel(ctx), who, call, ix, member)
	})
}

// filterAll returns the list with what the caller may use.
func (x *exchange) filterAll(ctx context.Context, who *identity.Principal, call checked, ix *federation.Index, member string) ([]byte, error) {
	entries := map[string][]federation.Entry{"tools": ix.Tools, "prompts": ix.Prompts, "resources": ix.Resources,
		"resourceTemplates": ix.Templates}[member]
	out := append([]byte(`{"`), member...)
	out = append(out, `":[`...)
	first := true
	for _, e := range entries {
		visible, err := x.visibleEntry(ctx, who, call, e, member)
		if err != nil {
			return nil, &Error{Code: CodeDenied, Public: "Denied: the policy could not be evaluated (decision " + x.rec.ID + ")", Err: err}
		}
		if !visible {
			continue
		}
		if !first {
			out = append(out, ',')
		}
		first = false
		out = append(out, e.Element...)
	}
	out = append(out, ']')
	if call.msg.Era == wire.Modern {
		out = append(out, `,"ttlMs":60000,"cacheScope":"private","resultType":"complete"`...)
	}
	out = append(out, '}')
	if member == "tools" {
		return out, nil // pinned copies, and shown to every caller
	}
	clean, _, err := x.snap.Door.Judge(guard.Other, out, &guard.Ask{})
	if err != nil {
		return nil, &Error{Code: CodeInvalidOutput, Public: "the list was withheld: it is not what it should be (decision " + x.rec.ID + ")", Err: err}
	}
	return clean, nil
}

func (x *exchange) visibleEntry(ctx context.Context, who *identity.Principal, call checked, e federation.Entry, member string) (bool, error) {
	server := x.snap.Servers[e.Server]
	if server == nil {
		return false, nil
	}
	one := checked{route{server: server, msg: call.msg}}
	listing, _ := server.offered(call.msg.Era)
	in := x.ask(who, useOf(member), server)
	in.Request.Era = call.msg.Era.String()
	if !x.describe(in, who, one, listing, member, e.Own) {
		return false, nil
	}
	return x.visible(ctx, in)
}
