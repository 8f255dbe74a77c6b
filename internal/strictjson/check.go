package strictjson

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits bound a document. Zero fields take the defaults.
type Limits struct {
	Depth     int // nesting of arrays and objects; default 64
	NumberLen int // characters of one number; default 1,000
}

// Defaults of [Limits].
const (
	DefaultDepth     = 64
	DefaultNumberLen = 1000
)

func (l Limits) orDefault() Limits {
	if l.Depth <= 0 {
		l.Depth = DefaultDepth
	}
	if l.NumberLen <= 0 {
		l.NumberLen = DefaultNumberLen
	}
	return l
}

// ErrStrict is wrapped by every refusal of this package.
var ErrStrict = errors.New("not strict JSON")

// Error says what was wrong with a document and where. It never holds values of the document;
// member names in it are quoted and cut short.
type Error struct {
	Offset  int64  // bytes from the start of the document
	Pointer string // RFC 6901 pointer to the place, escaped to ASCII and cut short; "" is the root
	What    string // what was wrong
}

func (e *Error) Error() string { return fmt.Sprintf("%s, at byte %d", e.What, e.Offset) }

// Unwrap makes errors.Is(err, ErrStrict) hold.
func (e *Error) Unwrap() error { return ErrStrict }

// Check reports whether data is exactly one JSON value with one meaning: no member name twice
// in an object at any depth, valid UTF-8, no NUL in names, no lone surrogates, every number
// within the range of a float64 and within lim.NumberLen, nesting within lim.Depth, and nothing
// but white space around it. The error is an [*Error].
func Check(data []byte, lim Limits) error { return CheckSpans(data, lim, nil, nil) }

// CheckScope is [Check] that also applies the name rules of scope, in the same pass.
func CheckScope(data []byte, lim Limits, scope *Scope) error {
	return CheckSpans(data, lim, scope, nil)
}

// CheckSpans is [CheckScope] that also notes in spans where the values lie whose scopes were
// made by [Scope.Capture]; an empty span means that there was none. What it notes before an
// error is of no use.
func CheckSpans(data []byte, lim Limits, scope *Scope, spans []Span) error {
	_, err := CheckOutline(data, lim, scope, spans)
	return err
}

// CheckOutline is [CheckSpans] that also returns what it has learned of the document.
func CheckOutline(data []byte, lim Limits, scope *Scope, spans []Span) (Outline, error) {
	lim = lim.orDefault()
	// One pass for the grammar, duplicates, UTF-8 and surrogates, by jsontext; one for the rules
	// that are ours, which may then rely on the grammar.
	w := walker{data: data, lim: lim, spans: spans, nul: mayHoldNUL(data)}
	if outline, odd, ok := quickly(data, lim.Depth); ok {
		w.outline = outline
		// Depth and grammar are as they should be, and nothing else counts where names are free.
		w.sound = !odd && !w.nul && lim.NumberLen >= shortNumber
	} else if !jsontext.Value(data).IsValid() {
		return Outline{}, explain(data, lim)
	}
	if _, err := w.value(space(data, 0), scope, 0); err != nil {
		return Outline{}, err.public()
	}
	return w.outline, nil
}
