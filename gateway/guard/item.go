package guard

import (
	"fmt"
	"slices"

	"sallyport/internal/strictjson"
)

// noteText is the item that stands for one that is left out.
func noteText(text string) []byte {
	return append(strictjson.AppendString([]byte(`{"type":"text","text":`), text), '}')
}

// item judges one item of content: of a kind that is allowed, and what it claims to be.
func (w *walk) item(i int, note func(string) []byte) int {
	if w.at(i) != '{' {
		return w.fail(i, publicForm, "an item of content that is no object")
	}
	typeAt, ok := w.find(i, "type")
	if !ok || w.at(typeAt) != '"' {
		return w.fail(i, publicForm, `an item of content whose "type" is no string`)
	}
	kind := w.word(typeAt)
	if !slices.Contains(contentKinds, kind) || kind == kindBlob {
		return w.leaveOut(i, "of a kind that the gateway does not know", "", note)
	}
	if !w.allowed(kind) {
		return w.leaveOut(i, kind, kind, note)
	}
	if len(w.a.Mask) > 0 && kind != kindText && kind != kindResource {
		return w.leaveOut(i, kind+", in which the policy's masks cannot be applied", "", note)
	}
	switch kind {
	case kindImage, kindAudio:
		if !w.media(i, kind, "data") {
			return -1
		}
	case kindResourceLink:
		if text, leads := w.linkOutside(i); leads {
			w.r.Links++
			if w.a.Refuse&Links != 0 {
				return w.fail(i, publicLinks, "the policy refuses a link to a host outside guards.linkHosts")
			}
			end := w.skip(i, 0)
			if end > 0 {
				w.put(i, end, note(text))
			}
			return end
		}
	case kindResource:
		at, ok := w.find(i, "resource")
		if !ok || w.at(at) != '{' {
			return w.fail(i, publicForm, `an embedded resource whose "resource" is no object`)
		}
		if _, blob := w.find(at, kindBlob); blob && !w.allowed(kindBlob) {
			return w.leaveOut(i, kindBlob, kindBlob, note)
		}
	}
	return w.itemMembers(i, kind)
}

func (w *walk) itemMembers(i int, kind string) int {
	return w.object(i, func(name strictjson.Span, at int) int {
		switch n := string(name.Of(w.doc)); {
		case n == "text" && kind == kindText:
			if w.at(at) != '"' {
				return w.fail(at, publicForm, "a text that is no string")
			}
			return w.str(at, w.masking())
		case n == "data" && (kind == kindImage || kind == kindAudio):
			return w.skip(at, 0)
		case n == "resource" && kind == kindResource:
			return w.resource(at)
		case n == "icons":
			return w.icons(at)
		}
		return w.other(name, at)
	})
}

// masking is the change that masks ask for in a text, or nil.
func (w *walk) masking() func(string) string {
	if len(w.a.Mask) == 0 {
		return nil
	}
	return w.maskText
}

// resource judges the contents of a resource, which are a text or a blob.
func (w *walk) resource(i int) int {
	if w.at(i) != '{' {
		return w.fail(i, publicForm, "contents of a resource that are no object")
	}
	note := func(text string) []byte {
		out := []byte(`{`)
		if at, ok := w.find(i, "uri"); ok {
			out = append(strictjson.AppendString(append(out, `"uri":`...), w.clean(at)), ',')
		}
		return append(strictjson.AppendString(append(out, `"mimeType":"text/plain","text":`...), text), '}')
	}
	if _, blob := w.find(i, kindBlob); blob {
		if !w.allowed(kindBlob) {
			return w.leaveOut(i, kindBlob, kindBlob, note)
		}
		if len(w.a.Mask) > 0 {
			return w.leaveOut(i, "blob, in which the policy's masks cannot be applied", "", note)
		}
		if !w.media(i, kindBlob, kindBlob) {
			return -1
		}
	} else if !w.allowed(kindText) {
		return w.leaveOut(i, kindText, kindText, note)
	}
	return w.object(i, func(name strictjson.Span, at int) int {
		switch string(name.Of(w.doc)) {
		case "text":
			if w.at(at) != '"' {
				return w.fail(at, publicForm, "a text that is no string")
			}
			return w.str(at, w.masking())
		case kindBlob:
			return w.skip(at, 0)
		}
		return w.other(name, at)
	})
}

func (w *walk) allowed(kind string) bool {
	return slices.Contains(w.d.content, kind) || slices.Contains(w.a.Content, kind)
}

// leaveOut puts a note in the place of an item, which says what it was and what would allow it.
func (w *walk) leaveOut(i int, what, kind string, note func(string) []byte) int {
	end := w.skip(i, 0)
	if end < 0 {
		return -1
	}
	text := "[left out by the gateway: content " + what + "]"
	if kind != "" {
		text = fmt.Sprintf("[left out by the gateway: content of the kind %s, which may not be returned here. An operator allows it with guards.content, with content under mcpServers.%s, or with the label content:%s]", what, w.a.Server, kind)
	}
	if with := note(text); string(w.doc[i:end]) != string(with) {
		w.r.Dropped++
		w.put(i, end, with)
	}
	return end
}

// linkOutside returns the text that stands for a link to a resource whose address leads where
// links may not.
func (w *walk) linkOutside(i int) (string, bool) {
	at, ok := w.find(i, "uri")
	if !ok {
		return "", false
	}
	end, _ := w.scan(at)
	uri, err := strictjson.String(w.doc[at:max(end, at)])
	if err != nil {
		return "[left out by the gateway: a link without an address]", true
	}
	var r reader
	if _, leads := w.d.outside(uri, 0, form{known: true}, &r); !leads {
		return "", false
	}
	text := "[link left out by the gateway, to a host that is not in guards.linkHosts: " + w.clean(at)
	if name, ok := w.find(i, "name"); ok {
		text += ", named " + w.clean(name)
	}
	return text + "]", true
}

// icons judges the pictures that a client loads for an item.
func (w *walk) icons(i int) int {
	if w.at(i) != '[' {
		return w.any(i, 1, nil)
	}
	return w.elements(i, func(at int) int {
		if w.at(at) != '{' {
			return w.any(at, 1, nil)
		}
		return w.object(at, func(name strictjson.Span, at int) int {
			if string(name.Of(w.doc)) != "src" || w.at(at) != '"' {
				return w.other(name, at)
			}
			return w.str(at, func(s string) string {
				var r reader
				if e, leads := w.d.outside(s, 0, form{strict: true}, &r); leads {
					w.r.Links++
					return s[:e.start] + e.with + s[e.end:]
				}
				return s
			})
		})
	})
}
