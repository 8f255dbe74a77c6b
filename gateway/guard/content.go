package guard

import (
	"strings"

	"sallyport/internal/strictjson"
)

// toolResult judges a CallToolResult (MCP, "Tools").
func (w *walk) toolResult(i int) int {
	if w.at(i) != '{' {
		return w.fail(i, publicForm, "a result that is no object")
	}
	var r struct{ structured, content, isError, asks, unknown bool }
	end := w.object(i, func(name strictjson.Span, at int) int {
		switch string(name.Of(w.doc)) {
		case "content":
			r.content = true
			return w.list(at, "content", func(at int) int { return w.item(at, noteText) })
		case "structuredContent":
			r.structured = true
			end := w.skip(at, 0)
			if end < 0 {
				return -1
			}
			if !w.conforms(at, end) {
				return -1
			}
			return w.structured(at)
		case "isError":
			r.isError = w.at(at) == 't'
			if r.isError || w.at(at) == 'f' {
				return w.skip(at, 0)
			}
			return w.fail(at, publicForm, `"isError" that is neither true nor false`)
		case "resultType":
			kind := w.word(at)
			r.asks = kind == "input_required" || kind == "task"
			r.unknown = !r.asks && kind != "complete"
			return w.str(at, nil)
		case "inputRequests":
			return w.inputRequests(at)
		case "task", "taskId":
			r.asks = r.asks || !r.content
			return w.other(name, at)
		case "requestState":
			return w.skip(at, 0) // opaque: the client gives it back as it is
		}
		return w.other(name, at)
	})
	switch {
	case end < 0 || w.a.Output == nil || r.structured || r.isError || r.asks && !r.content:
	case r.unknown:
		return w.fail(i, publicSchema, `a "resultType" that is unknown, without structured content though the tool has an output schema,`)
	default:
		return w.fail(i, publicSchema, "no structured content though the tool has an output schema,")
	}
	return end
}

// conforms holds structured content, as the server sent it, to the pinned output schema.
func (w *walk) conforms(at, end int) bool {
	if w.a.Output == nil || w.failed() {
		return true
	}
	if err := w.a.Output(w.doc[at:end]); err != nil {
		w.fail(at, publicSchema, "structured content does not match the tool's output schema: %s;", clip(err.Error(), 300))
		return false
	}
	return true
}

// failed reports whether the result that the walk is in says of itself that it is an error,
// whose content need not be of the declared form.
func (w *walk) failed() bool {
	at, ok := w.find(w.space(0), "isError")
	return ok && w.at(at) == 't'
}

// contents judges a ReadResourceResult (MCP, "Resources").
func (w *walk) contents(i int) int {
	return w.holder(i, "contents", w.resource)
}

// prompt judges a GetPromptResult (MCP, "Prompts").
func (w *walk) prompt(i int) int {
	return w.holder(i, "messages", w.message)
}

// holder judges a result that is about one list.
func (w *walk) holder(i int, list string, each func(at int) int) int {
	if w.at(i) != '{' {
		return w.fail(i, publicForm, "a result that is no object")
	}
	return w.object(i, func(name strictjson.Span, at int) int {
		switch string(name.Of(w.doc)) {
		case list:
			return w.list(at, list, each)
		case "inputRequests":
			return w.inputRequests(at)
		case "requestState":
			return w.skip(at, 0)
		}
		return w.other(name, at)
	})
}

// plainObject judges results and params of which the protocol says nothing that matters here.
func (w *walk) plainObject(i int) int {
	if w.at(i) != '{' {
		return w.any(i, 0, nil)
	}
	return w.object(i, func(name strictjson.Span, at int) int {
		if n := string(name.Of(w.doc)); n == "requestState" || n == "nextCursor" {
			return w.skip(at, 0)
		}
		return w.other(name, at)
	})
}

// errorObject judges the error of a response. One that sends the client to an address (MCP,
// "URLElicitationRequiredError") is a question.
func (w *walk) errorObject(i int) int {
	if w.at(i) != '{' {
		return w.fail(i, publicForm, "an error that is no object")
	}
	return w.object(i, func(name strictjson.Span, at int) int {
		if string(name.Of(w.doc)) != "data" || w.at(at) != '{' {
			return w.other(name, at)
		}
		if _, asks := w.find(at, "elicitations"); !asks {
			return w.other(name, at)
		}
		return w.object(at, func(name strictjson.Span, at int) int {
			if string(name.Of(w.doc)) != "elicitations" {
				return w.other(name, at)
			}
			return w.list(at, "elicitations", w.elicitation)
		})
	})
}

// message judges a message of a prompt or of a sampling request.
func (w *walk) message(i int) int {
	if w.at(i) != '{' {
		return w.fail(i, publicForm, "a message that is no object")
	}
	return w.object(i, func(name strictjson.Span, at int) int {
		if string(name.Of(w.doc)) != "content" {
			return w.other(name, at)
		}
		if w.at(at) == '[' {
			return w.list(at, "content", func(at int) int { return w.item(at, noteText) })
		}
		return w.item(at, noteText)
	})
}

// list judges the elements of what must be an array.
func (w *walk) list(i int, name string, each func(at int) int) int {
	if w.at(i) != '[' {
		return w.fail(i, publicForm, "%q that is no array", name)
	}
	return w.elements(i, each)
}

// object is each for an object of the protocol: its names hide nothing and imitate no name that
// is read here.
func (w *walk) object(i int, f func(name strictjson.Span, at int) int) int {
	return w.each(i, func(name strictjson.Span, at int) int {
		if !w.name(name) {
			return -1
		}
		raw := name.Of(w.doc)
		if !protocolName[string(raw)] {
			s, err := strictjson.String(w.doc[name.Start-1 : name.End+1])
			if err != nil {
				return w.fail(name.Start, publicForm, "a name that is no text")
			}
			if key, ok := protocolFold[strictjson.Fold(s)]; ok {
				return w.fail(name.Start, publicForm, "a member whose name can be read as %q", key)
			}
		}
		return f(name, at)
	})
}

// protocolName holds the names of members that are read here, protocolFold what lenient parsers
// may make of them.
var protocolName, protocolFold = func() (map[string]bool, map[string]string) {
	names, folds := map[string]bool{}, map[string]string{}
	for _, name := range []string{
		"content", "structuredContent", "isError", "resultType", "inputRequests", "requestState", "task", "taskId", "contents", "messages",
		"type", "text", "data", "mimeType", "uri", "name", "resource", "blob", "icons", "src", "role", "elicitations", "method", "params",
		"mode", "url", "message", "requestedSchema", "systemPrompt", "includeContext", "nextCursor", "description", "title", "_meta",
	} {
		names[name], folds[strictjson.Fold(name)] = true, name
	}
	return names, folds
}()

// find returns where the value of a member of the object at i begins. The name is as written;
// object refuses one that is written otherwise.
func (w *walk) find(i int, want string) (at int, ok bool) {
	if w.at(i) != '{' {
		return 0, false
	}
	w.each(i, func(name strictjson.Span, value int) int {
		if string(name.Of(w.doc)) == want {
			at, ok = value, true
			return -1 // nothing more to see
		}
		return w.skip(value, 0)
	})
	return at, ok
}

// clip cuts s short between characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
