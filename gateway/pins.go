package gateway

import (
	"strings"
	"time"

	"sallyport/gateway/catalog"
	"sallyport/gateway/pin"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// heard is what a server has answered in one era, before it is held against the pins.
type heard struct {
	pin.Shown
	resources []catalog.PageResult
	offers    offer // but for lists
}

// settle makes a catalogue of what was heard: of pinned copies, where the server has pins. failed
// holds why an era has none.
func (s *Server) settle(next *catalogue, all [2]*heard, failed *[2]error) {
	var shown [2]*pin.Shown
	for era, h := range all {
		if h != nil && failed[era] == nil {
			shown[era] = &h.Shown
		}
	}
	if s.Pins != nil {
		shown = s.Pins.See(shown)
	}
	for i, pages := range shown {
		if pages == nil {
			continue
		}
		era := wire.Era(i)
		if next.byEra[era], failed[era] = s.build(era, pages.Tools); failed[era] != nil {
			continue
		}
		o := all[era].offers
		o.prompts = s.parse(wire.MethodPromptsList, pages.Prompts)
		o.templates = s.parse(wire.MethodResTemplates, pages.Templates)
		o.resources = s.parse(wire.MethodResList, all[era].resources)
		next.offers[era] = &o
	}
}

// Reviewed reports whether a person has reviewed the definition of a tool as it is served.
func (s *Server) Reviewed(t *catalog.Tool) bool {
	return s.Pins != nil && t != nil && s.Pins.Reviewed(pin.Tool, t.Name, t.Digest)
}

// pinnedPage returns the result of a list that has come straight from the server with nothing but
// pinned copies in it. Where an element is not as it is pinned, or was never seen, it is left out
// and the catalogue fetched again, which pins it or says that it has changed. Lists that are not
// pinned (resources, tasks) pass as they are.
func (s *Server) pinnedPage(era wire.Era, member string, page *catalog.Page) []byte {
	kind, ok := pin.KindOf(member)
	if s.Pins == nil || !ok {
		return page.Result
	}
	news := false
	out := page.Replace(func(i int) []byte {
		pinned := s.Pins.Live(era, kind, page.Names[i], page.Elements[i].Of(page.Result))
		news = news || pinned == nil
		return pinned
	})
	if news {
		s.news()
	}
	return out
}

// introduce returns an answer to initialize or server/discover with the pinned instructions in the
// place of its own, or with empty ones where none may be shown.
func (s *Server) introduce(era wire.Era, reply *wire.Reply) []byte {
	span, ok := strictjson.Find(reply.Result, "instructions")
	if s.Pins == nil || !ok {
		return reply.Raw
	}
	live := span.Of(reply.Result)
	pinned, _ := s.Pins.Serves(era, pin.Instructions, "")
	if s.Pins.Live(era, pin.Instructions, "", live) == nil && string(live) != `""` {
		s.news()
	}
	if pinned == nil {
		pinned = []byte(`""`)
	}
	at := strictjson.Span{Start: reply.ResultStart + span.Start, End: reply.ResultStart + span.End}
	return wire.Splice(reply.Raw, at, pinned)
}

// offPin refuses a prompt or a template that is not known, or is not as it was pinned, with the
// same bytes.
func (x *exchange) offPin(rt *route) error {
	prompt := rt.msg.Method == wire.MethodPromptsGet || rt.msg.Method == wire.MethodComplete && rt.msg.Ref == "ref/prompt"
	template := rt.msg.Method == wire.MethodComplete && !prompt && strings.Contains(rt.msg.Name, "{") // else it is no template
	if rt.server.Pins == nil || !prompt && !template {
		return nil
	}
	kind, era := pin.Prompt, rt.msg.Era
	if template {
		kind = pin.Template
	}
	if c := rt.server.catalogue.Load(); rt.all && c != nil {
		era = c.nearest(era)
	}
	if _, ok := rt.server.Pins.Serves(era, kind, rt.msg.Name); ok {
		return nil
	}
	return refuse(CodeInvalidParams, "Unknown %s: %s", kind, clip(x.msg.Name))
}

// newsEvery bounds how often what callers are shown makes the catalogue be fetched again.
const newsEvery = 5 * time.Second

// news asks for a refresh, since a live answer was not as the catalogue has it.
func (s *Server) news() {
	now := time.Now().UnixNano()
	// A clock that was put back would else stop all news until it is where it was.
	if last := s.newest.Load(); (now-last >= int64(newsEvery) || now < last) && s.newest.CompareAndSwap(last, now) {
		s.RefreshSoon()
	}
}
