package guard

import (
	"strconv"
	"strings"

	"sallyport/internal/strictjson"
)

// mask is what is left of one JSON pointer (RFC 6901) below the place where the walk is, in
// which the token * stands for any member or element. An empty one selects the place itself.
type mask []string

const (
	maskedText = "[masked]"
	withheld   = "[withheld by the gateway: the policy masks values of this answer, and this part of it is no JSON object or array in which they could be found]"
)

// masks returns the pointers that are asked for, at the root.
func (w *walk) masks() []mask {
	var out []mask
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for _, p := range w.a.Mask {
		m := mask{}
		for _, token := range strings.Split(strings.TrimPrefix(p, "/"), "/") {
			m = append(m, unescape.Replace(token))
		}
		if p == "" {
			m = nil
		}
		out = append(out, m)
	}
	return out
}

func masked(masks []mask) bool {
	for _, m := range masks {
		if len(m) == 0 {
			return true
		}
	}
	return false
}

// below returns what is left of masks for a member.
func (w *walk) below(masks []mask, name strictjson.Span) []mask {
	if len(masks) == 0 {
		return nil
	}
	s, err := strictjson.String(w.doc[name.Start-1 : name.End+1])
	if err != nil {
		return []mask{{}}
	}
	return step(masks, s)
}

// element returns what is left of masks for the nth element.
func element(masks []mask, n int) []mask {
	if len(masks) == 0 {
		return nil
	}
	return step(masks, strconv.Itoa(n))
}

func step(masks []mask, token string) []mask {
	var out []mask
	for _, m := range masks {
		if m[0] == token || m[0] == "*" {
			out = append(out, m[1:])
		}
	}
	return out
}

// maskValue replaces the value at i: a text by [masked], anything else by null, which says that
// nothing is known; a number would be taken for one.
func (w *walk) maskValue(i int) int {
	end := w.skip(i, 0)
	with := []byte("null")
	if w.at(i) == '"' {
		with = strictjson.AppendString(nil, maskedText)
	}
	if end >= 0 {
		w.count(i, end, with)
	}
	return end
}

// count is put of something masked.
func (w *walk) count(start, end int, with []byte) {
	if string(w.doc[start:end]) != string(with) {
		w.r.Masked++
	}
	w.put(start, end, with)
}

// structured judges structured content, and masks in it.
func (w *walk) structured(i int) int {
	masks := w.masks()
	if len(masks) > 0 && w.at(i) != '{' && w.at(i) != '[' {
		return w.maskValue(i) // a pointer finds nothing in it, and what it is cannot be told
	}
	return w.any(i, 0, masks)
}

// maskText masks in a text that is JSON, and withholds one that is not.
func (w *walk) maskText(s string) string {
	if len(w.a.Mask) == 0 {
		return s
	}
	in := &walk{d: &Door{keepHidden: true}, a: &Ask{Mask: w.a.Mask}, doc: []byte(s)}
	at := in.space(0)
	if c := in.at(at); c != '{' && c != '[' || strictjson.Check(in.doc, strictjson.Limits{Depth: maxDepth}) != nil {
		if s != withheld {
			w.r.Masked++
		}
		return withheld
	}
	in.maskOnly(at, in.masks())
	w.r.Masked += in.r.Masked
	return string(in.result())
}

// maskOnly masks and judges nothing else.
func (w *walk) maskOnly(i int, masks []mask) int {
	switch {
	case len(masks) == 0:
		return w.skip(i, 0)
	case masked(masks):
		return w.maskValue(i)
	case w.at(i) == '{':
		return w.each(i, func(name strictjson.Span, at int) int { return w.maskOnly(at, w.below(masks, name)) })
	case w.at(i) == '[':
		n := 0
		return w.elements(i, func(at int) int {
			n++
			return w.maskOnly(at, element(masks, n-1))
		})
	}
	return w.skip(i, 0)
}

// plainMembers are the members of messages that the protocol has for its own business; where
// values are masked, no others pass but those whose texts can be masked.
var plainMembers = map[string]bool{
	"type": true, "role": true, "mimeType": true, "uri": true, "isError": true, "resultType": true, "code": true, "cacheScope": true, "ttlMs": true,
	"requestState": true, "nextCursor": true, "progressToken": true, "progress": true, "total": true, "level": true, "logger": true, "requestId": true,
	"taskId": true, "status": true, "createdAt": true, "lastUpdatedAt": true, "ttl": true, "pollInterval": true, "task": true, "jsonrpc": true,
	"elicitationId": true, "elicitations": true, "mode": true, "url": true,
}

// other judges a member of which the protocol says nothing that matters here. Where values are
// masked it is emptied, since nobody can say what it repeats.
func (w *walk) other(name strictjson.Span, at int) int {
	if len(w.a.Mask) == 0 || plainMembers[string(name.Of(w.doc))] {
		return w.any(at, 1, nil)
	}
	end := w.skip(at, 0)
	if end < 0 {
		return -1
	}
	switch w.doc[at] {
	case '"':
		w.count(at, end, strictjson.AppendString(nil, withheld))
	case '{':
		w.count(at, end, []byte("{}"))
	case '[':
		w.count(at, end, []byte("[]"))
	default:
		w.count(at, end, []byte("null"))
	}
	return end
}
