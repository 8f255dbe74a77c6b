package federation

import (
	"bytes"

	"sallyport/internal/strictjson"
)

// Outward returns a result, or the params of a notification, of a server with the URIs of its
// resources as clients know them: those of contents, of linked and of embedded resources. changed
// is false where there is none. raw must have passed the strict check.
func Outward(server string, raw []byte) (_ []byte, changed bool) {
	if !bytes.Contains(raw, []byte(`"uri"`)) {
		return raw, false
	}
	m := mapper{raw: raw}
	m.object(0, func(at strictjson.Span, name string) {
		switch name {
		case "uri": // of notifications/resources/updated
			m.uri(at)
		case "contents", "content":
			m.each(at, m.block)
		case "messages":
			m.each(at, func(message strictjson.Span) {
				m.object(message.Start, func(at strictjson.Span, name string) {
					if name == "content" {
						m.each(at, m.block)
					}
				})
			})
		}
	})
	if len(m.found) == 0 {
		return raw, false
	}
	out := make([]byte, 0, len(raw)+len(m.found)*(len(scheme)+len(server)+8))
	from := 0
	for _, at := range m.found { // in order
		own, err := strictjson.String(at.Of(raw))
		if err != nil {
			continue
		}
		out = append(out, raw[from:at.Start]...)
		out = strictjson.AppendString(out, URI(server, own))
		from = at.End
	}
	return append(out, raw[from:]...), true
}

// mapper collects the places of URIs in raw, in order.
type mapper struct {
	raw   []byte
	found []strictjson.Span
}

// uri notes a string; a value of another type is the server's mistake and stays.
func (m *mapper) uri(at strictjson.Span) {
	if m.raw[at.Start] == '"' && at.End > at.Start+len(`""`) {
		m.found = append(m.found, at)
	}
}

// object visits the members of the object at start; anything else has none.
func (m *mapper) object(start int, visit func(at strictjson.Span, name string)) {
	_ = strictjson.EachMember(m.raw[start:], func(member strictjson.Member) {
		visit(strictjson.Span{Start: start + member.Start, End: start + member.End}, member.Name)
	})
}

// each visits the elements of an array, or the one value where there is no array.
func (m *mapper) each(at strictjson.Span, visit func(strictjson.Span)) {
	elements, err := strictjson.Array(at.Of(m.raw))
	if err != nil {
		visit(at)
		return
	}
	for _, e := range elements {
		visit(strictjson.Span{Start: at.Start + e.Start, End: at.Start + e.End})
	}
}

// block is one piece of content: its own uri (a link, or what was read) and that of a resource
// embedded in it.
func (m *mapper) block(at strictjson.Span) {
	if m.raw[at.Start] != '{' {
		return
	}
	m.object(at.Start, func(at strictjson.Span, name string) {
		switch {
		case name == "uri":
			m.uri(at)
		case name == "resource" && m.raw[at.Start] == '{':
			m.object(at.Start, func(at strictjson.Span, name string) {
				if name == "uri" {
					m.uri(at)
				}
			})
		}
	})
}
