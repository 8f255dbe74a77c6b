package federation

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"sallyport/gateway/catalog"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// Member is what one server brings.
type Member struct {
	Server      string
	Tools       *catalog.Listing // nil while nothing is known of them
	Prompts     []*catalog.Page
	Resources   []*catalog.Page
	Templates   []*catalog.Page
	Unavailable string // why its tools cannot be called now; "" when they can
}

// Entry is one tool, prompt, resource or template of a server.
type Entry struct {
	Server  string
	Own     string // the server's own name, URI or template
	Served  string // what clients know it by
	Element []byte // its definition, under the served name
}

// Index is what all servers bring together, in one order: by server, and as each server lists
// it.
type Index struct {
	Tools, Prompts, Resources, Templates []Entry

	// Digest covers all of the above: equal digests mean equal lists.
	Digest string
	// Problems says what is not served and why.
	Problems []string

	tools, prompts map[string]*Entry
}

// Build makes the index of what the members bring. It takes what it can serve; a name that could
// be mistaken for another is left out, both of them, and named in Problems.
func Build(members []Member) *Index {
	members = slices.SortedFunc(slices.Values(members), func(a, b Member) int { return strings.Compare(a.Server, b.Server) })
	ix := &Index{}
	for _, m := range members {
		ix.add(m)
	}
	ix.tools = ix.byName(&ix.Tools, "tool")
	ix.prompts = ix.byName(&ix.Prompts, "prompt")
	ix.Digest = ix.digest()
	return ix
}

// Tool returns the tool that is served under name, or nil.
func (ix *Index) Tool(name string) *Entry { return ix.tools[name] }

// Prompt returns the prompt that is served under name, or nil.
func (ix *Index) Prompt(name string) *Entry { return ix.prompts[name] }

func (ix *Index) add(m Member) {
	if m.Tools != nil {
		for i := range m.Tools.Pages {
			p := &m.Tools.Pages[i]
			ix.Tools = ix.appendPage(ix.Tools, m, p, "name", func(own string) (string, bool) {
				t := m.Tools.Tools[own]
				return Name(m.Server, own), t != nil && t.Problem == ""
			})
		}
	}
	for _, p := range m.Prompts {
		ix.Prompts = ix.appendPage(ix.Prompts, m, p, "name", func(own string) (string, bool) {
			ok := plain(own)
			if !ok && len(ix.Problems) < mostProblems {
				ix.Problems = append(ix.Problems, fmt.Sprintf("server %s: the prompt %.64q has characters outside A-Z a-z 0-9 _ - . and is not served at /mcp", m.Server, own))
			}
			return Name(m.Server, own), ok
		})
	}
	uri := func(own string) (string, bool) { return URI(m.Server, own), true }
	for _, p := range m.Resources {
		ix.Resources = ix.appendPage(ix.Resources, m, p, "uri", uri)
	}
	for _, p := range m.Templates {
		ix.Templates = ix.appendPage(ix.Templates, m, p, "uriTemplate", uri)
	}
}

// appendPage appends the elements of a page that have a name to serve them under.
func (ix *Index) appendPage(to []Entry, m Member, p *catalog.Page, member string, served func(own string) (string, bool)) []Entry {
	for i, own := range p.Names {
		if own == "" {
			continue
		}
		name, ok := served(own)
		if !ok {
			continue
		}
		element := Replace(p.Elements[i].Of(p.Result), member, name)
		if m.Unavailable != "" {
			element = mark(element, m.Unavailable)
		}
		to = append(to, Entry{Server: m.Server, Own: own, Served: name, Element: element})
	}
	return to
}

// mostProblems bounds what one index complains of.
const mostProblems = 100

// byName drops the entries whose names could be taken for each other, and returns the rest by
// name.
func (ix *Index) byName(entries *[]Entry, what string) map[string]*Entry {
	type group struct {
		names []string // the first few
		count int
	}
	const few = 3
	alike := map[string]*group{}
	for _, e := range *entries {
		s := Skeleton(e.Served)
		if alike[s] == nil {
			alike[s] = &group{}
		}
		if g := alike[s]; len(g.names) < few {
			g.names = append(g.names, fmt.Sprintf("%s/%.64s", e.Server, e.Own))
		}
		alike[s].count++
	}
	kept := (*entries)[:0]
	for _, e := range *entries {
		g := alike[Skeleton(e.Served)]
		if g.count == 1 {
			kept = append(kept, e)
			continue
		}
		if g.names != nil && len(ix.Problems) < mostProblems { // once for each group
			more := ""
			if g.count > len(g.names) {
				more = fmt.Sprintf(" and %d more", g.count-len(g.names))
			}
			ix.Problems = append(ix.Problems, fmt.Sprintf("the %ss %s%s look alike as %q and are not served at /mcp; rename one, or use /mcp/%s",
				what, strings.Join(g.names, " and "), more, e.Served, e.Server))
			g.names = nil
		}
	}
	*entries = kept
	byName := make(map[string]*Entry, len(kept))
	for i := range kept {
		byName[kept[i].Served] = &kept[i]
	}
	return byName
}

func (ix *Index) digest() string {
	h := sha256.New()
	for _, list := range [][]Entry{ix.Tools, ix.Prompts, ix.Resources, ix.Templates} {
		for _, e := range list {
			fmt.Fprintf(h, "%d %s %d ", len(e.Served), e.Served, len(e.Element))
			h.Write(e.Element)
		}
		h.Write([]byte{'\n'})
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Replace returns the object with the string at member replaced; the same bytes where it has no
// such member. The object must have passed the strict check.
func Replace(object []byte, member, with string) []byte {
	span, ok := strictjson.Find(object, member)
	if !ok {
		return object
	}
	return wire.Splice(object, span, strictjson.AppendString(nil, with))
}

// unavailable is the member of an element's _meta that says so.
const unavailable = "sallyport/unavailable"

// mark says in the _meta of an element that it cannot be used now. A definition whose _meta is
// not an object is left as it is.
func mark(element []byte, why string) []byte {
	value := strictjson.AppendString([]byte(`"`+unavailable+`":`), why)
	span, ok := strictjson.Find(element, "_meta")
	if !ok {
		return wire.Splice(element, strictjson.Span{Start: 1, End: 1}, slices.Concat([]byte(`"_meta":{`), value, []byte(`},`)))
	}
	meta := span.Of(element)
	if meta[0] != '{' {
		return element
	}
	members, err := strictjson.Object(meta)
	if err != nil || slices.ContainsFunc(members, func(m strictjson.Member) bool { return m.Name == unavailable }) {
		return element // the server says so itself
	}
	if len(members) > 0 {
		value = append(value, ',')
	}
	return wire.Splice(element, strictjson.Span{Start: span.Start + 1, End: span.Start + 1}, value)
}

func plain(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-', c == '.':
		default:
			return false
		}
	}
	return name != "" && len(name) <= 128
}
