package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

const nulName = "a member name holds a NUL character"

// located is an error on its way up the walk, which gathers the path in reverse, so that a
// document without errors pays nothing for it.
type located struct {
	at   int
	what string
	path []string
}

func (w *walker) fail(at int, what string) *located { return &located{at: at, what: what} }

func (w *walker) tooDeep(at int) *located {
	return w.fail(at, fmt.Sprintf("nested deeper than %d levels", w.lim.Depth))
}

func (l *located) under(token string) *located {
	l.path = append(l.path, token)
	return l
}

func (l *located) public() *Error {
	slices.Reverse(l.path)
	var b strings.Builder
	for _, token := range l.path {
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(token))
	}
	return &Error{Offset: int64(l.at), Pointer: shortPointer(b.String()), What: l.what}
}

// memberToken decodes a raw member name for a path.
func memberToken(raw []byte) string {
	s, err := String(raw)
	if err != nil {
		return "?"
	}
	return s
}

// explain says why jsontext refused data. It runs only then, so it may be slow; jsontext's own
// words are not used, since they can quote the document.
func explain(data []byte, lim Limits) error {
	dec := jsontext.NewDecoder(bytes.NewReader(data))
	_, err := dec.ReadValue()
	if err == nil {
		_, _ = dec.ReadToken() // moves the offset behind what should not be there
		return &Error{Offset: dec.InputOffset(), What: "data after the end of the JSON value"}
	}
	e := &Error{Offset: dec.InputOffset()}
	var syn *jsontext.SyntacticError
	if errors.As(err, &syn) {
		e.Offset, e.Pointer = syn.ByteOffset, shortPointer(string(syn.JSONPointer))
	}
	at := min(int(e.Offset), len(data))
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		e.What = "the same member name twice in one object"
	case errors.Is(err, io.EOF):
		e.What = "no JSON value"
	case depth(data[:at]) > lim.Depth:
		e.What = fmt.Sprintf("nested deeper than %d levels", lim.Depth)
	case errors.Is(err, io.ErrUnexpectedEOF):
		e.What = "the JSON value ends too early"
	case brokenRune(data[at:]):
		e.What = "invalid UTF-8"
	default: // lone surrogates among them: an escape that stands for nothing
		e.What = "invalid JSON syntax"
	}
	return e
}

// depth counts the brackets left open by a valid prefix of a document.
func depth(prefix []byte) int {
	n := 0
	for i := 0; i < len(prefix); i++ {
		switch prefix[i] {
		case '"':
			i = skipString(prefix, i) - 1
		case '{', '[':
			n++
		case '}', ']':
			n--
		}
	}
	return n
}

func brokenRune(b []byte) bool {
	r, n := utf8.DecodeRune(b)
	return r == utf8.RuneError && n == 1
}

// quoteName shows a member name in an error: it is the sender's own text, cut short.
func quoteName(name []byte) string {
	const most = 40
	if len(name) > most {
		return strconv.QuoteToASCII(string(name[:most])) + "…"
	}
	return strconv.QuoteToASCII(string(name))
}

func shortPointer(p string) string {
	const most = 120
	q := strconv.QuoteToASCII(p)
	if q = q[1 : len(q)-1]; len(q) > most {
		return q[:most] + "…"
	}
	return q
}
