package wire

import (
	"errors"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"

	"sallyport/internal/strictjson"
)

// errNoName is returned for a message that names nothing that could be renamed.
var errNoName = errors.New("the message has no name to replace")

// Rename returns the message, and headers to go with it, with another name for what it acts on:
// a tool, a prompt, a resource, or what a completion refers to. All other bytes stay. The result
// has been decoded anew, so it has one meaning as the original has.
func Rename(m *Message, h http.Header, name string, lim Limits) (*Message, http.Header, error) {
	path := []string{"params", "name"}
	switch {
	case m.Method == MethodComplete && m.Ref == "ref/resource":
		path = []string{"params", "ref", "uri"}
	case m.Method == MethodComplete:
		path = []string{"params", "ref", "name"}
	case m.Method == MethodResRead, m.Method == MethodResSubscribe, m.Method == MethodResUnsub:
		path = []string{"params", "uri"}
	}
	at, ok := place(m.Raw, path)
	if !ok {
		return nil, nil, errNoName
	}
	return again(m, h, at, strictjson.AppendString(nil, name), name, lim)
}

// WithID returns the message under another id, which is raw.
func WithID(m *Message, h http.Header, id []byte, lim Limits) (*Message, http.Header, error) {
	at, ok := place(m.Raw, []string{"id"})
	if !ok {
		return nil, nil, errNoName
	}
	return again(m, h, at, id, m.Name, lim)
}

func again(m *Message, h http.Header, at strictjson.Span, value []byte, name string, lim Limits) (*Message, http.Header, error) {
	h = h.Clone()
	if len(h[HeaderName]) > 0 {
		text, ok := mcp.EncodeHeaderValue(name)
		if !ok {
			return nil, nil, errNoName
		}
		h[HeaderName] = []string{text}
	}
	renamed, refused := Decode(Splice(m.Raw, at, value), h, lim)
	if refused != nil {
		return nil, nil, refused
	}
	return renamed, h, nil
}

// place is where the value at a path of member names is.
func place(doc []byte, path []string) (strictjson.Span, bool) {
	at := strictjson.Span{End: len(doc)}
	for _, name := range path {
		inner, ok := strictjson.Find(at.Of(doc), name)
		if !ok {
			return strictjson.Span{}, false
		}
		at = strictjson.Span{Start: at.Start + inner.Start, End: at.Start + inner.End}
	}
	return at, true
}
