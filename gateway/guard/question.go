package guard

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"sallyport/internal/strictjson"
)

// The questions that a server may ask a client.
const (
	askElicitation = "elicitation/create"
	askSampling    = "sampling/createMessage"
	askRoots       = "roots/list"
)

// Question returns the params of a server's question to a client (elicitation/create,
// sampling/createMessage, roots/list, also as an entry of inputRequests) as it may be put, or
// a [*Refused]. A message begins with the name that the configuration gives the server.
func (d *Door) Question(method string, params []byte, a *Ask) (out []byte, r Report, err error) {
	if len(params) == 0 && method != askRoots {
		return nil, Report{}, refusal(publicQuestion, "a question (%.40q) without params", method)
	}
	return d.judge(params, a, func(w *walk, at int) int { return w.question(method, at) })
}

func (w *walk) question(method string, i int) int {
	if w.at(i) != '{' {
		return w.fail(i, publicQuestion, "a question whose params are no object")
	}
	switch method {
	case askElicitation:
		return w.elicitation(i)
	case askSampling:
		return w.sampling(i)
	case askRoots:
		return w.plainObject(i)
	}
	return w.fail(i, publicQuestion, "a question that the gateway does not know (%.40q)", method)
}

// inputRequests judges the questions of a result that wants an answer first (MCP 2026-07-28,
// "Multi Round-Trip Requests").
func (w *walk) inputRequests(i int) int {
	if w.at(i) != '{' {
		return w.fail(i, publicForm, `"inputRequests" that are no object`)
	}
	return w.each(i, func(name strictjson.Span, at int) int {
		if len(w.a.Mask) > 0 {
			return w.fail(at, publicQuestion, "a question, in which the policy's masks cannot be applied,")
		}
		if !w.name(name) {
			return -1
		}
		method := ""
		if m, ok := w.find(at, "method"); ok {
			method = w.word(m)
		}
		if w.at(at) != '{' || method != askElicitation && method != askSampling && method != askRoots {
			return w.fail(at, publicQuestion, "an input request that is no question the gateway knows")
		}
		asked := method == askRoots
		end := w.object(at, func(name strictjson.Span, at int) int {
			switch string(name.Of(w.doc)) {
			case "method":
				return w.skip(at, 0)
			case "params":
				asked = true
				return w.question(method, at)
			}
			return w.other(name, at)
		})
		if end >= 0 && !asked {
			return w.fail(at, publicQuestion, "an input request without params")
		}
		return end
	})
}

// elicitation judges a question to the person: a form without fields for secrets, or an address
// that links may lead to.
func (w *walk) elicitation(i int) int {
	if w.at(i) != '{' {
		return w.fail(i, publicQuestion, "an elicitation that is no object")
	}
	if len(w.a.Mask) > 0 {
		return w.fail(i, publicQuestion, "a question, in which the policy's masks cannot be applied,")
	}
	mode := "form"
	if at, ok := w.find(i, "mode"); ok {
		mode = w.word(at)
	}
	message, ok := w.find(i, "message")
	if !ok || w.at(message) != '"' {
		return w.fail(i, publicQuestion, "an elicitation without a message")
	}
	switch mode {
	case "form":
		schema, ok := w.find(i, "requestedSchema")
		if !ok || !w.form(schema, w.word(message)) {
			return w.fail(i, publicQuestion, "an elicitation without a form")
		}
	case "url":
		at, ok := w.find(i, "url")
		if !ok {
			return w.fail(i, publicQuestion, "an elicitation without its address")
		}
		if what := w.d.unfit(w.word(at)); what != "" {
			return w.fail(at, publicQuestion, "an elicitation to an address %s", what)
		}
	default:
		return w.fail(i, publicQuestion, `an elicitation whose mode is neither "form" nor "url"`)
	}
	return w.object(i, func(name strictjson.Span, at int) int {
		switch string(name.Of(w.doc)) {
		case "message":
			return w.str(at, w.named)
		case "requestedSchema":
			return w.any(at, 1, nil)
		case "url":
			if mode == "url" {
				return w.skip(at, 0)
			}
			return w.fail(at, publicQuestion, "a form with an address")
		}
		return w.other(name, at)
	})
}

// named puts the asker's name before its words.
func (w *walk) named(message string) string {
	asker := "An MCP server asks: "
	if w.a.Server != "" {
		asker = fmt.Sprintf("The MCP server %q asks: ", w.a.Server)
	}
	if strings.HasPrefix(message, asker) {
		return message
	}
	return asker + message
}

// unfit says why a person may not be sent to an address, or "".
func (d *Door) unfit(address string) string {
	u, err := url.Parse(address)
	if err != nil || strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\\\"<>^`{|}", r) }) {
		return "that is none, or that is read in more than one way"
	}
	host, ok := asciiHost(u.Hostname())
	if strings.Contains(u.Hostname(), ":") {
		host, ok = asciiHost("[" + u.Hostname() + "]")
	}
	loopback := host == "localhost" || host == "127.0.0.1" || host == "[::1]"
	var r reader
	switch _, leads := d.outside(address, 0, form{strict: true}, &r); {
	case u.User != nil:
		return "with a user's name in it"
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback):
		return "that is not https"
	case !ok || leads:
		return "whose host is not in guards.linkHosts"
	}
	return ""
}

// sampling judges a request for the client's model: its texts as those of a prompt, and without
// what the client knows of other servers.
func (w *walk) sampling(i int) int {
	return w.object(i, func(name strictjson.Span, at int) int {
		switch string(name.Of(w.doc)) {
		case "messages":
			return w.list(at, "messages", w.message)
		case "includeContext":
			end := w.skip(at, 0)
			if end > 0 {
				w.put(at, end, []byte(`"none"`))
			}
			return end
		}
		return w.any(at, 1, nil)
	})
}

// form reports whether the schema of a form is flat, as the protocol has it, and has no field
// that asks for a secret, nor the message where a field could take one.
func (w *walk) form(i int, message string) bool {
	if w.at(i) != '{' {
		return false
	}
	fields, ok := w.find(i, "properties")
	if !ok || w.at(fields) != '{' {
		w.fail(i, publicQuestion, "a form without fields")
		return false
	}
	free := false // a field takes what a person writes
	end := w.each(i, func(name strictjson.Span, at int) int {
		switch string(name.Of(w.doc)) {
		case "properties":
			return w.each(at, func(name strictjson.Span, at int) int { return w.field(name, at, &free) })
		case "type", "required", "$schema", "additionalProperties", "$id":
			return w.skip(at, 0)
		case "title", "description", "$comment":
			return w.label(at)
		}
		return w.fail(at, publicQuestion, "a form that is not flat")
	})
	if end >= 0 && free && asksSecret(message) {
		w.fail(i, publicQuestion, "a form whose message asks for a secret")
		return false
	}
	return end >= 0
}

// choices are the keywords whose texts a person chooses from and does not fill in.
var choices = []string{"enum", "enumNames", "oneOf", "anyOf", "const", "default", "items", "required", "examples"}

func (w *walk) field(name strictjson.Span, i int, free *bool) int {
	s, _ := strictjson.String(w.doc[name.Start-1 : name.End+1])
	if asksSecret(s) {
		return w.fail(name.Start, publicQuestion, "a field that asks for a secret")
	}
	if w.at(i) != '{' {
		return w.fail(i, publicQuestion, "a field that is no schema")
	}
	kind, chosen := "", false
	end := w.each(i, func(name strictjson.Span, at int) int {
		word := string(name.Of(w.doc))
		switch {
		case word == "type":
			kind = w.word(at)
			return w.skip(at, 0)
		case slices.Contains(choices, word):
			chosen = chosen || word != "default" && word != "examples"
			return w.skip(at, 0)
		case w.at(at) == '"':
			return w.label(at)
		case w.at(at) == '{' || w.at(at) == '[':
			return w.fail(at, publicQuestion, "a form that is not flat")
		}
		return w.skip(at, 0)
	})
	if end >= 0 && !slices.Contains([]string{"string", "number", "integer", "boolean", "array"}, kind) {
		return w.fail(i, publicQuestion, "a field that is no text, number, choice or switch")
	}
	*free = *free || !chosen && kind != "boolean"
	return end
}

// label judges a text that says what a field is for.
func (w *walk) label(i int) int {
	if asksSecret(w.word(i)) {
		return w.fail(i, publicQuestion, "a field that asks for a secret")
	}
	return w.skip(i, 0)
}
