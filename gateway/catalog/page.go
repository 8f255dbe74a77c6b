package catalog

import (
	"fmt"

	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// Page is one page of a list as an upstream sent it, with the places of what a gateway may
// change in it. It is immutable after [ParsePage].
type Page struct {
	Result   []byte            // the exact bytes of the result
	Elements []strictjson.Span // the elements of the array, within Result

	// Names holds, for each element, what a policy decides it by: the name of a tool or
	// prompt, the URI of a resource, the template of a resource template, the ID of a task.
	// "" means that the element has none that everybody would read alike; such an element
	// is never kept.
	Names []string

	ArrayStart, ArrayEnd int // the array, brackets included

	Cursor    string // under which the page was asked for; set by BuildListing
	HasCursor bool   // "" is a valid cursor, and the first page has none; set by BuildListing
	Next      string // nextCursor
	HasNext   bool

	CacheScope    strictjson.Span // the value of cacheScope, quotes included
	HasCacheScope bool

	private bool // cacheScope already says "private"
	lastEnd int  // end of the last member of the result: where one may be added
}

// identifiers maps the member that holds a list to the member that identifies an element.
var identifiers = map[string]string{
	"tools":             "name",
	"prompts":           "name",
	"resources":         "uri",
	"resourceTemplates": "uriTemplate",
	"tasks":             "taskId",
}

// ParsePage finds the list in a result. member is "tools", "prompts", "resources",
// "resourceTemplates" or "tasks". result must have passed the strict check, as everything in
// a [wire.Reply] has; the page keeps it. The error says that result is not such a list.
func ParsePage(result []byte, member string) (*Page, error) {
	identifier, ok := identifiers[member]
	if !ok {
		return nil, fmt.Errorf("parse list page: no list is called %q", member)
	}
	p := &Page{Result: result}
	var found bool
	var failed error
	err := strictjson.EachMember(result, func(m strictjson.Member) {
		value := m.Value().Of(result)
		p.lastEnd = m.End
		var err error
		switch m.Name {
		case member:
			found = true
			p.ArrayStart, p.ArrayEnd = m.Start, m.End
			p.Elements, err = strictjson.Array(value)
		case "nextCursor":
			if string(value) != "null" {
				p.HasNext = true
				p.Next, err = strictjson.String(value)
			}
		case "cacheScope":
			p.CacheScope, p.HasCacheScope = m.Value(), true
			scope, scopeErr := strictjson.String(value)
			p.private = scopeErr == nil && scope == "private"
		}
		if err != nil && failed == nil {
			failed = fmt.Errorf("parse list page: member %q: %w", m.Name, err)
		}
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("parse list page: %w", err)
	case failed != nil:
		return nil, failed
	case !found:
		return nil, fmt.Errorf("parse list page: the result has no %q", member)
	}
	p.nameElements(identifier)
	return p, nil
}

// nameElements makes the spans relative to Result and reads what each element is called.
func (p *Page) nameElements(identifier string) {
	p.Names = make([]string, len(p.Elements))
	for i := range p.Elements {
		p.Elements[i].Start += p.ArrayStart
		p.Elements[i].End += p.ArrayStart
		p.Names[i] = elementName(p.Elements[i].Of(p.Result), identifier)
	}
}

// elementName returns "" for an element without a name, and for one in which a client that
// ignores case would read another name than we do.
func elementName(element []byte, identifier string) string {
	name, clash := "", false
	err := strictjson.EachMember(element, func(m strictjson.Member) {
		if m.Name == identifier {
			// A name that is not a string stays "".
			name, _ = strictjson.String(m.Value().Of(element))
			return
		}
		clash = clash || strictjson.FoldsTo(m.Name, identifier)
	})
	if err != nil || clash {
		return ""
	}
	return name
}

const privateScope = `"private"`

// Filter returns a copy of the result that holds only the elements for which keep answers
// true, byte for byte and in order. Elements without a name are left out unasked. cacheScope
// becomes "private", since the answer depends on who asked; where the modern protocol wants
// the member and it is absent, it is added at the end. Nothing else changes: with every
// element kept and cacheScope already private, the copy equals Result.
func (p *Page) Filter(era wire.Era, keep func(i int) bool) []byte {
	out := make([]byte, 0, len(p.Result)+len(`,"cacheScope":`+privateScope))
	out = p.appendOutside(out, 0, p.ArrayStart)
	out = p.appendKept(out, keep)
	if p.HasCacheScope || era != wire.Modern {
		return p.appendOutside(out, p.ArrayEnd, len(p.Result))
	}
	out = append(out, p.Result[p.ArrayEnd:p.lastEnd]...)
	out = append(out, `,"cacheScope":`+privateScope...)
	return append(out, p.Result[p.lastEnd:]...)
}

// appendKept appends the array. Each kept element brings the separator that stood before it,
// so that the whitespace of a list that loses nothing is untouched.
func (p *Page) appendKept(out []byte, keep func(i int) bool) []byte {
	if len(p.Elements) == 0 {
		return append(out, p.Result[p.ArrayStart:p.ArrayEnd]...)
	}
	out = append(out, p.Result[p.ArrayStart:p.Elements[0].Start]...)
	first := true
	for i, e := range p.Elements {
		if p.Names[i] == "" || !keep(i) {
			continue
		}
		if !first {
			out = append(out, p.Result[p.Elements[i-1].End:e.Start]...)
		}
		first = false
		out = append(out, e.Of(p.Result)...)
	}
	return append(out, p.Result[p.Elements[len(p.Elements)-1].End:p.ArrayEnd]...)
}

// appendOutside appends Result[from:to], which lies outside the array, with the cache scope
// in it made private.
func (p *Page) appendOutside(out []byte, from, to int) []byte {
	s := p.CacheScope
	if !p.HasCacheScope || p.private || s.Start < from || s.End > to {
		return append(out, p.Result[from:to]...)
	}
	out = append(out, p.Result[from:s.Start]...)
	out = append(out, privateScope...)
	return append(out, p.Result[s.End:to]...)
}
