package guard

import (
	"strings"

	"sallyport/gateway/guard/hidden"
	"sallyport/internal/strictjson"
)

// str judges the string at i and returns its end. change, where not nil, sees the text after
// that and may change it further.
func (w *walk) str(i int, change func(string) string) int {
	end, saw := w.scan(i)
	if end < 0 {
		return w.fail(i, publicForm, "not sound JSON")
	}
	raw := w.doc[i+1 : end-1]
	hides := saw&(sawWide|sawCode) != 0 && !hidden.Clean(raw)
	links := saw&sawMarkup != 0 && mayLink(raw) || saw&sawCode != 0 || w.bare()
	if !hides && !links && change == nil {
		return end
	}
	s, err := strictjson.String(w.doc[i:end])
	if err != nil {
		return w.fail(i, publicForm, "a string that is no text")
	}
	text, ok := w.text(i, s)
	if !ok {
		return -1
	}
	if change != nil {
		text = change(text)
	}
	if text != s {
		w.put(i, end, strictjson.AppendString(nil, text))
	}
	return end
}

func (w *walk) bare() bool { return (w.a.Redact|w.a.Refuse)&Links != 0 }

// text judges one text, which stands at i.
func (w *walk) text(i int, s string) (string, bool) {
	if !w.d.keepHidden || (w.a.Redact|w.a.Refuse)&Hidden != 0 {
		out, n := hidden.Strip(s)
		if n > 0 && w.a.Refuse&Hidden != 0 {
			w.fail(i, publicHidden, "the policy refuses %d hidden characters or control sequences,", n)
			return "", false
		}
		s = out
		w.r.Hidden += n
	}
	if !w.bare() && !mayLink([]byte(s)) {
		return s, true
	}
	out, n, ok := w.d.inert(s, w.bare())
	switch {
	case !ok:
		w.fail(i, publicLinks, "links so entangled that they cannot be made inert")
		return "", false
	case n > 0 && w.a.Refuse&Links != 0:
		w.fail(i, publicLinks, "the policy refuses %d links to hosts outside guards.linkHosts,", n)
		return "", false
	}
	w.r.Links += n
	return out, true
}

// any judges a value of which the protocol says nothing: all texts in it. masks are what is left
// of the policy's pointers here.
func (w *walk) any(i, depth int, masks []mask) int {
	if masked(masks) {
		return w.maskValue(i)
	}
	switch c := w.at(i); {
	case depth > maxDepth:
		return w.fail(i, publicForm, "nested deeper than %d levels", maxDepth)
	case c == '"':
		return w.str(i, nil)
	case c == '{':
		return w.each(i, func(name strictjson.Span, at int) int {
			if !w.name(name) {
				return -1
			}
			return w.any(at, depth+1, w.below(masks, name))
		})
	case c == '[':
		n := 0
		return w.elements(i, func(at int) int {
			n++
			return w.any(at, depth+1, element(masks, n-1))
		})
	}
	return w.skip(i, depth)
}

// name refuses a member name in which something hides: taking it out could make one name of
// two.
func (w *walk) name(s strictjson.Span) bool {
	raw := s.Of(w.doc)
	if w.d.keepHidden && (w.a.Redact|w.a.Refuse)&Hidden == 0 || hidden.Clean(raw) {
		return true
	}
	name, err := strictjson.String(w.doc[s.Start-1 : s.End+1])
	if err != nil {
		w.fail(s.Start, publicForm, "a name that is no text")
		return false
	}
	if _, n := hidden.Strip(name); n > 0 {
		what := "a line end"
		if err := hidden.Check(name); err != nil {
			what = err.Error()
		}
		w.fail(s.Start, publicHidden, "%s in a member's name", what)
		return false
	}
	return true
}

// word decodes the string at i, or returns "".
func (w *walk) word(i int) string {
	end, _ := w.scan(i)
	if w.at(i) != '"' || end < 0 {
		return ""
	}
	s, _ := strictjson.String(w.doc[i:end])
	return s
}

// clean returns the raw string at i as a text that may stand in a note, or "".
func (w *walk) clean(i int) string {
	s, _ := hidden.Strip(w.word(i))
	s, _, ok := w.d.inert(s, true)
	if !ok || len(s) > 2000 {
		return ""
	}
	return strings.Join(strings.Fields(s), " ")
}
