package guard

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"sallyport/internal/strictjson"
)

// Judge returns the document as it may be passed on: doc itself when nothing had to change.
// doc must be sound JSON as internal/strictjson has it; other bytes are refused. The error is a
// [*Refused], and with one out is nil.
func (d *Door) Judge(k Kind, doc []byte, a *Ask) (out []byte, r Report, err error) {
	return d.judge(doc, a, func(w *walk, at int) int {
		switch k {
		case ToolResult:
			return w.toolResult(at)
		case Contents:
			return w.contents(at)
		case Prompt:
			return w.prompt(at)
		case Error:
			return w.errorObject(at)
		}
		return w.plainObject(at)
	})
}

// judge has by judge the document whose value begins at at, and does what is the same for all.
func (d *Door) judge(doc []byte, a *Ask, by func(w *walk, at int) int) ([]byte, Report, error) {
	if a == nil {
		a = &Ask{}
	}
	if len(doc) == 0 {
		return doc, Report{}, nil // params that are absent
	}
	w := &walk{d: d, a: a, doc: doc}
	if refused := w.redactSecrets(); refused != nil {
		return nil, w.r, refused
	}
	end := by(w, w.space(0))
	if w.refused == nil && (end < 0 || w.space(end) != len(w.doc)) {
		w.refused = refusal(publicForm, "not sound JSON, or nested deeper than %d levels", maxDepth)
	}
	if w.refused != nil {
		return nil, w.r, w.refused
	}
	out := w.result()
	if len(out) > 0 && len(doc) > 0 && &out[0] != &doc[0] {
		// What was taken out can bring a secret together that stood apart.
		again := &walk{d: d, a: a, doc: out, r: w.r}
		if refused := again.redactSecrets(); refused != nil {
			return nil, again.r, refused
		}
		out, w.r = again.doc, again.r
		if bytes.Equal(out, doc) {
			out = doc
		}
	}
	if a.MaxBytes > 0 && int64(len(out)) > a.MaxBytes {
		return nil, w.r, refusal(publicSize, "%d bytes; the policy allows %d (max_bytes)", len(out), a.MaxBytes)
	}
	return out, w.r, nil
}

// maxDepth bounds nesting, so that no document can use up the stack. Messages are held to less
// before they come here.
const maxDepth = 256

// walk goes through one document and gathers what stands in the place of what may not pass. Its
// methods take where a value begins and return where it ends, or -1 where the message is
// refused. They stay within the document whatever is in it.
type walk struct {
	d       *Door
	a       *Ask
	doc     []byte
	out     []byte // doc[:last] as it will be passed on, once something changed
	last    int
	changed bool
	r       Report
	refused *Refused
}

// put replaces doc[start:end]. Places come in order.
func (w *walk) put(start, end int, with []byte) {
	if bytes.Equal(w.doc[start:end], with) {
		return
	}
	w.changed = true
	w.out = append(append(w.out, w.doc[w.last:start]...), with...)
	w.last = end
}

func (w *walk) result() []byte {
	if !w.changed {
		return w.doc
	}
	return append(w.out, w.doc[w.last:]...)
}

// fail refuses the message for what is at at, and returns -1.
func (w *walk) fail(at int, public, what string, args ...any) int {
	if w.refused == nil {
		w.refused = refusal(public, what+" at %s", append(args, pointer(w.doc, at))...)
	}
	return -1
}

func (w *walk) space(i int) int {
	for i < len(w.doc) && (w.doc[i] == ' ' || w.doc[i] == '\n' || w.doc[i] == '\t' || w.doc[i] == '\r') {
		i++
	}
	return i
}

// at returns the byte at i, or 0.
func (w *walk) at(i int) byte {
	if i < len(w.doc) {
		return w.doc[i]
	}
	return 0
}

// skip returns the end of the value at i, or -1 where there is none or it is too deep.
func (w *walk) skip(i, depth int) int {
	switch c := w.at(i); {
	case depth > maxDepth:
		return -1
	case c == '"':
		end, _ := w.scan(i)
		return end
	case c == '{':
		return w.each(i, func(_ strictjson.Span, at int) int { return w.skip(at, depth+1) })
	case c == '[':
		return w.elements(i, func(at int) int { return w.skip(at, depth+1) })
	}
	start := i
	for i < len(w.doc) && (isSchemeByte(w.doc[i])) {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// each calls f for each member of the object at i with the span of its name, without quotes,
// and where its value begins; f returns where it ends, or -1. each returns the object's end.
func (w *walk) each(i int, f func(name strictjson.Span, at int) int) int {
	if i = w.space(i + 1); w.at(i) == '}' {
		return i + 1
	}
	for {
		if w.at(i) != '"' {
			return -1
		}
		end, _ := w.scan(i)
		if end < 0 {
			return -1
		}
		name := strictjson.Span{Start: i + 1, End: end - 1}
		if i = w.space(end); w.at(i) != ':' {
			return -1
		}
		if i = f(name, w.space(i+1)); i < 0 {
			return -1
		}
		switch i = w.space(i); w.at(i) {
		case ',':
			i = w.space(i + 1)
		case '}':
			return i + 1
		default:
			return -1
		}
	}
}

// elements calls f for each element of the array at i, as each does.
func (w *walk) elements(i int, f func(at int) int) int {
	if i = w.space(i + 1); w.at(i) == ']' {
		return i + 1
	}
	for {
		if i = f(i); i < 0 {
			return -1
		}
		switch i = w.space(i); w.at(i) {
		case ',':
			i = w.space(i + 1)
		case ']':
			return i + 1
		default:
			return -1
		}
	}
}

// What scan saw in a string.
const (
	sawQuote  = 1 << iota // its end; internal to scan
	sawEscape             // a backslash; internal to scan
	sawBad                // a control character, which JSON does not allow
	sawWide               // a character that is not ASCII, or DEL
	sawCode               // an escape of a character, or of one that Strip takes out
	sawMarkup             // "<" or "]"
)

var classes = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c == '"':
			t[c] = sawQuote
		case c == '\\':
			t[c] = sawEscape
		case c < ' ':
			t[c] = sawBad
		case c >= 0x7f:
			t[c] = sawWide
		case c == '<' || c == ']':
			t[c] = sawMarkup
		}
	}
	return t
}()

// scan returns the end of the string that begins with the quote at i, or -1, and what it saw.
func (w *walk) scan(i int) (end int, saw uint8) {
	doc, near := w.doc, i
	for i++; i < len(doc); i++ {
		c := classes[doc[i]]
		if c&(sawQuote|sawEscape) == 0 {
			// Where nothing was near, nothing may be for long.
			if saw |= c; c != 0 {
				near = i
			} else if i-near > 16 {
				i = plainRun(doc, i) - 1
				near = i
			}
			continue
		}
		near = i
		if c == sawQuote {
			if saw&sawBad != 0 {
				return -1, saw
			}
			return i + 1, saw
		}
		if i++; i == len(doc) {
			return -1, saw
		}
		switch doc[i] {
		case '"', '\\', '/', 'n', 't':
		case 'u', 'b', 'f', 'r':
			saw |= sawCode
		default:
			return -1, saw
		}
	}
	return -1, saw
}

// plainRun returns the index of the first byte from i on that has a class, or a smaller one from
// which it is near. It looks at eight bytes at a time.
func plainRun(doc []byte, i int) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for i+8 <= len(doc) {
		x := binary.LittleEndian.Uint64(doc[i:])
		// A byte under 0x20, over 0x7e, or equal to one of four makes its high bit; borrows can
		// only make more of them. The backslash and "]" differ in their lowest bit alone.
		quote, open, slash := x^ones*'"', x^ones*'<', (x|ones)^ones*']'
		found := (x - ones*0x20) | (x + ones) | x | (quote - ones) | (open - ones) | (slash - ones)
		if found &= high; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
		i += 8
	}
	for i < len(doc) && classes[doc[i]] == 0 {
		i++
	}
	return i
}
